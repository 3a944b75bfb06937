"""`invoke export.…` and `invoke alert.…`: what Regreen knows, for other systems and for people. No logic here."""

from __future__ import annotations

from pathlib import Path

from invoke.collection import Collection
from invoke.context import Context
from invoke.tasks import task

from console.ending import end, place
from regreen import commands

_OUTPUT = "write to this file, replaced in one step; by default standard output"
_TARGET = "where the run was made"
_RUN = "the run's id; the newest by default"


@task(
    name="metrics",
    help={
        "target": "where runs were made; its newest run of each phase is told",
        "history": "also the newest run of each label in this history of tests",
        "status": "also the services of this file, as `invoke status --format json` prints it; - for standard input",
        "criteria": "also what `invoke criteria --format json` printed",
        "environment": "the environment that --status and --criteria are about, as a label",
        "output": _OUTPUT,
        "port": "answer GET /metrics on this port of this machine, until Ctrl-C",
    },
)
def metrics(
    c: Context, target: str = "", history: str = "", status: str = "", environment: str = "twin", output: str = "",
    port: int = 0, criteria: str = "",
) -> None:  # fmt: skip
    """Runs, tests and services as Prometheus metrics."""

    def run() -> int:
        from regreen.export import command

        return command.metrics(place(c, target)[0], history, status, environment, output, port, criteria)

    end(run)


@task(
    name="trace",
    help={
        "run": _RUN,
        "target": _TARGET,
        "endpoint": "an OTLP receiver over HTTP, such as http://127.0.0.1:4318",
        "output": "without --endpoint, write OTLP as JSON to this file; by default standard output",
    },
)
def trace(c: Context, run: str = "", target: str = "", endpoint: str = "", output: str = "") -> None:
    """A run as one OpenTelemetry trace."""

    def send() -> int:
        from regreen.export import command

        return command.trace(place(c, target)[0], run, endpoint, output)

    end(send)


@task(name="logs", help={"run": "only this run; all by default", "target": _TARGET, "output": _OUTPUT})
def logs(c: Context, run: str = "", target: str = "", output: str = "") -> None:
    """The journal as structured log lines, one JSON object a line."""

    def write() -> int:
        from regreen.export import command

        return command.logs(place(c, target)[0], run, output)

    end(write)


@task(
    name="history",
    help={"history": "the SQLite file that `pytest -p regreen_history` writes", "label": "only this label", "output": _OUTPUT},
)  # fmt: skip
def history(c: Context, history: str = "tests.sqlite", label: str = "", output: str = "") -> None:
    """Each recorded test of each run as a JSON line, as a warehouse loads them."""

    def write() -> int:
        from regreen.export import command

        return command.history(Path(history), label, output)

    end(write)


@task(name="summary", help={"junit": "the JUnit file of a gate or suite", "title": "the heading"})
def summary(c: Context, junit: str, title: str = "Tests") -> None:
    """What tests came to, as Markdown."""

    def write() -> int:
        from regreen.export import command

        return command.summary(Path(junit), title)

    end(write)


@task(name="fenced", positional=["file"], help={"file": "a printed text; - for standard input", "title": "the heading"})
def fenced(c: Context, file: str, title: str = "Output") -> None:
    """A printed text as Markdown, in a fence that it cannot leave, without secrets of a known shape."""

    def write() -> int:
        from regreen.export import command

        return command.fenced(file, title)

    end(write)


_CHANNELS = {
    "config": "alerts.toml; without one, the addresses in ALERT_URLS",
    "ledger": "what was said so far; by default `alerts.json` in the cache folder",
}


def _ledger(named: str) -> Path:
    return Path(named) if named else commands.cache_root() / "alerts.json"


@task(
    name="event",
    help={
        "key": "what it is about: the same key is the same trouble",
        "text": "what happened; without one, the trouble of this key is over",
        "severity": "info, warning or critical",
        "link": "where the evidence is",
        **_CHANNELS,
    },
)
def alert_event(
    c: Context, key: str, text: str = "", severity: str = "warning", link: str = "", config: str = "", ledger: str = ""
) -> None:
    """Tell people of one thing that is wrong, or that it is over. Exit 1 when a channel did not take it."""

    def tell() -> int:
        from regreen.alerts import command

        return command.event(key, text, severity, link, _ledger(ledger), config)

    end(tell)


@task(
    name="status",
    help={
        "status": "what `invoke status --format json` printed; - for standard input",
        "environment": "the environment that it is about",
        **_CHANNELS,
    },
)
def alert_status(c: Context, status: str = "-", environment: str = "twin", config: str = "", ledger: str = "") -> None:
    """Tell people which services are down or degraded, and which are well again; cascades alert nobody twice."""

    def tell() -> int:
        from regreen.alerts import command

        return command.status(status, environment, _ledger(ledger), config)

    end(tell)


@task(name="run", help={"run": _RUN, "target": _TARGET, "link": "where the report is", **_CHANNELS})
def alert_run(c: Context, run: str = "", target: str = "", link: str = "", config: str = "", ledger: str = "") -> None:
    """Tell people which conditions of a run's gate are not green, and which are again."""

    def tell() -> int:
        from regreen.alerts import command

        return command.run(place(c, target)[0], run, link, _ledger(ledger), config)

    end(tell)


def add_to(namespace: Collection) -> None:
    """Add both collections to the command line."""
    namespace.add_collection(Collection("export", metrics, trace, logs, history, summary, fenced))
    namespace.add_collection(Collection("alert", alert_event, alert_status, alert_run))
