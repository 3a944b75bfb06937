"""Run a target's own pytest, with limits, in an environment built from nothing, and read what it recorded."""

from __future__ import annotations

import contextlib
import json
import os
import re
import resource
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import psutil

from regreen.facts.testrun.classify import classify
from regreen.facts.testrun.results import RED, Outcome, TestResult, TestRun
from regreen.redact import redact

RECORDER: Final = "regreen_recorder"
#: Where a pytest that did not even start is listed among the errors of collection.
START: Final = "(start of pytest)"
_FOLDER: Final = Path(__file__).resolve().parent
_PLUGIN: Final = _FOLDER.parents[1] / "pytest"
_NAMED: Final = re.compile(r"(?:E\s+)?[\w.]*(?:Error|Exception|Warning|Failed)\b")
#: How pytest begins the lines that say why it stopped.
_MARKS: Final = ("E ", "ERROR", "INTERNALERROR")
_COLLECT: Final = ("--collect-only", "-q")
#: Asked of the target's interpreter: its version, its pytest's, and where it finds modules.
_PROBE: Final = """
import json, sys
paths = [p for p in sys.path if p]
for name, module in list(sys.modules.items()):
    if name.startswith("__editable__"):
        paths += [path for path in getattr(module, "MAPPING", {}).values()]
try:
    import pytest
    version = pytest.__version__
except ImportError:
    version = ""
print(json.dumps({"python": sys.version.split()[0], "pytest": version, "paths": paths, "prefix": sys.prefix}))
"""


class InterpreterError(Exception):
    """The interpreter cannot be used to run tests."""


@dataclass(frozen=True, slots=True)
class Interpreter:
    """A Python that runs the target's tests. `paths` are the places it finds modules in."""

    path: str
    version: str
    pytest: str
    paths: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Limits:
    """Wall seconds for each suite, bytes of address space for each process (0: none)."""

    seconds: float = 900.0
    memory: int = 4096 * 1024 * 1024


def interpreter(path: Path) -> Interpreter:
    """Ask an interpreter who it is. Raises InterpreterError, saying what to do."""
    found = shutil.which(str(path))
    if found is None:
        raise InterpreterError(f"--python {path}: there is no such program; give the path of the target's own Python")
    full = str(Path(found).absolute())  # not resolved: a virtual environment is known by its link's place
    try:
        done = subprocess.run(
            (full, "-c", _PROBE),
            capture_output=True,
            timeout=60,
            env=_environment(full, Path("/"), {}),
            check=False,
            cwd="/",
        )
        answer = json.loads(done.stdout)
    except (OSError, subprocess.TimeoutExpired, ValueError) as error:
        raise InterpreterError(f"--python {path}: it does not answer as a Python does ({error})") from None
    if not answer["pytest"]:
        raise InterpreterError(f"--python {path}: it has no pytest; install the target's test requirements there first")
    return Interpreter(full, answer["python"], answer["pytest"], tuple(answer["paths"]))


def run_tests(
    python: Interpreter,
    checkout: Path,
    target: Path,
    suites: Sequence[Sequence[str]],
    limits: Limits,
    tree: str = "",
) -> TestRun:
    """Collect all tests of a checkout, then run the suites. `target` is the folder the checkout was made from.

    Every process that the tests started is gone when this returns.
    """
    started = time.perf_counter()
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    everything = any(not suite for suite in suites)
    commands = [tuple(suite) for suite in suites] if everything else [_COLLECT, *(tuple(suite) for suite in suites)]
    record = _Record(f"{checkout}{os.sep}")
    problem = ""
    isolated = True
    code = 0
    with tempfile.TemporaryDirectory(prefix="regreen-tests-") as scratch:
        for number, arguments in enumerate(commands):
            done = _pytest(python, checkout, target, arguments, limits, Path(scratch) / str(number))
            isolated = isolated and done.isolated
            code = max(code, done.code, key=abs)
            full = arguments == _COLLECT or not arguments
            record.read(done.lines, collects=full)
            problem = problem or done.problem
            if done.died:
                record.fail(START, done.died)
    now = resource.getrusage(resource.RUSAGE_CHILDREN)
    results = record.results()
    return TestRun(
        tree=tree,
        command=(python.path, "-m", "pytest", *(" ".join(suite) or "(all tests)" for suite in suites)),
        interpreter=python.version,
        pytest=python.pytest,
        exit_code=code,
        collected=len(record.collected),
        collection_errors=tuple(_broken(test, error) for test, error in record.broken.items()),
        results=results,
        problem=problem,
        isolated=isolated,
        seconds=time.perf_counter() - started,
        cpu_seconds=now.ru_utime + now.ru_stime - used.ru_utime - used.ru_stime,
        max_memory=now.ru_maxrss * (1 if sys.platform == "darwin" else 1024),
    )


