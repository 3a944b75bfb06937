"""The gates, in one line: each stage needs the ones before it, and the first red one stops.

lint → typecheck → markers → imports → unit → twin → tier0 → tier1 → tier2; by name also staging, infra, tier3, planted

`nox` runs them in this order, `nox -s tier2` those up to it, `nox --no-dependencies -s tier2` that one alone. After `--`:
`--reuse` skips what was green for the same files, `--target PATH` judges another repository (markers, imports),
`--as-found` lets the tiers judge the broken system, `--sample` plants a few faults only, `--seeds N` kills the writer N
times; anything else goes to the pytest of the stage that was asked for (`nox -s unit -- -k name`).
"""

from __future__ import annotations

import atexit
import functools
import hashlib
import os
import sys
from collections.abc import Callable
from pathlib import Path

import nox

ROOT = Path(__file__).resolve().parent
sys.path.insert(0, str(ROOT))

from console.stages import Stages, value  # noqa: E402 - nox does not look beside its own file

nox.needs_version = ">=2025.5"
nox.options.default_venv_backend = "none"  # one environment for all stages: see `environment`
nox.options.stop_on_first_error = True

ORDER = ("lint", "typecheck", "markers", "imports", "unit", "twin", "tier0", "tier1", "tier2")
#: Too long to stand in line: by name, and on runners of their own in the pipeline. Each stands on one of the others.
LONG = {"staging": "twin", "infra": "twin", "tier3": "tier2", "planted": "tier2"}
nox.options.sessions = list(ORDER)

SOURCES = (
    "regreen", "checks", "remedies", "infra", "twin", "console", "bench", "scripts", "tests", "tasks.py", "noxfile.py",
)  # fmt: skip
STAGES = Stages(ROOT, sys.argv[1:])
atexit.register(STAGES.close)


def environment(session: nox.Session) -> str:
    """The folder of programs of the stages' own environment: what is locked and nothing else, made anew when the lock is.

    One for all stages, and compiled: importing Pulumi's SDK from sources alone takes longer than most tests.
    """
    lock = (ROOT / "requirements" / "dev.txt").read_bytes()
    folder = ROOT / ".nox" / "stages"
    stamp, wanted = folder / "regreen-stamp", hashlib.sha256(sys.version.encode() + lock).hexdigest()
    programs = folder / ("Scripts" if os.name == "nt" else "bin")
    if not stamp.exists() or stamp.read_text() != wanted:
        session.run("uv", "venv", "--quiet", "--clear", "--python", sys.executable, str(folder))
        session.run(
            "uv", "pip", "install", "--quiet", "--compile-bytecode", "--python", str(folder), "--require-hashes", "-r", "requirements/dev.txt"
        )  # fmt: skip
        stamp.write_text(wanted)
    return str(programs)


def stage(function: Callable[[nox.Session], None]) -> object:
    """A session that needs the one before it in ORDER, runs in the stages' environment and is timed."""
    name = function.__name__
    at = ORDER.index(name) if name in ORDER else 0
    before = (LONG[name],) if name in LONG else ORDER[at - 1 : at]

    @functools.wraps(function)
    def run(session: nox.Session) -> None:
        if "--reuse" in session.posargs and (since := STAGES.reuse(name)):
            session.log(f"{name} was green at {since} for the same files: not run again")
            return
        with STAGES.running(name):
            programs, known = environment(session), os.environ.get("PATH", os.defpath)
            if programs not in known.split(os.pathsep):  # nox itself looks for programs here, not in the session's own
                os.environ["PATH"] = os.pathsep.join((programs, known))
            function(session)

    return nox.session(name=name, requires=before)(run)


def pytest(session: nox.Session, *arguments: str, env: dict[str, str] | None = None) -> None:
    """Run pytest for this stage, with JUnit of the family that has room for what tests measured."""
    options = STAGES.options(session.name, session.posargs)
    report = (f"--junitxml={STAGES.junit(session.name)}", "-o", "junit_family=xunit1")
    session.run("pytest", *report, *arguments, *options, env=env)


