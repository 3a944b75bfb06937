"""Pages of a listing: sorted by name, continued behind the last name that was shown (https://google.aip.dev/158)."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from twin.kernel.errors import invalid
from twin.kernel.types import Body

_MAXIMUM = 1000
SIZE_PARAMETERS = ("pageSize", "maxResults", "limit")
TOKEN_PARAMETERS = ("pageToken", "continue")


def size_of(parameters: Body, default: int = 500) -> int:
    """The page size asked for; 0 or none means the default. ApiError INVALID_ARGUMENT when negative."""
    for name in SIZE_PARAMETERS:
        if name in parameters:
            size = int(parameters[name])
            if size < 0:
                raise invalid(f"Page size is negative: {size}")
            return min(size or default, _MAXIMUM)
    return default


def token_for(last: str, digest: str) -> str:
    raw = json.dumps([last, digest], separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def position_of(parameters: Body, digest: str) -> str:
    """The name to continue behind, '' for the first page. ApiError INVALID_ARGUMENT for a token that is not ours."""
    token = next((parameters[name] for name in TOKEN_PARAMETERS if parameters.get(name)), "")
    if not token:
        return ""
    try:
        last, made_for = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    except ValueError as error:
        raise invalid("Invalid page token.") from error
    if made_for != digest or not isinstance(last, str):
        raise invalid("Invalid page token.")
    return last


def page(
    entries: Iterable[tuple[str, Body]], size: int, keep: Callable[[Body], bool] | None, digest: str
) -> tuple[list[tuple[str, Body]], str]:
    """At most `size` entries that `keep` likes, and the token for the next page ('' at the end)."""
    chosen: list[tuple[str, Body]] = []
    for name, body in entries:
        if keep is not None and not keep(body):
            continue
        if len(chosen) == size:
            return chosen, token_for(chosen[-1][0], digest)
        chosen.append((name, body))
    return chosen, ""


def ordered(entries: Sequence[tuple[str, Body]], order_by: str) -> list[tuple[str, Body]]:
    """Sorted as `orderBy` says: `createTime desc, name` (https://google.aip.dev/132#ordering)."""
    result = list(entries)
    for clause in reversed([part.strip() for part in order_by.split(",") if part.strip()]):
        field, _, direction = clause.partition(" ")
        if direction.strip() not in ("", "asc", "desc"):
            raise invalid(f"Invalid order by clause: {clause}")
        result.sort(key=lambda entry: _key(entry[1], field), reverse=direction.strip() == "desc")
    return result


def _key(body: Body, field: str) -> tuple[bool, str]:
    value: Any = body
    for part in field.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value is not None, str(value)
