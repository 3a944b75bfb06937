"""Which commit made a file unreadable, and the last version before it: one walk through the history for all files.

`git log` follows first parents, so that the versions of a file form one line; the merge that brought a fault is named then.
A file that the walk sees being added is looked up on its own with `--follow`, as it may have had another name. Bounded in
commits, versions and time: where a bound ends the search, that is said.
"""

from __future__ import annotations

import os
import subprocess
import time
import warnings
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from regreen.facts.source import GitTree
from regreen.facts.source.syntax import Unreadable, compiles, parse, quiet

#: Commits that are looked through: few at first, as most damage is young, and more for the files that are left.
_COMMITS: Final = (40, 400, 2000)
_VERSIONS: Final = 40
_RENAMED: Final = 40  # files that are followed through renames, one git log each
_SECONDS: Final = 60.0
_FORMAT: Final = "--format=%x01%H%x02%cs%x02%s"


class Break(NamedTuple):
    """The commit that broke a file; the git blobs before it and now. Without a commit, `why` it is not known."""

    commit: str = ""
    date: str = ""
    subject: str = ""
    good_id: str = ""
    good: bytes = b""
    bad_id: str = ""
    why: str = ""


class _Step(NamedTuple):
    commit: str
    date: str
    subject: str
    old: str  # blob ids; zeros where there was no file
    new: str


def breaks(tree: GitTree, paths: Sequence[str]) -> dict[str, Break]:
    """What broke each of some files of a commit, as far as the history can be read within the bounds."""
    if not paths:
        return {}
    until = time.monotonic() + _SECONDS
    now = {entry.path: entry.digest for entry in tree.entries()}
    readable: dict[str, bool] = {}
    result: dict[str, Break] = {}
    lines: dict[str, list[_Step]] = {}
    left = list(paths)
    for depth in _COMMITS:
        try:
            lines, ended = _walk(tree, left, depth, until)
        except (OSError, subprocess.SubprocessError):
            return {**dict.fromkeys(paths, Break(why="its history could not be read in time")), **result}
        found = {path: _judge(tree, lines.get(path, []), now[path], readable, until) for path in left}
        result.update({path: item for path, item in found.items() if item.good_id})
        left = [path for path in left if path not in result]
        if ended or not left:
            break
    result.update({path: found[path] for path in left})
    followed = 0
    for path in left:
        steps = lines.get(path, [])
        if steps and not steps[-1].old.strip("0") and followed < _RENAMED:
            followed += 1
            try:
                renamed = _follow(tree, path, until)
            except (OSError, subprocess.SubprocessError):
                renamed = []
            longer = _judge(tree, renamed, now[path], readable, until)
            result[path] = longer if longer.good_id else result[path]
    return result


def _judge(tree: GitTree, steps: Sequence[_Step], now: str, readable: dict[str, bool], until: float) -> Break:
    """Go back from today's version to the first that can be read. Versions newest first."""
    if not steps:
        return Break(
            why=f"the history here does not tell how it came to be (no change in the last {_COMMITS[-1]} commits)"
        )
    for step in steps[:_VERSIONS]:
        if time.monotonic() > until:
            return Break(why=f"the search through its history took more than {_SECONDS:.0f} seconds")
        if step.old.strip("0") and _readable(tree, step.old, readable):
            return Break(step.commit, step.date, step.subject, step.old, tree.blob(step.old), now)
    last = steps[-1]
    if len(steps) > _VERSIONS or last.old.strip("0"):
        return Break(why=f"its last {min(len(steps), _VERSIONS)} versions cannot be read either")
    return Break(last.commit, last.date, last.subject, bad_id=now)


def _readable(tree: GitTree, blob: str, known: dict[str, bool]) -> bool:
    if blob not in known:
        try:
            with warnings.catch_warnings():
                quiet()
                parsed = parse(tree.blob(blob))
                known[blob] = not isinstance(parsed, Unreadable) and compiles(parsed[1]) is None
        except FileNotFoundError:  # a partial clone
            known[blob] = False
    return known[blob]


def _walk(tree: GitTree, paths: Sequence[str], depth: int, until: float) -> tuple[dict[str, list[_Step]], bool]:
    """The changes of some files, newest first, along first parents; and whether that is all of the history."""
    out = _git_log(
        tree, until, "--first-parent", "--diff-merges=first-parent", "--no-renames", f"--max-count={depth}", "--stdin",
        data=os.fsencode("".join(("--\n", *(f"{tree.prefix}{path}\n" for path in paths if "\n" not in path)))),
    )  # fmt: skip
    table: dict[str, list[_Step]] = {}
    for step, path in _steps(out):
        table.setdefault(path, []).append(step)
    return table, out.count(b"\x01") < depth


def _follow(tree: GitTree, path: str, until: float) -> list[_Step]:
    """The changes of one file, newest first, also under the names that it had before."""
    out = _git_log(tree, until, "--follow", "-M", f"--max-count={_VERSIONS}", "--", tree.prefix + path)
    return [step for step, _ in _steps(out)]


def _git_log(tree: GitTree, until: float, *arguments: str, data: bytes | None = None) -> bytes:
    options, marker, rest = list(arguments), "", []
    if "--" in options:
        place = options.index("--")
        marker, rest, options = "--", options[place + 1 :], options[:place]
    command = [
        "git", "-c", "core.fsmonitor=false", "-c", "log.showSignature=false", "-C", str(tree.repo), "--literal-pathspecs", "log", "-z", "--raw",
        "--no-abbrev", "--no-color", "--no-ext-diff", "--no-textconv", *tree.relative, _FORMAT, *options, tree.commit, *([marker, *rest] if marker else ()),
    ]  # fmt: skip
    environment = {**os.environ, "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0"}
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX"):
        environment.pop(name, None)  # set when run from a hook; they would point elsewhere
    limit = max(until - time.monotonic(), 0.1)
    return subprocess.run(command, input=data, capture_output=True, check=True, env=environment, timeout=limit).stdout


def _steps(out: bytes) -> Iterator[tuple[_Step, str]]:
    """The records of `git log --raw -z`: after each commit's line, `:modes blobs status`, and one or two names."""
    for part in out.split(b"\x01")[1:]:
        head, *fields = part.split(b"\0")
        commit, date, subject = (text.decode("utf-8", "replace") for text in head.split(b"\x02", 2))
        items = iter(field.lstrip(b"\n") for field in fields)
        for field in items:
            if not field.startswith(b":"):
                continue
            _, _, old, new, status = field[1:].decode("ascii", "replace").split(" ")
            name = next(items, b"")
            if status[:1] in "RC":
                name = next(items, b"")
            yield _Step(commit, date, subject, old, new), os.fsdecode(name)
