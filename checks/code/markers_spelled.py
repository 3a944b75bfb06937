"""Marks are spelt as they are registered.

A mark that is not registered and lies within edit distance 2 of one that is (1 for short names) is a misspelling:
the tests that bear it are not selected, and registering it would make the error permanent. Names that differ in digits
alone (`tier1`, `tier2`) are different names, and a name that is used more widely than the one it resembles is its own.
"""

from __future__ import annotations

from typing import Final

from regreen.facts.source import Index
from regreen.facts.source.markers import INTERESTS as MARKERS
from regreen.facts.source.markers import Markers
from regreen.model import Example, Finding, Severity, Verdict
from regreen.policy import Policy

ID: Final = "code.markers-spelled"
VERSION: Final = 2
SEVERITY: Final = Severity.ERROR
SOURCE: Final = "https://docs.pytest.org/en/stable/how-to/mark.html#raising-errors-on-unknown-marks"
INTERESTS: Final = MARKERS

_INI: Final = "[pytest]\nmarkers =\n    integration: real services\n    slow: long\n    tier1: functional\n"


def _use(*names: str) -> str:
    return "import pytest\n" + "".join(
        f"\n\n@pytest.mark.{name}\ndef test_{i}():\n    assert f()\n" for i, name in enumerate(names)
    )


EXAMPLES: Final = (
    Example("a letter missing", {"pytest.ini": _INI, "test_a.py": _use("intgration", "integration")}, fires=1),
    Example("two letters swapped", {"pytest.ini": _INI, "test_a.py": _use("solw")}, fires=1),
    Example("one finding a file", {"pytest.ini": _INI, "test_a.py": _use("slwo", "slwo"), "test_b.py": _use("slwo")}, fires=2),
    Example("pytest's own name", {"pytest.ini": _INI, "test_a.py": _use("parametrise")}, fires=1),
    Example("spelt right", {"pytest.ini": _INI, "test_a.py": _use("integration", "slow")}),
    Example("another number is another name", {"pytest.ini": _INI, "test_a.py": _use("tier2", "tier10")}),
    Example("unlike any registered name", {"pytest.ini": _INI, "test_a.py": _use("smoke", "unit")}),
    Example("short names differ easily", {"pytest.ini": "[pytest]\nmarkers = db\n", "test_a.py": _use("do", "d")}),
    Example("nothing is registered", {"test_a.py": _use("intgration", "integration")}),
    Example("used more widely than the name it resembles", {
        "pytest.ini": "[pytest]\nmarkers = units\n", **{f"test_{i}.py": _use("unit") for i in range(4)},
    }),
)  # fmt: skip


def judge(index: Index, policy: Policy) -> Verdict:
    """One finding per misspelt name and file."""
    markers = Markers.of(index, ID)
    findings: list[Finding] = []
    for (_, name), uses in markers.unregistered().items():
        candidates = markers.misspelt(name, uses)
        if not candidates:
            continue
        data = {
            "name": name,
            "candidates": ",".join(candidates),
            "uses": str(markers.total(name)),
            "candidate_uses": str(markers.total(candidates[0])),
        }
        findings.extend(
            index.finding(
                ID,
                SEVERITY,
                use.file,
                use.position,
                scope=use.scopes[0],
                observed=f"pytest.mark.{name} is not registered; {' or '.join(candidates)} is",
                expected=f"pytest.mark.{candidates[0]}, or {name} registered as a mark of its own",
                snippet=f"pytest.mark.{name}",
                data=data,
            )
            for use in uses
        )
    return Verdict.of(ID, len(index.files), findings)
