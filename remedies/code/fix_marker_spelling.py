"""Spell a mark as it is registered.

Only where one registered name is near, and the use is a decorator, `pytestmark` or `pytest.param`: there the mark says
what the test is. Safe at distance 1 when the wrong name is rare (used at most twice, and less than the right one);
else only with `--unsafe`. A mark that a hook or a test sets while running changes what is selected for other tests:
a person decides.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import Final

from regreen.facts.source import Index, dotted
from regreen.facts.source.markers import distance
from regreen.facts.source.testcode import FunctionNode, parsed
from regreen.facts.source.text import UndecodableError
from regreen.model import Change, Example, Finding, Proposal, Refusal, Risk, Safety, Splice, Undo
from regreen.policy import Policy

ID: Final = "code.fix-marker-spelling"
CHECK: Final = "code.markers-spelled"
SAFETY: Final = Safety.UNSAFE
UNDO: Final = Undo.EXACT
RISK: Final = Risk.LOW

_EVIDENCE: Final = "the registered name is the only one near (https://docs.pytest.org/en/stable/how-to/mark.html)"
_RARE: Final = 2


def propose(findings: Sequence[Finding], index: Index, policy: Policy) -> Proposal:
    """One change per file and name."""
    changes: list[Change] = []
    refusals: list[Refusal] = []
    for finding in findings:
        candidates = finding.get("candidates").split(",")
        name, right = finding.get("name"), candidates[0]
        reason = f"{len(candidates)} registered names are near: {', '.join(candidates)}" if len(candidates) > 1 else ""
        splices: tuple[Splice, ...] = ()
        if not reason:
            try:
                splices, reason = _splices(index, finding.path, name, right)
            except (UndecodableError, SyntaxError, ValueError) as error:
                reason = f"the file cannot be edited: {error}"
        if reason:
            decide = f"is `{name}` a misspelling of `{right}`, or a mark of its own to be registered?"
            refusals.append(Refusal(ID, finding.fingerprint, finding.subject, finding.where, reason, decide))
            continue
        uses, known = int(finding.get("uses")), int(finding.get("candidate_uses"))
        sure = distance(name, right) == 1 and uses <= _RARE and uses < known
        changes.append(
            Change(
                ID,
                finding.subject,
                f"pytest.mark.{name} is spelt {right}",
                (finding.fingerprint,),
                splices,
                safety=Safety.SAFE if sure else Safety.UNSAFE,
                evidence=_EVIDENCE,
            )
        )
    return Proposal(tuple(changes), tuple(refusals))


def _splices(index: Index, path: str, name: str, right: str) -> tuple[tuple[Splice, ...], str]:
    text = index.text(path)
    tree = parsed(text.source)
    running: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, FunctionNode):
            running |= {id(inner) for statement in node.body for inner in ast.walk(statement)}
            running -= {id(inner) for each in node.decorator_list for inner in ast.walk(each)}
    found: list[Splice] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr == name and dotted(node.value).rpartition(".")[2] == "mark":
            if id(node) in running:
                return (), "the mark is set while the tests run: it changes what is selected for other tests"
            end = text.offset(node.end_lineno or node.lineno, node.end_col_offset or 0)
            found.append(Splice(path, end - len(text.encode(name)), end, text.encode(right)))
    return tuple(found), "" if found else "the mark was not found where it was seen"


_INI: Final = "[pytest]\nmarkers =\n    integration: real services\n    slow: long\n"


def _use(*names: str) -> str:
    tests = (f"@pytest.mark.{name}\ndef test_{i}():\n    assert f()\n" for i, name in enumerate(names))
    return "import pytest\n\n\n" + "\n\n".join(tests)


def _case(title: str, before: str, after: str, refuses: bool = False) -> Example:
    return Example(title, {"pytest.ini": _INI, "test_a.py": before}, {"pytest.ini": _INI, "test_a.py": after}, refuses)


_HOOK: Final = "import pytest\n\n\ndef pytest_itemcollected(item):\n    item.add_marker(pytest.mark.intgration)\n"
_NEAR: Final = "[pytest]\nmarkers =\n    integration: a\n    integratio: b\n"

EXAMPLES: Final = (
    _case("a letter missing", _use("intgration", "integration", "integration"), _use("integration", "integration", "integration")),
    _case("two letters swapped", _use("slwo", "slow", "slow"), _use("slow", "slow", "slow")),
    _case(
        "in pytestmark and in a call", "import pytest\n\npytestmark = [pytest.mark.integartion(reason='x')]\n\n\ndef test_a(): ...\n",
        "import pytest\n\npytestmark = [pytest.mark.integration(reason='x')]\n\n\ndef test_a(): ...\n",
    ),
    _case("set by a hook", _HOOK, _HOOK, refuses=True),
    Example(
        "two names are near", {"pytest.ini": _NEAR, "test_a.py": _use("integrati")},
        {"pytest.ini": _NEAR, "test_a.py": _use("integrati")}, refuses=True,
    ),
    _case("spelt right", _use("integration"), _use("integration")),
    _case("unlike any other", _use("smoke"), _use("smoke")),
)  # fmt: skip
