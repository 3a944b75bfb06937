"""The warehouse in BigQuery, exactly once.

A batch is one MERGE by sequence, in a query job whose id is made from the batch's first sequence. BigQuery takes a job
id once, so a batch that begins at a sequence is written by one job, whoever asks and however often; a writer that died
while its job ran finds that job by its id, waits for it, and reads the watermark again. The MERGE keeps even a job
that runs twice (it cannot) from doubling a row. Load jobs would do as well; the Storage Write API is not used.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from google.api_core.exceptions import Conflict, GoogleAPICallError
from google.cloud import bigquery

from tidemark.feed.digests import digest_of
from tidemark.feed.models import Trade
from tidemark.runtime.counters import BATCH_SECONDS
from tidemark.writer.warehouse import Warehouse

ATTEMPTS = 8
TIMEOUT = 30.0
PAGE = 1000
_LOG = logging.getLogger("tidemark.writer")

_MERGE_TRADES = """
MERGE `{table}` AS stored
USING (
  SELECT
    CAST(JSON_VALUE(item, '$.sequence') AS INT64) AS sequence,
    JSON_VALUE(item, '$.symbol') AS symbol,
    JSON_VALUE(item, '$.digest') AS digest,
    JSON_VALUE(item, '$.trade') AS trade,
    CAST(JSON_VALUE(item, '$.received_at') AS FLOAT64) AS received_at,
    CAST(JSON_VALUE(item, '$.stored_at') AS FLOAT64) AS stored_at
  FROM UNNEST(@items) AS item
) AS fresh
ON stored.sequence = fresh.sequence
WHEN NOT MATCHED THEN
  INSERT (sequence, symbol, digest, trade, received_at, stored_at)
  VALUES (fresh.sequence, fresh.symbol, fresh.digest, fresh.trade, fresh.received_at, fresh.stored_at)
"""

_MERGE_ALLOCATIONS = """
MERGE `{table}` AS stored
USING (
  SELECT
    JSON_VALUE(item, '$.request_id') AS request_id,
    JSON_VALUE(item, '$.team') AS team,
    JSON_VALUE(item, '$.outcome') AS outcome,
    JSON_VALUE(item, '$.cost') AS cost,
    JSON_VALUE(item, '$.event') AS event
  FROM UNNEST(@items) AS item
) AS fresh
ON stored.request_id = fresh.request_id
WHEN NOT MATCHED THEN
  INSERT (request_id, team, outcome, cost, event)
  VALUES (fresh.request_id, fresh.team, fresh.outcome, fresh.cost, fresh.event)
