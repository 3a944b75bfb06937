"""The table of planted faults is true: every fault is where it says, and has the end that it needs."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from datetime import date
from pathlib import Path
from typing import Any, Final

import pytest

from regreen.decisions import Decision, read_decisions
from regreen.facts.scratch import materialize
from regreen.facts.source import FolderTree
from regreen.model import Finding, Severity, Span

PATIENT: Final = Path(__file__).parents[3] / "patient"
TABLE: Final = tomllib.loads((PATIENT / "FAULTS.toml").read_text())
FAULTS: Final[list[dict[str, Any]]] = TABLE["fault"]
DECOYS: Final[list[dict[str, Any]]] = TABLE["decoy"]
ONE_FAULT: Final = pytest.mark.parametrize("fault", FAULTS, ids=[fault["id"] for fault in FAULTS])
CHECKS: Final = frozenset(
    {
        "code.bases-linearize",
        "code.coroutines-awaited",
        "code.dependencies-declared",
        "code.external-calls-bounded",
        "code.helpers-annotated",
        "code.import-paths-consistent",
        "code.imports-acyclic",
        "code.imports-resolve",
        "code.markers-registered",
        "code.markers-spelled",
        "code.mocked-boundaries",
        "code.next-config-current",
        "code.no-secret-literals",
        "code.optional-imports-guarded",
        "code.pools-configured",
        "code.pydantic-fields-valid",
        "code.pytest-config-unique",
        "code.responses-cached",
        "code.results-stream",
        "code.source-readable",
        "code.strict-markers-effective",
        "code.test-classes-collectable",
        "code.tests-assert-not-return",
        "code.tests-can-fail",
        "code.waits-not-sleeps",
        "code.websocket-has-open-timeout",
        "code.websocket-keyword-current",
    }
)
SHOWN_BY_A_RUN: Final = "run.tests-pass"
ANSWERED: Final = frozenset({"refused", "decided", "unmasked"})
ENDS: Final = ANSWERED | {"fixed"}


def text_of(path: str) -> str:
    return (PATIENT / path).read_text(encoding="utf-8")


def scope_of(path: str, witness: str) -> str:
    """`path::Class::function` around the first place of the witness; the path alone at module level."""
    text = text_of(path)
    place = text.index(witness)
    line = text.count("\n", 0, place + len(witness) - len(witness.lstrip())) + 1
    try:
        tree = ast.parse(text)
    except SyntaxError:
        return path
    names: list[str] = []
    scope: ast.AST = tree
    while inner := next((node for node in ast.walk(scope) if node is not scope and _holds(node, line)), None):
        assert isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        names.append(inner.name)
        scope = inner
    return "::".join([path, *names])


def _holds(node: ast.AST, line: int) -> bool:
    if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return False
    first = min([node.lineno, *(each.lineno for each in node.decorator_list)])
    return first <= line <= (node.end_lineno or first)


def decision_on(fault: dict[str, Any]) -> Decision | None:
    """The decision that answers the fault's finding, or its red test, while it is in force."""
    decisions = read_decisions(FolderTree(PATIENT), date.min)
    if fault["check"] == SHOWN_BY_A_RUN:
        return decisions.on_test(fault["test"])
    subject = scope_of(fault["file"], fault["witness"])
    where = Span(fault["file"])
    return decisions.on(Finding(fault["check"], subject, where, "", "", Severity.ERROR))


@ONE_FAULT
def test_a_fault_is_still_there(fault: dict[str, Any]) -> None:
    assert fault["witness"] in text_of(fault["file"])
    if "missing" in fault:
        assert fault["missing"] not in text_of(fault["missing_from"])


@pytest.mark.parametrize("decoy", DECOYS, ids=[f"{decoy['check']}-{decoy['why']}" for decoy in DECOYS])
def test_a_decoy_is_still_there(decoy: dict[str, Any]) -> None:
    assert decoy["witness"] in text_of(decoy["file"])
    assert decoy["check"] in CHECKS


