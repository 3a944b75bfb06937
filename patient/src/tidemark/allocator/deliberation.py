"""How the deployed council votes: every agent's input, context, inference and vote are told in a span of its own."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Sequence
from dataclasses import asdict
from decimal import Decimal

from opentelemetry import trace

from tidemark.allocator.council import DEFAULT_AGENTS, Agent, consensus
from tidemark.allocator.models import Request, Vote
from tidemark.runtime.counters import VOTE_SECONDS

MAJORITY = 0.55


def continuity(request: Request, cost: Decimal, free: int) -> tuple[bool, float, str]:
    """In favour of what a team can absorb in a month."""
    return request.count <= 5, 0.6, f"{request.count} at once"


AGENTS = (*DEFAULT_AGENTS, Agent("continuity", continuity))


async def vote(agent: Agent, request: Request, cost: Decimal, free: int, pause: float = 0.0) -> Vote:
    """One agent's vote. `pause` is how long its model thinks, in seconds."""
    with trace.get_tracer("tidemark").start_as_current_span("council.vote") as span:
        started = time.perf_counter()
        asked = {"kind": str(request.kind), "count": request.count, "limit": str(request.limit), "team": request.team}
        span.add_event("input", {"content": json.dumps(asked)})
        span.add_event("context", {"cost": str(cost), "free": free, "rule": agent.rule.__name__})
        await asyncio.sleep(pause)
        in_favour, confidence, reason = agent.rule(request, cost, free)
        inferred = time.perf_counter()
        span.add_event("inference", {"reason": reason, "seconds": inferred - started})
        cast = Vote(agent.name, in_favour, confidence, reason)
        span.add_event("submission", {"vote": json.dumps(asdict(cast))})
        seconds = time.perf_counter() - started
        span.set_attributes(
            {
                "request": request.request_id,
                "agent": agent.name,
                "vote": in_favour,
                "confidence": confidence,
                "reason": reason,
                "inference.seconds": inferred - started,
                "seconds": seconds,
            }
        )
        VOTE_SECONDS.labels(agent.name).observe(seconds)
        return cast


async def votes(
    request: Request, cost: Decimal, free: int, agents: Sequence[Agent] = AGENTS, pause: float = 0.0
) -> tuple[Vote, ...]:
    """All votes, cast at the same time and independently of each other."""
    return tuple(await asyncio.gather(*(vote(agent, request, cost, free, pause) for agent in agents)))


def settled(cast: Sequence[Vote]) -> bool | None:
    """The council's answer; None when neither side holds 55 % of all confidence."""
    total = sum(each.confidence for each in cast)
    in_favour = sum(each.confidence for each in cast if each.in_favour)
    if max(in_favour, total - in_favour) < MAJORITY * total:
        return None
    return consensus(cast) if in_favour * 2 >= total else False
