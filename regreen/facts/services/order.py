"""The graph of needs: in which order services start, and whose trouble is only passed on."""

from __future__ import annotations

import graphlib
from collections.abc import Mapping, Sequence
from dataclasses import replace

from regreen.facts.services.spec import Reading, ServiceSpec, State

_TROUBLE = (State.DOWN, State.DEGRADED)


class NeedsError(Exception):
    """The list of services contradicts itself; the message says where."""


def start_order(specs: Sequence[ServiceSpec]) -> tuple[str, ...]:
    """Names, each after what it needs. NeedsError for a name that is unknown or twice there, or needs in a circle."""
    names = [spec.name for spec in specs]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise NeedsError(f"service {', '.join(twice)} is listed twice: give each a name of its own")
    for spec in specs:
        for need in spec.needs:
            if need not in names:
                raise NeedsError(
                    f"service {spec.name} needs {need!r}, which is not listed: there are {', '.join(names)}"
                )
    try:
        return tuple(graphlib.TopologicalSorter({spec.name: spec.needs for spec in specs}).static_order())
    except graphlib.CycleError as error:
        raise NeedsError(f"services need each other in a circle: {' → '.join(error.args[1])}") from None


def with_causes(readings: Sequence[Reading]) -> tuple[Reading, ...]:
    """Each reading in trouble with the root causes among what it needs, however far away."""
    known = {reading.spec.name: reading for reading in readings}
    return tuple(
        replace(reading, causes=_roots(reading, known)) if reading.state in _TROUBLE else reading
        for reading in readings
    )


def _roots(reading: Reading, known: Mapping[str, Reading]) -> tuple[str, ...]:
    found: dict[str, None] = {}
    seen: set[str] = set()

    def walk(name: str) -> None:
        for need in known[name].spec.needs:
            if need in seen:
                continue
            seen.add(need)
            # Only what is down drags others down; a slow need does not explain a dead service.
            if known[need].state is State.DOWN or (known[need].state is reading.state is State.DEGRADED):
                before = len(found)
                walk(need)
                if len(found) == before and not _explained(need, known):
                    found[need] = None
            else:
                walk(need)

    walk(reading.spec.name)
    return tuple(found)


def _explained(name: str, known: Mapping[str, Reading]) -> bool:
    """Whether something further down explains it, so that it is no root itself."""
    waiting, seen = list(known[name].spec.needs), set()
    while waiting:
        need = waiting.pop()
        if need in seen:
            continue
        seen.add(need)
        if known[need].state is State.DOWN:
            return True
        waiting += known[need].spec.needs
    return False
