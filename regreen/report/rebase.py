"""Splices of a later tree of a run, said for the tree that the run started from.

Every remedy of a run proposes on what the remedies before it left, so its offsets count in that tree. A
reader of the report has the first tree; a fix is offered for that one, or not at all.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import groupby

from regreen.model import Change, Splice


def onto_base(changes: Sequence[tuple[str, Change]]) -> tuple[Change, ...]:
    """The changes (each with the name of its tree, in the order applied) with offsets into the first tree.

    Left out are changes that touch what an earlier one wrote: taken alone, they have no place there.
    """
    found: list[Change] = []
    layers: dict[str, list[list[Splice]]] = {}  # of each path: what every earlier tree's changes did to it
    created: set[str] = set()
    for _, group in groupby(changes, key=lambda item: item[0]):
        layer = [change for _, change in group]
        found += [moved for change in layer if (moved := _onto_base(change, layers, created)) is not None]
        fresh: dict[str, list[Splice]] = {}
        for item in dict.fromkeys(item for change in layer for item in change.splices):
            fresh.setdefault(item.path, []).append(item)
        for path, items in fresh.items():
            layers.setdefault(path, []).append(sorted(items, key=lambda item: (item.start, item.end)))
        created |= {path for change in layer for path, _ in change.creates}
    return tuple(found)


def _onto_base(
    change: Change, layers: Mapping[str, Sequence[Sequence[Splice]]], created: Iterable[str]
) -> Change | None:
    if any(path in created for path in change.paths):
        return None
    moved: list[Splice] = []
    for item in change.splices:
        start, end = item.start, item.end
        for layer in reversed(layers.get(item.path, ())):
            place = _before(start, end, layer)
            if place is None:
                return None
            start, end = place
        moved.append(replace(item, start=start, end=end))
    return replace(change, splices=tuple(moved))


def _before(start: int, end: int, layer: Sequence[Splice]) -> tuple[int, int] | None:
    """A range of the tree after a layer of splices, in the tree before it; None if they share bytes."""
    shift = 0  # how much longer the text got so far
    for item in layer:
        written = item.start + shift  # where the splice's new text starts, and where it ends
        over = written + len(item.new)
        if end <= written:
            break
        if start < over:
            return None
        shift += len(item.new) - (item.end - item.start)
    return start - shift, end - shift
