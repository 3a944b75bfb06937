"""What an allocation costs: a fixed list, or the pricing service of the house."""

from __future__ import annotations

from decimal import Decimal
from typing import Protocol

import httpx

from tidemark.allocator.models import Kind, Request


class PriceBook(Protocol):
    """Prices per piece and month."""

    async def price(self, kind: Kind) -> Decimal:
        """The price of one."""
        ...


class FixedPrices:
    """A list that does not change while the process runs."""

    def __init__(self, prices: dict[Kind, Decimal]) -> None:
        self._prices = prices

    async def price(self, kind: Kind) -> Decimal:
        return self._prices[kind]


class RemotePrices:
    """The pricing service. It is not ours: it may be slow, or away."""

    def __init__(self, url: str, client: httpx.AsyncClient | None = None) -> None:
        self._url = url
        self._client = client or httpx.AsyncClient(timeout=None)

    async def price(self, kind: Kind) -> Decimal:
        answer = await self._client.get(f"{self._url}/prices/{kind}")
        answer.raise_for_status()
        return Decimal(answer.json()["price"])


async def cost_of(request: Request, prices: PriceBook) -> Decimal:
    """What the whole request costs, with a tenth off from ten pieces on."""
    total = await prices.price(request.kind) * request.count
    return total * Decimal("0.9") if request.count >= 10 else total
