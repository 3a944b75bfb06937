"""Reading resources as the APIs give them: containers, variables, durations, policies; and wording verdicts about them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from regreen.facts.cloud.snapshot import Body, Snapshot
from regreen.model import Finding, Resource, Severity, Verdict
from regreen.redact import redact

#: Words in names of variables whose values are secrets, as people choose them.
_SECRET: Final = frozenset(
    {"SECRET", "PASSWORD", "PASSWD", "PASSPHRASE", "PWD", "PW", "TOKEN", "APIKEY", "WEBHOOK", "CREDENTIAL", "CREDENTIALS"}
)  # fmt: skip
#: Words before KEY with which it is no secret, or none of this kind: names of keys, and keys of tables and caches.
_OPEN_KEYS: Final = frozenset(
    {"PUBLIC", "PUBLISHABLE", "KMS", "CRYPTO", "PARTITION", "SORT", "PRIMARY", "FOREIGN", "CACHE", "ROUTING", "HASH", "SHARD"}
)  # fmt: skip
#: Last words of names that are about a secret and hold none: where it is, what it is called, how long it lives.
_ABOUT: Final = frozenset(
    {"FILE", "PATH", "NAME", "TTL", "ID", "URL", "URI", "ENDPOINT", "EXPIRY", "SECONDS", "MINUTES", "HOURS", "DAYS", "LENGTH",
     "SIZE", "ALGORITHM", "HEADER", "ISSUER", "AUDIENCE", "LIMIT", "COUNT", "TYPE", "VERSION", "ENABLED", "REQUIRED", "PREFIX"}
)  # fmt: skip
#: Values that are none whatever they are called: numbers, switches, names of Google's resources, files.
_HARMLESS: Final = re.compile(
    r"\A(?:\d{1,6}|true|false|yes|no|on|off|none|projects/[\w./-]+|/[\w./-]+)\Z", re.IGNORECASE
)


def verdict(
    check: str, snapshot: Snapshot, reads: Sequence[str], examined: int, findings: Iterable[Finding]
) -> Verdict:
    """UNKNOWN where a collection could not be read, else what the findings say. `findings` is not run when blind."""
    trouble = snapshot.trouble(*reads)
    return Verdict.unknown(check, trouble) if trouble else Verdict.of(check, examined, findings)


def present(snapshot: Snapshot, kind: str, names: Iterable[str]) -> int:
    """How many of some resources are there to be looked at: what is absent was not examined, and is not healthy."""
    there = snapshot.of(kind).items
    return sum(1 for name in names if name in there)


def not_required(check: str, what: str) -> Verdict:
    """UNKNOWN: the environment file requires nothing that this check could look at."""
    return Verdict.unknown(check, f"the environment file has no {what}, so nothing is required here")


def finding(
    check: str, severity: Severity, kind: str, name: str, pointer: str, observed: str, expected: str, **data: str
) -> Finding:
    """A finding about a resource; its identity is the check, the resource and the place in it."""
    where = Resource(kind, name, pointer)
    pairs = (("resource", name), *data.items())
    return Finding(check, f"{kind}/{name}", where, observed, expected, severity, snippet=pointer, data=pairs)


def last(name: object) -> str:
    """The last part of a resource's name or link."""
    return str(name or "").rstrip("/").rsplit("/", 1)[-1]


def seconds(text: object) -> float:
    """A duration as Google writes it (`300s`, `0.5s`) or as a number; 0.0 for nothing."""
    value = str(text or "0")
    return float(value[:-1] if value.endswith("s") else value)


def field(body: Any, *path: str | int, default: Any = None) -> Any:
    """A value below a body, or the default where some part is missing."""
    for part in path:
        if isinstance(part, int):
            if not isinstance(body, list) or not -len(body) <= part < len(body):
                return default
            body = body[part]
        else:
            if not isinstance(body, Mapping) or part not in body:
                return default
            body = body[part]
    return body


def containers(body: Body) -> Sequence[Body]:
    """The containers of a service (v2), a revision, or a job."""
    for path in (("template", "containers"), ("template", "template", "containers"), ("containers",)):
        found = field(body, *path)
        if found:
            return list(found)
    return ()


def variables(container: Body) -> Mapping[str, str | None]:
    """The variables of a container: plain values, or None where the value comes from Secret Manager."""
    return {
        item["name"]: None if field(item, "valueSource", "secretKeyRef") else str(item.get("value", ""))
        for item in container.get("env", ())
    }


def references(container: Body) -> Mapping[str, tuple[str, str]]:
    """Variables that refer to a secret: the secret's short name, and the version."""
    found = {}
    for item in container.get("env", ()):
        reference = field(item, "valueSource", "secretKeyRef")
        if reference:
            found[item["name"]] = (last(reference.get("secret")), str(reference.get("version", "latest")))
    return found


def served(service: Body) -> Iterator[str]:
    """Short names of the revisions of a service that get traffic or have a tag."""
    for item in field(service, "trafficStatuses", default=()):
        if item.get("percent") or item.get("tag"):
            yield last(item.get("revision")) or last(service.get("latestReadyRevision"))


def members(policy: Body, *roles: str) -> set[str]:
    """Everybody that a policy gives one of some roles without a condition."""
    return {
        member
        for binding in policy.get("bindings", ())
        if binding.get("role") in roles and not binding.get("condition")
        for member in binding.get("members", ())
    }


def secret_like(name: str, value: str = "") -> bool:
    """Whether a variable holds a secret, by the way people name them, or by a value that no text may show."""
    if redact(value) != value:
        return True
    if value and _HARMLESS.match(value):
        return False
    words = [word for word in re.split(r"[^A-Z0-9]+", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).upper()) if word]
    if not words or {"PUBLIC", "PUBLISHABLE"} & set(words):
        return False
    if "WEBHOOK" in words:  # whoever has its address may post
        return words[-1] not in _ABOUT - {"URL", "URI"}
    if words[-1] in _ABOUT:
        return False
    if words[-1] in ("KEY", "KEYS"):
        return len(words) > 1 and words[-2] not in _OPEN_KEYS
    return bool(_SECRET & set(words))


def masked(value: str) -> str:
    """That there is a value, and how long it is, and nothing else of it."""
    return f"a plain value of {len(value)} characters"
