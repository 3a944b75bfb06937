"""Path and query parameters: typed by the document, the unknown ones refused."""

from __future__ import annotations

import re
from typing import Any

from twin.kernel.documents import Method
from twin.kernel.names import camel
from twin.kernel.routing import Match
from twin.kernel.shapes import Shape
from twin.kernel.types import Body

_SYSTEM = frozenset(
    {
        "uploadType",
        "upload_protocol",
        "upload_id",
        "alt",
        "fields",
        "key",
        "prettyPrint",
        "quotaUser",
        "userIp",
        "access_token",
        "oauth_token",
        "callback",
        "$.xgafv",
        "trace",
        "requestId",
        "userProject",
    }
)


# Sent by Google's own clients without being in the document: google-cloud-bigquery's get_job, gcloud's compute listings.
_UNDOCUMENTED = frozenset({("bigquery", "projection"), ("compute", "returnPartialSuccess")})


def parameters_of(
    method: Method, match: Match, query: tuple[tuple[str, str], ...], problems: list[tuple[str, str]]
) -> Body:
    params: Body = dict(match.values)
    for raw, text in query:
        name = raw.lstrip("$") if raw.startswith("$") and raw != "$.xgafv" else raw
        spec = method.parameters.get(name)
        if spec is None:
            spec = method.parameters.get(".".join(camel(part) for part in name.split(".")))
        if spec is None:
            if (method.document.name, name) in _UNDOCUMENTED:
                continue
            if _in_envelope(method, name):
                params[name] = text
                continue
            if name not in _SYSTEM and raw not in method.document.parameters:
                problems.append(
                    (
                        "",
                        f'Invalid JSON payload received. Unknown name "{raw}": Cannot bind query parameter. '
                        f"Field '{raw}' could not be found in request message.",
                    )
                )
            else:
                params[name] = text
            continue
        if spec.location == "path":
            continue
        value = _typed(spec.type, spec.format, spec.enum, text)
        if value is None:
            problems.append((spec.name, f"Invalid value at '{spec.name}' ({spec.type.upper()}), \"{text}\""))
        elif spec.repeated:
            params.setdefault(spec.name, []).append(value)
        else:
            params[spec.name] = value
    for name, spec in method.parameters.items():
        if spec.required and spec.location == "query" and name not in params:
            problems.append((name, f"Required parameter is missing: {name}"))
    return params


def _in_envelope(method: Method, name: str) -> bool:
    """Whether a query parameter names a plain field of a request that is an envelope around the resource.

    Such a request has no declared query parameters, and the API binds one all the same: `?updateMask=…` beside
    `{"subscription": …}` (recorded: pubsubsubscription, _http_old_controller.log).
    """
    if not method.wrapped or name == method.wrapped:
        return False
    fields = method.document.schemas.get(method.request, {}).get("properties", {})
    return bool(fields.get(name, {}).get("type") == "string")


def _typed(kind: str, form: str, enum: tuple[str, ...], text: str) -> Any:
    if enum:
        if text in enum:
            return text
        return enum[int(text)] if text.isdigit() and int(text) < len(enum) else None
    if kind == "boolean":
        return {"true": True, "false": False, "True": True, "False": False, "1": True, "0": False}.get(text)
    if kind == "integer" or form in ("int64", "uint64", "int32", "uint32"):
        if not re.fullmatch(r"-?\d{1,19}", text):
            return None
        return int(text) if kind == "integer" else text
    return text


def restore_nulls(raw: Body, body: Body, shape: Shape) -> None:
    """A merge patch says "remove" with null, which reading dropped."""
    target = shape.target()
    for key, value in raw.items():
        field_shape = target.fields.get(key)
        if value is None and ((field_shape is not None and not field_shape.read_only) or target.extra is not None):
            body[key] = None
        elif isinstance(value, dict) and isinstance(body.get(key), dict):
            inner = field_shape or target.extra
            if inner is not None:
                restore_nulls(value, body[key], inner)
