"""`invoke markers` and `invoke imports`: groups of checks by name, for gates and hooks; `invoke criteria`: what must be true in the end."""

from __future__ import annotations

from invoke.collection import Collection
from invoke.context import Context
from invoke.tasks import task

from console.ending import end, place
from console.groups import IMPORTS, MARKERS

_HELP = {"target": "a folder or repository", "format": "table, json or sarif"}


def _diagnose(c: Context, target: str, only: tuple[str, ...], format: str) -> None:
    def run() -> int:
        from console import catalogues
        from regreen import commands

        checks = commands.selected(catalogues.code().checks, ",".join(only))
        return commands.diagnose(place(c, target)[0], checks, format)

    end(run)


@task(help=_HELP)
def markers(c: Context, target: str = "", format: str = "table") -> None:
    """Every pytest marker is registered and spelled as registered."""
    _diagnose(c, target, MARKERS, format)


@task(help=_HELP)
def imports(c: Context, target: str = "", format: str = "table") -> None:
    """Every file compiles, every import resolves."""
    _diagnose(c, target, IMPORTS, format)


@task(
    iterable=["diagnosis"],
    help={
        "diagnosis": "what `invoke diagnose --format json` printed, of code or of an environment; as often as there are some",
        "status": "what `invoke status --format json` printed",
        "history": "the history of the tests that count",
        "label": "only runs of the history with this label",
        "format": "table or json",
    },
)
def criteria(
    c: Context, diagnosis: list[str], status: str = "", history: str = "", label: str = "", format: str = "table"
) -> None:
    """Are the plan's success criteria met? Exit 1 when one is missed, or not measured."""

    def run() -> int:
        from console import criteria as judged

        return judged.run(diagnosis, status, history, label, format)

    end(run)


def add_to(namespace: Collection) -> None:
    """Add these tasks to the command line."""
    namespace.add_task(markers)
    namespace.add_task(imports)
    namespace.add_task(criteria)
