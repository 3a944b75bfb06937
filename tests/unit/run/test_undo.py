"""Undo gives back the state before, to the byte, and refuses where something was built on it."""

from __future__ import annotations

from pathlib import Path

import pytest

from regreen.apply import GitError
from regreen.journal import Journal, Step
from regreen.run.options import OptionError
from regreen.runner import remediate
from regreen.undo import undo
from tests.unit.run.toys import CHECKS, FILES, Replace, catalogue, everything, git, options, plan, repository

TOYS = catalogue()


def refs(target: Path) -> str:
    return git(target, "for-each-ref", "--format=%(objectname) %(refname)")


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return repository(tmp_path / "t")


def test_undoing_a_run_removes_the_branch_it_made(target: Path, tmp_path: Path) -> None:
    before = refs(target)
    record = remediate(target, plan(TOYS), 1, TOYS, options(tmp_path)).record

    result = undo(target, record.run, options(tmp_path))

    assert refs(target) == before
    assert result.remedies == ("code.replace-gamma", "code.replace-beta", "code.replace-alpha")
    assert result.head == ""
    entry = Journal(target / ".git/regreen/journal.jsonl").entries()[-1]
    assert (entry.step, entry.run) == (Step.UNDONE, record.run)


def test_undoing_the_newest_remedy_restores_the_commit_before_it(target: Path, tmp_path: Path) -> None:
    record = remediate(target, plan(TOYS), 1, TOYS, options(tmp_path)).record
    parent = git(target, "rev-parse", f"{record.branch}^").strip()

    result = undo(target, record.run, options(tmp_path), "code.replace-gamma")

    assert result.head == git(target, "rev-parse", record.branch).strip() == parent


def test_undoing_an_earlier_remedy_that_nothing_builds_on_keeps_the_later_ones(target: Path, tmp_path: Path) -> None:
    toys = catalogue((Replace("gamma", "three"), Replace("alpha", "one")))
    record = remediate(target, plan(toys), 1, toys, options(tmp_path)).record

    undo(target, record.run, options(tmp_path), "code.replace-gamma")

    assert git(target, "show", f"{record.branch}:c.py") == FILES["c.py"]
    assert git(target, "show", f"{record.branch}:b.py") == "z = 'one'\n"
    assert git(target, "log", "-1", "--format=%s", record.branch) == "Undo code.replace-gamma\n"


def test_undos_in_any_order_end_where_the_run_began(target: Path, tmp_path: Path) -> None:
    toys = catalogue((Replace("gamma", "three"), Replace("alpha", "one")))
    before = refs(target)
    record = remediate(target, plan(toys), 1, toys, options(tmp_path)).record

    undo(target, record.run, options(tmp_path), "code.replace-gamma")
    undo(target, record.run, options(tmp_path), "code.replace-alpha")

    assert refs(target) == before


def test_undo_after_a_partial_undo_never_brings_anything_back(target: Path, tmp_path: Path) -> None:
    """alpha, gamma, beta are committed; gamma goes, then beta: the branch holds alpha alone, and not gamma again."""
    toys = catalogue((Replace("alpha", "one"), Replace("gamma", "three"), Replace("beta", "two")))
    record = remediate(target, plan(toys), 1, toys, options(tmp_path)).record

    undo(target, record.run, options(tmp_path), "code.replace-gamma")
    undo(target, record.run, options(tmp_path), "code.replace-beta")

    assert git(target, "diff", "--name-only", f"main..{record.branch}").split() == ["a.py", "b.py"]
    assert git(target, "log", "-1", "--format=%s", record.branch).startswith("code.replace-alpha")


def test_what_later_remedies_built_on_is_refused_with_their_names(target: Path, tmp_path: Path) -> None:
    record = remediate(target, plan(TOYS), 1, TOYS, options(tmp_path)).record
    now = refs(target)

    with pytest.raises(OptionError) as refused:
        undo(target, record.run, options(tmp_path), "code.replace-alpha")

    assert "later commits changed the same files: code.replace-beta" in str(refused.value)
    assert "gamma" not in str(refused.value)
    assert refs(target) == now


def test_cascade_undoes_them_too_and_only_them(target: Path, tmp_path: Path) -> None:
    record = remediate(target, plan(TOYS), 1, TOYS, options(tmp_path)).record

    result = undo(target, record.run, options(tmp_path), "code.replace-alpha", cascade=True)

    assert result.remedies == ("code.replace-beta", "code.replace-alpha")
    assert git(target, "diff", "--name-only", f"main..{record.branch}").split() == ["c.py"]


