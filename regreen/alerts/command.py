"""`invoke alert.…`: weigh what was seen against what was said, and send the difference.

Exit 0: sent, or nothing new. 1: a channel did not take it; it is tried again next time. 2: the configuration is wrong.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from regreen.alerts.config import read_config
from regreen.alerts.event import Event, Level, Seen, of_run, of_status
from regreen.alerts.ledger import LedgerError, Why, opened, weigh
from regreen.alerts.send import send
from regreen.commands import UsageError
from regreen.export.command import chosen, status_form
from regreen.redact import redact


def tell(
    seen: Seen,
    state: Path,
    config: Path | None = None,
    variables: Mapping[str, str] | None = None,
    now: Callable[[], float] = time.time,
) -> int:
    """Send what is new, worse, lasting or over in a scope. `state` is the ledger's file. Raises ConfigError, LedgerError."""
    settings = read_config(config, os.environ if variables is None else variables)
    with opened(state) as ledger:
        after, notices = weigh(ledger, seen, now(), settings.policy)
        deliveries = send(settings.channels, notices)
        failed = {item.notice.state.event.fingerprint for item in deliveries if not item.sent}
        for notice in notices:
            fingerprint = notice.state.event.fingerprint
            if fingerprint in failed:  # not told: as if this look had not been
                if notice.why is Why.NEW:
                    del after[fingerprint]
                else:
                    after[fingerprint] = ledger[fingerprint]
        ledger.clear()
        ledger.update(after)
    for item in deliveries:
        verb = "told" if item.sent else "NOT TOLD"
        event = item.notice.state.event
        print(f"{verb} {item.channel}: {item.notice.why} {event.title}", file=sys.stdout if item.sent else sys.stderr)
    print(f"{seen.scope}: {len(seen.events)} open, {len(notices)} to tell, {len(deliveries)} messages")
    return 1 if failed else 0


def event(key: str, text: str, severity: str, link: str, state: Path, config: str = "") -> int:
    """One trouble that somebody names: open while it has a text, over when it has none. Raises UsageError, ConfigError."""
    if severity not in tuple(Level):
        raise UsageError(f"--severity {severity}: choose info, warning or critical")
    scope = f"event/{key}"
    first = redact(text).split("\n", 1)[0][:120]
    events = (Event(scope, key, Level(severity), first, redact(text), link),) if text else ()
    return _told(Seen(scope, events), state, config)


def status(form: str, environment: str, state: Path, config: str = "") -> int:
    """The services of a status file (`-`: standard input). Raises UsageError, ConfigError."""
    return _told(of_status(status_form(form), f"status/{environment}"), state, config)


def run(target: Path, run: str, link: str, state: Path, config: str = "") -> int:
    """The gate of a run, the newest where none is named. Raises UsageError, ConfigError."""
    return _told(of_run(chosen(target, run)[0], link), state, config)


def _told(seen: Seen, state: Path, config: str) -> int:
    try:
        return tell(seen, state, Path(config) if config else None)
    except LedgerError as error:
        raise UsageError(str(error)) from None
