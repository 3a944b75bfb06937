"""The decision workflow: availability, cost, council, consensus, allocation, event."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum

from tidemark.allocator.council import Council, consensus
from tidemark.allocator.models import Decision, Kind, Outcome, Request, Vote
from tidemark.allocator.pricing import PriceBook, cost_of
from tidemark.ingest.broker import Broker
from tidemark.runtime.clock import Clock, SystemClock
from tidemark.runtime.metrics import count
from tidemark.runtime.tracing import span


class Stage(StrEnum):
    """The steps of a decision, in order."""

    RECEIVED = "received"
    AVAILABLE = "available"
    PRICED = "priced"
    VOTED = "voted"
    DECIDED = "decided"


from tidemark.allocator.events import AllocationEvent  # noqa: E402  (below Stage: the events need it)


@dataclass(slots=True)
class Stock:
    """How many of each kind are free. Taking is all or nothing."""

    free: dict[Kind, int] = field(default_factory=dict)

    def available(self, kind: Kind) -> int:
        """How many of a kind are free."""
        return self.free.get(kind, 0)

    def take(self, kind: Kind, count: int) -> None:
        """Take some. Raises ValueError when there are not enough."""
        if count > self.available(kind):
            raise ValueError(f"{count} {kind} wanted, {self.available(kind)} free")
        self.free[kind] -= count


class AllocationWorkflow:
    """Decides one request at a time; a request that was decided before keeps its decision."""

    def __init__(
        self,
        stock: Stock,
        prices: PriceBook,
        broker: Broker,
        council: Council | None = None,
        clock: Clock | None = None,
        topic: str = "allocations",
    ) -> None:
        self.stock = stock
        self._prices = prices
        self._broker = broker
        self._council = council or Council()
        self._clock = clock or SystemClock()
        self._topic = topic
        self.decisions: dict[str, Decision] = {}

    async def decide(self, request: Request) -> Decision:
        """Decide and publish the event. Asking twice gives the first answer and no second event."""
        if request.request_id in self.decisions:
            return self.decisions[request.request_id]
        with span("allocation", request=request.request_id, team=request.team):
            decision, stages = await self._weigh(request)
            if decision.outcome is Outcome.ALLOCATED:
                self.stock.take(request.kind, request.count)
            event = self._event(request, decision, stages)
            await self._broker.publish(self._topic, request.team, event.encode())
            self.decisions[request.request_id] = decision
            count(f"decisions.{decision.outcome}")
            return decision

    async def _weigh(self, request: Request) -> tuple[Decision, tuple[Stage, ...]]:
        def refused(reason: str, cost: Decimal = Decimal(0), votes: tuple[Vote, ...] = ()) -> Decision:
            return Decision(request.request_id, Outcome.REFUSED, cost, reason, votes)

        free = self.stock.available(request.kind)
        if free < request.count:
            return refused(f"{free} {request.kind} free"), (Stage.RECEIVED, Stage.DECIDED)
        with span("allocation.cost"):
            cost = await cost_of(request, self._prices)
        if cost > request.limit:
            reason = f"costs {cost}, the limit is {request.limit}"
            return refused(reason, cost), (Stage.RECEIVED, Stage.AVAILABLE, Stage.PRICED, Stage.DECIDED)
        votes = self._council.votes(request, cost, free)
        agreed = consensus(votes)
        if agreed is None:
            decision = Decision(request.request_id, Outcome.NO_CONSENSUS, cost, "the council is split", votes)
        elif agreed:
            decision = Decision(request.request_id, Outcome.ALLOCATED, cost, "", votes)
        else:
            decision = refused("the council is against it", cost, votes)
        return decision, tuple(Stage)

    def _event(self, request: Request, decision: Decision, stages: tuple[Stage, ...]) -> AllocationEvent:
        return AllocationEvent(
            request_id=request.request_id,
            team=request.team,
            outcome=decision.outcome,
            cost=str(decision.cost),
            decided_at=self._clock.now(),
            stages=stages,
        )
