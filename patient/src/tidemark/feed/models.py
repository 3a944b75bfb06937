"""A trade as the exchange reports it."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

from pydantic import BaseModel, ConfigDict, Field, field_validator


class Trade(BaseModel):
    """One trade. Sequences start at 1 and have no gaps; that is the exchange's promise."""

    model_config = ConfigDict(frozen=True)

    sequence: int = Field(ge=1)
    symbol: str = Field(pattern=r"^[A-Z]{3,5}-[A-Z]{3}$")
    price: Decimal = Field(gt=0)
    quantity: int = Field(gt=0)
    traded_at: datetime

    @field_validator("traded_at")
    @classmethod
    def _in_utc(cls, moment: datetime) -> datetime:
        if moment.tzinfo is None:
            raise ValueError("a trade's time needs a zone")
        return moment.astimezone(UTC)

    @property
    def notional(self) -> Decimal:
        """Price times quantity."""
        return self.price * self.quantity
