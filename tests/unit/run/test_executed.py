"""A run with `--python`: the target's own tests before and after (slow: each run starts pytest twice)."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from regreen.facts.testrun import InterpreterError
from regreen.run.options import OptionError
from regreen.run.record import GateState
from regreen.runner import remediate
from tests.unit.run.toys import CHECKS, Replace, catalogue, everything, git, options, plan, repository

FILES = {
    "tests/test_a.py": "from lib import WORD\n\n\ndef test_masked():\n    assert WORD == 'al' 'pha'\n\n\ndef test_fine():\n    assert 'x'\n",
    "tests/test_broken.py": "import not_there\n",
    "lib.py": "WORD = 'alpha'\n",
    "conftest.py": "",
}
DECISION = """[[decision]]
check = "run.tests-pass"
subject = "tests/test_*.py*"
decision = "product-defect"
reason = "issue 7"
who = "ann"
until = 2027-01-01
"""


def gate_item(record: object, name: str) -> tuple[GateState, str]:
    items = record.gate.items  # type: ignore[attr-defined]
    return next((item.state, item.text) for item in items if item.name == name)


def test_unmasked_tests_are_kept_and_wait_for_a_decision(tmp_path: Path) -> None:
    toys = catalogue((Replace("alpha", "one", unmasks=("tests/test_a.py::test_masked",)),), CHECKS[:1])
    target = repository(tmp_path / "t", FILES)
    found = everything(target)
    run = options(tmp_path, static_only=False, python=Path(sys.executable))

    first = remediate(target, plan(toys), 1, toys, run).record

    assert first.tests is not None
    assert [item.test for item in first.tests.unmasked] == ["tests/test_a.py::test_masked"]
    assert first.tests.regressions == ()
    assert first.tests.before.errors_by_category == {"missing module": 1}
    assert (first.tests.before.collected, first.tests.after.collected) == (2, 2)
    assert gate_item(first, "tests") == (
        GateState.FAIL, "2 tests collected (2 before); 2 red tests wait for a decision, first tests/test_a.py::test_masked",
    )  # fmt: skip
    assert git(target, "show", f"{first.branch}:lib.py") == "WORD = 'one'\n"
    assert {name: content for name, content in everything(target).items() if name in found} == found

    # The same branch again: nothing is changed, nothing is run again, and the answer is the same.
    again = remediate(target, plan(toys), 1, toys, options(tmp_path, static_only=False)).record
    assert again.exit_code == 1
    assert again.tests == first.tests
    assert again.tests_note == f"executed in run {first.run}, on this very commit"


def test_decisions_answer_red_tests_but_never_a_regression(tmp_path: Path) -> None:
    files = {**FILES, "decisions.toml": DECISION}
    run = options(tmp_path, static_only=False, python=Path(sys.executable))
    masked = ("tests/test_a.py::test_masked",)
    kept = catalogue((Replace("alpha", "one", unmasks=masked),), CHECKS[:1])
    worse = catalogue((Replace("alpha", "one"),), CHECKS[:1])

    answered = remediate(repository(tmp_path / "a", files), plan(kept), 1, kept, run).record
    regressed = remediate(repository(tmp_path / "b", files), plan(worse), 1, worse, run).record

    assert gate_item(answered, "tests")[0] is GateState.DECIDED
    assert answered.exit_code == 0
    assert answered.decisions[0].answers == ("tests/test_a.py::test_masked", "tests/test_broken.py")
    assert gate_item(regressed, "tests") == (
        GateState.FAIL, "1 tests were green and are red, or are lost, first tests/test_a.py::test_masked",
    )  # fmt: skip
    assert regressed.exit_code == 1


def test_a_wrong_interpreter_is_said_before_anything_is_done(tmp_path: Path) -> None:
    toys = catalogue()
    target = repository(tmp_path / "t", FILES)
    found = everything(target)

    with pytest.raises(InterpreterError, match="there is no such program"):
        remediate(target, plan(toys), 1, toys, options(tmp_path, static_only=False, python=tmp_path / "no"))
    with pytest.raises(OptionError, match="exclude each other"):
        remediate(target, plan(toys), 1, toys, options(tmp_path, python=Path(sys.executable)))

    assert everything(target) == found
    assert not (target / ".git/regreen").exists()


FLAKY = """
from pathlib import Path
from lib import WORD

def test_now_and_then():
    runs = Path({path!r})
    with runs.open("a") as file:
        file.write(".")
    assert WORD and len(runs.read_text()) != 2
"""


def test_a_red_test_that_passes_when_run_again_is_no_regression(tmp_path: Path) -> None:
    toys = catalogue((Replace("alpha", "one"),), CHECKS[:1])
    files = {
        "tests/test_a.py": FLAKY.format(path=str(tmp_path / "runs")),
        "lib.py": "WORD = 'alpha'\n",
        "conftest.py": "",
    }
    target = repository(tmp_path / "t", files)

    record = remediate(
        target, plan(toys), 1, toys, options(tmp_path, static_only=False, python=Path(sys.executable))
    ).record

    assert (tmp_path / "runs").read_text() == "..."
    assert record.tests is not None
    assert [item.test for item in record.tests.flaky] == ["tests/test_a.py::test_now_and_then"]
    assert record.tests.regressions == ()
    assert gate_item(record, "tests") == (
        GateState.PASS, "1 tests collected (1 before); 1 flaky, first tests/test_a.py::test_now_and_then; none is red",
    )  # fmt: skip
