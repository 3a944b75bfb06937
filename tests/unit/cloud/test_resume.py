"""kill -9 at every step of a run on an environment and of its undo: the next command finishes, and nothing is lost."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from regreen.cloud.undo import undo_cloud
from regreen.journal import Journal
from regreen.model import Undo
from regreen.run.history import read_history
from tests.unit.cloud.toys import FILE, HEALTHY, SERVICES, Engine, Sets, Stage, Wants
from tests.unit.run.test_resume import killed, shape
from tests.unit.run.toys import git

#: One remedy with a step, one without.
REMEDIES = (Sets("minInstances", 1, steps=("flag:api",)), Sets("requestTimeout", 300))
DONE = {**HEALTHY, "api": {**HEALTHY["api"], "flag": "on"}}
#: Journal lines (detect; intend and done of four commits; two verified; gate), blobs and the branch, and the effects on the cloud
#: (two imports, two updates, a step), each before and after. The last test checks that none is left out.
STEPS = 2 * (1 + 4 * (2 + 1 + 1) + 2 + 1 + 5)
#: The step taken back, two lines of the undo, the branch, one update, and the line at the end.
UNDO_STEPS = 2 * (1 + 2 + 1 + 1 + 1)


def staged(folder: Path, point: Callable[[str], None] | None = None) -> Stage:
    """The stage of a folder, in this process or in one that is going to be killed."""
    stage = Stage(folder, REMEDIES)
    if point is not None:
        stage.engine.checkpoint = point
    return stage


def run(folder: Path, point: Callable[[str], None]) -> None:
    staged(folder, point).run(checkpoint=point)


def undo(folder: Path, name: str, point: Callable[[str], None] | None = None) -> None:
    stage = staged(folder, point)
    more = {"checkpoint": point} if point is not None else {}
    undo_cloud(stage.target, name, stage.environment, stage.engine, stage.options(**more))


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return staged(tmp_path_factory.mktemp("template")).folder


@pytest.fixture(scope="module")
def finished(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A stage on which an uninterrupted run ended."""
    folder = tmp_path_factory.mktemp("finished") / "s"
    shutil.copytree(template, folder)
    staged(folder).run()
    return folder


@pytest.fixture
def folder(template: Path, tmp_path: Path) -> Path:
    shutil.copytree(template, tmp_path / "s")
    return tmp_path / "s"


def branch_of(stage: Stage) -> str:
    return read_history(Journal(stage.state / "journal.jsonl")).starts[0].branch


@pytest.mark.parametrize("at", range(1, STEPS + 1))
def test_a_run_killed_anywhere_is_finished_by_the_next(folder: Path, finished: Path, at: int) -> None:
    assert killed(lambda point: run(folder, point), at)

    stage = staged(folder)
    record = stage.run()

    assert stage.cloud.live == DONE
    assert stage.cloud.read()["managed"]["api"] == HEALTHY["api"]
    assert record.exit_code == 0
    wanted = staged(finished)
    assert shape(stage.target, record.branch) == shape(wanted.target, branch_of(wanted))
    assert git(stage.target, "for-each-ref", "--format=%(refname:short)").split() == ["main", record.branch]
    history = read_history(Journal(stage.state / "journal.jsonl"))
    assert history.orphans == ()
    assert {start.run for start in history.starts} <= history.ended


@pytest.mark.parametrize("at", range(2, STEPS, 4))
def test_the_record_of_a_resumed_run_holds_what_was_done_before(folder: Path, finished: Path, at: int) -> None:
    killed(lambda point: run(folder, point), at)

    record = staged(folder).run()

    assert [item.change.remedy for item in record.changes] == ["staging.set-minInstances", "staging.set-requestTimeout"]
    for item in record.changes:
        assert item.diff.startswith(f"--- a/{FILE}\n+++ b/{FILE}\n")
        assert git(staged(folder).target, "log", "-1", "--format=%s", item.commit).startswith(item.change.remedy)
        assert [finding.check for finding in item.closes] == [item.change.remedy.replace("set-", "")]
        assert "closed" in item.proof


