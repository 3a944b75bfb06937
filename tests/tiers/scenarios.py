"""Scenarios of allocations as files: `tests/scenarios/*.toml`, validated before anything runs."""

from __future__ import annotations

import tomllib
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]*$")]
Kind = Literal["desk", "machine"]
AGENTS = ("thrift", "reserve", "fairness", "continuity")


class Asked(BaseModel):
    """What is asked for."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Kind
    count: int = Field(ge=1)
    limit: Decimal = Field(gt=0)


class Expected(BaseModel):
    """How it ends. `in_favour` names the agents that vote for it; without votes it is left out."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    outcome: Literal["allocated", "refused", "no consensus"]
    cost: Decimal = Field(ge=0)
    reason: str = ""
    in_favour: tuple[str, ...] | None = None

    @model_validator(mode="after")
    def _agents_are_known(self) -> Expected:
        unknown = sorted(set(self.in_favour or ()) - set(AGENTS))
        if unknown:
            raise ValueError(f"no agent {', '.join(unknown)}: the council is {', '.join(AGENTS)}")
        if self.outcome in ("allocated", "no consensus") and self.in_favour is None:
            raise ValueError(f"{self.outcome!r} comes from a vote: say in_favour")
        return self


class Scenario(BaseModel):
    """A request, the stock it finds, and its end."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Name
    stock: dict[Kind, Annotated[int, Field(ge=0)]]
    asked: Asked
    expected: Expected

    @model_validator(mode="after")
    def _stock_is_said(self) -> Scenario:
        if self.asked.kind not in self.stock:
            raise ValueError(f"the stock of {self.asked.kind} is not said")
        return self


class ScenarioError(Exception):
    """A scenario file that cannot be used: the file, the scenario, the field, and what is wrong."""


def load(folder: Path) -> list[Scenario]:
    """All scenarios of a folder. ScenarioError for the first file that is wrong, or for none at all."""
    found: list[Scenario] = []
    homes: dict[str, Path] = {}
    for path in sorted(folder.glob("*.toml")):
        for scenario in _read(path):
            if scenario.name in homes:
                raise ScenarioError(f"{path}: {scenario.name}: there is one of that name in {homes[scenario.name]}")
            homes[scenario.name] = path
            found.append(scenario)
    if not found:
        raise ScenarioError(f"{folder}: no scenario in any *.toml")
    return found


def _read(path: Path) -> list[Scenario]:
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise ScenarioError(f"{path}: not TOML: {error}") from None
    extra = sorted(content.keys() - {"scenario"})
    if extra or not isinstance(content.get("scenario"), list):
        raise ScenarioError(
            f"{path}: only [[scenario]] tables belong here{': not ' + ', '.join(extra) if extra else ''}"
        )
    found = []
    for number, entry in enumerate(content["scenario"], start=1):
        name = entry.get("name", f"number {number}")
        try:
            found.append(Scenario.model_validate(entry))
        except ValidationError as error:
            said = error.errors()[0]
            place = ".".join(map(str, said["loc"]))
            raise ScenarioError(f"{path}: scenario {name}: {place + ': ' if place else ''}{said['msg']}") from None
    return found
