"""The stream of trades as a tester handles it: how far the feed speaks, and when the warehouse has it."""

from __future__ import annotations

from typing import Any

import httpx

from tests.staging.patient.conftest import Visitor, eventually
from twin.staging import Staging


class Flow:
    """Lets the feed speak further, and waits until what it said is stored."""

    def __init__(self, staging: Staging, visitor: Visitor) -> None:
        self._staging = staging
        self.visitor = visitor

    def pace(self, **wanted: float) -> dict[str, float]:
        """Tell the feed how fast and how far; what it answers."""
        token = {"Authorization": f"Bearer {self._staging.secret('feed-token')}"}
        address = f"{self._staging.url('websocket-service')}/pace"
        answer = httpx.get(address, params=wanted, headers=token, timeout=10, trust_env=False)
        answer.raise_for_status()
        return dict(answer.json())

    def watermark(self) -> dict[str, Any]:
        """How far warehouse and graph are, and how many rows there are."""
        answer = self.visitor.get("/api/watermark")
        answer.raise_for_status()
        return dict(answer.json())

    def end(self) -> int:
        """The last trade that the feed was told to send."""
        return int(self.pace()["count"])

    def more(self, count: int, rate: float = 0.0) -> range:
        """The feed goes on by so many trades, at so many a second (0: at once); which ones."""
        first = max(self.end(), int(self.watermark()["warehouse"])) + 1
        self.pace(rate=rate, count=first + count - 1)
        return range(first, first + count)

    def more_after(self, last: int, count: int) -> range:
        """The same while the warehouse cannot be asked: it stands at `last`."""
        self.pace(rate=0, count=last + count)
        return range(last + 1, last + count + 1)

    def wait(self, last: int, within: float = 30.0) -> None:
        """Until the warehouse has a trade and all before it."""
        eventually(lambda: int(self.watermark()["warehouse"]) >= last, within)

    def settled(self, within: float = 30.0) -> int:
        """Until warehouse and graph have all that the feed said; how many that is."""
        last = self.end()

        def done() -> bool:
            now = self.watermark()
            return int(now["warehouse"]) >= last and now["graph"] == now["warehouse"]

        eventually(done, within)
        return last
