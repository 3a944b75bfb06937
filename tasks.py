"""The command line: `invoke TASK` in this repository, `regreen TASK` anywhere. A table of contents, no logic.

With no `--target`, `invoke` works on a scratch copy of the bundled patient, and `regreen` on the current folder.
"""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

from invoke.collection import Collection
from invoke.context import Context
from invoke.program import Program
from invoke.tasks import task

import regreen
from console import catalogues, tasks_checks, tasks_export
from console.ending import end as _end
from console.ending import place as _place
from regreen import commands

HERE = Path(__file__).resolve().parent


@task(
    help={
        "target": "a folder or repository; with invoke the bundled patient by default, with regreen the current folder",
        "environment": "judge this environment instead of code: a name in environments/, or a .toml",
        "only": "comma-separated check ids",
        "format": "table, json or sarif",
        "baseline": "set every present finding aside for this reason, in regreen-baseline.json",
    }
)
def diagnose(
    c: Context, target: str = "", environment: str = "", only: str = "", format: str = "table", baseline: str = ""
) -> None:
    """Run the checks on a target, or on an environment; change nothing."""

    def run() -> int:
        place = _place(c, target)[0]
        if environment:
            from console import cloud

            return cloud.diagnose(cloud.environment_of(environment, place), place, only, format)
        return commands.diagnose(place, commands.selected(catalogues.code().checks, only), format, baseline=baseline)

    _end(run)


@task(
    help={
        "phase": "the phase of plan.toml",
        "target": "a repository or folder; with invoke a scratch copy of the bundled patient by default",
        "environment": "also this environment: a name in environments/, or a .toml; the patient's is the local twin",
        "only": "comma-separated remedy or check ids",
        "require-engine": "fail where a phase needs the Pulumi engine and there is none",
        "dry-run": "write nothing; print exactly the diff that a real run would commit",
        "python": "the target's interpreter: its own pytest runs before and after",
        "static-only": "accept that changed tests are not executed",
        "unsafe": "also run remedies that are graded unsafe",
        "out-of-order": "run the phase although one that it comes after has not passed",
        "include-uncommitted": "start from the work tree as it is, not from HEAD",
        "fresh": "start over: a new branch, and a new scratch copy of the patient",
    }
)
def remediate(
    c: Context,
    phase: str,
    target: str = "",
    environment: str = "",
    only: str = "",
    require_engine: bool = False,
    dry_run: bool = False,
    python: str = "",
    static_only: bool = False,
    unsafe: bool = False,
    out_of_order: bool = False,
    include_uncommitted: bool = False,
    fresh: bool = False,
) -> None:
    """Detect, fix, verify and record one phase, on a branch of its own."""

    def run() -> int:
        from console import phases

        place, patient = _place(c, target, fresh)
        interpreter = Path(python) if python else Path(sys.executable) if patient and not static_only else None
        chosen = commands.options(
            only=tuple(filter(None, map(str.strip, only.split(",")))),
            unsafe=unsafe,
            out_of_order=out_of_order,
            dry_run=dry_run,
            include_uncommitted=include_uncommitted,
            static_only=static_only,
            fresh=fresh,
            python=interpreter,
        )
        where = environment or ("twin" if patient else "")
        return phases.remediate(place, commands.number("--phase", phase), where, chosen, require_engine)

    _end(run)


@task(
    help={
        "run": "the run's id, as `remediate` printed it",
        "remedy": "only this remedy of the run",
        "cascade": "also undo what later remedies built upon it",
        "target": "where the run was made",
    }
)
def undo(c: Context, run: str, remedy: str = "", cascade: bool = False, target: str = "") -> None:
    """Take back what a run did, newest first."""
    from console import cloud

    _end(lambda: cloud.undo(_place(c, target)[0], run, remedy, cascade=cascade))


@task(
    iterable=["merge"],
    help={
        "run": "the run's id; the newest by default",
        "target": "where the run was made",
        "merge": "record.json of a run; give it once for each run of a fleet",
        "output": "the folder for a merged report",
    },
)
def report(c: Context, merge: list[str], run: str = "", target: str = "", output: str = "regreen-report") -> None:
    """Write the report of a run again, or one report for a fleet."""
    if merge:
        _end(lambda: commands.merge_reports(merge, Path(output), catalogues.described()))
    else:
        _end(lambda: commands.report_run(_place(c, target)[0], run, catalogues.described()))


