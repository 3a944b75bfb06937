"""Cloud Monitoring's time series: windows, aligners, reducers, distributions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import pytest

from twin.caller import Caller
from twin.process import Running
from twin.services.time_series import merged, percentile_of

SERIES = "monitoring.googleapis.com/v3/projects/staging-twin/timeSeries"


@pytest.fixture
def rest(twin: Running) -> Iterator[Caller]:
    made = Caller(twin)
    yield made
    made.close()


@pytest.fixture
def written(rest: Caller, unique: str) -> str:
    """Two series of one metric: 1, 2, 3 in `a` and 10, 20, 30 in `b`, a minute apart each."""
    kind = f"custom.googleapis.com/{unique}"
    for label, factor in (("a", 1), ("b", 10)):
        for minute in (1, 2, 3):
            moment = f"2026-01-01T00:0{minute}:00Z"
            point = {"interval": {"endTime": moment}, "value": {"int64Value": str(minute * factor)}}
            series = {
                "metric": {"type": kind, "labels": {"who": label}},
                "valueType": "INT64",
                "points": [point],
            }
            assert rest("POST", SERIES, {"timeSeries": [series]})[0] == 200
    return kind


def asked(rest: Caller, kind: str, **aggregation: str) -> Any:
    window = {"interval.startTime": "2026-01-01T00:00:30Z", "interval.endTime": "2026-01-01T00:03:00Z"}
    more = {f"aggregation.{name}": value for name, value in aggregation.items()}
    query = urlencode({"filter": f'metric.type = "{kind}"', **window, **more})
    return rest("GET", f"{SERIES}?{query}")


def values(answer: Any) -> dict[str, list[Any]]:
    return {
        series["metric"].get("labels", {}).get("who", ""): [
            next(iter(point["value"].values())) for point in series["points"]
        ]
        for series in answer[1]["timeSeries"]
    }


def test_points_come_newest_first(rest: Caller, written: str) -> None:
    assert values(asked(rest, written)) == {"a": ["3", "2", "1"], "b": ["30", "20", "10"]}


@pytest.mark.parametrize(
    ("aligner", "expected"),
    [
        ("ALIGN_SUM", ["5", "1"]),
        ("ALIGN_MEAN", [2.5, 1.0]),
        ("ALIGN_RATE", [5 / 120, 1 / 120]),
        ("ALIGN_MAX", ["3", "1"]),
        ("ALIGN_COUNT", ["2", "1"]),
        ("ALIGN_PERCENTILE_50", [2.5, 1.0]),
        ("ALIGN_NEXT_OLDER", ["3", "1"]),
    ],
)
def test_windows_end_with_the_interval(rest: Caller, written: str, aligner: str, expected: list[Any]) -> None:
    answer = asked(rest, written, perSeriesAligner=aligner, alignmentPeriod="120s")
    assert values(answer)["a"] == expected


def test_series_are_reduced_by_label(rest: Caller, written: str) -> None:
    whole = {"perSeriesAligner": "ALIGN_SUM", "alignmentPeriod": "60s", "crossSeriesReducer": "REDUCE_SUM"}
    assert values(asked(rest, written, **whole)) == {"": ["33", "22", "11"]}
    grouped = values(asked(rest, written, **whole, groupByFields="metric.label.who"))
    assert grouped == {"a": ["3", "2", "1"], "b": ["30", "20", "10"]}


def test_what_cannot_be_is_refused(rest: Caller, written: str) -> None:
    assert asked(rest, written, perSeriesAligner="ALIGN_SUM", alignmentPeriod="30s")[0] == 400
    assert asked(rest, written, crossSeriesReducer="REDUCE_SUM")[0] == 400
    assert rest("GET", SERIES)[0] == 400


def test_percentiles_of_distributions() -> None:
    options = {"explicitBuckets": {"bounds": [10, 20, 30]}}
    one = {"count": "4", "mean": 12.0, "bucketOptions": options, "bucketCounts": ["0", "4"]}
    two = {"count": "4", "mean": 24.0, "bucketOptions": options, "bucketCounts": ["0", "0", "4"]}
    both = merged([one, two])
    assert (both["count"], both["mean"], both["bucketCounts"]) == ("8", 18.0, ["0", "4", "4"])
    assert percentile_of(both, 0.5) == 20
    assert percentile_of(both, 0.75) == 25
    assert percentile_of({"count": "1", "mean": 7.0}, 0.5) == 7
