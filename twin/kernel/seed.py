"""A fresh project, as Google hands it out: its record, its owner, its service agents, its enabled services."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from twin.kernel.engine import Engine
from twin.kernel.types import Body, Context

Seeder = Callable[[Engine, Context, str, str], None]


def seed(engine: Engine, seeders: Sequence[Seeder]) -> None:
    """Fill an empty store. A store that already holds the project is left alone."""
    settings = engine.settings
    if engine.project_exists(settings.project):
        return

    def work(context: Context) -> None:
        for seeder in seeders:
            seeder(engine, context, settings.project, settings.number)

    engine.transact(work)


def binding(role: str, *members: str) -> Body:
    return {"role": role, "members": list(members)}
