"""What the command line does, apart from how it is typed: each function returns an exit code.

0: nothing to do, or all verified and every open question answered by a decision on file. 1: findings, or something
could not be verified. 2: the plan, the configuration or an argument is wrong. 3: a bug of Regreen's own.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

from rich.console import Console

from regreen import report, runner, undo
from regreen.apply import copy_folder, open_repository
from regreen.decisions import read_decisions
from regreen.facts.scratch import ScratchError, materialize
from regreen.facts.source import FolderTree, GitTree, survey
from regreen.model import Diagnosis, Status
from regreen.policy import Policy
from regreen.progress import progress
from regreen.render import diagnosis_json, diagnosis_sarif, diagnosis_table
from regreen.run.codec import RecordError
from regreen.run.history import load_record, load_records, run_folder
from regreen.run.options import Catalogue, Options
from regreen.run.record import RunRecord
from regreen.run.summary import summary
from regreen.suppress import baseline_text, read_baseline, set_aside

if TYPE_CHECKING:
    from regreen.facts.source import CodeCheck
    from regreen.plan import Plan
    from regreen.report.sarif import Described


class Named(Protocol):
    """Whatever a catalogue lists."""

    @property
    def ID(self) -> str: ...  # noqa: N802 - checks are modules, and this their constant


C = TypeVar("C", bound=Named)
OK: Final = 0
FINDINGS: Final = 1
USAGE: Final = 2
BUG: Final = 3


#: Errors that a person can mend: they end a command with exit code 2 and one line.
MENDABLE: Final = (*runner.WRONG, ScratchError, RecordError)


class UsageError(Exception):
    """An argument is wrong; the message says what, and what would be right."""


def cache_root() -> Path:
    """The folder for everything that may be thrown away: REGREEN_CACHE, else `regreen` in the user's cache folder."""
    named = os.environ.get("REGREEN_CACHE")
    if named:
        return Path(named)
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "regreen"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "regreen"


def source_cache(target: Path) -> Path:
    """A target's own folder for what the source engine remembers."""
    name = hashlib.sha256(os.fsencode(target.resolve())).hexdigest()[:16]
    return cache_root() / "source" / f"{target.name[:40]}-{name}"


def folder(target: str) -> Path:
    """A target given by path. Raises UsageError."""
    path = Path(target).expanduser()
    if not path.is_dir():
        what = "is not a folder" if path.exists() else "does not exist"
        raise UsageError(f"--target {target}: {what}; give the path of a repository or of a folder of sources")
    return path.resolve()


def number(flag: str, text: str) -> int:
    """A whole number given as a flag's value. Raises UsageError."""
    try:
        return int(text)
    except ValueError:
        raise UsageError(f"{flag} {text}: give a whole number, such as {flag} 1") from None


def selected(checks: Sequence[C], only: str) -> tuple[C, ...]:
    """The checks that a comma-separated list names; all for an empty one. Raises UsageError."""
    if not only:
        return tuple(checks)
    known = {check.ID: check for check in checks}
    wanted = [name.strip() for name in only.split(",") if name.strip()]
    for name in wanted:
        if name not in known:
            close = difflib.get_close_matches(name, known, 1)
            hint = f"; did you mean {close[0]}?" if close else f"; known are {', '.join(sorted(known))}"
            raise UsageError(f"--only: there is no check {name!r}{hint}")
    return tuple(check for check in checks if check.ID in wanted)


def verdict_code(diagnosis: Diagnosis) -> int:
    """0 if every check passed; 1 for findings, and for whatever could not be verified."""
    return OK if all(verdict.status is Status.PASS for verdict in diagnosis.verdicts) else FINDINGS


def diagnose(
    target: Path, checks: Sequence[CodeCheck], form: str = "table", cache: Path | None = None, baseline: str = ""
) -> int:
    """Judge a folder as it is now, uncommitted work included, and print the verdicts; change nothing.

    `form` is `table`, `json` or `sarif`. With `baseline` (a reason) every finding is written to the baseline file
    instead: the one thing that this command ever writes to a target. Raises UsageError, PolicyError, SourceError.
    """
    if form not in ("table", "json", "sarif"):
        raise UsageError(f"--format {form}: choose table, json or sarif")
    tree = FolderTree(target)
    policy = Policy.of(tree)
    known, decisions = read_baseline(tree), read_decisions(tree, date.today())
    if policy.exclude:
        tree = FolderTree(target, policy.exclude)
    with progress() as bars:
        found = survey(tree, checks, policy, source_cache(target) if cache is None else cache, bars)
    if baseline:
        findings = list(found.diagnosis.findings.values())
        (target / "regreen-baseline.json").write_text(baseline_text(findings, baseline))
        print(f"regreen-baseline.json: {len(findings)} findings set aside: {baseline}", file=sys.stderr)
        return OK
    diagnosis = set_aside(found.diagnosis, known, decisions)
    if form == "json":
        sys.stdout.write(diagnosis_json(diagnosis).rstrip("\n") + "\n")
    elif form == "sarif":
        sys.stdout.write(diagnosis_sarif(diagnosis, checks, read=tree.read).rstrip("\n") + "\n")
    else:
        diagnosis_table(diagnosis, Console())
    return verdict_code(diagnosis)


