"""Commands on an environment: diagnose it, remediate it by a phase, take a run back, look at its stack. Exit codes as of `commands`."""

from __future__ import annotations

import contextlib
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Final

from rich.console import Console

from console import catalogues
from console.places import HERE, Place, found_place, google_place, staging_folder, twin_place
from regreen import commands
from regreen.cloud import remediate_cloud
from regreen.cloud.look import CloudEye
from regreen.commands import OK, UsageError, cache_root
from regreen.decisions import read_decisions
from regreen.environment import Environment, load_environment
from regreen.facts.source import FolderTree
from regreen.model import Status
from regreen.render import diagnosis_json, diagnosis_sarif, diagnosis_table
from regreen.report.visible import shown
from regreen.run.summary import summary
from regreen.suppress import read_baseline

if TYPE_CHECKING:
    from regreen.facts.cloud import CloudCheck
    from regreen.model import Diagnosis
    from regreen.plan import Plan
    from regreen.run.options import Options

STAGING: Final = "staging."
CODE: Final = "code."
TWIN: Final = "twin"


def environment_of(name: str, target: Path | None = None) -> Environment:
    """The environment of a name or a file: `environments/NAME.toml` of the target, of this folder, or bundled. Raises UsageError."""
    if name.endswith(".toml"):
        return load_environment(Path(name))
    folders = [folder for folder in (target, Path.cwd(), HERE) if folder is not None]
    tried = [folder / "environments" / f"{name}.toml" for folder in dict.fromkeys(folders)]
    for path in tried:
        if path.is_file():
            return load_environment(path)
    raise UsageError(
        f"--environment {name}: there is no {tried[0]}; write one as environments/twin.toml is, or give a .toml"
    )


@contextlib.contextmanager
def open_place(environment: Environment, *, engine: bool, start: bool, fresh: bool = False) -> Iterator[Place]:
    """The environment, open. With `start` the local staging system is started where none runs, and put to sleep after."""
    if environment.kind != TWIN:
        with google_place(environment, engine=engine) as place:
            yield place
        return
    folder = staging_folder()
    with (
        _awake(folder, fresh=fresh) if start else contextlib.nullcontext(),
        twin_place(environment, folder, engine=engine) as place,
    ):
        yield place


@contextlib.contextmanager
def _awake(folder: Path, *, fresh: bool) -> Iterator[None]:
    """The patient's staging system, as found or as it was left; what was not running before is not running after."""
    from regreen.prepared import prepared
    from twin import staging_keeper as keeper

    if keeper.find(folder) is not None:
        if fresh:
            raise UsageError("--fresh: a staging system runs; end it first with `invoke staging.down`")
        yield
        return
    if fresh:
        keeper.forget(folder)
    code = prepared(
        HERE / "patient", catalogues.plan(HERE / "plan.toml").part(CODE), catalogues.code(), HERE / "remedies"
    )
    begun = time.perf_counter()
    how = "goes on where it was left" if keeper.kept(folder) else "starts as it was found"
    _say(f"the staging system on this machine {how}")
    keeper.start(folder, code=str(code), cloud="as-found")
    _say(f"it is up after {time.perf_counter() - begun:.1f} s")
    try:
        yield
    finally:
        keeper.stop(folder, keep=True)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def selected(only: str) -> tuple[CloudCheck, ...]:
    """The staging checks of a comma-separated list; all for an empty one. Raises UsageError."""
    return commands.selected(catalogues.cloud().checks, only)


def diagnose(environment: Environment, target: Path, only: str, form: str) -> int:
    """Judge an environment as it is now, with the target's decisions and baseline; change nothing."""
    if form not in ("table", "json", "sarif"):
        raise UsageError(f"--format {form}: choose table, json or sarif")
    with _to_look_at(environment) as place:
        found = look(place, target, selected(only))
    if form == "json":
        sys.stdout.write(diagnosis_json(found).rstrip("\n") + "\n")
    elif form == "sarif":
        sys.stdout.write(diagnosis_sarif(found, selected(only)).rstrip("\n") + "\n")
    else:
        diagnosis_table(found, Console())
    return commands.verdict_code(found)


