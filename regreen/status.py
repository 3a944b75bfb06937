"""`invoke status`: what runs, how fast, and where trouble begins. A table, JSON, or a view that stays."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from regreen.environment import Environment
from regreen.facts.services.collect import collect
from regreen.facts.services.order import NeedsError, start_order
from regreen.facts.services.spec import Reading, ServiceSpec, State, Thresholds, masked

__all__ = ["NeedsError", "ServiceSpec", "form", "of_environment", "of_stack", "run"]
_COLOURS: Final = {State.UP: "green", State.DEGRADED: "yellow", State.DOWN: "red", State.UNKNOWN: "magenta"}
_EVERY: Final = 2.0
_BACKING: Final = {"kafka": "kafka", "postgres": "postgres", "redis": "redis", "graph": "bolt", "registry": "registry"}
#: What each of the patient's services stands on.
_NEEDS: Final = {
    "websocket-service": (),
    "ingest": ("websocket-service", "kafka"),
    "writer": ("kafka", "graph"),
    "allocator": ("kafka", "postgres"),
    "api": ("kafka", "postgres", "redis", "graph"),
    "web": ("api",),
}


def run(specs: Sequence[ServiceSpec], format: str = "table", watch: bool = False, limit: float = 5.0) -> int:  # noqa: A002
    """Print the state of these services. 0 when all are up, 1 otherwise (unknown counts as not up).

    NeedsError when the list contradicts itself. With `watch`, until Ctrl-C.
    """
    order = start_order(specs)
    console = Console()
    if watch and format == "table":
        return _watch(specs, order, console, limit)
    while True:
        readings = collect(specs, limit)
        if format == "json":
            print(json.dumps(form(readings, order), indent=None if watch else 2), flush=True)
        else:
            console.print(_page(readings, order))
        if not watch:
            return 0 if all(reading.state is State.UP for reading in readings) else 1
        time.sleep(_EVERY)


def of_environment(environment: Environment, secrets: Mapping[str, str]) -> list[ServiceSpec]:
    """The dependencies of an environment file; `secrets` holds the variables that they name (os.environ)."""
    return [
        ServiceSpec(
            each.name, each.kind, each.address, each.needs, Thresholds(each.connect, each.query),
            secrets.get(each.secret, "") if each.secret else "",
        )
        for each in environment.dependencies
    ]  # fmt: skip


def of_stack(facts: Mapping[str, Any], instances: Sequence[Mapping[str, Any]]) -> list[ServiceSpec]:
    """The services of a staging system on this machine: its staging.json, and the twin's list of instances.

    A service is asked at an instance of its own, past the balancer: nobody may invoke the workers.
    """
    backing = facts.get("backing", {})
    found = [
        ServiceSpec(
            name, kind, backing[name], (), Thresholds(), backing.get("graph_password", "") if kind == "bolt" else ""
        )
        for name, kind in _BACKING.items()
        if name in backing
    ]
    ports = {each["service"]: each["port"] for each in instances if each.get("state", "ready") == "ready"}
    for name, url in facts.get("services", {}).items():
        address = f"http://127.0.0.1:{ports[name]}/ready" if name in ports and name != "web" else f"{url}/health"
        known = {*backing, *facts["services"]}
        found.append(ServiceSpec(name, "http", address, tuple(need for need in _NEEDS.get(name, ()) if need in known)))
    return found


def form(readings: Sequence[Reading], order: Sequence[str]) -> dict[str, Any]:
    """The status as JSON has it."""
    trouble = [reading for reading in readings if reading.state in (State.DOWN, State.DEGRADED)]
    return {
        "schema": 1,
        "healthy": all(reading.state is State.UP for reading in readings),
        "services": [reading.form() for reading in readings],
        "start_order": list(order),
        "root_causes": [reading.spec.name for reading in trouble if not reading.causes],
        "cascades": {reading.spec.name: list(reading.causes) for reading in trouble if reading.causes},
    }


def _watch(specs: Sequence[ServiceSpec], order: Sequence[str], console: Console, limit: float) -> int:
    readings: tuple[Reading, ...] = ()
    try:
        with Live(Text("asking …"), console=console, auto_refresh=False) as live:
            while True:
                readings = collect(specs, limit)
                live.update(_page(readings, order), refresh=True)
                time.sleep(_EVERY)
    except KeyboardInterrupt:
        return 0 if readings and all(reading.state is State.UP for reading in readings) else 1


def _page(readings: Sequence[Reading], order: Sequence[str]) -> RenderableType:
    table = Table()
    for column in ("service", "state", "connect", "query", "throughput", "what"):
        table.add_column(column, justify="right" if column in ("connect", "query", "throughput") else "left")
    for reading in sorted(readings, key=lambda each: order.index(each.spec.name)):
        seen = reading.seen
        rate = f"{seen.throughput:,.0f} {seen.unit}" if seen is not None and seen.throughput is not None else ""
        what = f"{reading.error}: {reading.detail}" if reading.error else reading.detail
        table.add_row(
            Text(f"{reading.spec.name} ({reading.spec.kind})"),
            Text(str(reading.state), style=_COLOURS[reading.state]),
            "" if seen is None else f"{seen.connect * 1000:.0f} ms",
            "" if seen is None else f"{seen.query * 1000:.0f} ms",
            rate,
            Text(what),
        )
    lines: list[RenderableType] = [table]
    for reading in readings:
        where = masked(reading.spec.address)
        if reading.causes:
            lines.append(Text(f"{reading.spec.name} is {reading.state} because of {', '.join(reading.causes)}"))
        elif reading.state is not State.UP:
            word = "root cause" if reading.state in (State.DOWN, State.DEGRADED) else "not known"
            lines.append(Text(f"{word}: {reading.spec.name} at {where}; next: {reading.next_step}"))
    lines.append(Text(f"start order: {' → '.join(order)}"))
    return Group(*lines)
