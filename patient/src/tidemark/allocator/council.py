"""The council: independent agents, each with one rule and one vote."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from tidemark.allocator.models import Request, Vote
from tidemark.runtime.tracing import span

Rule = Callable[[Request, Decimal, int], tuple[bool, float, str]]


@dataclass(frozen=True, slots=True)
class Agent:
    """A name and a rule: request, cost and free stock in; vote, confidence and reason out."""

    name: str
    rule: Rule

    def vote(self, request: Request, cost: Decimal, free: int) -> Vote:
        """This agent's vote, in a span of its own."""
        with span("council.vote", agent=self.name, request=request.request_id) as current:
            in_favour, confidence, reason = self.rule(request, cost, free)
            if current is not None:
                current.set_attributes({"vote": in_favour, "confidence": confidence})
            return Vote(self.name, in_favour, confidence, reason)


def thrift(request: Request, cost: Decimal, free: int) -> tuple[bool, float, str]:
    """In favour while the cost stays under nine tenths of the limit."""
    share = cost / request.limit if request.limit else Decimal(2)
    confidence = min(abs(Decimal("0.9") - share) + Decimal("0.5"), Decimal(1))
    return share <= Decimal("0.9"), float(confidence), f"{share:.0%} of the limit"


def reserve(request: Request, cost: Decimal, free: int) -> tuple[bool, float, str]:
    """In favour while a fifth of the stock stays free."""
    left = free - request.count
    return left * 5 >= free, 0.8, f"{left} of {free} stay free"


def fairness(request: Request, cost: Decimal, free: int) -> tuple[bool, float, str]:
    """In favour of requests that take at most half of what is free."""
    return request.count * 2 <= free, 0.7, f"takes {request.count} of {free}"


class Council:
    """Asks every agent once, in order."""

    def __init__(self, agents: Sequence[Agent] | None = None) -> None:
        self.agents = tuple(agents) if agents is not None else DEFAULT_AGENTS
        if not self.agents:
            raise ValueError("a council needs an agent")

    def votes(self, request: Request, cost: Decimal, free: int) -> tuple[Vote, ...]:
        """All votes."""
        return tuple(agent.vote(request, cost, free) for agent in self.agents)


DEFAULT_AGENTS = (Agent("thrift", thrift), Agent("reserve", reserve), Agent("fairness", fairness))


def consensus(votes: Sequence[Vote]) -> bool | None:
    """True or False for a strict majority of the votes, None when they are split evenly."""
    in_favour = sum(vote.in_favour for vote in votes)
    if in_favour * 2 >= len(votes):
        return True
    return False