def tier(session: nox.Session, *arguments: str) -> None:
    """Run one tier on the system that was asked for, and keep the history of its tests."""
    if place := value(session.posargs, "--environment"):
        session.error(
            f"--environment {place}: the tiers judge the staging system on this machine; others are not built"
        )
    found = "--as-found" in session.posargs
    plugins = os.pathsep.join(filter(None, (str(ROOT / "regreen" / "pytest"), os.environ.get("PYTHONPATH", ""))))
    env = {"PYTHONPATH": plugins, "REGREEN_TIERS": "as-found" if found else "healthy"}
    env["REGREEN_SEEDS"] = value(session.posargs, "--seeds") or os.environ.get("REGREEN_SEEDS", "")
    history = ("-p", "regreen_history", "--history", str(STAGES.folder / "tests.sqlite"))
    pytest(session, f"tests/{session.name}", *history, *arguments, env=env)


@stage
def lint(session: nox.Session) -> None:
    """Style, layers, workflows, and generated documents that are up to date."""
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")
    session.run("lint-imports", "--no-cache")
    workflows = sorted(str(path) for path in (ROOT / ".github" / "workflows").glob("*.yml"))
    session.run("actionlint", "-shellcheck=", "-pyflakes=", *workflows)
    session.run("zizmor", "--offline", "--no-progress", "--quiet", ".github", "action.yml")
    session.run("invoke", "docs", "--check")


@stage
def typecheck(session: nox.Session) -> None:
    """mypy --strict, tests included."""
    session.run("mypy", *(name for name in SOURCES if (ROOT / name).exists()))


@stage
def markers(session: nox.Session) -> None:
    """Every marker is registered, and pytest 8.4 and 9 both refuse one that is not."""
    if target := value(session.posargs, "--target"):
        session.run("invoke", "markers", "--target", target)
        return
    session.run("invoke", "markers", "--target", ".")
    older = Path(session.create_tmp()) / "pytest-8"
    session.run(
        "uv", "pip", "install", "--quiet", "--no-deps", "--require-hashes", "--target", str(older), "-r", "requirements/pytest-8.txt"
    )  # fmt: skip
    for overlay in ("", str(older)):
        session.run(
            "python",
            "-m",
            "tests.markers_gate",
            env={"PYTHONPATH": os.pathsep.join(filter(None, (overlay, str(ROOT))))},
        )


@stage
def imports(session: nox.Session) -> None:
    """Everything compiles, and every import resolves to something that is there."""
    target = value(session.posargs, "--target") or "."
    session.run("invoke", "imports", "--target", target)


@stage
def unit(session: nox.Session) -> None:
    """The quick tests, in random order, on all cores."""
    pytest(session, "-n", "auto", "--dist", "loadgroup")


@stage
def twin(session: nox.Session) -> None:
    """The local Google Cloud, driven by Google's own clients."""
    pytest(session, "tests/twin", "-n", "2", "--dist", "loadfile")


@stage
def staging(session: nox.Session) -> None:
    """The runtime of the twin, its backing services, and the patient that runs on them."""
    pytest(session, "tests/staging")


@stage
def infra(session: nox.Session) -> None:
    """The Pulumi programs and phases 3 and 4 on the local Google Cloud, with the real engine, which is built if need be."""
    session.run("invoke", "setup")
    pytest(session, "tests/infra", "--require-engine")


@stage
def tier0(session: nox.Session) -> None:
    """Smoke: would a demo work?"""
    tier(session)


@stage
def tier1(session: nox.Session) -> None:
    """Function: the pipeline, decisions, traces, cache, auth, latency."""
    tier(session)


@stage
def tier2(session: nox.Session) -> None:
    """Governance and compliance: keys, secrets, permissions, settings, audit, contracts."""
    tier(session)


@stage
def tier3(session: nox.Session) -> None:
    """Resilience, scale and chaos. Disruptive: alone, on a system of its own."""
    tier(session)


@stage
def planted(session: nox.Session) -> None:
    """Plant faults; the tests that are named for each must go red, and no others. All of them when asked for by name."""
    few = "--sample" in session.posargs or "planted" not in STAGES.asked
    session.run(
        "python",
        "-m",
        "tests.tiers.planted",
        *(["--sample"] if few else []),
        *STAGES.options("planted", session.posargs),
    )