"""


class BigQueryWarehouse(Warehouse):
    """`market.trades` by sequence and `market.allocations` by request. One writer; any number of readers."""

    def __init__(self, project: str, dataset: str = "market", client: bigquery.Client | None = None) -> None:
        self._client = client or bigquery.Client(project=project)
        self._trades = f"{project}.{dataset}.trades"
        self._allocations = f"{project}.{dataset}.allocations"
        self._watermark: int | None = None
        self._digests: dict[int, str] = {}
        self.received: dict[int, float] = {}

    def insert(self, trades: Sequence[Trade]) -> None:
        if not trades:
            return
        now = datetime.now(UTC).timestamp()
        items = [
            {
                "sequence": trade.sequence,
                "symbol": trade.symbol,
                "digest": digest_of(trade),
                "trade": trade.model_dump_json(),
                "received_at": self.received.pop(trade.sequence, now),
                "stored_at": now,
            }
            for trade in trades
        ]
        with BATCH_SECONDS.labels("bigquery").time():
            self._merge(_MERGE_TRADES, self._trades, f"tidemark-trades-{trades[0].sequence}", items)
        self._watermark = trades[-1].sequence

    def digest(self, sequence: int) -> str | None:
        """Asked for what the broker repeats, which comes in runs: a run is fetched at once."""
        if sequence > self.watermark():
            return None
        if sequence not in self._digests:
            rows = self._rows(
                f"SELECT sequence, digest FROM `{self._trades}` WHERE sequence BETWEEN @first AND @last",
                first=sequence,
                last=sequence + PAGE - 1,
            )
            self._digests = {int(row["sequence"]): str(row["digest"]) for row in rows}
        return self._digests.get(sequence)

    def watermark(self) -> int:
        """What this writer knows to be stored; asked of BigQuery once."""
        if self._watermark is None:
            self._watermark = self.stored_watermark()
        return self._watermark

    def stored_watermark(self) -> int:
        """The highest sequence in BigQuery now."""
        (row,) = self._rows(f"SELECT COALESCE(MAX(sequence), 0) AS high FROM `{self._trades}`")
        return int(row["high"])

    def forget(self) -> None:
        """Ask BigQuery again: somebody else may have written."""
        self._watermark, self._digests = None, {}

    def trades(self, symbol: str | None = None) -> Iterator[Trade]:
        for text in self.texts(symbol=symbol):
            yield Trade.model_validate_json(text)

    def texts(self, first: int = 1, limit: int | None = None, symbol: str | None = None) -> Iterator[str]:
        """Stored trades as they were stored, by sequence, page by page."""
        chosen = "AND symbol = @symbol" if symbol else ""
        bound = "LIMIT @limit" if limit is not None else ""
        rows = self._rows(
            f"SELECT trade FROM `{self._trades}` WHERE sequence >= @first {chosen} ORDER BY sequence {bound}",
            first=first,
            **({"symbol": symbol} if symbol else {}),
            **({"limit": limit} if limit is not None else {}),
        )
        for row in rows:
            yield str(row["trade"])

    def count(self) -> int:
        return self.extent()[1]

    def extent(self) -> tuple[int, int]:
        """The highest sequence and the number of rows; the two are equal, or something was lost or doubled."""
        (row,) = self._rows(f"SELECT COALESCE(MAX(sequence), 0) AS high, COUNT(*) AS number FROM `{self._trades}`")
        return int(row["high"]), int(row["number"])

    def last_text(self, symbol: str) -> str | None:
        """A symbol's last trade as it was stored, or None."""
        query = f"SELECT trade FROM `{self._trades}` WHERE symbol = @symbol ORDER BY sequence DESC LIMIT 1"
        return next((str(row["trade"]) for row in self._rows(query, symbol=symbol)), None)

    def insert_allocations(self, events: Sequence[dict[str, Any]]) -> None:
        """Decisions by request; one that is there already is left as it is."""
        items = [
            {**{name: event[name] for name in ("request_id", "team", "outcome", "cost")}, "event": json.dumps(event)}
            for event in events
        ]
        if items:
            self._merge(_MERGE_ALLOCATIONS, self._allocations, "", items)

    def _merge(self, statement: str, table: str, job: str, items: Sequence[dict[str, Any]]) -> None:
        settings = bigquery.QueryJobConfig(
            query_parameters=[bigquery.ArrayQueryParameter("items", "STRING", [json.dumps(item) for item in items])]
        )
        query = statement.format(table=table)
        if not job:
            self._client.query(query, job_config=settings, timeout=TIMEOUT).result(timeout=TIMEOUT)
            return
        failure: Exception | None = None
        for attempt in range(1, ATTEMPTS + 1):
            name = job if attempt == 1 else f"{job}-{attempt}"
            try:
                run = self._client.query(query, job_config=settings, job_id=name, job_retry=None, timeout=TIMEOUT)
                run.result(timeout=TIMEOUT, job_retry=None)
                return
            except Conflict:
                if self._finished(name, int(items[0]["sequence"])):
                    return
            except GoogleAPICallError as error:
                if error.code is not None and error.code < 500 and error.code != 429:
                    raise
                failure = error
        raise ConnectionError(f"{job}: {ATTEMPTS} attempts failed: {failure}") from failure

    def _finished(self, name: str, first: int) -> bool:
        """Wait for an earlier run's job; whether it wrote the batch. Then its extent counts, not ours."""
        job = self._client.get_job(name, timeout=TIMEOUT)
        try:
            job.result(timeout=TIMEOUT)
        except GoogleAPICallError as error:
            _LOG.warning("an earlier batch failed", extra={"job": name, "reason": str(error)})
            return False
        stored = self.stored_watermark()
        if stored < first:
            return False
        raise Superseded(stored)

    def _rows(self, query: str, **parameters: int | str) -> Iterator[Any]:
        settings = bigquery.QueryJobConfig(
            query_parameters=[
                bigquery.ScalarQueryParameter(name, "INT64" if isinstance(value, int) else "STRING", value)
                for name, value in parameters.items()
            ]
        )
        job = self._client.query(query, job_config=settings, timeout=TIMEOUT)
        yield from job.result(page_size=PAGE, timeout=TIMEOUT)

    def close(self) -> None:
        """Close the client's connections."""
        self._client.close()


class Superseded(Exception):
    """A job of an earlier run has written from this sequence on: read the watermark and go on from there."""

    def __init__(self, watermark: int) -> None:
        super().__init__(f"an earlier run has written up to {watermark}")
        self.watermark = watermark
