"""The decision workflow as the allocator runs it: each step a span, each step durable."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from typing import Any

from opentelemetry import trace

from tidemark.allocator.deliberation import settled, votes
from tidemark.allocator.events import AllocationEvent
from tidemark.allocator.journal import Journal
from tidemark.allocator.models import Kind, Outcome, Request, Vote
from tidemark.allocator.pricing import PriceBook, cost_of
from tidemark.allocator.workflow import Stage
from tidemark.ingest.kafka import Outgoing, TopicWriter
from tidemark.runtime.counters import DECISIONS
from tidemark.runtime.telemetry import incoming, outgoing, outgoing_record

_LOG = logging.getLogger("tidemark.allocator")
ANNOUNCED = "announced"


class DurableWorkflow:
    """Takes a request from wherever it stands to its announcement."""

    def __init__(self, journal: Journal, prices: PriceBook, broker: TopicWriter, topic: str, pause: float = 0.0) -> None:
        self._journal = journal
        self._prices = prices
        self._broker = broker
        self._topic = topic
        self._pause = pause

    async def decide(self, request: Request, pause: float | None = None) -> dict[str, Any]:
        """Decide, announce, and say how it ended. Asking twice gives the first answer.

        `pause` is how long each agent thinks this time, in seconds.
        """
        asked = {
            "team": request.team,
            "kind": str(request.kind),
            "count": request.count,
            "limit": str(request.limit),
        }
        with trace.get_tracer("tidemark").start_as_current_span("allocation") as span:
            span.set_attributes({"request": request.request_id, "team": request.team})
            row = await asyncio.to_thread(self._journal.open, request.request_id, asked, outgoing())
            return await self._to_the_end(row, pause)

    async def resume(self, request_id: str) -> dict[str, Any]:
        """Go on with a request that an earlier process left, in the trace that it began in."""
        row = await asyncio.to_thread(self._journal.find, request_id)
        if row is None:
            raise KeyError(request_id)
        with incoming(row["context"]):
            with trace.get_tracer("tidemark").start_as_current_span("allocation.resumed") as span:
                span.set_attributes({"request": request_id, "stage": row["stage"]})
                _LOG.info("resuming", extra={"request": request_id, "stage": row["stage"]})
                return await self._to_the_end(row)

    async def _to_the_end(self, row: dict[str, Any], pause: float | None = None) -> dict[str, Any]:
        asked = row["asked"]
        request = Request(row["request_id"], asked["team"], Kind(asked["kind"]), asked["count"], Decimal(asked["limit"]))
        steps = {
            Stage.RECEIVED: self._availability,
            Stage.AVAILABLE: self._cost,
            Stage.PRICED: partial(self._council, self._pause if pause is None else pause),
            Stage.VOTED: self._consensus,
            Stage.DECIDED: self._event,
        }
        while row["stage"] != ANNOUNCED:
            await steps[Stage(row["stage"])](request, row["facts"])
            found = await asyncio.to_thread(self._journal.find, request.request_id)
            assert found is not None
            row = found
        return {"request_id": request.request_id, **row["facts"]}

    async def _availability(self, request: Request, _: Mapping[str, Any]) -> None:
        with _step("availability", request) as span:
            free = await asyncio.to_thread(self._journal.free, str(request.kind))
            span.set_attributes({"free": free, "wanted": request.count})
            if free < request.count:
                reason = f"{free} {request.kind} free"
                await self._advance(request, Stage.RECEIVED, Stage.DECIDED, _end(Outcome.REFUSED, Decimal(0), reason))
                return
            await self._advance(request, Stage.RECEIVED, Stage.AVAILABLE, {"free": free})

    async def _cost(self, request: Request, _: Mapping[str, Any]) -> None:
        with _step("cost", request) as span:
            cost = await cost_of(request, self._prices)
            span.set_attributes({"cost": str(cost), "limit": str(request.limit)})
            if cost > request.limit:
                reason = f"costs {cost}, the limit is {request.limit}"
                await self._advance(request, Stage.AVAILABLE, Stage.DECIDED, _end(Outcome.REFUSED, cost, reason))
                return
            await self._advance(request, Stage.AVAILABLE, Stage.PRICED, {"cost": str(cost)})

    async def _council(self, pause: float, request: Request, facts: Mapping[str, Any]) -> None:
        with _step("council", request) as span:
            cast = await votes(request, Decimal(facts["cost"]), int(facts["free"]), pause=pause)
            span.set_attributes({"votes": len(cast)})
            await self._advance(request, Stage.PRICED, Stage.VOTED, {"votes": [asdict(each) for each in cast]})

    async def _consensus(self, request: Request, facts: Mapping[str, Any]) -> None:
        with _step("consensus", request) as span:
            cast = [Vote(**each) for each in facts["votes"]]
            agreed, cost = settled(cast), Decimal(facts["cost"])
            span.set_attributes({"in_favour": sum(each.in_favour for each in cast), "agreed": str(agreed)})
            if agreed:
                with _step("allocation", request):
                    end = _end(Outcome.ALLOCATED, cost, "")
                    taken = await asyncio.to_thread(
                        self._journal.settle, request.request_id, str(request.kind), request.count, end
                    )
                    if taken:
                        return
                end = _end(Outcome.REFUSED, cost, "somebody else was faster")
            elif agreed is None:
                end = _end(Outcome.NO_CONSENSUS, cost, "the council is split")
            else:
                end = _end(Outcome.REFUSED, cost, "the council is against it")
            await self._advance(request, Stage.VOTED, Stage.DECIDED, end)

    async def _event(self, request: Request, facts: Mapping[str, Any]) -> None:
        """Announce. A crash between the broker and the journal announces twice; who listens goes by the request."""
        with _step("event", request) as span:
            event = AllocationEvent(
                request_id=request.request_id,
                team=request.team,
                outcome=facts["outcome"],
                cost=facts["cost"],
                decided_at=datetime.fromisoformat(facts["decided_at"]),
                stages=(Stage.RECEIVED, Stage.DECIDED),
            )
            record = Outgoing(request.team, event.encode(), outgoing_record())
            await self._broker.publish(self._topic, [record])
            span.set_attributes({"topic": self._topic, "outcome": facts["outcome"]})
            if await asyncio.to_thread(
                self._journal.advance, request.request_id, Stage.DECIDED.value, ANNOUNCED, {}
            ):
                DECISIONS.labels(facts["outcome"]).inc()

    async def _advance(self, request: Request, before: Stage, after: Stage, facts: Mapping[str, Any]) -> None:
        await asyncio.to_thread(self._journal.advance, request.request_id, before.value, after.value, facts)


def _step(name: str, request: Request) -> Any:
    attributes = {"request": request.request_id}
    return trace.get_tracer("tidemark").start_as_current_span(f"allocation.{name}", attributes=attributes)


def _end(outcome: Outcome, cost: Decimal, reason: str) -> dict[str, str]:
    decided = datetime.now(UTC).isoformat()
    return {"outcome": outcome.value, "cost": str(cost), "reason": reason, "decided_at": decided}


def body_of(text: bytes) -> Request:
    """A request as JSON. Raises ValueError, which says what is wrong with it."""
    try:
        content = json.loads(text)
        return Request(
            str(content["request_id"]),
            str(content["team"]),
            Kind(content["kind"]),
            int(content["count"]),
            Decimal(str(content["limit"])),
        )
    except (KeyError, TypeError, ArithmeticError) as error:
        raise ValueError(f"not an allocation request: {type(error).__name__}: {error}") from error