@pytest.mark.parametrize("at", range(1, STEPS + 1, 3))
def test_a_run_killed_anywhere_can_be_undone(folder: Path, at: int) -> None:
    killed(lambda point: run(folder, point), at)
    stage = staged(folder)
    starts = read_history(Journal(stage.state / "journal.jsonl")).starts
    if not starts:
        assert at == 1  # killed before the first line: there is no run to undo
        return

    undo(folder, starts[0].run)

    assert _without_flags(stage) == SERVICES
    assert stage.cloud.read()["managed"] == {}
    assert git(stage.target, "for-each-ref", "--format=%(refname:short)").split() == ["main"]


@pytest.mark.parametrize("at", range(1, UNDO_STEPS + 1))
def test_an_undo_killed_anywhere_can_be_repeated(finished: Path, tmp_path: Path, at: int) -> None:
    folder = tmp_path / "s"
    shutil.copytree(finished, folder)
    stage = staged(folder)
    name = read_history(Journal(stage.state / "journal.jsonl")).starts[0].run

    point = killed(lambda checkpoint: undo(folder, name, checkpoint), at)
    undo(folder, name)

    assert point
    assert _without_flags(stage) == SERVICES
    assert stage.cloud.live["api"]["flag"] == "off"
    assert stage.cloud.read()["managed"] == {}
    assert git(stage.target, "for-each-ref", "--format=%(refname:short)").split() == ["main"]


def _without_flags(stage: Stage) -> dict[str, dict[str, object]]:
    live = stage.cloud.live
    return {name: {key: value for key, value in item.items() if key != "flag"} for name, item in live.items()}


def test_the_steps_are_all_there_are(folder: Path) -> None:
    names: list[str] = []
    run(folder, names.append)
    done, names[:] = list(names), []
    undo(folder, read_history(Journal(staged(folder).state / "journal.jsonl")).starts[0].run, names.append)

    assert len(done) == STEPS
    assert len(names) == UNDO_STEPS
    start = done.index("before journal intend staging.set-minInstances")
    assert [item for item in done[start : start + 10] if item.startswith("before")] == [
        "before journal intend staging.set-minInstances",
        next(item for item in done if item.startswith("before ref") and item.endswith("set-minInstances")),
        "before journal done staging.set-minInstances",
        "before update Service api (minInstances)",
        "before step flag:api",
    ]


# What an interrupted run leaves, when it was not going to work


@pytest.mark.parametrize("point", ["after journal done staging.set-minInstances", "after update Service api (minInstances)"])  # fmt: skip
def test_a_change_that_nobody_saw_working_is_not_kept(tmp_path: Path, point: str) -> None:
    remedies, checks = (Sets("minInstances", 2),), (Wants("minInstances", 1),)
    at = _number(tmp_path / "count", remedies, checks, point)
    folder = tmp_path / "s"

    def once(checkpoint: Callable[[str], None]) -> None:
        stage = Stage(folder, remedies, checks)
        stage.engine.checkpoint = checkpoint
        stage.run(checkpoint=checkpoint)

    assert killed(once, at) == point
    stage = Stage(folder, remedies, checks)
    record = stage.run()

    assert stage.cloud.live["api"]["minInstances"] == 0
    assert any("nobody had seen it working" in message for message in record.messages)
    assert record.dropped[0].reason.startswith("taken back: ")
    assert record.changes == ()


def test_what_a_remedy_made_leaves_the_stack_although_taking_it_back_was_interrupted(tmp_path: Path) -> None:
    remedies, checks = (Sets("minInstances", 2, makes="new"),), (Wants("minInstances", 1),)
    at = _number(tmp_path / "count", remedies, checks, "after journal undone staging.set-minInstances")
    folder = tmp_path / "s"

    def once(checkpoint: Callable[[str], None]) -> None:
        stage = Stage(folder, remedies, checks)
        stage.engine.checkpoint = checkpoint
        stage.run(checkpoint=checkpoint)

    killed(once, at)
    stage = Stage(folder, remedies, checks)
    assert "new" in stage.cloud.read()["managed"]
    record = stage.run()

    assert stage.cloud.live["api"]["minInstances"] == 0
    assert sorted(stage.cloud.read()["managed"]) == ["api", "web"]
    assert "new stays" in record.messages
    assert "new" in stage.cloud.live  # nothing is ever deleted


