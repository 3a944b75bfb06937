"""Unified diffs, taken apart for showing: a piece for each file, a kind for each line."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import takewhile
from typing import Final

#: Diff lines that one report shows before it refers to git: a browser stays quick, the file readable.
LINES_SHOWN: Final = 20_000


@dataclass(frozen=True, slots=True)
class DiffLine:
    """One line: `kind` is add, cut, hunk, head or same."""

    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class FileDiff:
    """What happened to one file. `left_out` counts lines at the end that are not in `lines`."""

    title: str
    lines: tuple[DiffLine, ...]
    added: int
    removed: int
    left_out: int = 0

    @property
    def text(self) -> str:
        """The shown lines as they were."""
        return "\n".join(line.text for line in self.lines)


def split(diff: str, budget: int = LINES_SHOWN) -> tuple[FileDiff, ...]:
    """The files of a diff as `git diff` prints it, at most `budget` lines of them all together."""
    files: list[FileDiff] = []
    for piece in _pieces(diff):
        lines = _lines(piece)
        shown = lines[: max(budget, 0)]
        budget -= len(shown)
        files.append(
            FileDiff(
                _title(piece),
                shown,
                sum(line.kind == "add" for line in lines),
                sum(line.kind == "cut" for line in lines),
                len(lines) - len(shown),
            )
        )
    return tuple(files)


def _pieces(diff: str) -> list[list[str]]:
    # Not splitlines: it also breaks at form feeds and separators, which are content here.
    pieces: list[list[str]] = []
    for line in diff.rstrip("\n").split("\n") if diff.strip("\n") else []:
        if line.startswith("diff --git ") or not pieces:
            pieces.append([])
        pieces[-1].append(line)
    return pieces


def _title(piece: list[str]) -> str:
    """The file's name after the change; before it for a deletion."""
    header = takewhile(lambda line: not line.startswith("@@"), piece)
    names = {line[:4]: line[4:].rstrip("\t") for line in header if line.startswith(("--- ", "+++ "))}
    for mark in ("+++ ", "--- "):
        name = names.get(mark, "/dev/null")
        if name != "/dev/null":
            # git puts a name with unusual bytes in quotes
            quote = name[:1] if name.startswith('"') else ""
            return quote + name.removeprefix(quote).removeprefix("b/" if mark == "+++ " else "a/")
    return piece[0].removeprefix("diff --git ")


def _lines(piece: list[str]) -> tuple[DiffLine, ...]:
    found: list[DiffLine] = []
    inside = False
    for line in piece:
        if line.startswith("@@"):
            inside = True
            kind = "hunk"
        elif not inside:
            kind = "head"
        else:
            kind = {"+": "add", "-": "cut"}.get(line[:1], "same")
        found.append(DiffLine(kind, line))
    return tuple(found)
