"""What runs did to branches, as the journal tells it; and how an interrupted effect is found out about."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from regreen.apply import Repository
from regreen.journal import Entry, Journal, Step, sync_folder
from regreen.redact import redact_json
from regreen.run.codec import decode, encode
from regreen.run.record import ApiChange, AppliedChange, RunRecord, TestGrade

PREFIX: Final = "regreen/"


@dataclass(frozen=True, slots=True)
class Effect:
    """One commit of one remedy on a branch. `paths` are relative to the repository's root."""

    sequence: int
    run: str
    phase: int
    remedy: str
    branch: str
    old: str
    new: str
    paths: tuple[str, ...]
    changes: int


@dataclass(frozen=True, slots=True)
class Started:
    """The first entry of a run. `base` is where it started, `fork` the user's commit under its branch.

    `source` is `code`, or the kind of the environment that the run changed (`twin`, `staging`).
    """

    run: str
    phase: int
    base: str
    fork: str
    branch: str
    prefix: str
    when: int
    continued: bool
    source: str = "code"


@dataclass(frozen=True, slots=True)
class History:
    """The journal, read for what still stands.

    `undone` are sequence numbers of effects, `ended` runs that nothing resumes, `orphans` intents of which the
    outcome is not known, `reverts` the commits that undos made.
    """

    starts: tuple[Started, ...]
    effects: tuple[Effect, ...]
    undone: frozenset[int]
    ended: frozenset[str]
    orphans: tuple[Entry, ...]
    reverts: frozenset[str] = frozenset()

    def active(self, branch: str) -> tuple[Effect, ...]:
        """The commits of a branch that were not undone, oldest first."""
        return tuple(item for item in self.effects if item.branch == branch and item.sequence not in self.undone)

    def start(self, run: str) -> Started | None:
        """The start of a run, or None for an unknown one."""
        return next((item for item in self.starts if item.run == run), None)


def read_history(journal: Journal) -> History:
    """What the journal says has happened. Raises JournalError for a damaged one."""
    starts: list[Started] = []
    effects: list[Effect] = []
    undone: set[int] = set()
    ended: set[str] = set()
    reverts: set[str] = set()
    intents: dict[int, Entry] = {}
    for entry in journal.entries():
        data = entry.data
        if entry.step is Step.INTEND:
            intents[entry.sequence] = entry
            continue
        intent = intents.pop(int(data.get("intend", 0)), None)
        if entry.step is Step.DETECT:
            starts.append(_started(entry))
        elif entry.step is Step.DONE and intent is not None:
            effects.append(_effect(intent))
        elif entry.step is Step.UNDONE and intent is not None:
            undone.update(int(number) for number in intent.data["undoes"])
            reverts.add(intent.digests["new"])
            if intent.data.get("whole"):
                ended.add(entry.run)
        elif entry.step is Step.GATE or (entry.step is Step.FAILED and data.get("ends")):
            ended.add(entry.run)
    return History(
        tuple(starts), tuple(effects), frozenset(undone), frozenset(ended), tuple(intents.values()), frozenset(reverts)
    )


def _started(entry: Entry) -> Started:
    data = entry.data
    return Started(
        entry.run, entry.phase, entry.digests["base"], entry.digests["fork"], str(data["branch"]),
        str(data["prefix"]), int(data["when"]), bool(data["continued"]), entry.source,
    )  # fmt: skip


def _effect(intent: Entry) -> Effect:
    data = intent.data
    return Effect(
        intent.sequence, intent.run, intent.phase, intent.remedy, str(data["branch"]), intent.digests["old"],
        intent.digests["new"], tuple(data["paths"]), int(data["changes"]),
    )  # fmt: skip


def settle(journal: Journal, repository: Repository) -> list[str]:
    """Close every `intend` that a killed process left open, by looking at what the branch really points to.

    Gives a remark for each. The lock must be held.
    """
    remarks: list[str] = []
    for intent in read_history(journal).orphans:
        branch = str(intent.data["branch"])
        tip = repository.commit(f"refs/heads/{branch}")
        old, new = intent.digests["old"], intent.digests["new"]
        undo = "undoes" in intent.data
        data: dict[str, Any] = {"intend": intent.sequence, "found": True}
        what = f"{'undo of ' if undo else ''}{intent.remedy or intent.run}"
        if tip == new:
            step = Step.UNDONE if undo else Step.DONE
            remarks.append(f"{what}: had happened when run {intent.run} was interrupted")
        else:
            step = Step.FAILED
            data["reason"] = (
                "interrupted before the branch moved" if tip == old else f"the branch is at {tip or 'no commit'}"
            )
            remarks.append(f"{what}: had not happened when run {intent.run} was interrupted")
        journal.write(Entry(intent.run, intent.phase, step, intent.remedy, intent.digests, data, source=intent.source))
    return remarks


def run_folder(state: Path, run: str) -> Path:
    """Where the record of a run lies."""
    return state / "runs" / run


def save(path: Path, text: str) -> None:
    """Write a file whole or not at all, on disk when this returns."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    with part.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
    sync_folder(path.parent)


@dataclass(frozen=True, slots=True)
class CommitNote:
    """What is to be said in the record about one commit."""

    applied: tuple[AppliedChange, ...] = ()
    grades: tuple[TestGrade, ...] = ()
    api: tuple[ApiChange, ...] = ()


def save_note(state: Path, run: str, commit: str, note: CommitNote) -> None:
    """Keep the note of a commit before it is made: a resumed run needs it for its record."""
    text = json.dumps(redact_json(encode(note)), ensure_ascii=True)
    save(run_folder(state, run) / f"commit-{commit}.json", text)


def load_note(state: Path, effect: Effect) -> CommitNote:
    """What `save_note` kept; an empty note where the file is gone."""
    path = run_folder(state, effect.run) / f"commit-{effect.new}.json"
    try:
        return decode(CommitNote, json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return CommitNote()


def save_record(state: Path, record: RunRecord) -> Path:
    """Write a run's record; the path of it."""
    path = run_folder(state, record.run) / "record.json"
    save(path, json.dumps(redact_json(record.to_json()), indent=1, ensure_ascii=True) + "\n")
    return path


def load_record(state: Path, run: str) -> RunRecord:
    """The record of a run. Raises FileNotFoundError, RecordError."""
    text = (run_folder(state, run) / "record.json").read_text(encoding="utf-8")
    return RunRecord.from_json(json.loads(text))


def load_records(state: Path) -> Iterator[RunRecord]:
    """Every record that can be read, oldest first."""
    for path in sorted((state / "runs").glob("*/record.json")):
        try:
            yield RunRecord.from_json(json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError):
            continue
