"""What every fault of tier 3 cost: records lost and doubled, seconds until all was well again."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tests.staging.patient.conftest import Visitor
from tests.tiers import audit, stores
from tests.tiers.audit import Problems
from tests.tiers.flow import Flow
from twin.staging import Staging

LIMIT = 90.0
"""Seconds that a recovery may take at most. How long it took is reported, not judged."""


@dataclass(frozen=True, slots=True)
class Recovered:
    """One fault. `lost` and `doubled` are of trades, in warehouse and graph together."""

    fault: str
    trades: int
    lost: int
    doubled: int
    seconds: float


@dataclass(slots=True)
class Report:
    """All of a run."""

    path: Path
    rows: list[Recovered] = field(default_factory=list)

    def take(self, fault: str, staging: Staging, flow: Flow, wanted: range, since: float) -> Problems:
        """Wait until all is stored, compare with the feed, and note it; what is wrong, over warehouse, graph and api."""
        flow.settled(within=LIMIT)
        seconds = time.monotonic() - since
        found = problems(staging, flow.visitor, wanted)
        self.rows.append(Recovered(fault, len(wanted), len(found.missing), len(found.doubled), round(seconds, 2)))
        return found

    def note(self, fault: str, since: float) -> None:
        """A fault that no trade was under way for."""
        self.rows.append(Recovered(fault, 0, 0, 0, round(time.monotonic() - since, 2)))

    def write(self) -> str:
        """Leave it as JSON; the table to print."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text(json.dumps([asdict(row) for row in self.rows], indent=2), encoding="utf-8")
        lines = [f"{'fault':44}  trades  lost  doubled  seconds to recover"]
        lines += [
            f"{row.fault:44}  {row.trades:6}  {row.lost:4}  {row.doubled:7}  {row.seconds:8.2f}" for row in self.rows
        ]
        return "\n".join(lines)


def problems(staging: Staging, visitor: Visitor, wanted: range) -> Problems:
    """How warehouse, graph and api differ from the feed."""
    truth = stores.rows(stores.fed(staging, wanted))
    stages = (
        stores.told(stores.stored(staging, wanted)),
        stores.told(stores.graphed(staging, wanted)),
        stores.rows(stores.served(visitor, wanted)),
    )
    found = [audit.problems(truth, rows) for rows in stages]
    return Problems(
        *(tuple(sorted({each for one in found for each in getattr(one, kind)})) for kind in Problems.__slots__)
    )