def test_undoing_a_continued_run_restores_the_branch_before_it(target: Path, tmp_path: Path) -> None:
    first = catalogue((Replace("alpha", "one"),), CHECKS)
    one = remediate(target, plan(first), 1, first, options(tmp_path)).record
    between = refs(target)
    two = remediate(target, plan(TOYS), 1, TOYS, options(tmp_path)).record

    undo(target, two.run, options(tmp_path))

    assert two.branch == one.branch
    assert refs(target) == between


def test_an_undone_run_can_be_made_again(target: Path, tmp_path: Path) -> None:
    record = remediate(target, plan(TOYS), 1, TOYS, options(tmp_path)).record
    undo(target, record.run, options(tmp_path))

    again = remediate(target, plan(TOYS), 1, TOYS, options(tmp_path)).record

    assert again.run != record.run
    assert len(again.changes) == 4


def test_undo_twice_has_nothing_to_undo(target: Path, tmp_path: Path) -> None:
    record = remediate(target, plan(TOYS), 1, TOYS, options(tmp_path)).record
    undo(target, record.run, options(tmp_path))

    result = undo(target, record.run, options(tmp_path))

    assert result.remedies == ()
    assert result.messages == (f"run {record.run} has nothing to undo",)


def test_somebody_s_commit_on_the_branch_stays(target: Path, tmp_path: Path) -> None:
    record = remediate(target, plan(TOYS), 1, TOYS, options(tmp_path)).record
    git(target, "checkout", "-q", record.branch)
    (target / "own.py").write_text("own = 1\n")
    git(target, "add", "-A")
    git(target, "commit", "-qm", "own work")
    git(target, "checkout", "-q", "main")

    undo(target, record.run, options(tmp_path))

    assert git(target, "diff", "--name-only", f"main..{record.branch}").split() == ["own.py"]
    assert "own work" in git(target, "log", "--format=%s", record.branch)


def test_an_empty_commit_of_somebody_s_stays_too(target: Path, tmp_path: Path) -> None:
    record = remediate(target, plan(TOYS), 1, TOYS, options(tmp_path)).record
    git(target, "checkout", "-q", record.branch)
    git(target, "commit", "-q", "--allow-empty", "-m", "start the pipeline")
    git(target, "checkout", "-q", "main")

    undo(target, record.run, options(tmp_path))

    assert git(target, "diff", f"main..{record.branch}") == ""
    assert "start the pipeline" in git(target, "log", "--format=%s", record.branch)


def test_a_file_that_somebody_changed_since_is_not_overwritten(target: Path, tmp_path: Path) -> None:
    record = remediate(target, plan(TOYS), 1, TOYS, options(tmp_path)).record
    git(target, "checkout", "-q", record.branch)
    (target / "c.py").write_text("w = 'by hand'\n")
    git(target, "commit", "-qam", "by hand")
    git(target, "checkout", "-q", "main")

    with pytest.raises(GitError, match=r"c\.py was changed on the branch after code\.replace-gamma"):
        undo(target, record.run, options(tmp_path))


def test_a_branch_in_a_work_tree_is_left_alone(target: Path, tmp_path: Path) -> None:
    record = remediate(target, plan(TOYS), 1, TOYS, options(tmp_path)).record
    git(target, "checkout", "-q", record.branch)
    found = everything(target)

    with pytest.raises(GitError, match=f"branch {record.branch} is checked out in {target}"):
        undo(target, record.run, options(tmp_path))

    assert everything(target) == found


def test_an_unknown_run_or_remedy_names_what_there_is(target: Path, tmp_path: Path) -> None:
    record = remediate(target, plan(TOYS), 1, TOYS, options(tmp_path)).record

    with pytest.raises(OptionError, match=f"no such run here.*the newest is {record.run}"):
        undo(target, "nonsense", options(tmp_path))
    with pytest.raises(OptionError, match=r"did you mean 'code.replace-alpha'\?"):
        undo(target, record.run, options(tmp_path), "code.replace-alpa")


def test_undo_leaves_index_and_work_tree_alone(target: Path, tmp_path: Path) -> None:
    record = remediate(target, plan(TOYS), 1, TOYS, options(tmp_path)).record
    (target / "a.py").write_text("dirty\n")
    index = (target / ".git/index").read_bytes()

    undo(target, record.run, options(tmp_path))

    assert (target / "a.py").read_text() == "dirty\n"
    assert (target / ".git/index").read_bytes() == index
