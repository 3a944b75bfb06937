"""What was said and what is still open: the memory that keeps one trouble from being told a hundred times.

`weigh` is pure; the ledger is one JSON file, replaced in one step under a lock. Moments are seconds since 1970 (UTC).
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Final

from filelock import FileLock

from regreen.alerts.config import Policy
from regreen.alerts.event import Event, Level, Seen

SCHEMA: Final = 1


class LedgerError(ValueError):
    """The ledger cannot be read: the message says what to do."""


class Why(StrEnum):
    """Why something is said: it is new, got worse or lasts; it is still there; it is over."""

    NEW = "new"
    WORSE = "worse"
    ESCALATED = "escalated"
    REMINDER = "reminder"
    RESOLVED = "resolved"


@dataclass(frozen=True, slots=True)
class Open:
    """A trouble that is not over: when it was first and last seen and last told, and how often it was seen."""

    event: Event
    first: float
    last: float
    told: float
    seen: int = 1
    escalated: bool = False


@dataclass(frozen=True, slots=True)
class Notice:
    """One thing to send."""

    why: Why
    state: Open

    @property
    def level(self) -> Level:
        """How loud it is: what is escalated is critical, whatever it was."""
        return Level.CRITICAL if self.state.escalated else self.state.event.level


Ledger = Mapping[str, Open]


def weigh(ledger: Ledger, seen: Seen, now: float, policy: Policy) -> tuple[dict[str, Open], tuple[Notice, ...]]:
    """The ledger after a look at one scope, and what must be sent. Troubles of other scopes stay as they are."""
    after = dict(ledger)
    notices: list[Notice] = []
    for event in {event.fingerprint: event for event in seen.events}.values():
        known = after.get(event.fingerprint)
        if known is None:
            after[event.fingerprint] = state = Open(event, now, now, now)
            notices.append(Notice(Why.NEW, state))
            continue
        state = replace(known, event=event, last=now, seen=known.seen + 1)
        why = _why(known, state, now, policy)
        if why is not None:
            state = replace(state, told=now, escalated=state.escalated or why is Why.ESCALATED)
            notices.append(Notice(why, state))
        after[event.fingerprint] = state
    present = {event.fingerprint for event in seen.events}
    for fingerprint, state in ledger.items():
        if state.event.scope == seen.scope and fingerprint not in present:
            del after[fingerprint]
            if policy.resolved:
                notices.append(Notice(Why.RESOLVED, replace(state, last=now)))
    return after, tuple(notices)


def _why(known: Open, state: Open, now: float, policy: Policy) -> Why | None:
    if not state.escalated and (
        0 < policy.escalate_after_repeats <= state.seen or 0 < policy.escalate_after_minutes * 60 <= now - state.first
    ):
        return Why.ESCALATED
    if state.event.level.rank > known.event.level.rank:
        return Why.WORSE
    if 0 < policy.remind_minutes * 60 <= now - known.told:
        return Why.REMINDER
    return None


@contextmanager
def opened(path: Path) -> Iterator[dict[str, Open]]:
    """The ledger of a file, to be changed in place; written when the block ends without an error. Raises LedgerError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{path}.lock"):
        ledger = _read(path)
        yield ledger
        fresh = path.with_name(f".{path.name}.{os.getpid()}")
        body = {"schema": SCHEMA, "open": [asdict(state) for state in ledger.values()]}
        fresh.write_text(json.dumps(body, indent=1) + "\n", encoding="utf-8")
        fresh.replace(path)


def _read(path: Path) -> dict[str, Open]:
    try:
        body = json.loads(path.read_text(encoding="utf-8"))
        if body["schema"] != SCHEMA:
            raise LedgerError(f"{path}: schema {body['schema']!r}; this version of Regreen reads schema {SCHEMA}")
        states = [
            Open(**{**item, "event": Event(**{**item["event"], "level": Level(item["event"]["level"])})})
            for item in body["open"]
        ]
    except FileNotFoundError:
        return {}
    except LedgerError:
        raise
    except (ValueError, KeyError, TypeError) as error:
        raise LedgerError(f"{path}: it is damaged ({error}); move it away, and what is open is told anew") from None
    return {state.event.fingerprint: state for state in states}
