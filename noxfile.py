"""The gates: lint → typecheck → markers → imports → unit → twin. Each needs the ones before it; the first red stops.

`nox` runs them all, `nox -s unit` the ones up to it, `nox --no-dependencies -s unit` that one alone.
`nox -s markers -- --target PATH` judges another repository instead of this one.
"""

from __future__ import annotations

import os
from pathlib import Path

import nox

nox.needs_version = ">=2025.5"
nox.options.default_venv_backend = "uv"
nox.options.reuse_existing_virtualenvs = True
nox.options.stop_on_first_error = True
nox.options.sessions = ["lint", "typecheck", "markers", "imports", "unit", "twin"]

ROOT = Path(__file__).parent
SOURCES = ("regreen", "checks", "remedies", "infra", "twin", "bench", "scripts", "tests", "tasks.py", "noxfile.py")
MARKER_CHECKS = "code.markers-registered,code.markers-spelled,code.pytest-config-unique,code.strict-markers-effective"
IMPORT_CHECKS = (
    "code.source-readable,code.imports-resolve,code.imports-acyclic,code.import-paths-consistent,"
    "code.dependencies-declared,code.optional-imports-guarded,code.bases-linearize"
)


def _install(session: nox.Session) -> None:
    session.install("--quiet", "--require-hashes", "-r", "requirements/dev.txt")


def _sources() -> list[str]:
    return [name for name in SOURCES if (ROOT / name).exists()]


def _target(session: nox.Session) -> str | None:
    arguments = list(session.posargs)
    return arguments[arguments.index("--target") + 1] if "--target" in arguments[:-1] else None


@nox.session
def lint(session: nox.Session) -> None:
    """Style, layers, and generated documents that are up to date."""
    _install(session)
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")
    session.run("lint-imports", "--no-cache")
    session.run("invoke", "docs", "--check")


@nox.session(requires=["lint"])
def typecheck(session: nox.Session) -> None:
    """mypy --strict, tests included."""
    _install(session)
    session.run("mypy", *_sources())


@nox.session(requires=["typecheck"])
def markers(session: nox.Session) -> None:
    """Every marker is registered, and pytest 8.4 and 9 both refuse one that is not."""
    _install(session)
    if target := _target(session):
        session.run("invoke", "diagnose", "--target", target, "--only", MARKER_CHECKS)
        return
    session.run("invoke", "diagnose", "--target", ".", "--only", MARKER_CHECKS)
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


@nox.session(requires=["markers"])
def imports(session: nox.Session) -> None:
    """Everything compiles, and every import resolves to something that is there."""
    _install(session)
    target = _target(session) or "."
    session.run("invoke", "diagnose", "--target", target, "--only", IMPORT_CHECKS)


@nox.session(requires=["imports"])
def unit(session: nox.Session) -> None:
    """The quick tests, in random order, on all cores."""
    _install(session)
    session.run("pytest", "-n", "auto", "--dist", "loadgroup", *([] if _target(session) else session.posargs))


@nox.session(requires=["unit"])
def twin(session: nox.Session) -> None:
    """The local Google Cloud, driven by Google's own clients."""
    _install(session)
    session.run("pytest", "tests/twin", *session.posargs)