def passing_again(
    python: Interpreter, checkout: Path, target: Path, tests: Sequence[str], limits: Limits
) -> frozenset[str]:
    """Those of some red tests of a checkout that pass when they are run once more, on their own: they are flaky."""
    if not tests:
        return frozenset()
    record = _Record(f"{checkout}{os.sep}")
    with tempfile.TemporaryDirectory(prefix="regreen-tests-") as scratch:
        done = _pytest(python, checkout, target, tests, limits, Path(scratch) / "again")
        record.read(done.lines, collects=False)
    passed = {result.test for result in record.results() if result.outcome is Outcome.PASSED}
    return frozenset(tests) & passed


def _broken(test: str, error: str) -> TestResult:
    return TestResult(test, Outcome.ERROR, classify(error), redact(_headline(error)))


@dataclass(frozen=True, slots=True)
class _Done:
    code: int
    lines: list[dict[str, Any]]
    isolated: bool
    problem: str  # why the run proves nothing
    died: str  # what pytest said when it did not start


def _pytest(
    python: Interpreter, checkout: Path, target: Path, arguments: Sequence[str], limits: Limits, scratch: Path
) -> _Done:
    home = scratch / "home"
    home.mkdir(parents=True)
    recorded, flag, output = scratch / "record.jsonl", scratch / "isolated", scratch / "output.txt"
    nonce = secrets.token_hex(8)
    paths = [str(_PLUGIN), *_inside(python, checkout, target)]
    extra = {"PYTHONPATH": os.pathsep.join(paths), "REGREEN_RECORD": str(recorded), "REGREEN_NONCE": nonce}
    command = (
        sys.executable, "-I", "-S", str(_FOLDER / "launch.py"), str(limits.memory), str(flag),
        python.path, "-m", "pytest", "-p", RECORDER, "--continue-on-collection-errors", "--maxfail=0", *arguments,
    )  # fmt: skip
    problem = ""
    with output.open("wb") as sink:
        process = subprocess.Popen(
            command, cwd=checkout, env=_environment(python.path, home, extra), stdin=subprocess.DEVNULL,
            stdout=sink, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        try:
            code = process.wait(timeout=limits.seconds)
        except subprocess.TimeoutExpired:
            code = -1
            problem = f"the suite {' '.join(arguments) or '(all tests)'} did not end within {limits.seconds:g} s"
        finally:
            _end(process, nonce)
    lines = list(_lines(recorded))
    finished = any(line["kind"] == "finish" for line in lines)
    died = ""
    if not problem and code < 0:
        problem = f"pytest was killed by signal {-code}"
    elif not problem and (code in (3, 4) or not finished):
        died = _said(output)
    return _Done(code, lines, flag.exists(), problem, died)


def _inside(python: Interpreter, checkout: Path, target: Path) -> Iterator[str]:
    """Where the interpreter would import from the target's own folder (an editable install): the same place in
    the checkout goes first, so that the tested code is the checked-out code."""
    root = target.resolve()
    for entry in python.paths:
        place = Path(entry).resolve()
        if not place.is_relative_to(root):
            continue
        here = checkout / place.relative_to(root)
        if (here / "__init__.py").is_file() or here.suffix == ".py":
            here = here.parent  # a finder's mapping names the package itself
        if here.is_dir():
            yield str(here)


def _environment(python: str, home: Path, extra: Mapping[str, str]) -> dict[str, str]:
    """Nothing of the caller's, but a search path: no credentials, no proxies, no settings."""
    return {
        "PATH": os.pathsep.join((str(Path(python).parent), "/usr/local/bin", "/usr/bin", "/bin")),
        "HOME": str(home),
        "TMPDIR": str(home),
        "LANG": "C.UTF-8",
        "LC_ALL": "C.UTF-8",
        "TZ": "UTC",
        "TERM": "dumb",
        "no_proxy": "*",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONHASHSEED": "0",
        "PYTHONUNBUFFERED": "1",
        **extra,
    }


def _end(process: subprocess.Popen[bytes], nonce: str) -> None:
    """Kill the group of the run, and whatever left the group but still carries the run's nonce."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for other in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if other.environ().get("REGREEN_NONCE") == nonce:
                other.kill()


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    if not path.exists():
        return
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        with contextlib.suppress(ValueError):  # the last line of a killed run may be torn
            yield json.loads(line)


def _headline(error: str) -> str:
    """The line that names the exception, else the first."""
    lines = error.split("\n")
    return next((line for line in lines if _NAMED.match(line)), lines[0])


def _said(output: Path) -> str:
    """What pytest printed instead of starting: its error lines, else its last words."""
    text = output.read_text(encoding="utf-8", errors="replace")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    usage = [line for line in lines if ": error: " in line]
    marked = usage or [line.removeprefix("E ").strip() for line in lines if line.startswith(_MARKS)]
    return "\n".join((marked or lines or ["it said nothing"])[-12:])


class _Record:
    """Lines of the recorder, put together."""

    def __init__(self, root: str) -> None:
        self._root = root  # a folder of this run only: it says nothing, and would make equal errors differ
        self.collected: dict[str, None] = {}
        self.broken: dict[str, str] = {}
        self._tests: dict[str, TestResult] = {}

    def read(self, lines: Sequence[dict[str, Any]], *, collects: bool) -> None:
        """Add one run; `collects` when it was to collect every test."""
        for line in lines:
            if line["kind"] == "collected" and collects:
                self.collected[line["test"]] = None
            elif line["kind"] == "broken":
                self.fail(line["test"], line["error"])
            elif line["kind"] == "phase":
                self._phase(line)

    def fail(self, test: str, error: str) -> None:
        """Something could not be collected; the first error of it counts."""
        self.broken.setdefault(test, error.replace(self._root, ""))

    def results(self) -> tuple[TestResult, ...]:
        """Every test that ran, and those that were only collected, by name."""
        rest = {test: TestResult(test, Outcome.COLLECTED) for test in self.collected if test not in self._tests}
        return tuple(value for _, value in sorted({**self._tests, **rest}.items()))

    def _phase(self, line: dict[str, Any]) -> None:
        test = line["test"]
        known = self._tests.get(test)
        outcome = _outcome(line)
        seconds = line["seconds"] + (known.seconds if known else 0.0)
        if known is not None and (outcome is None or _WEIGHT[known.outcome] >= _WEIGHT[outcome]):
            outcome, category, error = known.outcome, known.category, known.error
        else:
            outcome = outcome or Outcome.COLLECTED
            red = outcome in RED
            category = classify(line["error"]) if red else None
            error = redact(_headline(line["error"]).replace(self._root, "")) if red else ""
        self._tests[test] = TestResult(test, outcome, category, error, seconds)


#: Of the phases of one test the heaviest decides.
_WEIGHT: Final = {
    Outcome.COLLECTED: 0, Outcome.PASSED: 1, Outcome.XPASSED: 2, Outcome.XFAILED: 3, Outcome.SKIPPED: 4,
    Outcome.ERROR: 5, Outcome.FAILED: 6,
}  # fmt: skip


def _outcome(line: Mapping[str, Any]) -> Outcome | None:
    outcome, call = line["outcome"], line["when"] == "call"
    if outcome == "failed":
        return Outcome.FAILED if call else Outcome.ERROR
    if outcome == "skipped":
        return Outcome.XFAILED if line["xfail"] else Outcome.SKIPPED
    if outcome == "passed" and call:
        return Outcome.XPASSED if line["xfail"] else Outcome.PASSED
    return None
