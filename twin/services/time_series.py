"""Time series as they were written, and read: aligned, reduced, paged.

https://cloud.google.com/monitoring/api/ref_v3/rest/v3/projects.timeSeries/list#Aligner
"""

from __future__ import annotations

import math
import re
import statistics
from collections import defaultdict
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Any, Final

from twin.kernel import paging, standard
from twin.kernel.errors import invalid
from twin.kernel.filters import compile_filter
from twin.kernel.semantics import Call
from twin.kernel.types import Body, parse_rfc3339, rfc3339, seconds_of

_PERCENTILE: Final = re.compile(r"(?:ALIGN|REDUCE)_PERCENTILE_(\d\d)$")
_KEPT: Final = 2000


def create(call: Call) -> Body:
    """timeSeries.create, and the runtime's own request counts."""
    for series in call.body.get("timeSeries", []):
        metric, resource = (
            series.get("metric", {}),
            series.get("resource", {"type": "global", "labels": {"project_id": call.project}}),
        )
        if not metric.get("type"):
            raise invalid("Field timeSeries[0].metric.type must be set.")
        digest = standard.fingerprint({"m": metric, "r": resource}).replace("/", "_")
        name = f"time-series/projects/{call.project}/{digest}"
        old = call.get(name) or {
            "metric": metric,
            "resource": resource,
            "metricKind": series.get("metricKind", "GAUGE"),
            "valueType": series.get("valueType", "DOUBLE"),
            "points": [],
        }
        points = []
        for point in series.get("points", []):
            interval = dict(point.get("interval", {}))
            interval.setdefault("endTime", call.stamp)
            interval.setdefault("startTime", interval["endTime"])
            points.append({**point, "interval": interval})
        kept = sorted([*old["points"], *points], key=lambda point: str(point["interval"]["endTime"]))[-_KEPT:]
        call.put(name, {**old, "points": kept})
    return {}


def list_(call: Call) -> Body:
    """timeSeries.list over an interval. ApiError for an aggregation that cannot be."""
    text = str(call.params.get("filter", ""))
    if not text:
        raise invalid('Field filter had an invalid value of "": must be specified.')
    end = parse_rfc3339(str(call.params.get("interval.endTime") or rfc3339(call.now)))
    start = parse_rfc3339(str(call.params.get("interval.startTime") or rfc3339(end)))
    if start > end:
        raise invalid("Field interval.start_time must not be later than the end time.")
    predicate = compile_filter(re.sub(r"\b(metric|resource)\.label\.", r"\1.labels.", text))
    aligner = str(call.params.get("aggregation.perSeriesAligner") or "ALIGN_NONE")
    reducer = str(call.params.get("aggregation.crossSeriesReducer") or "REDUCE_NONE")
    period = _period(call, aligner, reducer)
    found = []
    for _, series in call.children(f"time-series/projects/{call.project}"):
        if not predicate(series):
            continue
        points = [point for point in series["points"] if start <= parse_rfc3339(point["interval"]["endTime"]) <= end]
        if aligner != "ALIGN_NONE":
            points = list(_aligned(points, aligner, start, end, period))
        if points:
            kind = "GAUGE" if aligner not in ("ALIGN_NONE", "ALIGN_DELTA", "ALIGN_SUM") else series["metricKind"]
            found.append({**series, "metricKind": kind, "points": points})
    if reducer != "REDUCE_NONE":
        found = _reduced(found, reducer, _fields(call))
    return _page(call, found)


def _page(call: Call, found: list[Body]) -> Body:
    shown = [{**series, "points": list(reversed(series["points"]))} for series in found]
    if call.params.get("view") == "HEADERS":
        shown = [{key: value for key, value in series.items() if key != "points"} for series in shown]
    if not shown:
        return {}
    named = [(f"{position:09d}", series) for position, series in enumerate(shown, 1)]
    digest = standard.fingerprint({"f": call.params.get("filter", "")})
    after = paging.position_of(call.params, digest)
    entries = [entry for entry in named if entry[0] > after]
    chosen, token = paging.page(entries, paging.size_of(call.params), None, digest)
    reply: Body = {"timeSeries": [series for _, series in chosen]}
    if token:
        reply["nextPageToken"] = token
    return reply


