"""mypy's opinion of a set of annotations: which of them bring an error that was not there before.

The edited files are copied into a temporary folder, before and after, and each is checked as a module of its own: no
configuration, no plugin and no package of the project is loaded, so that nothing of it is executed.
"""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from regreen.facts.source import Index, SourceText
from regreen.model import Change, splice

#: Files that are checked at most, and the seconds that one run may take.
MOST: Final = 200
SECONDS: Final = 240
_ROUNDS: Final = 4
_LINE: Final = re.compile(r"^(?:.*[\\/])?m(\d+)\.py:(\d+): error: (.*)$")
#: Folders above each copy, so that relative imports have a package to start from.
_DEEP: Final = "p/p/p/p/p/p"
_ARGUMENTS: Final = (
    "--config-file=", "--ignore-missing-imports", "--no-site-packages", "--no-error-summary", "--no-color-output",
    "--hide-error-context", "--no-pretty", "--show-error-codes", "--namespace-packages", "--explicit-package-bases",
    "--allow-redefinition",
)  # fmt: skip


class Error(NamedTuple):
    """One error of mypy: the number of the file, the line, the message."""

    file: int
    line: int
    text: str


def verified(index: Index, changes: Sequence[Change]) -> tuple[dict[str, str], str]:
    """The fingerprints whose annotation brings a new error, with that error; and what is to be said of the others.

    Where mypy is not installed, too many files are edited, or it ends without an answer, nothing is dropped.
    """
    paths = sorted({path for change in changes for path in change.paths})
    if importlib.util.find_spec("mypy") is None:
        return {}, "mypy is not installed here and was not asked"
    if len(paths) > MOST:
        return {}, f"mypy was not asked: more than {MOST} files"
    before = {path: index.tree.read(path) for path in paths}
    with tempfile.TemporaryDirectory() as folder:
        first = errors(before, Path(folder))
        if first is None:
            return {}, "mypy gave no answer about the files as they are"
        dropped: dict[str, str] = {}
        for _ in range(_ROUNDS):
            kept = [change for change in changes if change.closes[0] not in dropped]
            second = errors(_edited(before, kept), Path(folder))
            if second is None:
                return {}, "mypy gave no answer about the annotated files"
            new = _new(first, second)
            if not new:
                return dropped, "mypy reports no new error"
            for error in new:
                dropped.update(dict.fromkeys(_blamed(error, kept, paths, before), error.text))
        left = [c for c in changes if c.closes[0] not in dropped]
        dropped.update(dict.fromkeys((c.closes[0] for c in left), "an error that no single function explains"))
    return dropped, ""


def errors(files: Mapping[str, bytes], folder: Path) -> list[Error] | None:
    """What mypy reports about files, each taken as a module of its own; None where it could not do its work."""
    place = folder / _DEEP
    place.mkdir(parents=True, exist_ok=True)
    names = []
    for number, (_, content) in enumerate(sorted(files.items())):
        name = f"{_DEEP}/m{number}.py"
        (folder / name).write_bytes(content)
        names.append(name)
    command = (sys.executable, "-m", "mypy", *_ARGUMENTS, f"--cache-dir={folder / 'cache'}", *names)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MYPY")}
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env={**environment, "PYTHONSAFEPATH": "1"},
            capture_output=True,
            timeout=SECONDS,
            check=False,
        )
    except (subprocess.TimeoutExpired, OSError):
        return None
    if done.returncode not in (0, 1):  # 2: it stopped at a fault of its own, or at a file it cannot read
        return None
    matches = (_LINE.match(line) for line in done.stdout.decode("utf-8", "replace").splitlines())
    return [Error(int(m[1]), int(m[2]), m[3]) for m in matches if m]


def _edited(before: Mapping[str, bytes], changes: Sequence[Change]) -> dict[str, bytes]:
    splices = [item for change in changes for item in change.splices]
    return {path: splice(content, [s for s in splices if s.path == path]) for path, content in before.items()}


def _new(first: Sequence[Error], second: Sequence[Error]) -> list[Error]:
    """The errors of the second run that the first did not have, by line and message: annotations move no line."""
    left = list(first)
    new = []
    for error in second:
        if error in left:
            left.remove(error)
        else:
            new.append(error)
    return new


def _blamed(error: Error, changes: Sequence[Change], paths: Sequence[str], before: Mapping[str, bytes]) -> list[str]:
    """The changes behind an error: the function that it names, or the closest one above it, or all of the file."""
    path = paths[error.file]
    here = [change for change in changes if change.paths == (path,)]
    named = [c for c in here if f'"{c.subject.rpartition("::")[2]}"' in error.text]
    if named:
        return [change.closes[0] for change in named]
    text = SourceText(before[path])
    above = [c for c in here if text.line_of(c.splices[0].start) <= error.line]
    if above:
        return [max(above, key=lambda change: change.splices[0].start).closes[0]]
    return [change.closes[0] for change in here]
