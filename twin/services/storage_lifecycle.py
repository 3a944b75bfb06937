"""Lifecycle rules, applied by the twin's clock when somebody looks (Google takes up to a day).

https://cloud.google.com/storage/docs/lifecycle
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from twin.kernel import standard
from twin.kernel.semantics import Call
from twin.kernel.types import Body, parse_rfc3339
from twin.services import storage_versions as versions


def apply(call: Call, bucket: Body) -> None:
    """Delete or move what the bucket's rules say, as of now."""
    rules = bucket.get("lifecycle", {}).get("rule", [])
    if not rules:
        return
    short = bucket["name"]
    newer: dict[str, int] = {}
    live = list(call.children(f"storage/b/{short}/o"))
    old = sorted(versions.listed(call, short, soft_deleted=False), key=lambda body: -int(body["generation"]))
    for name, body in live:
        newer[body["name"]] = 1
        _apply(call, bucket, rules, name, body, 0)
    for body in old:
        count = newer.get(body["name"], 0)
        newer[body["name"]] = count + 1
        _apply(call, bucket, rules, versions.kept_name(short, body["name"], body["generation"]), body, count)


def _apply(call: Call, bucket: Body, rules: list[Body], name: str, body: Body, newer: int) -> None:
    matching = [rule["action"] for rule in rules if _matches(rule["condition"], body, newer, call.now)]
    if any(action["type"] == "Delete" for action in matching):
        if versions.expiry(bucket, body) > call.stamp or body.get("temporaryHold") or body.get("eventBasedHold"):
            return
        call.delete(name)
        if "timeDeleted" in body:
            versions.keep_deleted(call, bucket, body)
        else:
            versions.keep_overwritten(call, bucket, body)
        return
    for action in matching:
        wanted = action.get("storageClass", "")
        if action["type"] == "SetStorageClass" and wanted and wanted != body["storageClass"]:
            changed = {**body, "storageClass": wanted, "timeStorageClassUpdated": call.stamp, "updated": call.stamp}
            changed["etag"] = standard.fingerprint(changed)
            call.put(name, changed)
            return


def _matches(condition: Body, body: Body, newer: int, now: datetime) -> bool:
    """All of a rule's conditions hold. An unknown one never does: nothing is deleted by mistake."""
    live = "timeDeleted" not in body
    age = (now - parse_rfc3339(body["timeCreated"])).days
    tests: dict[str, Callable[[Any], bool]] = {
        "age": lambda value: age >= int(value),
        "isLive": lambda value: live == bool(value),
        "createdBefore": lambda value: body["timeCreated"][:10] < str(value),
        "numNewerVersions": lambda value: not live and newer >= int(value),
        "matchesPrefix": lambda value: body["name"].startswith(tuple(value)),
        "matchesSuffix": lambda value: body["name"].endswith(tuple(value)),
        "matchesStorageClass": lambda value: body["storageClass"] in value,
        "daysSinceNoncurrentTime": lambda value: (
            not live and (now - parse_rfc3339(body["timeDeleted"])).days >= int(value)
        ),
    }
    return bool(condition) and all(field in tests and tests[field](value) for field, value in condition.items())