def test_no_fault_is_told_twice() -> None:
    ids = [fault["id"] for fault in FAULTS]
    assert sorted(set(ids)) == sorted(ids)
    places = [(fault["file"], fault["witness"]) for fault in FAULTS]
    assert sorted(set(places)) == sorted(places)


@ONE_FAULT
def test_a_fault_is_told_in_known_words(fault: dict[str, Any]) -> None:
    assert fault.keys() - {"missing", "missing_from", "test"} == {
        "id", "row", "check", "phase", "end", "file", "witness", "sees",
    }  # fmt: skip
    assert fault["check"] in CHECKS | {SHOWN_BY_A_RUN}
    assert fault["end"] in ENDS
    assert fault["phase"] in (1, 2, 3, 4)
    assert re.fullmatch(r"[A-E]\d+(\.\d)?c?", fault["row"])


def test_every_check_has_a_fault() -> None:
    assert {fault["check"] for fault in FAULTS} == CHECKS | {SHOWN_BY_A_RUN}


def test_every_row_has_a_fault() -> None:
    assert {fault["row"] for fault in FAULTS} == {
        "A1.1", "A1.2", "A1.3", "A1.4", "A2.1", "A3.1", "A3.2", "A3.3", "A4.2", "A4.4", "C3",
        "D1.2", "D1.2c", "D2.1", "D2.2", "D3.2", "D4.1", "D4.2", "E2", "E3",
    }  # fmt: skip


@pytest.mark.parametrize("fault", [fault for fault in FAULTS if "test" in fault], ids=lambda fault: fault["id"])
def test_the_test_that_shows_a_fault_exists(fault: dict[str, Any]) -> None:
    path, _, name = fault["test"].partition("::")
    assert re.search(rf"^(async )?def {name}\(", text_of(path), re.MULTILINE)


@ONE_FAULT
def test_exactly_what_needs_a_person_is_answered(fault: dict[str, Any]) -> None:
    """A decision on a fault that is to be fixed would keep its remedy away."""
    decision = decision_on(fault)
    if fault["end"] in ANSWERED:
        assert decision is not None
        assert (decision.decision == "product-defect") == (fault["end"] == "unmasked")
    elif fault["end"] == "fixed":
        assert decision is None


def test_decisions_end() -> None:
    decisions = read_decisions(FolderTree(PATIENT), date.min)
    assert {decision.until.year for decision in decisions.entries} == {2099}


def test_only_the_damaged_files_do_not_parse() -> None:
    broken = set()
    for path in sorted(PATIENT.rglob("*.py")):
        try:
            compile(path.read_bytes(), str(path), "exec", dont_inherit=True)
        except SyntaxError:
            broken.add(path.relative_to(PATIENT).as_posix())
    assert broken == {fault["file"] for fault in FAULTS if fault["check"] == "code.source-readable"}


def test_the_history_holds_a_version_that_parsed() -> None:
    history = tomllib.loads(text_of("history.toml"))
    earlier = {entry["path"]: text_of(entry["content"]) for entry in history["earlier"]}
    assert {"test_tools/report.py", "scripts/backfill.py"} < earlier.keys()
    for path, text in earlier.items():
        compile(text, path, "exec", dont_inherit=True)
    damaged, whole = text_of("test_tools/report.py").splitlines(), earlier["test_tools/report.py"].splitlines()
    assert [pair for pair in zip(damaged, whole, strict=True) if pair[0] != pair[1]] == [
        ('HEADER = ""', 'HEADER = """')
    ]


def test_as_found_nothing_is_collected(tmp_path: Path) -> None:
    """pytest 9 does not even start: this is what a user sees first."""
    materialize(PATIENT, tmp_path / "copy")
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider"],
        cwd=tmp_path / "copy", capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert run.returncode == pytest.ExitCode.USAGE_ERROR
    assert "Cannot use both [tool.pytest]" in run.stderr
