"""The steps of the workflows, and a place where their scripts run without GitHub and without a cloud."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml

ROOT: Final = Path(__file__).resolve().parents[3]
WORKFLOWS: Final = tuple(sorted((ROOT / ".github" / "workflows").glob("*.yml")))
_EXPRESSION: Final = re.compile(r"\$\{\{\s*(.*?)\s*\}\}")

#: What GitHub would put in the place of an expression.
VALUES: Final[Mapping[str, str]] = {
    "github.event.before || github.sha": "HEAD",
    "github.event.pull_request.base.sha": "HEAD",
    "github.event.pull_request.number": "7",
    "github.ref_name": "v0.1.0",
    "github.repository": "owner/repository",
    "github.run_id": "98765432109",
    "github.server_url": "https://github.example",
    "github.token": "",
    "inputs.phase": "3",
    "matrix.group": "2",
    "matrix.python": "3.11",
    "matrix.session": "twin",
    "needs.preview.outputs.plan": "0123456789abcdef",
    "secrets.ALERT_URLS": "",
}


def load(path: Path) -> dict[str, Any]:
    """A workflow. YAML 1.1 reads its key `on` as true: it is put right."""
    document: dict[Any, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    if True in document:
        document["on"] = document.pop(True)
    return document


@dataclass(frozen=True, slots=True)
class Step:
    """One `run:` of a workflow, with the variables of workflow, job and step."""

    workflow: str
    job: str
    name: str
    script: str
    variables: Mapping[str, str] = field(repr=False)

    def __str__(self) -> str:
        return f"{self.workflow}/{self.job}/{self.name}"


def steps() -> Iterator[Step]:
    """Every `run:` of every workflow. KeyError for an expression that VALUES does not know."""
    for path in WORKFLOWS:
        document = load(path)
        for key, job in document["jobs"].items():
            for step in job.get("steps", ()):
                if "run" in step:
                    found = {**document.get("env", {}), **job.get("env", {}), **step.get("env", {})}
                    variables = {
                        name: _EXPRESSION.sub(lambda at: VALUES[at[1]], value) for name, value in found.items()
                    }
                    yield Step(path.stem, key, step["name"], step["run"], variables)


STEPS: Final = tuple(steps())


def named(name: str, workflow: str = "") -> Step:
    """The one step of a name; of a workflow, where several have it."""
    (step,) = [step for step in STEPS if step.name == name and workflow in ("", step.workflow)]
    return step


@dataclass(frozen=True, slots=True)
class Said:
    """What a script did: every command that a stub recorded, and its own end."""

    code: int
    output: str
    calls: tuple[tuple[str, ...], ...]
    folder: Path

    def of(self, *words: str) -> list[tuple[str, ...]]:
        """The recorded commands that begin so, without those words."""
        return [call[len(words) :] for call in self.calls if call[: len(words)] == words]


_STUB: Final = """#!/bin/sh
printf '%s\\037' "${{0##*/}}" "$@" >>{record}
echo >>{record}
case "$1 $2" in
{cases}
esac
"""

#: What a stub prints for a command's first two words: a format of printf, which may ask for the folder of the stubs.
PRINTS: Final = {
    "invoke setup": "Pulumi 3.200.0 (installed): %s/pulumi\\n",
    "invoke infra.preview": "plan: 0123456789abcdef\\n  update Service api (timeout)\\n",
    "python -c": "0.1.0\\n",
}


def play(step: Step, folder: Path, **more: str) -> Said:
    """Run a step's script as GitHub's `shell: bash` does, with stubs for `./run`, gh, pulumi and the installed console."""
    record, programs = folder / "calls", folder / "bin"
    programs.mkdir(exist_ok=True)
    (folder / "installed" / "bin").mkdir(parents=True, exist_ok=True)
    (folder / "dist").mkdir(exist_ok=True)
    cases = [f"{shlex.quote(words)}) printf {shlex.quote(text)} {programs} ;;" for words, text in PRINTS.items()]
    for path in (folder / "run", programs / "gh", programs / "pulumi", folder / "installed" / "bin" / "regreen"):
        path.write_text(_STUB.format(record=shlex.quote(str(record)), cases="\n".join(cases)))
        path.chmod(0o755)
    return _bash(step, folder, {"PATH": f"{programs}:{os.environ['PATH']}", **more}, record)


def execute(step: Step, folder: Path, **more: str) -> Said:
    """Run a step's script for real, in a copy of its folder: `./run` takes this environment instead of making one."""
    run = folder / "run"
    run.write_text('#!/bin/sh\nexec "$@"\n')
    run.chmod(0o755)
    here = str(Path(sys.executable).parent)
    return _bash(step, folder, {"PATH": f"{here}:{os.environ['PATH']}", **more}, folder / "calls")


def _bash(step: Step, folder: Path, more: Mapping[str, str], record: Path) -> Said:
    environment = {
        "HOME": str(folder), "LANG": "C.UTF-8", "GITHUB_STEP_SUMMARY": str(folder / "summary.md"),
        "GITHUB_OUTPUT": str(folder / "output"), "PYTHONDONTWRITEBYTECODE": "1", **step.variables, **more,
    }  # fmt: skip
    done = subprocess.run(
        ("bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step.script),
        cwd=folder, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    calls = tuple(tuple(line.split("\037")[:-1]) for line in read(record).split("\n")[:-1])
    return Said(done.returncode, done.stdout + done.stderr, calls, folder)


def read(path: Path) -> str:
    """A file's text; '' where there is none."""
    return path.read_text(encoding="utf-8") if path.exists() else ""
