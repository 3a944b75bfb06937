"""Between a program's inputs and the API's objects, by the table of types."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final

from infra.types import FieldSpec, TypeSpec

#: What the engine sends for a value that is not known before an update.
UNKNOWN: Final = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
_LINK: Final = re.compile(r"^https://[a-z0-9.-]+/(?:compute/)?(?:v1|v2|beta)/")
_SECONDS: Final = re.compile(r"^(\d+)(?:\.0+)?s$")
_ROLES: Final = {
    "roles/bigquery.dataOwner": "OWNER",
    "roles/bigquery.dataEditor": "WRITER",
    "roles/bigquery.dataViewer": "READER",
}


def to_api(inputs: Mapping[str, Any], fields: Mapping[str, FieldSpec]) -> dict[str, Any]:
    """The API's object for some inputs; what is not declared is left out, what has no place there as well."""
    body: dict[str, Any] = {}
    for name, value in inputs.items():
        spec = fields.get(name)
        if spec is None or not spec.path or value is None:
            continue
        _put(body, spec.path, api_value(value, spec))
    return body


def api_value(value: Any, spec: FieldSpec) -> Any:
    """One value as the API writes it."""
    made = value
    if spec.kind == "object" and isinstance(value, Mapping):
        made = to_api(value, spec.fields)
    elif spec.kind == "objects" and isinstance(value, Sequence) and not isinstance(value, str):
        made = [to_api(item, spec.fields) if isinstance(item, Mapping) else item for item in value]
    elif spec.kind in ("integer", "number") and isinstance(value, float) and value.is_integer():
        made = str(int(value)) if spec.int64 else int(value)
    elif spec.int64 and isinstance(value, (int, float)) and not isinstance(value, bool):
        made = str(int(value))
    return [made] if spec.single else made


def to_program(live: Mapping[str, Any], fields: Mapping[str, FieldSpec]) -> dict[str, Any]:
    """The inputs that a program would have to declare for a live object; secrets are never read back."""
    inputs: dict[str, Any] = {}
    for name, spec in fields.items():
        if not spec.path or spec.secret:
            continue
        value = program_value(at(live, spec.path), spec)
        if value is not None and (value not in ("", [], {}) or _means_something(spec, value)):
            inputs[name] = value
    return inputs


def _means_something(spec: FieldSpec, value: Any) -> bool:
    """An empty message can be a choice (`automatic: {}`); an empty list or text is the same as none."""
    return value == {} and spec.kind == "object"


def program_value(value: Any, spec: FieldSpec) -> Any:
    """One live value as a program writes it; None where there is none."""
    if spec.single and isinstance(value, list):
        value = value[0] if value else None
    if value is None:
        return None
    if spec.kind == "object":
        return to_program(value, spec.fields) if isinstance(value, Mapping) else None
    if spec.kind == "objects":
        return [to_program(item, spec.fields) for item in value if isinstance(item, Mapping)]
    if spec.kind in ("integer", "number") and isinstance(value, str):
        return int(value) if re.fullmatch(r"-?\d+", value) else float(value)
    return value


def at(live: Mapping[str, Any], path: Sequence[str]) -> Any:
    """The value at a path of an API object; None where there is none."""
    value: Any = live
    for part in path:
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def _put(body: dict[str, Any], path: Sequence[str], value: Any) -> None:
    for part in path[:-1]:
        body = body.setdefault(part, {})
    body[path[-1]] = value


def same(one: Any, other: Any) -> bool:
    """Whether two scalars mean the same: whole numbers, links by their relative name, durations, keys without a version."""
    if isinstance(one, str) and isinstance(other, str):
        return plain(one) == plain(other)
    if isinstance(one, (int, float)) and isinstance(other, (int, float)):
        return bool(one == other) and isinstance(one, bool) == isinstance(other, bool)
    if isinstance(one, str) != isinstance(other, str) and not isinstance(one, bool) and not isinstance(other, bool):
        return str(_whole(one)) == str(_whole(other))
    return bool(one == other)


def _whole(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


def plain(text: str) -> str:
    """A text without what makes no difference."""
    text = _LINK.sub("", text)
    if (seconds := _SECONDS.match(text)) is not None:
        return seconds.group(1) + "s"
    if "/cryptoKeys/" in text:
        text = text.split("/cryptoKeyVersions/")[0]
    return _ROLES.get(text, text)


def empty(value: Any, spec: FieldSpec | None = None) -> bool:
    """Whether a value is the same as none: empty, zero, false, or the field's default."""
    if value in (None, "", [], {}, False, 0):
        return True
    if (
        spec is not None
        and spec.default is not None
        and not isinstance(value, (dict, list))
        and same(value, spec.default)
    ):
        return True
    if spec is not None and spec.kind == "object" and isinstance(value, Mapping):
        return all(empty(item, spec.fields.get(key)) for key, item in value.items()) and not _chooses(spec)
    return False


def _chooses(spec: FieldSpec) -> bool:
    return not spec.fields


def identity(spec: TypeSpec, given: str) -> dict[str, str]:
    """The inputs that an import id names. Raises ValueError with the forms that are accepted."""
    text = given.removeprefix(spec.base).removeprefix("/")
    for form in (*spec.imports, spec.own):
        # `{keyRing}/cryptoKeys/{name}`: what stands first is a whole resource name.
        first = re.match(r"\{(\w+)\}/[a-z]", form)
        pattern = re.sub(
            r"\\\{(\w+)\\\}",
            partial(_placeholder, first.group(1) if first else ""),
            re.escape(form),
        )
        matched = re.fullmatch(pattern, text)
        if matched is not None:
            return matched.groupdict()
    raise ValueError(f"the import id {given!r} of {spec.token} is none of {', '.join(spec.imports)}")


def _placeholder(first: str, found: re.Match[str]) -> str:
    """The group that a placeholder of an import form becomes; the first may span a whole resource name."""
    name = found.group(1)
    return f"(?P<{name}>{'.+' if name == first else '[^/]+'})"
