"""Generations that are no longer live: noncurrent ones of versioned buckets, and soft-deleted ones.

https://cloud.google.com/storage/docs/object-versioning, https://cloud.google.com/storage/docs/soft-delete
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from urllib.parse import quote

from twin.kernel.errors import ApiError, not_found
from twin.kernel.semantics import Call
from twin.kernel.types import Body, parse_rfc3339, rfc3339

WORD = "generations"
_DAY = 86_400


def kept_name(bucket: str, key: str, generation: str) -> str:
    """Where a generation is kept once it is not live any more; sorts by key, then by age."""
    return f"storage/b/{bucket}/{WORD}/{quote(key, safe='')}#{int(generation):020d}"


def retention(bucket: Body) -> int:
    """Seconds that deleted objects stay restorable; 0 where soft delete is off."""
    return int(bucket.get("softDeletePolicy", {}).get("retentionDurationSeconds", 0))


def _soft(call: Call, bucket: Body, body: Body) -> Body:
    until = rfc3339(call.now + timedelta(seconds=retention(bucket)))
    return {**body, "softDeleteTime": call.stamp, "hardDeleteTime": until}


def keep_overwritten(call: Call, bucket: Body, body: Body) -> None:
    """A live generation is about to be replaced, or deleted without its generation being named."""
    if bucket.get("versioning", {}).get("enabled"):
        kept = {**body, "timeDeleted": call.stamp}
    elif retention(bucket):
        kept = _soft(call, bucket, body)
    else:
        return
    call.put(kept_name(body["bucket"], body["name"], body["generation"]), kept)


def keep_deleted(call: Call, bucket: Body, body: Body) -> None:
    """One generation, live or not, is deleted for good: soft delete is the last net."""
    name = kept_name(body["bucket"], body["name"], body["generation"])
    if retention(bucket):
        call.put(name, _soft(call, bucket, body))
    else:
        call.delete(name)


def find(call: Call, bucket: str, key: str, generation: str, soft_deleted: bool = False) -> Body | None:
    """A generation that is not live, or None."""
    if not generation.isdigit():
        return None
    body = call.get(kept_name(bucket, key, generation))
    if body is None or ("softDeleteTime" in body) != soft_deleted or _gone(call, body):
        return None
    return body


def _gone(call: Call, body: Body) -> bool:
    return "hardDeleteTime" in body and body["hardDeleteTime"] <= call.stamp


def listed(call: Call, bucket: str, soft_deleted: bool) -> Iterator[Body]:
    """Noncurrent generations, or soft-deleted ones; those past their time are removed on the way."""
    for name, body in call.children(f"storage/b/{bucket}/{WORD}"):
        if _gone(call, body):
            call.delete(name)
        elif ("softDeleteTime" in body) == soft_deleted:
            yield body


def has_noncurrent(call: Call, bucket: str) -> bool:
    return any(True for _ in listed(call, bucket, soft_deleted=False))


def take_back(call: Call, bucket: str, key: str, generation: str) -> Body:
    """Remove a soft-deleted generation from the shelf, to be made live again. ApiError NOT_FOUND when it is not there."""
    body = find(call, bucket, key, generation, soft_deleted=True)
    if body is None:
        raise not_found(f"No such object: {bucket}/{key}")
    call.delete(kept_name(bucket, key, generation))
    return {field: value for field, value in body.items() if field not in ("softDeleteTime", "hardDeleteTime")}


# Retention and holds


def expiry(bucket: Body, body: Body) -> str:
    """Until when the bucket's retention policy keeps an object; '' when it does not."""
    policy = bucket.get("retentionPolicy")
    if not policy or body.get("eventBasedHold"):
        return ""
    start = parse_rfc3339(body.get("~released") or body["timeCreated"])
    return rfc3339(start + timedelta(seconds=int(policy["retentionPeriod"])), 3)


def require_removable(call: Call, bucket: Body, body: Body) -> None:
    """ApiError PERMISSION_DENIED while a hold or the retention policy protects an object.

    https://cloud.google.com/storage/docs/bucket-lock, https://cloud.google.com/storage/docs/object-holds
    """
    where = f"{body['bucket']}/{body['name']}"
    for field, word in (("temporaryHold", "Temporary hold"), ("eventBasedHold", "Event-Based hold")):
        if body.get(field):
            raise ApiError(
                "PERMISSION_DENIED",
                f"Object '{where}' is under active {word} and cannot be deleted, overwritten or archived until hold is removed.",
                reason="forbidden",
            )
    until = expiry(bucket, body)
    if until and until > call.stamp:
        raise ApiError(
            "PERMISSION_DENIED",
            f"Object '{where}' is subject to bucket's retention policy or object retention and cannot be deleted or "
            f"overwritten until {until}",
            reason="retentionPolicyNotMet",
        )