@task(
    help={
        "base": "the revision to compare with: a branch, tag or commit",
        "head": "the revision to judge; the work tree by default",
        "target": "a git repository; the current folder by default",
        "strict": "unknown and changed block too",
        "format": "table or json",
        "mutants": "also break the product on the lines of changed tests (needs --python; compares commits)",
        "python": "the target's interpreter, for --mutants",
    }
)
def ratchet(
    c: Context, base: str, head: str = "", target: str = ".", strict: bool = False, format: str = "table",
    mutants: bool = False, python: str = "",
) -> None:  # fmt: skip
    """Did a change weaken a test? Exit 1 when something got weaker."""
    from regreen.ratchet.command import run

    def both() -> int:
        if mutants and not python:
            raise commands.UsageError("--mutants runs the target's tests: give --python PATH, its interpreter")
        code = run(commands.folder(target), base, head or None, strict=strict, format=format)
        if not mutants or code > 1:
            return code
        from regreen.mutants.command import run as break_product

        return max(code, break_product(commands.folder(target), base, head, Path(python)))

    _end(both)


@task(
    help={
        "history": "the SQLite file that `pytest -p regreen_history --history FILE` writes",
        "format": "table or json",
        "window": "how many of the newest runs are compared with those before",
        "label": "only runs recorded with this --history-label",
        "html": "also write a page with drawings to this file",
    }
)
def trends(
    c: Context, history: str = "tests.sqlite", format: str = "table", window: int = 5, label: str = "", html: str = ""
) -> None:
    """Which tests got slower, and which are flaky? Exit 1 when something got slower."""
    from regreen.trends.command import run

    _end(lambda: run(Path(history), format, window, label, html))


@task(
    help={
        "what": "code (the default), twin or infra",
        "target": "a tree of Python files; a generated one by default",
        "files": "how many files to generate",
        "rounds": "alternations of cold diagnosis and floor",
        "output": "write the figures to this JSON file",
    },
)
def bench(
    c: Context, what: str = "code", target: str = "", files: int = 2000, rounds: int = 5, output: str = ""
) -> None:
    """Measure a diagnosis next to its floor and to other tools in one run, or the twin."""

    def run() -> int:
        if what == "twin":
            from twin.bench import main as measure

            measure()
            return commands.OK
        if what == "infra":
            from bench.infra import main as measure_infra

            return measure_infra()
        if what != "code":
            raise commands.UsageError(f"--what {what}: choose code, twin or infra")
        from bench.code import main

        return main(commands.folder(target) if target else None, files, rounds, output)

    _end(run)


@task(help={"check": "only say whether the generated pages are up to date"})
def docs(c: Context, check: bool = False) -> None:
    """Write the generated pages."""
    from console import troubleshooting
    from regreen.catalogue import catalogue

    def run() -> int:
        plan = catalogues.plan(HERE / "plan.toml")
        from twin.rules import table

        pages = {
            HERE / "docs" / "catalogue.md": catalogue(
                catalogues.code().checks, catalogues.code().remedies, plan, catalogues.cloud()
            ),
            HERE / "docs" / "troubleshooting.md": troubleshooting.page(HERE),
            HERE / "docs" / "twin-rules.md": table(),
        }
        return commands.generated(pages, check)

    _end(run)


def _twin(state: str) -> Path:
    return Path(state) if state else commands.cache_root() / "twin"


_STATE = "the twin's folder; by default `twin` in the cache folder"


@task(
    name="up",
    help={
        "project": "the project id it answers for",
        "port": "the front door's port; a free one by default",
        "empty": "a fresh project, without the patient's cloud",
        "state": _STATE,
    },
)
def twin_up(c: Context, project: str = "staging-twin", port: int = 0, empty: bool = False, state: str = "") -> None:
    """Start the local Google Cloud, with the patient's cloud as it was found, or find it running."""

    def run() -> int:
        from twin.found import up

        running = up(_twin(state), project, port, empty=empty, kept=commands.cache_root() / "as-found")
        print(f"the twin of project {running.project} ({running.number}) answers at {running.proxy}")
        print(
            'next: eval "$(invoke twin.env)", then gcloud, bq and Google\'s libraries talk to it; invoke twin.down ends it'
        )
        return commands.OK

    _end(run)


@task(name="down", help={"keep": "keep its state for the next twin.up", "state": _STATE})
def twin_down(c: Context, keep: bool = False, state: str = "") -> None:
    """Stop the twin; remove its process, port and files."""

    def run() -> int:
        from twin.process import down

        print("the twin is down" if down(_twin(state), keep=keep) else "no twin was running")
        return commands.OK

    _end(run)


