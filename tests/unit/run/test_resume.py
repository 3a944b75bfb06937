"""kill -9 at every step of a run and of an undo: resuming or undoing afterwards loses nothing."""

from __future__ import annotations

import json
import os
import shutil
import signal
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest

from regreen.journal import Journal, Step
from regreen.lock import LockedError, locked
from regreen.run.history import load_record, read_history
from regreen.runner import remediate
from regreen.undo import undo
from tests.unit.run.toys import Replace, catalogue, git, options, plan, repository

TOYS = catalogue((Replace("alpha", "one"), Replace("beta", "two")))
#: Checkpoints of a run with two commits: journal lines (detect, and for each commit intend and done; gate),
#: blobs and the branch, each before and after. A wrong number would leave steps out: the last test checks it.
STEPS = 2 * (1 + 2 * (1 + 2 + 1) + 1)
UNDO_STEPS = 2 * (1 + 2 + 1)


def killed(act: Callable[[Callable[[str], None]], object], at: int) -> str:
    """Run something in a child that is killed at its n-th checkpoint; the name of that checkpoint."""
    reader, writer = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # 3.12 warns of forks beside threads
        child = os.fork()
    if child == 0:
        passed = 0

        def checkpoint(name: str) -> None:
            nonlocal passed
            passed += 1
            if passed == at:
                os.write(writer, name.encode())
                os.kill(os.getpid(), signal.SIGKILL)

        try:
            act(checkpoint)
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        name = pipe.read().decode()
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) == bool(name)
    return name


def shape(target: Path, branch: str) -> list[str]:
    """The trees and subjects of a branch, oldest first."""
    return git(target, "log", "--reverse", "--format=%T %s", branch).splitlines()


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return repository(tmp_path_factory.mktemp("template") / "t")


