"""Trends as a table, as data, and as one page with drawings."""

from __future__ import annotations

import json
from html import escape
from typing import Any

from regreen.report.trend import HEIGHT, WIDTH

from .compare import Trends
from .history import TestHistory


def table(found: Trends) -> str:
    """What somebody should look at, and a line of counts."""
    lines = [
        f"slower  {item.test}: {item.before:.3f} s to {item.after:.3f} s (x {item.factor:.2f}, p {item.p:.1e})"
        for item in found.slower
    ]
    lines += [
        f"flaky   {item.test}: {item.kind}, {item.runs} runs: {item.error.splitlines()[0]}" for item in found.flaky
    ]
    lines += [f"red     {number} {kind} failures in the newest {found.window} runs" for kind, number in found.failures]
    if found.note:
        lines.append(f"note    {found.note}")
    lines.append(
        f"{found.runs} runs, {found.compared} series compared: {len(found.slower)} slower, {len(found.flaky)} flaky"
    )
    return "\n".join(lines)


def as_json(found: Trends) -> dict[str, Any]:
    """The same as plain data."""
    return {
        "runs": found.runs,
        "window": found.window,
        "compared": found.compared,
        "slower": [
            {"test": i.test, "before": i.before, "after": i.after, "factor": i.factor, "p": i.p} for i in found.slower
        ],
        "flaky": [
            {"test": i.test, "kind": i.kind, "runs": i.runs, "fingerprint": i.fingerprint, "error": i.error}
            for i in found.flaky
        ],
        "failures": dict(found.failures),
        "seconds": list(found.pace),
        "note": found.note,
    }


def page(found: Trends, history: TestHistory) -> str:
    """A page that needs nothing else: the suite's duration, and that of each slower or flaky test."""
    shown = [item.test for item in found.slower] + [item.test for item in found.flaky]
    series: dict[str, list[float]] = {"All tests": list(found.pace)}
    for test in dict.fromkeys(shown):
        times = [item.seconds for item in sorted(history.samples, key=lambda s: s.run) if item.test == test]
        if times:
            series[test] = times
    figures = "".join(
        f"<figure><figcaption>{escape(name)}: {times[0]:.3f} s to {times[-1]:.3f} s</figcaption>{_line(times)}</figure>"
        for name, times in series.items()
    )
    return (
        "<!doctype html><html lang='en'><meta charset='utf-8'><meta name='viewport' content='width=device-width'>"
        "<title>Trends of tests</title><style>body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:auto;"
        "padding:1rem;color-scheme:light dark}pre{white-space:pre-wrap;overflow-wrap:anywhere}figure{margin:1rem 0}"
        "svg{width:100%;max-width:40rem;height:auto}polyline{fill:none;stroke:currentColor;stroke-width:1.5}"
        "figcaption{overflow-wrap:anywhere}</style>"
        f"<h1>Trends of tests</h1><pre>{escape(table(found))}</pre>{figures}"
        f"<script type='application/json' id='trends'>{json.dumps(as_json(found)).replace('<', chr(92) + 'u003c')}</script>"
        "</html>\n"
    )


def _line(times: list[float]) -> str:
    low, high = min(times), max(times)
    step = (WIDTH - 10) / max(1, len(times) - 1)
    span = (high - low) or 1.0
    places = " ".join(
        f"{5 + number * step:.1f},{5 + (HEIGHT - 10) * (high - value) / span:.1f}" for number, value in enumerate(times)
    )
    return f"<svg viewBox='0 0 {WIDTH} {HEIGHT}' role='img' aria-label='seconds by run'><polyline points='{places}'/></svg>"
