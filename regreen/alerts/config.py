"""Who is told what: `alerts.toml`. It names variables of the environment; a secret never stands in it.

[policy]
escalate_after_repeats = 3      # the same thing, seen so often
escalate_after_minutes = 30     # or open for so long
remind_minutes = 240            # said again while it stays open; 0: never
resolved = true                 # say when it is over

[[channel]]
name = "team"
kind = "slack"                  # webhook, slack, pagerduty, or any: whatever apprise knows
url_variable = "ALERT_SLACK"    # holds an apprise address, such as slack://TokenA/TokenB/TokenC
least = "warning"               # info, warning, critical
only_escalated = false
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from regreen.alerts.event import Level
from regreen.tomlsource import SourceError, Table, load

#: Apprise's schemes for each kind of channel; `any` takes every scheme that apprise knows.
SCHEMES: Final[Mapping[str, tuple[str, ...]]] = {
    "webhook": ("json", "jsons", "form", "forms", "xml", "xmls"),
    "slack": ("slack",),
    "pagerduty": ("pagerduty",),
    "any": (),
}
#: Without a file: addresses of apprise, parted by white space.
VARIABLE: Final = "ALERT_URLS"


class ConfigError(SourceError):
    """`alerts.toml` is not as it must be, or names a variable that is not set."""


@dataclass(frozen=True, slots=True)
class Channel:
    """One place to send to. `url` is an address of apprise with its secrets: never printed."""

    name: str
    kind: str
    url: str
    least: Level = Level.WARNING
    only_escalated: bool = False

    def __repr__(self) -> str:
        return f"Channel({self.name!r}, {self.kind!r})"


@dataclass(frozen=True, slots=True)
class Policy:
    """When something is said again. Minutes; 0 for never."""

    escalate_after_repeats: int = 3
    escalate_after_minutes: int = 30
    remind_minutes: int = 240
    resolved: bool = True


@dataclass(frozen=True, slots=True)
class Config:
    """The policy and the channels."""

    policy: Policy
    channels: tuple[Channel, ...]


def read_config(path: Path | None, variables: Mapping[str, str]) -> Config:
    """The configuration of a file; without one, every address in ALERT_URLS is a channel for everything.

    Raises ConfigError.
    """
    if path is None:
        urls = variables.get(VARIABLE, "").split()
        if not urls:
            raise ConfigError("alerts", 0, f"there is no --config, and {VARIABLE} is not set: nobody would be told")
        return Config(
            Policy(), tuple(Channel(f"{VARIABLE}[{n}]", "any", url, Level.INFO) for n, url in enumerate(urls))
        )
    try:
        top = load(str(path), path.read_bytes())
    except OSError as error:
        raise ConfigError(path, 0, f"cannot be read: {error.strerror}; docs/pipeline.md shows one") from None
    top.only("policy", "channel")
    channels = tuple(_channel(table, variables) for table in top.tables("channel", "channel {number}"))
    if not channels:
        raise top.fail("it lists no [[channel]]: nobody would be told")
    if len({channel.name for channel in channels}) != len(channels):
        raise top.fail("two channels have one name")
    return Config(_policy(top), channels)


def _policy(top: Table) -> Policy:
    values = top.values.get("policy", {})
    if not isinstance(values, dict):
        raise top.fail("'policy' must be a table", "policy")
    table = Table(top.path, (*top.key, "policy"), values, top.lines, "policy")
    table.only("escalate_after_repeats", "escalate_after_minutes", "remind_minutes", "resolved")
    default = Policy()
    return Policy(
        table.integer("escalate_after_repeats", default.escalate_after_repeats),
        table.integer("escalate_after_minutes", default.escalate_after_minutes),
        table.integer("remind_minutes", default.remind_minutes),
        table.boolean("resolved", default.resolved),
    )


def _channel(table: Table, variables: Mapping[str, str]) -> Channel:
    if "url" in table.values:
        raise table.fail("an address holds a secret: put it into a variable and name that in 'url_variable'", "url")
    table.only("name", "kind", "url_variable", "least", "only_escalated")
    kind = table.choice("kind", tuple(SCHEMES))
    variable = table.text("url_variable")
    url = variables.get(variable, "").strip()
    if not url:
        raise table.fail(f"the variable {variable} is not set", "url_variable")
    scheme = url.partition("://")[0].lower()
    if SCHEMES[kind] and scheme not in SCHEMES[kind]:
        known = " or ".join(f"{name}://" for name in SCHEMES[kind])
        raise table.fail(f"the address in {variable} must begin with {known} for kind {kind!r}", "url_variable")
    level = Level(table.choice("least", tuple(level.value for level in Level), Level.WARNING.value))
    return Channel(table.text("name"), kind, url, level, table.boolean("only_escalated", False))
