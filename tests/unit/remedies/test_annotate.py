"""Annotations that mypy has the last word on."""

from __future__ import annotations

from pathlib import Path

from checks.code import helpers_annotated
from regreen.facts.source import FolderTree, survey
from regreen.model import Change, Proposal, Splice, compose
from regreen.policy import Policy
from remedies.annotating.verify import Error, _blamed, _new
from remedies.code import annotate

SOURCE = """\
from .lib import thing


def clean():
    print(thing)


def wrong():
    x: int = "a"
    print(x)


def log(text: str):
    print(text)


def use() -> str:
    said = log("a")
    return str(said)
"""


def proposal(root: Path) -> Proposal:
    tree = FolderTree(root)
    found = survey(tree, [helpers_annotated], Policy.of(tree))
    return annotate.propose(found.diagnosis.verdicts[0].findings, found.index, Policy.of(tree))


def test_an_annotation_that_brings_an_error_is_dropped(tmp_path: Path) -> None:
    """One run of mypy for all of it, twice (before and after), on copies: some seconds, as mypy reads its stubs."""
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "a-b.py").write_text(SOURCE)
    (tmp_path / "mypy.ini").write_text("[mypy]\nplugins = no_such_plugin\n")

    found = proposal(tmp_path)

    assert [change.subject for change in found.changes] == ["tests/a-b.py::clean"]
    assert found.changes[0].evidence.endswith("mypy reports no new error")
    assert compose(FolderTree(tmp_path), found.changes)[0] == {
        "tests/a-b.py": SOURCE.replace("def clean():", "def clean() -> None:").encode()
    }
    reasons = {refusal.subject.rpartition("::")[2]: refusal.reason for refusal in found.refusals}
    assert reasons.keys() == {"wrong", "log"}
    assert "[assignment]" in reasons["wrong"]
    assert "[func-returns-value]" in reasons["log"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mypy.ini", "tests"]


def change(name: str, start: int) -> Change:
    return Change("r", f"a.py::{name}", "", (name,), (Splice("a.py", start, start, b" -> None"),))


def test_errors_are_told_apart_by_line_and_text() -> None:
    old = [Error(0, 1, "x"), Error(0, 2, "y")]
    assert _new(old, [*old, Error(0, 2, "z"), Error(0, 1, "x")]) == [Error(0, 2, "z"), Error(0, 1, "x")]
    assert _new(old, old[:1]) == []


def test_the_function_that_an_error_names_is_blamed_else_the_one_above_it() -> None:
    changes = [change("f", 7), change("g", 20)]
    before = {"a.py": b"def f():\n  1\n\ndef g():\n  2\n"}
    assert _blamed(Error(0, 5, '"f" does not return a value'), changes, ["a.py"], before) == ["f"]
    assert _blamed(Error(0, 2, "wrong"), changes, ["a.py"], before) == ["f"]
    assert _blamed(Error(0, 5, "wrong"), changes, ["a.py"], before) == ["g"]