def _period(call: Call, aligner: str, reducer: str) -> float:
    """Seconds; 0 takes the whole interval as one window."""
    text = str(call.params.get("aggregation.alignmentPeriod") or "")
    if reducer != "REDUCE_NONE" and aligner == "ALIGN_NONE":
        raise invalid("Field aggregation.perSeriesAligner must be set when crossSeriesReducer is set.")
    if not text:
        return 0.0
    seconds = seconds_of(text)
    if aligner != "ALIGN_NONE" and seconds < 60:
        raise invalid(
            f'Field aggregation.alignmentPeriod had an invalid value of "{text}": The alignment period must be at least 60 seconds.'
        )
    return seconds


def _fields(call: Call) -> list[str]:
    given = call.params.get("aggregation.groupByFields") or []
    return [given] if isinstance(given, str) else [str(field) for field in given]


def number_of(point: Body) -> float | None:
    """What a point counts as: its number, a distribution's mean, 1 or 0 for a truth; None for text."""
    value = point.get("value") or {}
    if "distributionValue" in value:
        spread = value["distributionValue"]
        return float(spread.get("mean", 0.0)) if int(spread.get("count", 0)) else None
    if "boolValue" in value:
        return float(value["boolValue"])
    if "stringValue" in value or not value:
        return None
    return float(next(iter(value.values())))


def _windows(start: datetime, end: datetime, period: float) -> Iterable[tuple[datetime, datetime]]:
    """Windows of one period each, the newest one ending with the interval."""
    if not period:
        return [(start, end)]
    windows: list[tuple[datetime, datetime]] = []
    step, upper = timedelta(seconds=period), end
    while upper > start and len(windows) < _KEPT:
        windows.append((upper - step, upper))
        upper -= step
    return reversed(windows)


def _aligned(points: list[Body], aligner: str, start: datetime, end: datetime, period: float) -> Iterable[Body]:
    timed = [(parse_rfc3339(point["interval"]["endTime"]), point) for point in points]
    for lower, upper in _windows(start, end, period):
        first = not period or lower < start
        inside = [point for at, point in timed if (lower <= at if first else lower < at) and at <= upper]
        if inside:
            seconds = max((upper - lower).total_seconds(), 1.0)
            value = _value(inside, aligner, seconds)
            gauge = aligner not in ("ALIGN_DELTA", "ALIGN_SUM", "ALIGN_COUNT")
            yield {
                "interval": {"startTime": rfc3339(upper if gauge and period else lower), "endTime": rfc3339(upper)},
                "value": value,
            }


def _value(points: list[Body], aligner: str, seconds: float) -> Body:
    spreads = [point["value"]["distributionValue"] for point in points if "distributionValue" in point.get("value", {})]
    if spreads and aligner in ("ALIGN_DELTA", "ALIGN_SUM"):
        return {"distributionValue": merged(spreads)}
    if spreads and aligner == "ALIGN_COUNT":
        return {"int64Value": str(sum(int(spread.get("count", 0)) for spread in spreads))}
    if match := _PERCENTILE.match(aligner):
        if spreads:
            return {"doubleValue": percentile_of(merged(spreads), int(match[1]) / 100)}
        return {"doubleValue": _percentile(_numbers(points), int(match[1]) / 100)}
    values = _numbers(points)
    if aligner == "ALIGN_COUNT":
        return {"int64Value": str(len(points))}
    if aligner in ("ALIGN_COUNT_TRUE", "ALIGN_COUNT_FALSE"):
        return {"int64Value": str(sum(1 for value in values if bool(value) == (aligner == "ALIGN_COUNT_TRUE")))}
    function = _ALIGNERS.get(aligner)
    if function is None:
        raise invalid(f"The twin does not align by {aligner}.")
    made = function(values, seconds)
    whole = all("int64Value" in point.get("value", {}) for point in points)
    if whole and aligner in ("ALIGN_SUM", "ALIGN_DELTA", "ALIGN_MAX", "ALIGN_MIN", "ALIGN_NEXT_OLDER"):
        return {"int64Value": str(int(made))}
    return {"doubleValue": made}


