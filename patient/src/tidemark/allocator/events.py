"""The event that ends a decision, and how it travels."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from datetime import datetime

from tidemark.allocator.workflow import Stage


@dataclass(frozen=True, slots=True)
class AllocationEvent:
    """One decision, as other services see it. `stages` are those that it went through."""

    request_id: str
    team: str
    outcome: str
    cost: str
    decided_at: datetime
    stages: tuple[Stage, ...] = field(default=(Stage.RECEIVED,))

    def encode(self) -> bytes:
        """The event as a broker record."""
        content = asdict(self) | {"decided_at": self.decided_at.isoformat(), "schema": "allocation/1"}
        return json.dumps(content, sort_keys=True).encode()

    @classmethod
    def decode(cls, value: bytes) -> AllocationEvent:
        """The event in a record. Raises ValueError for another schema."""
        content = json.loads(value)
        if content.pop("schema", None) != "allocation/1":
            raise ValueError("not an allocation event")
        content["decided_at"] = datetime.fromisoformat(content["decided_at"])
        content["stages"] = tuple(Stage(stage) for stage in content["stages"])
        return cls(**content)
