"""What is worth telling people: one event for each thing that is wrong, named so that the same thing has the same name."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from regreen.redact import redact

if TYPE_CHECKING:
    from regreen.run.record import RunRecord

_SHOWN: Final = 10


class Level(StrEnum):
    """How bad it is, in rising order."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        """A number that grows with the level."""
        return tuple(Level).index(self)


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that is wrong. `scope` says where it was seen (`status/twin`, `run/patient/phase-1`), `key` what it is.

    `link` is a page or file with the evidence, or empty.
    """

    scope: str
    key: str
    level: Level
    title: str
    text: str = ""
    link: str = ""

    @property
    def fingerprint(self) -> str:
        """The same for the same thing, whatever its text says today (20 hex digits)."""
        return hashlib.sha256(f"{self.scope}\0{self.key}".encode("utf-8", "surrogateescape")).hexdigest()[:20]


@dataclass(frozen=True, slots=True)
class Seen:
    """Everything wrong that was seen in one scope, now. What was open there before and is not here is resolved."""

    scope: str
    events: tuple[Event, ...] = ()


def of_status(form: Mapping[str, Any], scope: str) -> Seen:
    """The events of `invoke status --format json`: one a root cause. A cascade is named in it and alerts nobody twice."""
    cascades: Mapping[str, Sequence[str]] = form.get("cascades", {})
    events = []
    for service in form.get("services", ()):
        if service["state"] == "up" or service.get("causes"):
            continue
        name, state = service["name"], service["state"]
        behind = sorted(other for other, causes in cascades.items() if name in causes)
        lines = [
            f"{service['error']}: {service['detail']}" if service.get("error") else str(service.get("detail", "")),
            f"next: {service['next_step']}" if service.get("next_step") else "",
            f"because of it: {', '.join(behind)}" if behind else "",
        ]
        level = Level.CRITICAL if state == "down" else Level.WARNING
        events.append(
            Event(scope, name, level, redact(f"{name} is {state}"), redact("\n".join(filter(None, lines)))[:2000])
        )
    return Seen(scope, tuple(events))


def of_run(record: RunRecord, link: str = "") -> Seen:
    """The events of a run: each condition of its gate that is not green. Regressions are critical, the rest warns."""
    scope = f"run/{record.target}/phase-{record.phase.number}"
    worse = record.tests is not None and bool(record.tests.regressions or record.tests.lost)
    events = []
    for item in record.gate.items:
        if item.state.value in ("PASS", "DECIDED"):
            continue
        level = Level.CRITICAL if item.name == "tests" and worse else Level.WARNING
        text = f"{item.text}\n" if item.text else ""
        if item.open:
            text += f"{item.open} open\n"
        if item.name == "tests" and record.tests is not None:
            red = [one.test for one in record.tests.regressions] + list(record.tests.lost)
            text += "".join(f"- {name}\n" for name in red[:_SHOWN])
            text += f"… and {len(red) - _SHOWN} more\n" if len(red) > _SHOWN else ""
        text += f"run {record.run}; next: {record.next_step}" if record.next_step else f"run {record.run}"
        title = f"{record.target}, phase {record.phase.number}: {item.name} is {item.state}"
        events.append(Event(scope, item.name, level, redact(title), redact(text), link))
    return Seen(scope, tuple(events))