def _numbers(points: list[Body]) -> list[float]:
    return [number for number in map(number_of, points) if number is not None]


def _change(values: list[float], _seconds: float) -> float:
    return 100.0 * (values[-1] - values[0]) / values[0] if values and values[0] else 0.0


_ALIGNERS: Final[dict[str, Callable[[list[float], float], float]]] = {
    "ALIGN_SUM": lambda values, _: sum(values),
    "ALIGN_DELTA": lambda values, _: sum(values),
    "ALIGN_RATE": lambda values, seconds: sum(values) / seconds,
    "ALIGN_MEAN": lambda values, _: sum(values) / len(values) if values else 0.0,
    "ALIGN_MAX": lambda values, _: max(values, default=0.0),
    "ALIGN_MIN": lambda values, _: min(values, default=0.0),
    "ALIGN_STDDEV": lambda values, _: statistics.pstdev(values) if values else 0.0,
    "ALIGN_NEXT_OLDER": lambda values, _: values[-1] if values else 0.0,
    "ALIGN_INTERPOLATE": lambda values, _: values[-1] if values else 0.0,
    "ALIGN_FRACTION_TRUE": lambda values, _: sum(values) / len(values) if values else 0.0,
    "ALIGN_PERCENT_CHANGE": _change,
}
_REDUCERS: Final[dict[str, Callable[[list[float]], float]]] = {
    "REDUCE_SUM": sum,
    "REDUCE_MEAN": lambda values: sum(values) / len(values),
    "REDUCE_MAX": max,
    "REDUCE_MIN": min,
    "REDUCE_STDDEV": statistics.pstdev,
    "REDUCE_FRACTION_TRUE": lambda values: sum(values) / len(values),
}


def _reduced(found: list[Body], reducer: str, fields: list[str]) -> list[Body]:
    """One series for each combination of the fields' values; the points of a moment become one."""
    groups: dict[tuple[str, ...], list[Body]] = defaultdict(list)
    for series in found:
        groups[tuple(_field(series, field) for field in fields)].append(series)
    made = []
    for key, members in sorted(groups.items()):
        moments: dict[tuple[str, str], list[Body]] = defaultdict(list)
        for series in members:
            for point in series["points"]:
                moments[point["interval"]["startTime"], point["interval"]["endTime"]].append(point)
        points = [
            {"interval": {"startTime": begin, "endTime": end}, "value": _together(there, reducer)}
            for (begin, end), there in sorted(moments.items(), key=lambda item: item[0][1])
        ]
        first = members[0]
        series = {**first, "metric": {"type": first["metric"]["type"]}, "resource": {"type": first["resource"]["type"]}}
        for field, value in zip(fields, key, strict=True):
            _keep(series, field, value)
        made.append({**series, "points": points})
    return made


def _together(points: list[Body], reducer: str) -> Body:
    spreads = [point["value"]["distributionValue"] for point in points if "distributionValue" in point["value"]]
    match = _PERCENTILE.match(reducer)
    if spreads and (match or reducer in ("REDUCE_SUM", "REDUCE_MEAN")):
        whole = merged(spreads)
        return {"doubleValue": percentile_of(whole, int(match[1]) / 100)} if match else {"distributionValue": whole}
    values = _numbers(points)
    if reducer == "REDUCE_COUNT":
        return {"int64Value": str(len(points))}
    if reducer in ("REDUCE_COUNT_TRUE", "REDUCE_COUNT_FALSE"):
        return {"int64Value": str(sum(1 for value in values if bool(value) == (reducer == "REDUCE_COUNT_TRUE")))}
    if match:
        return {"doubleValue": _percentile(values, int(match[1]) / 100)}
    function = _REDUCERS.get(reducer)
    if function is None:
        raise invalid(f"The twin does not reduce by {reducer}.")
    made = function(values) if values else 0.0
    whole_numbers = all("int64Value" in point["value"] for point in points)
    if whole_numbers and reducer in ("REDUCE_SUM", "REDUCE_MAX", "REDUCE_MIN"):
        return {"int64Value": str(int(made))}
    return {"doubleValue": made}


