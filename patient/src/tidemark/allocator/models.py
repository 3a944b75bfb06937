"""What is asked for, what is offered, how the council voted, what was decided."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum


class Kind(StrEnum):
    """What can be allotted."""

    DESK = "desk"
    MACHINE = "machine"


class Outcome(StrEnum):
    """How a decision ends."""

    ALLOCATED = "allocated"
    REFUSED = "refused"
    NO_CONSENSUS = "no consensus"


@dataclass(frozen=True, slots=True)
class Request:
    """So many of a kind, for a team, at most at this price."""

    request_id: str
    team: str
    kind: Kind
    count: int
    limit: Decimal

    def __post_init__(self) -> None:
        if self.count < 1:
            raise ValueError(f"{self.request_id}: a request asks for at least one {self.kind}")


@dataclass(frozen=True, slots=True)
class Vote:
    """One agent's vote. Confidence lies between 0 and 1."""

    agent: str
    in_favour: bool
    confidence: float
    reason: str


@dataclass(frozen=True, slots=True)
class Decision:
    """The end of one request."""

    request_id: str
    outcome: Outcome
    cost: Decimal = Decimal(0)
    reason: str = ""
    votes: tuple[Vote, ...] = field(default=())
