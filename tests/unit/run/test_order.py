"""A phase that comes after another waits for it, unless it is asked not to."""

from __future__ import annotations

from pathlib import Path

import pytest

from regreen.run.options import OptionError
from regreen.runner import remediate
from regreen.undo import undo
from tests.unit.run.toys import Replace, catalogue, git, options, plan, repository

TOYS = catalogue()


def test_the_second_phase_waits_for_the_first(tmp_path: Path) -> None:
    target = repository(tmp_path / "t")

    with pytest.raises(OptionError, match=r"phase 2 comes after phase 1, which has not been run here: run `remediate --phase 1` first, or add --out-of-order"):  # fmt: skip
        remediate(target, plan(TOYS), 2, TOYS, options(tmp_path))
    assert git(target, "branch", "--list", "regreen/*") == ""

    first = remediate(target, plan(TOYS), 1, TOYS, options(tmp_path))
    second = remediate(target, plan(TOYS), 2, TOYS, options(tmp_path))

    assert (first.exit_code, second.exit_code) == (0, 0)
    assert second.record.branch in ("", first.record.branch)


def test_a_gate_that_did_not_pass_is_named(tmp_path: Path) -> None:
    target = repository(tmp_path / "t")
    toys = catalogue((Replace("alpha", "one"),))
    first = remediate(target, plan(toys), 1, toys, options(tmp_path)).record

    with pytest.raises(OptionError, match=f"whose gate did not pass in run {first.run}"):
        remediate(target, plan(toys), 2, toys, options(tmp_path))
    asked = remediate(target, plan(toys), 2, toys, options(tmp_path, out_of_order=True)).record
    dry = remediate(target, plan(toys), 2, toys, options(tmp_path, dry_run=True)).record

    assert any("phase 2 comes after phase 1" in text for text in asked.messages)
    assert any("phase 2 comes after phase 1" in text for text in dry.messages)


def test_what_was_undone_does_not_count(tmp_path: Path) -> None:
    target = repository(tmp_path / "t")
    first = remediate(target, plan(TOYS), 1, TOYS, options(tmp_path)).record
    undo(target, first.run, options(tmp_path))

    with pytest.raises(OptionError, match=f"whose run {first.run} is not part of this branch"):
        remediate(target, plan(TOYS), 2, TOYS, options(tmp_path))


def test_a_merged_first_phase_counts(tmp_path: Path) -> None:
    target = repository(tmp_path / "t")
    first = remediate(target, plan(TOYS), 1, TOYS, options(tmp_path)).record
    git(target, "merge", "-q", "--no-ff", "-m", "merged", first.branch)

    assert remediate(target, plan(TOYS), 2, TOYS, options(tmp_path)).exit_code == 0