@pytest.fixture(scope="module")
def wanted(template: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """What an uninterrupted run makes."""
    target = tmp_path_factory.mktemp("wanted") / "t"
    shutil.copytree(template, target)
    record = remediate(target, plan(TOYS), 1, TOYS, options(target.parent)).record
    return shape(target, record.branch)


@pytest.fixture
def target(template: Path, tmp_path: Path) -> Path:
    shutil.copytree(template, tmp_path / "t")
    return tmp_path / "t"


@pytest.mark.parametrize("at", range(1, STEPS + 1))
def test_a_run_killed_anywhere_is_resumed(target: Path, wanted: list[str], tmp_path: Path, at: int) -> None:
    name = killed(lambda point: remediate(target, plan(TOYS), 1, TOYS, options(tmp_path, checkpoint=point)), at)
    assert name

    record = remediate(target, plan(TOYS), 1, TOYS, options(tmp_path)).record

    assert shape(target, record.branch) == wanted
    assert git(target, "for-each-ref", "--format=%(refname:short)").split() == ["main", record.branch]
    history = read_history(Journal(target / ".git/regreen/journal.jsonl"))
    assert history.orphans == ()
    assert {start.run for start in history.starts} <= history.ended
    state = target / ".git/regreen"
    if name == "after journal gate":  # the run had ended: this one found nothing to do
        assert record.changes == ()
        record = load_record(state, history.starts[0].run)
    assert [item.change.subject for item in record.changes] == ["a.py::1", "b.py::1", "a.py::2"]
    assert {item.commit for item in record.changes} == {item.new for item in history.effects}
    assert not list(state.glob("scratch-*"))


@pytest.mark.parametrize("at", range(1, STEPS + 1, 2))
def test_a_run_killed_anywhere_can_be_undone(target: Path, tmp_path: Path, at: int) -> None:
    killed(lambda point: remediate(target, plan(TOYS), 1, TOYS, options(tmp_path, checkpoint=point)), at)
    starts = read_history(Journal(target / ".git/regreen/journal.jsonl")).starts
    if not starts:
        assert at == 1  # killed before the first line: there is no run to undo
        return

    undo(target, starts[0].run, options(tmp_path))

    assert git(target, "for-each-ref", "--format=%(refname:short)").split() == ["main"]
    assert read_history(Journal(target / ".git/regreen/journal.jsonl")).orphans == ()


@pytest.mark.parametrize("at", range(1, UNDO_STEPS + 1))
def test_an_undo_killed_anywhere_can_be_repeated(target: Path, tmp_path: Path, at: int) -> None:
    record = remediate(target, plan(TOYS), 1, TOYS, options(tmp_path)).record

    name = killed(lambda point: undo(target, record.run, options(tmp_path, checkpoint=point)), at)
    undo(target, record.run, options(tmp_path))

    assert name
    assert git(target, "for-each-ref", "--format=%(refname:short)").split() == ["main"]


def test_the_steps_are_all_there_are(target: Path, tmp_path: Path) -> None:
    names: list[str] = []
    record = remediate(target, plan(TOYS), 1, TOYS, options(tmp_path, checkpoint=names.append)).record
    run_names, names[:] = list(names), []
    undo(target, record.run, options(tmp_path, checkpoint=names.append))

    assert len(run_names) == STEPS
    assert len(names) == UNDO_STEPS
    assert run_names[2:10] == [
        "before blobs", "after blobs",
        "before journal intend code.replace-alpha", "after journal intend code.replace-alpha",
        f"before ref {record.run} code.replace-alpha", f"after ref {record.run} code.replace-alpha",
        "before journal done code.replace-alpha", "after journal done code.replace-alpha",
    ]  # fmt: skip


def test_another_base_ends_an_interrupted_run(target: Path, tmp_path: Path) -> None:
    killed(lambda point: remediate(target, plan(TOYS), 1, TOYS, options(tmp_path, checkpoint=point)), STEPS // 2)
    (target / "d.py").write_text("d = 1\n")
    git(target, "add", "-A")
    git(target, "commit", "-qm", "went on")

    record = remediate(target, plan(TOYS), 1, TOYS, options(tmp_path)).record

    assert not record.resumed
    assert record.fork == git(target, "rev-parse", "main").strip()
    assert any("is not resumed" in message for message in record.messages)
    assert git(target, "show", f"{record.branch}:d.py") == "d = 1\n"


def test_ctrl_c_leaves_a_run_that_goes_on(target: Path, wanted: list[str], tmp_path: Path) -> None:
    said: list[str] = []

    def interrupt(name: str) -> None:
        if name == "after journal intend code.replace-beta":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        remediate(target, plan(TOYS), 1, TOYS, options(tmp_path, checkpoint=interrupt, say=said.append))
    record = remediate(target, plan(TOYS), 1, TOYS, options(tmp_path)).record

    assert (
        said[-1]
        == f"interrupted: the same command goes on with run {record.run}; undo --run {record.run} takes it back"
    )
    assert record.resumed
    assert shape(target, record.branch) == wanted
    steps = [entry.step for entry in Journal(target / ".git/regreen/journal.jsonl").entries()]
    assert steps.count(Step.INTEND) == 3
    assert steps.count(Step.FAILED) == 1


def test_two_at_once_the_second_is_refused_and_told_by_whom(target: Path, tmp_path: Path) -> None:
    state = target / ".git/regreen"
    with locked(state, "remediate phase 2 of somewhere"), pytest.raises(LockedError) as refused:
        remediate(target, plan(TOYS), 1, TOYS, options(tmp_path))

    assert f"remediate phase 2 of somewhere, process {os.getpid()}, started 20" in str(refused.value)
    assert remediate(target, plan(TOYS), 1, TOYS, options(tmp_path)).record.changes


def test_the_lock_of_a_dead_process_is_taken_over(target: Path, tmp_path: Path) -> None:
    killed(lambda point: remediate(target, plan(TOYS), 1, TOYS, options(tmp_path, checkpoint=point)), 5)
    held = json.loads((target / ".git/regreen/lock.json").read_text())

    record = remediate(target, plan(TOYS), 1, TOYS, options(tmp_path)).record

    assert record.messages[0].startswith(f"taken over from process {held['pid']}, which ended without finishing")
    assert not (target / ".git/regreen/lock.json").exists()
