"""The unified diff of one change alone, made from its splices in time linear in the file."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import Final

from regreen.model import Change, Splice, TreeView, splice

_CONTEXT: Final = 3


def change_diff(tree: TreeView, change: Change) -> str:
    """A unified diff of what the change does to each of its files. Undecodable bytes are shown as escapes."""
    parts: list[str] = []
    created = dict(change.creates)
    for path in change.paths:
        if path in created:
            lines = _lines(created[path])
            parts.append(_header("/dev/null", f"b/{path}") + f"@@ -0,0 +1,{len(lines)} @@\n" + _mark("+", lines))
            continue
        splices = [item for item in change.splices if item.path == path]
        hunks = tuple(_hunks(tree.read(path), splices))
        if hunks:
            parts.append(_header(f"a/{path}", f"b/{path}") + "".join(hunks))
    return "".join(parts)


def _header(old: str, new: str) -> str:
    return f"--- {old}\n+++ {new}\n"


def _hunks(before: bytes, splices: Sequence[Splice]) -> Iterable[str]:
    lines = _lines(before)
    starts = [0, *accumulate(len(line) for line in lines)]
    shift = 0
    for group in _groups(splices, starts):
        first, last = group[0], group[1]
        items = group[2]
        start, end = starts[first], starts[last]
        moved = [Splice(item.path, item.start - start, item.end - start, item.new) for item in items]
        old = lines[first:last]
        new = _lines(splice(before[start:end], moved))
        while old and new and old[0] == new[0]:
            old, new, first = old[1:], new[1:], first + 1
        while old and new and old[-1] == new[-1]:
            old, new, last = old[:-1], new[:-1], last - 1
        if not old and not new:
            continue
        head = lines[max(first - _CONTEXT, 0) : first]
        tail = lines[last : last + _CONTEXT]
        at = first - len(head) + 1
        count_old, count_new = len(head) + len(old) + len(tail), len(head) + len(new) + len(tail)
        where_old = at if count_old else at - 1
        where_new = at + shift if count_new else at + shift - 1
        shift += len(new) - len(old)
        yield (
            f"@@ -{where_old},{count_old} +{where_new},{count_new} @@\n"
            + _mark(" ", head) + _mark("-", old) + _mark("+", new) + _mark(" ", tail)
        )  # fmt: skip


def _groups(splices: Sequence[Splice], starts: Sequence[int]) -> list[tuple[int, int, list[Splice]]]:
    """Splices whose lines are too near for hunks of their own, with the lines [first, last) that they touch."""
    groups: list[tuple[int, int, list[Splice]]] = []
    final = len(starts) - 1
    for item in sorted(dict.fromkeys(splices), key=lambda each: (each.start, each.end)):
        first = min(bisect_right(starts, item.start) - 1, max(final - 1, 0))
        last = min(bisect_right(starts, max(item.end - 1, item.start)), final)
        last = max(last, min(first + 1, final))
        if item.end > item.start and last < final and item.end == starts[last]:
            last += 1  # the splice ends where a line begins: what it leaves may join that line
        if groups and first <= groups[-1][1] + 2 * _CONTEXT:
            groups[-1] = (groups[-1][0], max(last, groups[-1][1]), [*groups[-1][2], item])
        else:
            groups.append((first, last, [item]))
    return groups


def _lines(content: bytes) -> list[bytes]:
    """Lines as git counts them: only a line feed ends one."""
    lines = [line + b"\n" for line in content.split(b"\n")]
    lines[-1] = lines[-1][:-1]
    return lines if lines[-1] else lines[:-1]


def _mark(sign: str, lines: Sequence[bytes]) -> str:
    out: list[str] = []
    for line in lines:
        text = line.decode("utf-8", "backslashreplace")
        out.append(sign + text if text.endswith("\n") else f"{sign}{text}\n\\ No newline at end of file\n")
    return "".join(out)