@task(name="reset", help={"state": _STATE})
def twin_reset(c: Context, state: str = "") -> None:
    """Back to what the twin began with: the patient's cloud as found, or a fresh project."""

    def run() -> int:
        from twin.found import reset

        reset(_twin(state))
        return commands.OK

    _end(run)


@task(name="env", help={"state": _STATE})
def twin_env(c: Context, state: str = "") -> None:
    """Print what a shell needs so that gcloud, bq and Google's libraries talk to the twin."""

    def run() -> int:
        from twin.process import env

        for name, value in env(_twin(state)).items():
            print(f"export {name}={shlex.quote(value)}")
        return commands.OK

    _end(run)


def _staging(state: str) -> Path:
    return Path(state) if state else commands.cache_root() / "staging"


_STAGING = "staging's folder; by default `staging` in the cache folder"


@task(
    name="up",
    help={
        "as-found": "with every fault of patient/cloud/faults.toml",
        "minimal": "feed, ingest, writer and api only",
        "code": "the patient's code; by default the bundled patient with phases 1 and 2 behind it",
        "otlp": "where the services send their traces, such as http://127.0.0.1:4318",
        "rate": "trades a second; 0 for all at once",
        "state": _STAGING,
    },
)
def staging_up(
    c: Context,
    as_found: bool = False,
    minimal: bool = False,
    code: str = "",
    otlp: str = "",
    rate: float = 10.0,
    state: str = "",
) -> None:
    """Start the bundled system on the local Google Cloud, and wait until it is healthy."""

    def run() -> int:
        from regreen.prepared import prepared
        from twin.staging_keeper import start

        place = (
            Path(code).resolve()
            if code
            else prepared(HERE / "patient", catalogues.plan(), catalogues.code(), HERE / "remedies")
        )
        cloud = "as-found" if as_found else "healthy"
        facts = start(_staging(state), code=str(place), cloud=cloud, minimal=minimal, otlp=otlp, rate=rate)
        print(
            f"staging answers at {facts['balancer']} (Host: {facts['host']}), up in {sum(facts['seconds'].values()):.1f} s"
        )
        print('next: eval "$(invoke staging.env)"; invoke staging.down ends it')
        return commands.OK

    _end(run)


@task(name="down", help={"state": _STAGING})
def staging_down(c: Context, state: str = "") -> None:
    """Stop the staging system; remove its processes, ports and files."""

    def run() -> int:
        from twin.staging_keeper import stop

        print("staging is down" if stop(_staging(state)) else "no staging system was running")
        return commands.OK

    _end(run)


@task(name="env", help={"state": _STAGING})
def staging_env(c: Context, state: str = "") -> None:
    """Print where the staging system is, for a shell; the twin's own variables too."""

    def run() -> int:
        from twin.process import env
        from twin.staging_keeper import find

        facts = find(_staging(state))
        if facts is None:
            raise commands.UsageError("no staging system runs: start one with `invoke staging.up`")
        stack = {
            "STACK_BALANCER": facts["balancer"],
            "STACK_HOST": facts["host"],
            "STACK_API_URL": facts["services"]["api"],
            "STACK_FEED_URL": facts["services"]["websocket-service"].replace("http", "ws", 1),
            "STACK_TOKEN": facts["bypass_key"],
            "STACK_FEED_TOKEN": facts["feed_token"],
        }
        for name, value in (env(_staging(state)) | stack).items():
            print(f"export {name}={shlex.quote(value)}")
        return commands.OK

    _end(run)


@task(
    help={
        "environment": "a file of environments/ that lists [[dependency]]; by default the staging system on this machine",
        "format": "table or json",
        "watch": "a view that stays, until Ctrl-C",
        "state": _STAGING,
    }
)
def status(c: Context, environment: str = "twin", format: str = "table", watch: bool = False, state: str = "") -> None:
    """Ask every service in its own protocol: what runs, how fast, where trouble begins. Exit 1 when not all are up."""

    def run() -> int:
        import os

        from regreen import status as view
        from regreen.environment import load_environment

        if format not in ("table", "json"):
            raise commands.UsageError(f"--format {format}: choose table or json")
        path = Path(environment) if environment.endswith(".toml") else HERE / "environments" / f"{environment}.toml"
        specs = view.of_environment(load_environment(path), os.environ)
        if environment == "twin":
            from twin.process import find as running
            from twin.staging_keeper import find

            facts, twin = find(_staging(state)), running(_staging(state))
            if facts is None or twin is None:
                raise commands.UsageError("no staging system runs: start one with `invoke staging.up`")
            specs += view.of_stack(facts, twin.admin("GET", "instances")["instances"])
        if not specs:
            raise commands.UsageError(f"{path} lists no [[dependency]]: name, kind and address of each service")
        try:
            return view.run(specs, format, watch)
        except view.NeedsError as error:
            raise commands.UsageError(str(error)) from None

    _end(run)


