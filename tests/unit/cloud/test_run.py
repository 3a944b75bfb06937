"""A run on an environment: detect, intend, up, verify; and everything that stops it before an effect."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from regreen.cloud import ExecutorError, Identity, Operation
from regreen.journal import Entry, Journal, Step
from regreen.lock import LockedError, locked
from regreen.model import Undo
from regreen.run.record import GateState, RunRecord
from tests.unit.cloud.toys import FILE, HEALTHY, LABELS, SERVICES, TYPE, Engine, Sets, Stage, Wants, environment
from tests.unit.run.toys import everything, git


def journal(stage: Stage) -> tuple[Entry, ...]:
    return Journal(stage.state / "journal.jsonl").entries()


def subjects(stage: Stage, record: RunRecord) -> list[str]:
    """Who made each commit of the branch, oldest first."""
    listed = git(stage.target, "log", "--reverse", "--format=%s", f"main..{record.branch}").splitlines()
    return [line.split(":")[0].split(" ")[0] for line in listed]


def outcomes(record: RunRecord) -> dict[str, str]:
    return {item.id: item.outcome for item in record.phase.remedies}


# What is wrong is repaired, and proven


def test_everything_found_is_repaired_and_verified(stage: Stage) -> None:
    record = stage.run()

    assert stage.cloud.live == HEALTHY
    assert record.exit_code == 0
    assert record.gate.state is GateState.PASS
    assert outcomes(record) == {"staging.set-minInstances": "applied", "staging.set-requestTimeout": "applied"}
    assert [item.change.subject for item in record.changes] == [FILE, FILE]
    assert [finding.check for item in record.changes for finding in item.closes] == [
        "staging.minInstances",
        "staging.requestTimeout",
    ]
    assert record.changes[0].proof == ("update Service api (minInstances); read again: staging.minInstances closed")
    assert record.remaining == ()


def test_live_resources_are_taken_over_first_and_nothing_of_them_changes(stage: Stage) -> None:
    seen = []

    def watch(name: str) -> None:
        if name.startswith("before update"):
            seen.append(stage.cloud.live)

    stage.engine.checkpoint = watch
    record = stage.run()

    assert seen[0] == SERVICES
    assert stage.cloud.done == [
        "import Service api",
        "import Service web",
        "update Service api (minInstances)",
        "update Service api (requestTimeout)",
    ]
    assert len(subjects(stage, record)) == 4  # taken over, import options dropped, one for each remedy
    assert "imports" not in git(stage.target, "show", f"{record.branch}:{FILE}")


def test_the_intent_is_on_disk_before_the_effect_and_names_it(stage: Stage) -> None:
    seen: list[tuple[Step, str]] = []

    def watch(name: str) -> None:
        if name == "before update Service api (minInstances)":
            seen.extend((entry.step, entry.remedy) for entry in journal(stage))

    stage.engine.checkpoint = watch
    stage.run()

    assert seen[0] == (Step.DETECT, "")
    assert seen[-2:] == [(Step.INTEND, "staging.set-minInstances"), (Step.DONE, "staging.set-minInstances")]
    (intent,) = (item for item in journal(stage) if (item.step, item.remedy) == seen[-2])
    assert intent.data["operations"] == ["update Service api (minInstances)"]
    assert intent.data["environment"] == "toy"


@pytest.mark.parametrize(("kind", "source"), [("twin", "twin"), ("google", "staging")])
def test_every_entry_says_where_it_comes_from(tmp_path: Path, kind: str, source: str) -> None:
    stage = Stage(tmp_path, (Sets("minInstances", 2), *Stage(tmp_path).remedies[1:]), environment=environment(kind))

    stage.run()  # one remedy is applied, one taken back

    assert {Step.DETECT, Step.INTEND, Step.DONE, Step.UNDONE, Step.FAILED, Step.GATE} == {
        item.step for item in journal(stage)
    }
    assert {item.source for item in journal(stage)} == {source}


def test_a_second_run_finds_nothing_to_do(stage: Stage) -> None:
    stage.run()
    done, files = stage.cloud.done, everything(stage.target)

    record = stage.run()

    assert record.exit_code == 0
    assert record.changes == ()
    assert set(outcomes(record).values()) == {"nothing to do"}
    assert stage.cloud.done == done
    assert everything(stage.target) == files


def test_only_the_remedies_asked_for_run(stage: Stage) -> None:
    record = stage.run(only=("staging.requestTimeout",))

    assert stage.cloud.live["api"] == {"minInstances": 0, "requestTimeout": 300, "image": "api:1"}
    assert [item.change.remedy for item in record.changes] == ["staging.set-requestTimeout"]


def test_the_users_own_files_are_never_touched(stage: Stage) -> None:
    (stage.target / "README.md").write_text("being written\n")

    record = stage.run()

    assert (stage.target / "README.md").read_text() == "being written\n"
    assert git(stage.target, "status", "--porcelain").split() == ["M", "README.md"]
    assert git(stage.target, "rev-parse", "--abbrev-ref", "HEAD") == "main\n"
    assert any("uncommitted" in message for message in record.messages)


def test_steps_are_taken_after_the_stack_and_are_part_of_the_proof(tmp_path: Path) -> None:
    stage = Stage(tmp_path, (Sets("minInstances", 1, steps=("flag:api",)),), (Wants("minInstances", 1),))

    record = stage.run()

    assert stage.cloud.done[-2:] == ["update Service api (minInstances)", "step flag:api"]
    assert "took flag:api" in record.changes[0].proof


# What does not work is taken back


def test_a_remedy_that_does_not_close_its_finding_is_taken_back(tmp_path: Path) -> None:
    stage = Stage(tmp_path, (Sets("minInstances", 2), Sets("requestTimeout", 300)))

    record = stage.run()

    assert stage.cloud.live["api"] == {"minInstances": 0, "requestTimeout": 300, "image": "api:1"}
    assert outcomes(record) == {"staging.set-minInstances": "dropped", "staging.set-requestTimeout": "applied"}
    assert record.dropped[0].reason == (
        "taken back: the finding is still there: staging.minInstances on run/api/minInstances: 2"
    )
    assert "minInstances: 0" in git(stage.target, "show", f"{record.branch}:{FILE}")
    assert record.exit_code == 1
    assert [item.check for item in record.remaining] == ["staging.minInstances"]


def test_a_remedy_that_breaks_something_else_is_taken_back(tmp_path: Path) -> None:
    checks = (Wants("minInstances", 1), Wants("image", "api:1"))
    services = {"api": {"minInstances": 0, "image": "api:1"}}
    stage = Stage(tmp_path, (Sets("minInstances", 1, more={"image": "api:2"}),), checks, services)

    record = stage.run()

    assert stage.cloud.live == services
    assert record.dropped[0].reason.startswith("taken back: something new is wrong: staging.image on run/api/image")


def test_what_a_later_remedy_closes_is_not_held_against_an_earlier_one(tmp_path: Path) -> None:
    checks = (Wants("minInstances", 1), Wants("image", "api:1"))
    remedies = (Sets("minInstances", 1, more={"image": "api:2"}), Sets("image", "api:1"))
    stage = Stage(tmp_path, remedies, checks, {"api": {"minInstances": 0, "image": "api:1"}})

    record = stage.run()

    assert stage.cloud.live == {"api": {"minInstances": 1, "image": "api:1"}}
    assert outcomes(record) == {"staging.set-minInstances": "applied", "staging.set-image": "applied"}
    assert record.exit_code == 0


def test_an_update_that_fails_is_taken_back_with_the_engines_words(stage: Stage) -> None:
    stage.engine.breaks = {"apply api": "the image is not there"}

    with pytest.raises(ExecutorError, match="the image is not there"):
        stage.run()  # while taking over: nothing is there to go on with

    assert stage.cloud.live == SERVICES
    assert git(stage.target, "for-each-ref", "--format=%(refname:short)").split() == ["main"]


def test_an_update_that_fails_after_adoption_stops_only_its_remedy(stage: Stage) -> None:
    stage.run(only=("staging.requestTimeout",))
    stage.engine.breaks = {"apply api": "the image is not there"}

    record = stage.run()

    assert stage.cloud.live["api"] == {"minInstances": 0, "requestTimeout": 300, "image": "api:1"}
    assert record.dropped[0].reason == "applying it failed, and it was taken back: the image is not there"


def test_a_step_that_fails_takes_the_update_and_the_steps_before_it_back(tmp_path: Path) -> None:
    stage = Stage(tmp_path, (Sets("minInstances", 1, steps=("flag:api", "flag:web")),), (Wants("minInstances", 1),))
    stage.engine.breaks = {"step flag:web": "no permission"}

    record = stage.run()

    assert stage.cloud.done[2:] == [
        "update Service api (minInstances)", "step flag:api", "unstep flag:api", "update Service api (minInstances)",
    ]  # fmt: skip
    assert stage.cloud.live["api"]["minInstances"] == 0
    assert record.dropped[0].reason == "applying it failed, and it was taken back: no permission"


def test_a_step_that_cannot_be_taken_back_stays_and_is_said(tmp_path: Path) -> None:
    stage = Stage(tmp_path, (Sets("minInstances", 1, steps=("burn:api", "flag:api")),), (Wants("minInstances", 1),))
    stage.engine.breaks = {"step flag:api": "no permission"}

    record = stage.run()

    assert "unstep burn:api" not in stage.cloud.done
    assert record.dropped[0].reason == "applying it failed, and what was done stays: burn:api: no permission"


def test_a_one_way_step_that_fails_may_have_done_a_part(tmp_path: Path) -> None:
    stage = Stage(tmp_path, (Sets("minInstances", 1, steps=("burn:api",)),), (Wants("minInstances", 1),))
    stage.engine.breaks = {"step burn:api": "the copy broke off"}

    record = stage.run()

    assert "burn:api itself may have done a part of its work" in record.dropped[0].reason


# What the remedy itself says


def test_a_remedy_that_breaks_stops_only_itself(tmp_path: Path) -> None:
    stage = Stage(tmp_path, (Sets("minInstances", 1, breaks="oops"), Sets("requestTimeout", 300)))

    record = stage.run()

    assert outcomes(record) == {"staging.set-minInstances": "refused", "staging.set-requestTimeout": "applied"}
    assert record.refusals[0].refusal.reason == "the remedy itself failed: KeyError: 'oops'"


def test_a_finding_that_a_remedy_says_nothing_about_is_refused(tmp_path: Path) -> None:
    stage = Stage(tmp_path, (Sets("minInstances", 1, forgets=True),), (Wants("minInstances", 1),))

    record = stage.run()

    assert [item.refusal.reason for item in record.refusals] == ["the remedy said nothing about this finding"]
    assert record.exit_code == 1


def test_a_refusal_leaves_its_resource_and_lets_the_others_go_on(tmp_path: Path) -> None:
    services = {"api": {"minInstances": 0}, "web": {"minInstances": 0}}
    stage = Stage(tmp_path, (Sets("minInstances", 1, refuses="web"),), (Wants("minInstances", 1),), services)

    record = stage.run()

    assert stage.cloud.live == {"api": {"minInstances": 1}, "web": {"minInstances": 0}}
    assert [(item.refusal.subject, item.refusal.reason) for item in record.refusals] == [("run/web", "it is odd")]


# What a person has to decide

APPROVE = """
[[decision]]
check = "staging.minInstances"
subject = "run/api"
decision = "{kind}"
reason = "we talked about it"
who = "Ann"
until = {until}
"""
ONE_WAY = (Sets("minInstances", 1, UNDO=Undo.NONE),)


def decided(folder: Path, kind: str, until: str = "2026-06-30", remedies: tuple[Sets, ...] = ONE_WAY) -> Stage:
    files = {"decisions.toml": "schema = 1\n" + APPROVE.format(kind=kind, until=until)}
    return Stage(folder, remedies, (Wants("minInstances", 1),), files=files)


def test_a_one_way_change_waits_for_a_person(tmp_path: Path) -> None:
    stage = Stage(tmp_path, ONE_WAY, (Wants("minInstances", 1),))

    record = stage.run()

    assert stage.cloud.live == SERVICES
    (refused,) = record.refusals
    assert refused.refusal.reason == "the change cannot be taken back, so a person must agree to it first"
    assert 'add a decision "approve" for staging.minInstances on run/api' in refused.refusal.decide


def test_a_one_way_change_goes_ahead_when_somebody_agreed(tmp_path: Path) -> None:
    stage = decided(tmp_path, "approve")

    record = stage.run(today=date(2026, 6, 30))

    assert stage.cloud.live["api"]["minInstances"] == 1
    assert record.exit_code == 0


@pytest.mark.parametrize(("kind", "until"), [("approve", "2026-06-29"), ("product-defect", "2026-12-31")])
def test_an_old_or_another_decision_is_no_agreement(tmp_path: Path, kind: str, until: str) -> None:
    stage = decided(tmp_path, kind, until)

    stage.run(today=date(2026, 6, 30))

    assert stage.cloud.live == SERVICES


def test_a_one_way_change_that_does_not_work_is_not_taken_back(tmp_path: Path) -> None:
    stage = decided(tmp_path, "approve", remedies=(Sets("minInstances", 2, UNDO=Undo.NONE),))

    record = stage.run(today=date(2026, 1, 1))

    assert stage.cloud.live["api"]["minInstances"] == 2
    assert any("is one-way and left staging.minInstances on run/api" in message for message in record.messages)
    assert record.exit_code == 1


@pytest.mark.parametrize("kind", ["accept", "wont-fix", "defer"])
def test_what_a_person_left_as_it_is_is_not_repaired(tmp_path: Path, kind: str) -> None:
    stage = decided(tmp_path, kind, remedies=(Sets("minInstances", 1),))

    record = stage.run(today=date(2026, 1, 1))

    assert stage.cloud.live == SERVICES
    assert stage.cloud.done == []
    assert record.gate.state is GateState.DECIDED


# What is refused before any effect


def untouched(stage: Stage) -> bool:
    branches = git(stage.target, "for-each-ref", "--format=%(refname:short)").split()
    return stage.cloud.live == SERVICES and stage.cloud.done == [] and branches == ["main"]


@pytest.mark.parametrize(
    ("identity", "words"),
    [
        (Identity("toy-other", "7", LABELS), "the live project is 'toy-other'"),
        (Identity("", "", ()), "the live project is ''"),
        (Identity("toy-staging", "8", LABELS), "the project's number is 8, the environment file allows 7: other credentials"),
        (Identity("toy-staging", "", LABELS), "the project's number is unreadable"),
        (Identity("toy-staging", "7", ()), "does not carry the label environment=staging"),
        (Identity("toy-staging", "7", (("environment", "production"),)), "does not carry the label environment=staging"),
        (Identity("toy-staging", "7", (*LABELS, ("tier", "prod"))), "'prod' looks like production"),
    ],
    ids=["project", "nobody", "number", "unreadable", "unlabelled", "labelled otherwise", "production"],
)  # fmt: skip
def test_another_environment_is_refused(stage: Stage, identity: Identity, words: str) -> None:
    stage.engine.identity = identity

    with pytest.raises(ExecutorError, match=words):
        stage.run()

    assert untouched(stage)


def test_outside_of_the_change_windows_nothing_is_changed(tmp_path: Path) -> None:
    stage = Stage(tmp_path, environment=environment(windows=("Mon-Sun 00:00-00:00 UTC",)))  # opens and closes at once

    with pytest.raises(ExecutorError, match=r"nothing was changed in toy: .* outside the change windows"):
        stage.run()

    assert untouched(stage)


@pytest.mark.parametrize(
    ("remedy", "words"),
    [
        (
            Sets("minInstances", 1, more={"account": "b"}),
            "the engine would replace Service api (account, minInstances)",
        ),
        (Sets("minInstances", 1, removes="web"), "the engine would delete Service web"),
    ],
    ids=["replace", "delete"],
)
def test_what_would_lose_something_is_not_applied(tmp_path: Path, remedy: Sets, words: str) -> None:
    stage = Stage(tmp_path, (remedy,), (Wants("minInstances", 1),))

    record = stage.run()

    assert record.dropped[0].reason == f"{words}: nothing is ever replaced or deleted from here"
    assert stage.cloud.live == SERVICES
    assert stage.cloud.done == ["import Service api", "import Service web"]


def test_what_breaks_a_rule_is_not_applied(tmp_path: Path) -> None:
    stage = Stage(tmp_path, (Sets("minInstances", 1, more={"account": "root"}), Sets("requestTimeout", 300)))
    stage.engine.rules = {"account: root": "Service api runs as root"}
    stage.engine.replaces = ()

    record = stage.run()

    assert record.dropped[0].reason == "the plan breaks a rule: Service api runs as root"
    assert stage.cloud.live["api"] == {"minInstances": 0, "requestTimeout": 300, "image": "api:1"}


def test_an_environment_that_breaks_a_rule_as_it_is_is_not_taken_over(stage: Stage) -> None:
    stage.engine.rules = {"api:": "Service api carries the label 'prod'"}

    with pytest.raises(ExecutorError, match="adoption stopped: Service api carries the label 'prod'"):
        stage.run()

    assert untouched(stage)


def test_operations_nobody_knows_are_not_applied(stage: Stage) -> None:
    stage.run(only=("staging.minInstances",))
    stage.engine.strange = (Operation("transmogrify", TYPE, "api"),)

    with pytest.raises(ExecutorError, match="would transmogrify Service api; only create, update, import are allowed"):
        stage.run()

    assert stage.cloud.live["api"]["requestTimeout"] == 5


def test_the_limit_counts_the_operations_of_all_remedies(tmp_path: Path) -> None:
    services = {"api": {"minInstances": 0, "requestTimeout": 5}, "web": {"minInstances": 0, "requestTimeout": 5}}
    stage = Stage(tmp_path, services=services, environment=environment(max_changes=3))

    record = stage.run()

    assert [item["minInstances"] for item in stage.cloud.live.values()] == [1, 1]
    assert [item["requestTimeout"] for item in stage.cloud.live.values()] == [5, 5]
    assert record.dropped[0].reason == "2 operations are more than the stack's limit of 1 (max_changes)"


def test_a_plan_that_the_engine_refuses_is_not_applied(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    stage.run(only=("staging.minInstances",))

    def refuse(content: bytes) -> None:
        if b"requestTimeout: 300\n" in content.split(b"web:")[0]:
            raise ExecutorError("an invalid time-out")

    class Picky(Engine):
        def preview(self, content: bytes):  # type: ignore[no-untyped-def]
            refuse(content)
            return super().preview(content)

    stage.engine = Picky(stage.cloud)
    record = stage.run()

    assert record.dropped[0].reason == "the engine refuses the plan: an invalid time-out"
    assert stage.cloud.live["api"]["requestTimeout"] == 5


def test_two_at_once_the_second_is_refused_and_told_by_whom(stage: Stage) -> None:
    with locked(stage.state, "remediate phase 4 of environment toy"), pytest.raises(LockedError, match="phase 4 of environment toy"):  # fmt: skip
        stage.run()

    assert untouched(stage)


# Adoption


def test_adoption_that_would_change_something_stops(stage: Stage) -> None:
    stage.engine.strange = (Operation("update", TYPE, "web", ("labels",)),)

    with pytest.raises(ExecutorError, match="adoption stopped: the engine would update Service web"):
        stage.run()

    assert untouched(stage)


def test_adoption_while_something_cannot_be_read_stops(stage: Stage) -> None:
    kinds = []

    def look(wanted: list[str], experiments: list[str]) -> object:
        kinds.append(list(wanted))
        stage.cloud.set(blind=["run.services"] if len(kinds) > 1 else [])
        return type(stage.cloud).look(stage.cloud, wanted, experiments)

    stage.cloud.look = look  # type: ignore[method-assign,assignment]
    with pytest.raises(ExecutorError, match=r"nothing was taken over: run\.services: 403"):
        stage.run()

    assert untouched(stage)


def test_an_environment_that_cannot_be_read_is_not_changed(stage: Stage) -> None:
    stage.cloud.set(blind=["run.services"])

    record = stage.run()

    assert untouched(stage)
    assert record.exit_code == 1
    assert record.gate.state is GateState.UNKNOWN


def test_a_second_preview_that_is_not_empty_stops_before_any_repair(stage: Stage) -> None:
    previews: list[int] = []

    class Restless(Engine):
        def preview(self, content: bytes):  # type: ignore[no-untyped-def]
            previews.append(1)
            self.strange = (Operation("update", TYPE, "web", ("labels",)),) if len(previews) == 2 else ()
            return super().preview(content)

    stage.engine = Restless(stage.cloud)
    with pytest.raises(ExecutorError, match=r"a second preview still holds update Service web \(labels\)"):
        stage.run()

    assert stage.cloud.live == SERVICES


# Without an engine, and dry


def test_without_an_engine_the_phase_is_a_diagnosis_that_says_so(stage: Stage) -> None:
    record = stage.run(engine=False, no_engine="no Pulumi engine: `invoke setup`")

    assert untouched(stage)
    assert "not run: no Pulumi engine: `invoke setup`" in record.messages
    assert record.exit_code == 1
    assert [item.check for item in record.remaining] == ["staging.minInstances", "staging.requestTimeout"]


def test_a_dry_run_has_no_effect(stage: Stage) -> None:
    before = {path: path.read_bytes() for path in stage.folder.rglob("*") if path.is_file()}

    record = stage.run(dry_run=True)

    assert record.dry_run
    assert record.refusals == ()
    assert list(record.messages) == [
        "would adopt 2 live resources into infra/Pulumi.toy.yaml",
        "then staging.set-minInstances would change infra/Pulumi.toy.yaml: minInstances of 1",
        "then staging.set-requestTimeout would change infra/Pulumi.toy.yaml: requestTimeout of 1",
    ]
    assert {path: path.read_bytes() for path in stage.folder.rglob("*") if path.is_file()} == before


def test_a_dry_run_after_adoption_shows_what_a_run_does(stage: Stage) -> None:
    stage.run(only=("staging.minInstances",))
    before = {path: path.read_bytes() for path in stage.folder.rglob("*") if path.is_file()}

    dry = stage.run(dry_run=True)
    after = {path: path.read_bytes() for path in stage.folder.rglob("*") if path.is_file()}
    real = stage.run()

    assert after == before
    assert dry.changes[0].proof.startswith("would update Service api (requestTimeout)")
    assert [item.change for item in dry.changes] == [item.change for item in real.changes]
    assert dry.changes[0].diff == real.changes[0].diff


# What other hands did


def test_a_stack_that_was_not_applied_is_applied_first(stage: Stage) -> None:
    stage.run()
    data = stage.cloud.read()
    data["managed"]["api"] = data["live"]["api"] = {**HEALTHY["api"], "image": "api:0"}
    stage.cloud.write(data)

    record = stage.run()

    assert stage.cloud.live == HEALTHY
    assert any("1 operations were made up for" in message for message in record.messages)


def test_a_stack_that_would_lose_something_is_not_applied(stage: Stage) -> None:
    stage.run()
    data = stage.cloud.read()
    data["managed"]["more"] = {}
    stage.cloud.write(data)
    stage.cloud.by_hand("api", minInstances=0)

    with pytest.raises(ExecutorError, match="is not as its stack says, and the engine would delete Service more"):
        stage.run()

    assert stage.cloud.live["api"]["minInstances"] == 0


def test_resources_that_a_remedy_makes_are_part_of_the_stack(tmp_path: Path) -> None:
    checks = (Wants("minInstances", 1),)
    stage = Stage(tmp_path, (Sets("minInstances", 1, makes="new"),), checks, {"api": {"minInstances": 0}})

    record = stage.run()

    # what it makes is not as the check wants it, so it does not stay in the stack; nothing is deleted
    assert record.dropped[0].reason.startswith("taken back: something new is wrong: staging.minInstances on run/new")
    assert stage.cloud.live == {"api": {"minInstances": 0}, "new": {"image": "new:1"}}
    assert list(stage.cloud.read()["managed"]) == ["api"]
