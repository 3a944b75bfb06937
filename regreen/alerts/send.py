"""Sending through apprise, which knows the services; what is said here is only the words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from regreen.alerts.config import Channel
from regreen.alerts.event import Level
from regreen.alerts.ledger import Notice, Why


@dataclass(frozen=True, slots=True)
class Delivery:
    """What became of one notice on one channel."""

    channel: str
    notice: Notice
    sent: bool


def wanted(channel: Channel, notice: Notice) -> bool:
    """Whether a channel takes a notice. What was told there is also resolved there."""
    if channel.only_escalated:
        return notice.state.escalated
    return notice.level.rank >= channel.least.rank


def send(channels: Sequence[Channel], notices: Iterable[Notice]) -> tuple[Delivery, ...]:
    """Send each notice to each channel that takes it. A channel that fails does not hold up the others."""
    return tuple(
        Delivery(channel.name, notice, _one(channel, notice))
        for notice in notices
        for channel in channels
        if wanted(channel, notice)
    )


def _one(channel: Channel, notice: Notice) -> bool:
    from apprise import Apprise, NotifyType  # takes seconds to import: only who sends pays for it

    event = notice.state.event
    kinds = {Level.INFO: NotifyType.INFO, Level.WARNING: NotifyType.WARNING, Level.CRITICAL: NotifyType.FAILURE}
    kind = NotifyType.SUCCESS if notice.why is Why.RESOLVED else kinds[notice.level]
    sender = Apprise()
    if not sender.add(_address(channel, event.fingerprint)):
        return False
    return bool(sender.notify(title=title(notice), body=body(notice), notify_type=kind))


def _address(channel: Channel, fingerprint: str) -> str:
    """PagerDuty keeps one incident for one key, and closes it by the same: it gets our fingerprint."""
    if not channel.url.lower().startswith("pagerduty://") or "dedup=" in channel.url:
        return channel.url
    return f"{channel.url}{'&' if '?' in channel.url else '?'}dedup={quote(fingerprint)}&action=map"


def title(notice: Notice) -> str:
    """One line: why it is said, and what it is."""
    event = notice.state.event
    word = {Why.NEW: notice.level.value, Why.WORSE: "worse", Why.REMINDER: "still open"}
    return f"[{word.get(notice.why, notice.why.value)}] {event.title}"


def body(notice: Notice) -> str:
    """The event's own text, how long it has been so, and where the evidence is."""
    state = notice.state
    minutes = (state.last - state.first) / 60
    lines = [state.event.text]
    if notice.why is not Why.NEW:
        lines.append(f"seen {state.seen} times in {minutes:.0f} minutes")
    lines += [f"evidence: {state.event.link}" if state.event.link else "", f"id {state.event.fingerprint}"]
    return "\n".join(filter(None, lines))
