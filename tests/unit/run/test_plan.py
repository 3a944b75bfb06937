"""The plan is checked before anything happens, and errors say file, line and what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from regreen.model import Risk
from regreen.plan import PlanError, load_plan, parse_plan

REMEDIES = ("code.cure", "code.mend", "code.patch")
CHECKS = ("code.clean", "code.neat")
GOOD = """schema = 1

[tests]
suites = [["-m", "not slow"], []]
seconds = 60

[[phase]]
number = 1
title = "First"
risk = "low"
max_changes = 10
max_files = 5
remedies = [
  "code.cure",
  { id = "code.mend", after = ["code.cure"] },
  { id = "staging.later", built = false },
]
gate = ["code.clean", { id = "staging.fine", built = false }]

[[phase.item]]
id = "1.1"
text = "It is clean"
requirement = "A1"
checks = ["code.clean", "staging.fine"]
evidence = ["gate", "tests"]

[[phase]]
number = 2
title = "Second"
after = [1]
risk = "high"
approval = "ann, until June"
max_changes = 1
max_files = 1
remedies = ["code.patch"]
gate = []
"""


def test_a_plan_is_read() -> None:
    plan = parse_plan("plan.toml", GOOD.encode(), CHECKS, REMEDIES)

    first, second = plan.phases
    assert [(entry.id, entry.built) for entry in first.remedies] == [
        ("code.cure", True), ("code.mend", True), ("staging.later", False),
    ]  # fmt: skip
    assert [entry.id for entry in first.gate] == ["code.clean", "staging.fine"]
    assert first.checklist[0].checks == ("code.clean", "staging.fine")
    assert (second.risk, second.approval, second.after) == (Risk.HIGH, "ann, until June", (1,))
    assert plan.tests.suites == (("-m", "not slow"), ())
    assert (plan.tests.seconds, plan.tests.memory) == (60, 4096)


def test_after_decides_the_order_and_otherwise_the_plan() -> None:
    text = GOOD.replace('"code.cure",\n', '{ id = "code.cure", after = ["code.mend"] },\n').replace(
        '{ id = "code.mend", after = ["code.cure"] }', '"code.mend"'
    )

    plan = parse_plan("plan.toml", text.encode(), CHECKS, REMEDIES)

    assert [entry.id for entry in plan.phases[0].remedies] == ["code.mend", "code.cure", "staging.later"]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"code.cure",\n', '"code.cur",\n', "plan.toml:14: phase 1: unknown remedy 'code.cur' (did you mean 'code.cure'?)"),
        ('["code.clean", {', '["code.clear", {', "plan.toml:18: phase 1: unknown check 'code.clear' (did you mean 'code.clean'?)"),
        ('checks = ["code.clean",', 'checks = ["code.clen",', "plan.toml:24: phase 1, item 1: unknown check 'code.clen' (did you mean 'code.clean'?)"),
        ('evidence = ["gate",', 'evidence = ["faith",', "plan.toml:25: phase 1, item 1: unknown evidence 'faith'; known are gate, tests, assertion-ratchet, public-api, undo, record"),
        ("max_files = 5\n", "", "plan.toml:7: phase 1: the field 'max_files' is missing"),
        ("max_files = 5\n", "max_files = '5'\n", "plan.toml:12: phase 1: 'max_files' must be a whole number, not '5'"),
        ("max_files = 5\n", "max_files = true\n", "plan.toml:12: phase 1: 'max_files' must be a whole number, not True"),
        ("max_files = 5\n", "max_files = 0\n", "plan.toml:12: phase 1: 'max_files' must be at least 1, not 0"),
        ("max_files = 5\n", "max_fils = 5\n", "plan.toml:12: phase 1: unknown field 'max_fils' (did you mean 'max_files'?)"),
        ('title = "First"', 'title = ""', "plan.toml:9: phase 1: 'title' is empty"),
        ('risk = "low"', 'risk = "lo"', "plan.toml:10: phase 1: 'risk' must be one of low, medium, high, not 'lo'"),
        ('approval = "ann, until June"\n', "", "plan.toml:31: phase 2: a high-risk phase needs an 'approval': who agreed, to what, and until when"),
        ('approval = "ann, until June"', 'approval = " "', "plan.toml:32: phase 2: a high-risk phase needs an 'approval': who agreed, to what, and until when"),
        ("number = 2", "number = 1", "plan.toml:28: phase 1: the number 1 is used already (line 7)"),
        ('remedies = ["code.patch"]', 'remedies = ["code.cure"]', "plan.toml:35: phase 2: remedy 'code.cure' is listed twice (first on line 14)"),
        ('gate = ["code.clean", {', 'gate = ["code.clean", "code.clean", {', "plan.toml:18: phase 1: check 'code.clean' is in the gate twice (first on line 18)"),
        ("after = [1]", "after = [3]", "plan.toml:30: phase 2: comes after phase 3, which is not in the plan"),
        ("after = [1]", "after = [2]", "plan.toml:30: phase 2: cycle in 'after': 2 → 2"),
        ('"code.cure",\n', '{ id = "code.cure", after = ["code.mend"] },\n', "plan.toml:14: phase 1: cycle in 'after': code.cure → code.mend → code.cure"),
        ('after = ["code.cure"] }', 'after = ["code.patch"] }', "plan.toml:15: phase 1: remedy 'code.mend' comes after 'code.patch', which this phase does not list"),
        ('{ id = "staging.later", built = false }', '{ id = "code.patch", built = false }', "plan.toml:16: phase 1: remedy 'code.patch' is marked 'built = false' and is built"),
        ('"staging.later", built = false', '"staging.later"', "plan.toml:16: phase 1: unknown remedy 'staging.later'"),
        ("schema = 1", "schema = 2", "plan.toml:1: this version of Regreen reads schema 1"),
        ('suites = [["-m", "not slow"], []]', 'suites = ["-m"]', "plan.toml:4: tests: 'suites' must be a list of lists of pytest arguments"),
        ('text = "It is clean"\n', "", "plan.toml:20: phase 1, item 1: the field 'text' is missing"),
        ('number = 2', 'number = = 2', "plan.toml:28: is not valid TOML: Invalid value (at line 28, column 10)"),
        ("[[phase]]\nnumber = 2", "[[phases]]\nnumber = 2", "plan.toml:27: unknown field 'phases' (did you mean 'phase'?)"),
    ],
)  # fmt: skip
def test_an_error_names_file_line_and_remedy(old: str, new: str, message: str) -> None:
    assert GOOD.count(old) >= 1
    with pytest.raises(PlanError) as error:
        parse_plan("plan.toml", GOOD.replace(old, new, 1).encode(), CHECKS, REMEDIES)

    assert str(error.value) == message


def test_a_longer_cycle_of_phases_is_printed_as_a_path() -> None:
    text = GOOD.replace('title = "First"', 'title = "First"\nafter = [2]')

    with pytest.raises(PlanError, match=r"plan\.toml:10: phase 1: cycle in 'after': (1 → 2 → 1|2 → 1 → 2)"):
        parse_plan("plan.toml", text.encode(), CHECKS, REMEDIES)


def test_an_unknown_phase_says_which_there_are() -> None:
    with pytest.raises(PlanError, match=r"plan\.toml: has no phase 7; it has 1, 2"):
        parse_plan("plan.toml", GOOD.encode(), CHECKS, REMEDIES).phase(7)


def test_a_plan_that_cannot_be_read_says_so(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match="cannot be read: No such file or directory"):
        load_plan(tmp_path / "plan.toml", CHECKS, REMEDIES)


def test_bytes_that_are_not_text_have_a_line() -> None:
    with pytest.raises(PlanError, match=r"p\.toml:2: is not UTF-8 text"):
        parse_plan("p.toml", b"schema = 1\n# \xff\n", CHECKS, REMEDIES)
