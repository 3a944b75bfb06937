"""The stages of `nox`: what ran, how long, what may be skipped. Only the standard library: nox's own Python imports it.

Each stage leaves JUnit in `build/gates`; at the end stands a table of the stages in order, also as Markdown.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from xml.sax.saxutils import quoteattr

FLAGS: Final = {"--target": 1, "--environment": 1, "--as-found": 0, "--reuse": 0, "--sample": 0, "--seeds": 1}
"""What the stages themselves understand after `--`, and how many values each takes; the rest goes to pytest."""


@dataclass(frozen=True, slots=True)
class Done:
    """A stage that ended. `state` is green, red, reused or interrupted."""

    name: str
    state: str
    seconds: float
    why: str = ""


class Stages:
    """What this process of nox has run."""

    def __init__(self, root: Path, argv: Sequence[str] = ()) -> None:
        self.root = root
        self.folder = root / "build" / "gates"
        self.done: list[Done] = []
        self.asked = asked(argv)
        self._tree = ""

    def junit(self, name: str) -> Path:
        """Where a stage's JUnit goes."""
        self.folder.mkdir(parents=True, exist_ok=True)
        return self.folder / f"{name}.xml"

    @contextmanager
    def running(self, name: str) -> Iterator[None]:
        """Around a stage: its time and its end. A red one is remembered and raised on."""
        self._mark(name).unlink(missing_ok=True)
        self.junit(name).unlink(missing_ok=True)
        tree = self.tree()
        began = time.monotonic()
        try:
            yield
        except KeyboardInterrupt:
            self._ended(Done(name, "interrupted", time.monotonic() - began))
            raise
        except BaseException as error:
            self._ended(Done(name, "red", time.monotonic() - began, str(error) or type(error).__name__))
            raise
        self._ended(Done(name, "green", time.monotonic() - began))
        if tree == self.tree(fresh=True):  # what was changed meanwhile has not been judged
            self._mark(name).write_text(
                json.dumps({"tree": tree, "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())})
            )

    def reuse(self, name: str) -> str:
        """When this stage was green for the same tree and environment; '' where it was not. Then it counts as passed."""
        try:
            kept = json.loads(self._mark(name).read_text())
        except (OSError, ValueError):
            return ""
        if kept.get("tree") != self.tree():
            return ""
        self._ended(Done(name, "reused", 0.0, f"green at {kept['at']} for the same tree"))
        return str(kept["at"])

    def tree(self, *, fresh: bool = False) -> str:
        """One digest for every file that git would take, the Python that runs, and the machine's kind."""
        if fresh or not self._tree:
            self._tree = digest(self.root)
        return self._tree

    def options(self, name: str, posargs: Sequence[str]) -> list[str]:
        """What goes to pytest: what stands after `--` and is not ours, and only for a stage that was asked for."""
        return rest(posargs) if name in self.asked else []

    def summary(self) -> str:
        """The stages as a Markdown table; '' where none ran."""
        if not self.done:
            return ""
        lines = ["| stage | result | seconds | |", "| --- | --- | ---: | --- |"]
        lines += [f"| {each.name} | {each.state} | {each.seconds:.1f} | {each.why} |" for each in self.done]
        total = sum(each.seconds for each in self.done)
        return "\n".join([*lines, f"| all | {self._all()} | {total:.1f} | |", ""])

    def close(self) -> None:
        """Print the summary, and leave it as a file and where GitHub shows it."""
        text = self.summary()
        if not text:
            return
        width = max(len(each.name) for each in self.done)
        sys.stderr.write("\n")
        for each in self.done:
            sys.stderr.write(f"  {each.name:{width}}  {each.state:11}  {each.seconds:7.1f} s  {each.why}\n")
        total = sum(each.seconds for each in self.done)
        sys.stderr.write(f"  {'all':{width}}  {self._all():11}  {total:7.1f} s  JUnit in {self.folder}\n")
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "summary.md").write_text(text, encoding="utf-8")
        if place := os.environ.get("GITHUB_STEP_SUMMARY"):
            with Path(place).open("a", encoding="utf-8") as summary:
                summary.write(text)

    def _all(self) -> str:
        return "green" if all(each.state in ("green", "reused") for each in self.done) else "red"

    def _mark(self, name: str) -> Path:
        return self.folder / f"{name}.green.json"

    def _ended(self, done: Done) -> None:
        self.done.append(done)
        path = self.junit(done.name)
        if not path.exists():
            path.write_text(_junit(done), encoding="utf-8")


def asked(argv: Sequence[str]) -> frozenset[str]:
    """The sessions that nox's own command line names with -s."""
    found: set[str] = set()
    taking = False
    for word in argv:
        if word == "--":
            break
        if word in ("-s", "-e", "--session", "--sessions"):
            taking = True
        elif word.startswith("-"):
            taking = False
        elif taking:
            found.add(word)
    return frozenset(found)


def rest(posargs: Sequence[str]) -> list[str]:
    """The words after `--` without our own flags and their values."""
    words, left = list(posargs), []
    while words:
        word = words.pop(0)
        if word in FLAGS:
            del words[: FLAGS[word]]
        else:
            left.append(word)
    return left


def value(posargs: Sequence[str], flag: str) -> str:
    """The value of one of our own flags; '' where it is not given."""
    words = list(posargs)
    return words[words.index(flag) + 1] if flag in words[:-1] else ""


def digest(root: Path) -> str:
    """SHA-256 over the names and contents of all files that are tracked, or new and not ignored."""
    listed = subprocess.run(
        ("git", "-C", str(root), "ls-files", "-z", "--cached", "--others", "--exclude-standard"),
        check=True,
        capture_output=True,
    ).stdout
    found = hashlib.sha256(f"{sys.version}\0{sys.platform}".encode())
    for name in sorted(set(listed.split(b"\0")) - {b""}):
        path = root / os.fsdecode(name)
        found.update(name + b"\0" + (hashlib.sha256(path.read_bytes()).digest() if path.is_file() else b"gone"))
    return found.hexdigest()


def _junit(done: Done) -> str:
    """One stage as one test case."""
    green = done.state in ("green", "reused")
    inside = "" if green else f"<failure message={quoteattr(done.why or done.state)}/>"
    case = f'<testcase classname="gates" name={quoteattr(done.name)} time="{done.seconds:.3f}">{inside}</testcase>'
    counts = f'tests="1" failures="{0 if green else 1}" errors="0" skipped="0"'
    return (
        f'<?xml version="1.0" encoding="utf-8"?>\n<testsuite name={quoteattr(done.name)} {counts}>{case}</testsuite>\n'
    )
