"""Undo on an environment: a run, one remedy of it, what cannot be taken back, and who may not."""

from __future__ import annotations

from pathlib import Path

import pytest

from regreen.cloud import ExecutorError, Identity
from regreen.cloud.undo import CloudUndo, environment_named, undo_cloud
from regreen.journal import Journal, Step
from regreen.lock import LockedError, locked
from regreen.run.options import OptionError
from tests.unit.cloud.toys import FILE, HEALTHY, LABELS, SERVICES, Sets, Stage, Wants
from tests.unit.run.toys import git


def undone(stage: Stage, run: str, remedy: str = "", *, cascade: bool = False) -> CloudUndo:
    return undo_cloud(
        stage.target, run, stage.environment, stage.engine, stage.options(), remedy, cascade=cascade
    )  # fmt: skip


def branches(stage: Stage) -> list[str]:
    return git(stage.target, "for-each-ref", "--format=%(refname:short)").split()


def test_a_run_is_undone_and_every_resource_lives_on(stage: Stage) -> None:
    run = stage.run().run

    done = undone(stage, run)

    assert stage.cloud.live == SERVICES
    assert stage.cloud.read()["managed"] == {}
    assert branches(stage) == ["main"]
    assert done.git.remedies == (
        "staging.set-requestTimeout", "staging.set-minInstances", "staging.adopt", "staging.adopt",
    )  # fmt: skip
    assert done.evidence == (
        "update Service api (minInstances, requestTimeout)",
        "2 resources were taken out of the stack",
    )


def test_a_run_on_top_of_another_is_undone_alone(stage: Stage) -> None:
    first = stage.run(only=("staging.minInstances",))
    second = stage.run()

    done = undone(stage, second.run)

    assert stage.cloud.live["api"] == {"minInstances": 1, "requestTimeout": 5, "image": "api:1"}
    assert sorted(stage.cloud.read()["managed"]) == ["api", "web"]  # the adoption is the first run's
    assert done.git.head == first.head
    assert "update Service api (requestTimeout)" in done.evidence


def test_the_newest_remedy_is_undone_alone(stage: Stage) -> None:
    run = stage.run()

    done = undone(stage, run.run, "staging.set-requestTimeout")

    assert stage.cloud.live["api"] == {"minInstances": 1, "requestTimeout": 5, "image": "api:1"}
    assert done.git.remedies == ("staging.set-requestTimeout",)
    assert "requestTimeout: 5" in git(stage.target, "show", f"{run.branch}:{FILE}")


def test_a_remedy_that_later_ones_stand_on_needs_cascade(stage: Stage) -> None:
    run = stage.run()
    done = stage.cloud.done

    with pytest.raises(OptionError, match=r"staging\.set-requestTimeout \(run .*; undo those first, or add --cascade"):
        undone(stage, run.run, "staging.set-minInstances")
    assert stage.cloud.done == done
    assert stage.cloud.live == HEALTHY

    undone(stage, run.run, "staging.set-minInstances", cascade=True)

    assert stage.cloud.live == SERVICES
    assert sorted(stage.cloud.read()["managed"]) == ["api", "web"]
    assert run.branch in branches(stage)


def test_steps_are_taken_back_newest_first(tmp_path: Path) -> None:
    stage = Stage(tmp_path, (Sets("minInstances", 1, steps=("flag:api", "flag:web")),), (Wants("minInstances", 1),))
    run = stage.run()

    done = undone(stage, run.run)

    assert done.evidence[:2] == ("took flag:web back", "took flag:api back")
    assert [item.get("flag") for item in stage.cloud.live.values()] == ["off", "off"]


def test_what_cannot_be_taken_back_is_said_before_anything_is_done(tmp_path: Path) -> None:
    remedies = (Sets("minInstances", 1, steps=("burn:api",)), Sets("requestTimeout", 300, steps=("flag:api",)))
    stage = Stage(tmp_path, remedies)
    run = stage.run()
    done, names = stage.cloud.done, branches(stage)

    with pytest.raises(OptionError, match=r"cannot be taken back: burn:api \(staging\.set-minInstances\); nothing was undone"):  # fmt: skip
        undone(stage, run.run)
    assert (stage.cloud.done, branches(stage)) == (done, names)

    undone(stage, run.run, "staging.set-requestTimeout")

    assert stage.cloud.live["api"]["requestTimeout"] == 5


def test_a_resource_that_a_remedy_made_outlives_it_outside_the_stack(tmp_path: Path) -> None:
    stage = Stage(tmp_path, (Sets("requestTimeout", 300, makes="new"),), (Wants("requestTimeout", 300, skips="new"),))
    run = stage.run()
    assert "new" in stage.cloud.read()["managed"]

    done = undone(stage, run.run, "staging.set-requestTimeout")

    assert stage.cloud.live == {**SERVICES, "new": {"image": "new:1"}}
    assert sorted(stage.cloud.read()["managed"]) == ["api", "web"]
    assert "new stays" in done.evidence


@pytest.mark.parametrize(
    "identity",
    [Identity("toy-other", "7", LABELS), Identity("toy-staging", "8", LABELS), Identity("toy-staging", "7", ())],
    ids=["project", "number", "label"],
)
def test_another_environment_is_not_undone(stage: Stage, identity: Identity) -> None:
    run = stage.run()
    stage.engine.identity = identity

    with pytest.raises(ExecutorError, match="nothing was undone in toy"):
        undone(stage, run.run)

    assert stage.cloud.live == HEALTHY
    assert run.branch in branches(stage)


def test_while_a_run_is_at_work_nothing_is_undone(tmp_path: Path) -> None:
    stage = Stage(tmp_path, (Sets("minInstances", 1, steps=("flag:api",)),), (Wants("minInstances", 1),))
    run = stage.run()
    done = stage.cloud.done

    with locked(stage.state, "remediate phase 4 of environment toy"), pytest.raises(LockedError, match="phase 4"):
        undone(stage, run.run)

    assert stage.cloud.done == done


def test_a_second_undo_finds_nothing_to_do(stage: Stage) -> None:
    run = stage.run().run
    undone(stage, run)
    live = stage.cloud.live

    done = undone(stage, run)

    assert stage.cloud.live == live
    assert f"run {run} has nothing to undo" in done.git.messages


def test_an_unknown_run_is_said_with_the_newest_known(stage: Stage) -> None:
    run = stage.run().run

    with pytest.raises(OptionError, match=f"no such run here.*the newest is {run}"):
        undone(stage, "20000101-000000-0000")

    assert stage.cloud.live == HEALTHY


def test_the_journal_says_what_was_brought_back(stage: Stage) -> None:
    run = stage.run().run
    undone(stage, run)

    last = Journal(stage.state / "journal.jsonl").entries()[-1]

    assert (last.step, last.source) == (Step.UNDONE, "twin")
    assert last.data["restored"] == "toy"
    assert last.data["evidence"] == [
        "update Service api (minInstances, requestTimeout)",
        "2 resources were taken out of the stack",
    ]


def test_a_run_knows_its_environment(stage: Stage) -> None:
    run = stage.run().run

    assert environment_named(stage.target, run, stage.options()) == "toy"
    assert environment_named(stage.target, "another", stage.options()) == ""