def test_a_one_way_change_that_was_interrupted_is_not_taken_back(tmp_path: Path) -> None:
    remedies = (Sets("minInstances", 1, steps=("flag:api",), UNDO=Undo.NONE),)
    checks = (Wants("minInstances", 1), Wants("flag", "on"))
    services = {"api": {"minInstances": 0, "image": "api:1"}}
    files = {
        "decisions.toml": 'schema = 1\n[[decision]]\ncheck = "*"\nsubject = "*"\ndecision = "approve"\nreason = "r"\nwho = "Ann"\nuntil = 2030-01-01\n'
    }

    def made(folder: Path, checkpoint: Callable[[str], None] | None = None) -> Stage:
        stage = Stage(folder, remedies, checks, services, files=files)
        if checkpoint is not None:
            stage.engine.checkpoint = checkpoint
        return stage

    names: list[str] = []
    made(tmp_path / "count", names.append).run(checkpoint=names.append)
    at = names.index("before update Service api (minInstances)") + 1
    killed(lambda point: made(tmp_path / "s", point).run(checkpoint=point), at)

    stage = made(tmp_path / "s")
    stage.run()

    assert stage.cloud.live["api"]["minInstances"] == 1
    assert not any(item.startswith("unstep") for item in stage.cloud.done)


def _number(folder: Path, remedies: tuple[Sets, ...], checks: tuple[Wants, ...], point: str) -> int:
    """Which checkpoint that one is."""
    names: list[str] = []
    stage = Stage(folder, remedies, checks)
    stage.engine.checkpoint = names.append
    stage.run(checkpoint=names.append)
    return names.index(point) + 1


def test_an_adoption_that_was_interrupted_is_not_held_to_the_limit_of_changes(tmp_path: Path) -> None:
    services = {f"s{number}": {"minInstances": 1, "requestTimeout": 300} for number in range(9)}  # the limit is 5

    def made(folder: Path, checkpoint: Callable[[str], None] | None = None) -> Stage:
        changed = {**services, "s0": {"minInstances": 0, "requestTimeout": 300}}
        stage = Stage(folder, (Sets("minInstances", 1),), (Wants("minInstances", 1),), changed)
        if checkpoint is not None:
            stage.engine.checkpoint = checkpoint
        return stage

    names: list[str] = []
    made(tmp_path / "count", names.append).run(checkpoint=names.append)
    killed(lambda point: made(tmp_path / "s", point).run(checkpoint=point), names.index("before import Service s3") + 1)

    stage = made(tmp_path / "s")
    record = stage.run()

    assert stage.cloud.live["s0"]["minInstances"] == 1
    assert sorted(stage.cloud.read()["managed"]) == sorted(services)
    assert "imports" not in git(stage.target, "show", f"{record.branch}:{FILE}")


def test_an_interrupted_run_of_another_phase_is_ended_and_what_it_did_stays(folder: Path) -> None:
    killed(lambda point: run(folder, point), STEPS - 8)
    stage = staged(folder)
    (stage.target / "more.txt").write_text("went on\n")
    git(stage.target, "add", "-A")
    git(stage.target, "commit", "-qm", "went on")

    record = stage.run()

    assert not record.resumed
    assert any("is not resumed" in message for message in record.messages)
    entries = Journal(stage.state / "journal.jsonl").entries()
    assert {entry.source for entry in entries} == {"twin"}


def test_an_executor_that_cannot_be_reached_leaves_a_run_that_goes_on(folder: Path) -> None:
    killed(lambda point: run(folder, point), STEPS - 8)
    stage = staged(folder)
    stage.engine = Engine(stage.cloud, breaks={"preview": "no engine"})
    with pytest.raises(Exception, match="no engine"):
        stage.run()

    assert staged(folder).run().resumed