def generated(pages: Mapping[Path, str], check: bool) -> int:
    """Write generated pages, or with `check` say which are stale (exit 1)."""
    stale = [path for path, text in pages.items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    for path in stale:
        if check:
            print(f"{path.name} is stale: run `invoke docs` and commit the result", file=sys.stderr)
        else:
            path.write_text(pages[path], encoding="utf-8")
    return FINDINGS if check and stale else OK


def scratch(patient: Path, fresh: bool = False) -> Path:
    """The scratch copy of the patient: made on first use, kept across phases, made anew with `fresh`.

    It is named by the patient's content, so that a newer patient is a new copy.
    """
    digest = hashlib.sha256()
    for path in sorted(patient.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            digest.update(os.fsencode(path.relative_to(patient)) + b"\0" + path.read_bytes())
    copy = cache_root() / f"patient-{digest.hexdigest()[:12]}"
    if fresh and copy.exists():
        shutil.rmtree(copy)
    if not copy.exists():
        materialize(patient, copy)
    return copy


def options(**chosen: Any) -> Options:
    """Run options with the user's cache folders and remarks on standard error."""
    root = cache_root()
    return Options(copies=root / "copies", say=lambda text: print(text, file=sys.stderr), **chosen)


def remediate(target: Path, phase: int, plan: Plan, catalogue: Catalogue, chosen: Options) -> int:
    """Run a phase on a target; write its report; print what was done and what to do next."""
    with progress() as bars:
        result = runner.remediate(
            target, plan, phase, catalogue, replace(chosen, cache=source_cache(target), progress=bars)
        )
    if result.folder is None:
        sys.stdout.buffer.write(result.diff)
        sys.stdout.flush()
        print(summary(result.record), file=sys.stderr)
        return result.exit_code
    paths = write_report(result.record, result.folder, catalogue.checks, Path(result.record.repository))
    print(summary(result.record))
    print(f"report: {paths['html']}\n        {paths['md']}")
    print(f"next: {result.record.next_step}")
    return result.exit_code


def write_report(record: RunRecord, folder: Path, checks: Sequence[Described], repository: Path) -> dict[str, Path]:
    """Write a run's report into its folder, in every form; where each is. `checks` describe the rules."""
    location = open_repository(repository)
    trees = [GitTree(repository, location.tree(commit)) for commit in (record.base, record.head)] if location else []
    try:
        before, after = (tree.read for tree in trees) if trees else (None, None)
        return report.write(record, folder, about=checks, read_base=before, read_head=after)
    finally:
        for tree in trees:
            tree.close()


def undo_run(target: Path, run: str, remedy: str, cascade: bool) -> int:
    """Take back a run, or one remedy of it, and say what was undone."""
    print_undone(undo.undo(target, run, options(), remedy, cascade=cascade))
    return OK


def print_undone(result: undo.UndoResult) -> None:
    """Say what an undo did to a branch."""
    for message in result.messages:
        print(message, file=sys.stderr)
    if result.remedies:
        print(f"undone, newest first: {', '.join(result.remedies)}")
    print(
        f"branch {result.branch} is at {result.head[:12]}"
        if result.head
        else f"branch {result.branch} is gone, as before the run"
    )


def report_run(target: Path, run: str, checks: Sequence[Described]) -> int:
    """Write the report of an earlier run again. Without a run id, the newest run's."""
    repository = open_repository(target) or copy_folder(target, cache_root() / "copies")
    if not run:
        known = list(load_records(repository.state))
        if not known:
            raise UsageError(f"{target}: no run is recorded here; `remediate` makes one")
        run = known[-1].run
    try:
        record = load_record(repository.state, run)
    except FileNotFoundError:
        known_runs = ", ".join(item.run for item in load_records(repository.state)) or "none"
        raise UsageError(f"--run {run}: no such run here; recorded are: {known_runs}") from None
    paths = write_report(record, run_folder(repository.state, run), checks, repository.folder)
    for kind, path in paths.items():
        print(f"{kind:6} {path}")
    return OK


def merge_reports(records: Sequence[str], output: Path, checks: Sequence[Described]) -> int:
    """One report for a fleet, from the record.json files of several runs."""
    loaded = []
    for name in records:
        try:
            loaded.append(RunRecord.from_json(json.loads(Path(name).read_text(encoding="utf-8"))))
        except (OSError, ValueError) as error:
            raise UsageError(f"--merge {name}: not a run's record.json: {error}") from None
    for kind, path in report.merge(loaded, output, about=checks).items():
        print(f"{kind:6} {path}")
    return OK