@contextlib.contextmanager
def _to_look_at(environment: Environment) -> Iterator[Place]:
    """The environment for a diagnosis: a staging system that runs; else, on this machine, its cloud without processes."""
    if environment.kind != TWIN:
        with google_place(environment, engine=False) as place:
            yield place
        return
    from twin import staging_keeper as keeper

    folder = staging_folder()
    if keeper.find(folder) is not None:
        with twin_place(environment, folder, engine=False) as place:
            yield place
    elif keeper.kept(folder):
        with _awake(folder, fresh=False), twin_place(environment, folder, engine=False) as place:
            yield place
    else:
        own = cache_root() / f"look-{time.time_ns()}"
        try:
            with found_place(environment, own) as place:
                yield place
        finally:
            shutil.rmtree(own, ignore_errors=True)


def look(place: Place, target: Path, checks: Sequence[CloudCheck]) -> Diagnosis:
    """What some checks say of an open environment, with the target's decisions and baseline applied; changes nothing."""
    tree = FolderTree(target)
    eye = CloudEye(place.environment, checks, place.read, read_decisions(tree, date.today()), read_baseline(tree))
    return eye.look().diagnosis


def remediate(
    target: Path,
    phase: int,
    plan: Plan,
    environment: Environment,
    chosen: Options,
    *,
    anew: bool = False,
    require_engine: bool = False,
) -> int:
    """The staging half of a phase. What has nothing to change is diagnosed only, without an engine."""
    part = plan.part(STAGING)
    if not part.phase(phase).remedies:
        return OK if plan.phase(phase).after else _shown(target, environment)
    with open_place(environment, engine=True, start=True, fresh=anew and environment.kind == TWIN) as place:
        if place.executor is None and require_engine:
            raise UsageError(f"--require-engine: {place.no_engine}")
        record, folder = remediate_cloud(
            target, part, phase, catalogues.cloud(), environment, place.executor, place.read, chosen, place.no_engine
        )
    if folder is None:
        print(summary(record), file=sys.stderr)
        return record.exit_code
    paths = commands.write_report(record, folder, catalogues.cloud().checks, Path(record.repository))
    print(summary(record))
    print(f"report: {paths['html']}\n        {paths['md']}")
    print(f"next: {record.next_step}")
    return record.exit_code


def _shown(target: Path, environment: Environment) -> int:
    """A first phase looks at the environment and changes nothing: what it finds is for later phases."""
    begun = time.perf_counter()
    with _to_look_at(environment) as place:
        found = look(place, target, selected(""))
    failed = [item for item in found.verdicts if item.findings]
    unknown = [item for item in found.verdicts if item.status is Status.UNKNOWN]
    print(
        f"environment {environment.name}, looked at only: {len(found.findings)} findings of {len(failed)} checks, "
        f"{len(unknown)} without an answer · {time.perf_counter() - begun:.1f} s"
    )
    for verdict in failed:
        first = verdict.findings[0]
        more = f" (and {len(verdict.findings) - 1} more)" if len(verdict.findings) > 1 else ""
        print(f"  {verdict.check:38} {shown(first.subject)}: {shown(first.observed)[:90]}{more}")
    for verdict in unknown:
        print(f"  {verdict.check:38} UNKNOWN {shown(verdict.error)[:90]}")
    print(f"  later phases repair them; all of it: invoke diagnose --environment {environment.name}")
    return OK


def undo(target: Path, run: str, remedy: str, *, cascade: bool) -> int:
    """Take back a run, or one remedy of it: on code, or on the environment that it was made on."""
    from regreen.cloud.undo import environment_named, undo_cloud

    options = commands.options()
    name = environment_named(target, run, options)
    if not name:
        return commands.undo_run(target, run, remedy, cascade)
    environment = environment_of(name, target)
    with open_place(environment, engine=True, start=True) as place:
        if place.executor is None:
            raise UsageError(f"undo of {run}: not run: {place.no_engine}")
        done = undo_cloud(target, run, environment, place.executor, options, remedy, cascade=cascade)
    for line in done.evidence:
        print(f"  {line}")
    commands.print_undone(done.git)
    return OK
