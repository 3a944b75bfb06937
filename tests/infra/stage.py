"""What every test here works on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from infra.driver import Driver
from infra.engine import Engine
from infra.provider.rest import Rest

PROJECT: Final = "staging-twin"


@dataclass(frozen=True, slots=True)
class Stage:
    """A twin, what Pulumi needs to work on it, and a REST client of the same credentials."""

    folder: Path
    variables: dict[str, str]
    engine: Engine
    rest: Rest

    def driver(self, name: str, max_changes: int = 100) -> Driver:
        return Driver(
            self.engine, self.folder / "pulumi" / "projects" / name, f"regreen-{name}", "twin", self.variables, max_changes=max_changes
        )  # fmt: skip