def _field(series: Body, field: str) -> str:
    value: Any = series
    for part in re.sub(r"^(metric|resource)\.label\.", r"\1.labels.", field).split("."):
        value = value.get(part, "") if isinstance(value, dict) else ""
    return str(value)


def _keep(series: Body, field: str, value: str) -> None:
    owner, _, rest = re.sub(r"^(metric|resource)\.label\.", r"\1.labels.", field).partition(".labels.")
    if rest and value:
        series[owner] = {**series[owner], "labels": {**series[owner].get("labels", {}), rest: value}}


def merged(spreads: list[Body]) -> Body:
    """Distributions added up: counts, means, and buckets where all have the same ones."""
    count = sum(int(spread.get("count", 0)) for spread in spreads)
    total = sum(float(spread.get("mean", 0.0)) * int(spread.get("count", 0)) for spread in spreads)
    made: Body = {"count": str(count), "mean": total / count if count else 0.0}
    options = [spread.get("bucketOptions") for spread in spreads]
    if options[0] is not None and all(option == options[0] for option in options):
        width = max(len(spread.get("bucketCounts", [])) for spread in spreads)
        counts = [
            sum(
                int(spread.get("bucketCounts", [])[place])
                for spread in spreads
                if place < len(spread.get("bucketCounts", []))
            )
            for place in range(width)
        ]
        made |= {"bucketOptions": options[0], "bucketCounts": [str(number) for number in counts]}
    return made


def percentile_of(spread: Body, part: float) -> float:
    """A percentile of a distribution, linear inside of its bucket; its mean when it has no buckets."""
    counts = [int(number) for number in spread.get("bucketCounts", [])]
    bounds = _bounds(spread.get("bucketOptions") or {}, len(counts))
    wanted, seen = part * sum(counts), 0
    for place, number in enumerate(counts):
        if number and seen + number >= wanted:
            lower, upper = bounds[place], bounds[place + 1]
            if math.isinf(upper):
                return lower
            return lower + (upper - lower) * (wanted - seen) / number
        seen += number
    return float(spread.get("mean", 0.0))


def _bounds(options: Body, buckets: int) -> list[float]:
    """Lower bounds of each bucket, and the last one's upper bound: below the first finite bucket is 0."""
    if "explicitBuckets" in options:
        finite = [float(bound) for bound in options["explicitBuckets"].get("bounds", [])]
    elif "linearBuckets" in options:
        spec = options["linearBuckets"]
        number, width, offset = int(spec["numFiniteBuckets"]), float(spec["width"]), float(spec.get("offset", 0))
        finite = [offset + width * place for place in range(number + 1)]
    else:
        spec = options.get("exponentialBuckets", {"numFiniteBuckets": 0, "growthFactor": 2, "scale": 1})
        number, growth, scale = int(spec["numFiniteBuckets"]), float(spec["growthFactor"]), float(spec["scale"])
        finite = [scale * growth**place for place in range(number + 1)]
    return [min(0.0, *finite[:1]), *finite, *([math.inf] * (buckets + 1))]


def _percentile(values: list[float], part: float) -> float:
    """Linear between the neighbours, as spreadsheets do."""
    if not values:
        return 0.0
    ordered = sorted(values)
    place = part * (len(ordered) - 1)
    lower = int(place)
    upper = min(lower + 1, len(ordered) - 1)
    return ordered[lower] + (ordered[upper] - ordered[lower]) * (place - lower)
