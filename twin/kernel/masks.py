"""Field masks: which fields an update touches, and which fields an answer keeps."""

from __future__ import annotations

import copy
from typing import Any

from twin.kernel.errors import invalid
from twin.kernel.names import camel
from twin.kernel.shapes import Shape
from twin.kernel.types import Body

# A tree of kept names; an empty dict keeps everything below.
Selection = dict[str, Any]


def parse_update_mask(mask: str, shape: Shape) -> list[tuple[str, ...]]:
    """Paths of an `updateMask`, in camel case. ApiError INVALID_ARGUMENT for a path that the schema lacks.

    https://google.aip.dev/161
    """
    paths = []
    for entry in filter(None, (part.strip() for part in mask.split(","))):
        path: list[str] = []
        current: Shape | None = shape.target()
        words = entry.split(".")
        # `policy.spec` for a Policy: some APIs document their masks from the request's own field on.
        if len(words) > 1 and camel(words[0]) not in shape.target().fields and _names(words[0], shape):
            words = words[1:]
        for raw in words:
            if raw == "*":
                path.append(raw)
                current = None
                continue
            name = raw.strip("`")
            if current is not None and current.kind == "object" and current.fields:
                name = raw if raw in current.fields else camel(raw)
                if name not in current.fields and current.extra is None:
                    raise invalid(f"Invalid update mask. Field '{entry}' does not exist in {shape.label}.")
                child = current.fields.get(name)
                current = child.target() if child is not None else None
            else:
                current = None
            path.append(name)
        paths.append(tuple(path))
    return paths


def _names(word: str, shape: Shape) -> bool:
    """Whether a mask's first word is the resource itself: its schema's name, whatever stands in front of it."""
    return bool(shape.target().fields) and shape.label.lower().endswith(camel(word).lower())


def overlay(old: Body, new: Body, paths: list[tuple[str, ...]]) -> Body:
    """`old` with the masked paths taken from `new`; a masked path that `new` lacks is cleared."""
    result = copy.deepcopy(old)
    for path in paths:
        if path == ("*",):
            for key in [key for key in result if key not in new]:
                del result[key]
            result.update(copy.deepcopy(new))
            continue
        _assign(result, new, path)
    return result


def _assign(result: Body, new: Any, path: tuple[str, ...]) -> None:
    name, rest = path[0], path[1:]
    if not rest or rest == ("*",):
        if isinstance(new, dict) and name in new:
            result[name] = copy.deepcopy(new[name])
        else:
            result.pop(name, None)
        return
    source = new.get(name) if isinstance(new, dict) else None
    inner = result.get(name)
    if not isinstance(inner, dict):
        if source is None:
            return
        inner = result[name] = {}
    _assign(inner, source, rest)


def merge_patch(old: Body, patch: Body) -> Body:
    """JSON merge patch (RFC 7396), as compute, bigquery, storage and sqladmin define PATCH."""
    result = dict(old)
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict) and isinstance(result.get(key), dict):
            result[key] = merge_patch(result[key], value)
        elif isinstance(value, dict):
            result[key] = merge_patch({}, value)
        else:
            result[key] = value
    return result


def parse_fields(text: str) -> Selection:
    """The `fields` parameter: `items(name,labels/env),nextPageToken`. ApiError INVALID_ARGUMENT when it is malformed.

    https://developers.google.com/workspace/docs/api/how-tos/performance#partial-response
    """
    root: Selection = {}
    position = _parse_group(text, 0, root, text)
    if position != len(text):
        raise invalid(f"Invalid field selection {text[position:]}", "invalidParameter")
    return root


def _parse_group(text: str, at: int, into: Selection, whole: str) -> int:
    while at < len(text):
        start = at
        while at < len(text) and text[at] not in ",()":
            at += 1
        node = into
        words = [word for word in text[start:at].strip().split("/") if word]
        if not words:
            raise invalid(f"Invalid field selection {whole}", "invalidParameter")
        for word in words:
            node = node.setdefault(word, {})
        if at < len(text) and text[at] == "(":
            at = _parse_group(text, at + 1, node, whole)
            if at >= len(text) or text[at] != ")":
                raise invalid(f"Invalid field selection {whole}", "invalidParameter")
            at += 1
        if at < len(text) and text[at] == ",":
            at += 1
            continue
        return at
    return at


def select(value: Any, selection: Selection) -> Any:
    """`value` reduced to the selected fields."""
    if not selection or ("*" in selection and not selection["*"]):
        return value
    if isinstance(value, list):
        return [select(element, selection) for element in value]
    if not isinstance(value, dict):
        return value
    every = selection.get("*")
    kept: Body = {}
    for key, element in value.items():
        inner = selection.get(key, every)
        if inner is not None:
            kept[key] = select(element, inner)
    return kept
