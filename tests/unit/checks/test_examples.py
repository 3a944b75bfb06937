"""Every check fires on its firing examples, and is quiet on the others."""

from __future__ import annotations

import pytest

from checks.code import CATALOGUE
from regreen.facts.source import CodeCheck, MemoryTree, survey
from regreen.model import Example, Status
from regreen.policy import Policy

CASES = [
    pytest.param(check, example, id=f"{check.ID}: {example.title}") for check in CATALOGUE for example in check.EXAMPLES
]


@pytest.mark.parametrize(("check", "example"), CASES)
def test_example(check: CodeCheck, example: Example) -> None:
    tree = MemoryTree(example.before)

    verdict = survey(tree, [check], Policy.of(tree)).diagnosis.verdicts[0]

    assert verdict.error == ""
    assert [str(finding.where) for finding in verdict.findings][example.fires :] == []
    assert len(verdict.findings) == example.fires
    assert verdict.status in ((Status.FAIL,) if example.fires else (Status.PASS, Status.UNKNOWN))


@pytest.mark.parametrize("check", CATALOGUE, ids=lambda check: str(check.ID))
def test_a_check_is_documented_and_has_both_kinds_of_examples(check: CodeCheck) -> None:
    assert check.ID.startswith("code.")
    assert check.__doc__ is not None
    assert check.__doc__.splitlines()[0].endswith(".")
    assert check.SOURCE.startswith(("https://", "docs/"))
    assert any(example.fires for example in check.EXAMPLES)
    assert sum(not example.fires for example in check.EXAMPLES) >= 3
    assert len({example.title for example in check.EXAMPLES}) == len(check.EXAMPLES)


def test_check_ids_are_unique() -> None:
    ids = [check.ID for check in CATALOGUE]

    assert len(set(ids)) == len(ids)