@task(help={"keep": "keep Go's caches after a build, for the next one"})
def setup(c: Context, keep: bool = False) -> None:
    """Find the Pulumi engine, or install it, or build it; say what is missing and how to get it."""

    def run() -> int:
        from infra.engine import EngineError
        from infra.engine.setup import setup as get

        try:
            engine = get(lambda text: print(text, file=sys.stderr, flush=True), keep=keep)
        except EngineError as error:
            raise commands.UsageError(str(error)) from None
        print(f"Pulumi {engine.version} ({engine.source}): {engine.pulumi}")
        return commands.OK

    _end(run)


_ENVIRONMENT = {
    "environment": "a name in environments/, or a .toml",
    "target": "the folder that holds the stack's file; this one by default",
}


@task(name="adopt", help=_ENVIRONMENT)
def infra_adopt(c: Context, environment: str = "twin", target: str = ".") -> None:
    """Write what is live into the stack's file, as it is, and preview its adoption."""
    from console import cloud, stack

    _end(lambda: stack.adopt(cloud.environment_of(environment, Path(target)), commands.folder(target)))


@task(name="preview", help=_ENVIRONMENT)
def infra_preview(c: Context, environment: str = "twin", target: str = ".") -> None:
    """What the stack's file would change."""
    from console import cloud, stack

    _end(lambda: stack.preview(cloud.environment_of(environment, Path(target)), commands.folder(target)))


@task(
    name="up",
    help={
        **_ENVIRONMENT,
        "yes": "apply without asking",
        "plan": "apply without asking, if this is the plan of that name, which `invoke infra.preview` printed",
    },
)
def infra_up(c: Context, environment: str = "twin", target: str = ".", yes: bool = False, plan: str = "") -> None:
    """Preview the stack's file, and apply just that."""
    from console import cloud, stack

    _end(lambda: stack.up(cloud.environment_of(environment, Path(target)), commands.folder(target), yes=yes, plan=plan))


@task(name="restore", help={"environment": _ENVIRONMENT["environment"], "stack": "the older stack file"})
def infra_restore(c: Context, stack: str, environment: str = "twin") -> None:
    """Take the environment back to an older stack file; what that does not know is kept, but no longer managed."""
    from console import cloud
    from console.stack import restore

    _end(lambda: restore(cloud.environment_of(environment), Path(stack)))


@task(name="drift", help={**_ENVIRONMENT, "heal": "bring back what the stack's file says"})
def infra_drift(c: Context, environment: str = "twin", target: str = ".", heal: bool = False) -> None:
    """What other hands changed. Exit 1 where there is drift."""
    from console import cloud, stack

    _end(lambda: stack.drift(cloud.environment_of(environment, Path(target)), commands.folder(target), heal=heal))


@task(name="env", help={"environment": _ENVIRONMENT["environment"]})
def infra_env(c: Context, environment: str = "twin") -> None:
    """Print what a shell needs so that `pulumi` works on the environment's stack."""
    from console import cloud, stack

    _end(lambda: stack.variables(cloud.environment_of(environment)))


@task(help={"runs": "how often", "only": "these tests instead of tiers 0 to 2: paths, separated by commas"})
def soak(c: Context, runs: int = 50, only: str = "") -> None:
    """Tiers 0 to 2 again and again, in random order. Exit 1 for a red test, or for anything that is left behind."""

    def run() -> int:
        from console import soak as soaking

        return soaking.soak(runs, tuple(filter(None, only.split(","))) or soaking.TIERS)

    _end(run)


namespace = Collection(diagnose, remediate, undo, report, ratchet, trends, bench, docs, status, setup, soak)
namespace.add_collection(Collection("twin", twin_up, twin_down, twin_reset, twin_env))
namespace.add_collection(Collection("staging", staging_up, staging_down, staging_env))
namespace.add_collection(
    Collection("infra", infra_adopt, infra_preview, infra_up, infra_restore, infra_drift, infra_env)
)
tasks_checks.add_to(namespace)
tasks_export.add_to(namespace)


def main() -> None:
    """The `regreen` console command: the same tasks, for the current folder."""
    anywhere = Collection.from_module(sys.modules[__name__], config={"regreen": {"target": "."}})
    Program(name="regreen", binary="regreen", namespace=anywhere, version=regreen.__version__).run()


if __name__ == "__main__":
    main()
