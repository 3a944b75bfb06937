"""Allocation scenarios as testers write them down, validated before anything runs."""

from __future__ import annotations

from decimal import Decimal
from typing import Optional

from pydantic import BaseModel, ConfigDict, Field, root_validator

from tidemark.allocator.models import Kind, Request


class TestScenario(BaseModel):
    """One request and its expected end."""

    model_config = ConfigDict(extra="forbid")

    class Config:
        str_strip_whitespace = True

    type: str = Field("allocation", const=True)
    name: str = Field(regex=r"^[a-z0-9-]+$")
    team: str
    kind: Kind = Kind.DESK
    count: int = Field(ge=1)
    limit: Decimal = Decimal(100_000)
    expected: str
    note: Optional[str]

    def request(self) -> Request:
        """The scenario as the allocator wants it."""
        return Request(self.name, self.team, self.kind, self.count, self.limit)


class ScenarioFile(BaseModel):
    """Scenarios with names of their own."""

    scenarios: list[TestScenario] = Field(min_length=1)
    owner: Optional[str]

    @root_validator
    def names_differ(cls, values):
        names = [scenario.name for scenario in values["scenarios"]]
        if len(set(names)) != len(names):
            raise ValueError("two scenarios have one name")
        return values
