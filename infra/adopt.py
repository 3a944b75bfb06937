"""Adoption: the stack's file with every live resource that the environment file names taken over as it is.

What a resource has goes through the table of types into the provider's own shape: a few settings with names of their own,
everything else under `keep`. Plain values of secrets are never written: the file says that they stay as they are live.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from infra.config import SECTIONS, Place, StackDocument, split
from infra.live import LIVE
from infra.types import known
from infra.types.shape import to_program
from regreen.facts.cloud.reading import containers, last, members, secret_like, variables
from regreen.facts.cloud.secrets import secret_for

if TYPE_CHECKING:
    from regreen.environment import Environment
    from regreen.facts.cloud import Snapshot
    from regreen.facts.cloud.snapshot import Body


@dataclass(frozen=True, slots=True)
class Live:
    """One live resource: its section and name, the inputs that a program would declare, its import id and IAM members."""

    section: str
    name: str
    inputs: Mapping[str, Any]
    import_id: str
    members: tuple[str, ...] = ()
    member_base: str = ""
    """What stands before role and member in the import id of a grant."""
    extra: Mapping[str, Any] = field(default_factory=dict)


class BlindError(Exception):
    """A collection that adoption needs could not be read: taking over what is seen would leave the rest to be created."""


_NEEDS: Final = (
    "run.services", "run.policies", "compute.backendServices", "compute.backendBuckets", "compute.urlMaps", "bigquery.datasets",
    "kms.keys", "secretmanager.secrets", "secretmanager.policies", "sql.instances", "redis.instances", "storage.buckets",
)  # fmt: skip


def adopted(document: StackDocument, snapshot: Snapshot, environment: Environment) -> bytes:
    """The file with the live resources in it, and their import ids under `imports`. Raises BlindError."""
    trouble = snapshot.trouble(*needed(environment))
    if trouble:
        raise BlindError(f"nothing was taken over, because not everything could be read: {trouble}")
    values: list[tuple[Place, Any]] = [
        (("gcp:project",), environment.project.id),
        (("gcp:region",), environment.project.region),
    ]
    imports: dict[str, str] = {}
    for found in live(snapshot, environment):
        settings = {**split(found.section, found.inputs), **found.extra}
        section = SECTIONS[found.section]
        if found.members:
            settings[section.members] = list(found.members)
        values.append(((found.section, found.name), settings))
        imports[f"{found.section}/{found.name}"] = found.import_id
        for member in found.members:
            imports[f"{found.section}/{found.name}/{section.members}/{member}"] = (
                f"{found.member_base} {section.role} {member}"
            )
    values.append((("imports",), imports))
    return document.edited(values)


def needed(environment: Environment) -> tuple[str, ...]:
    """The kinds of resources that must have been read before anything is taken over."""
    wanted = {
        "kms.keys": environment.encryption, "bigquery.datasets": environment.encryption, "sql.instances": environment.database,
        "redis.instances": environment.cache, "storage.buckets": environment.cdn, "compute.backendBuckets": environment.cdn,
        "compute.urlMaps": environment.balancer, "compute.backendServices": environment.balancer,
    }  # fmt: skip
    return tuple(kind for kind in _NEEDS if wanted.get(kind, True))


def live(snapshot: Snapshot, environment: Environment) -> Iterator[Live]:
    """Every live resource that the environment file names, as a program would declare it."""
    yield from _services(snapshot, environment)
    yield from _balancer(snapshot, environment)
    yield from _encryption(snapshot, environment)
    project = environment.project.id
    policies = dict(snapshot.of("secretmanager.policies"))
    for secret in environment.secrets:
        for body in _named(snapshot, "secretmanager.secrets", secret.name):
            readers = tuple(sorted(members(policies.get(secret.name, {}), SECTIONS["secrets"].role)))
            own = f"projects/{project}/secrets/{secret.name}"
            yield Live("secrets", secret.name, _inputs("secrets", body), own, readers, own)
    if environment.database is not None:
        name = environment.database.instance
        for body in _named(snapshot, "sql.instances", name):
            yield Live("databases", name, _inputs("databases", body), f"projects/{project}/instances/{name}")
    if environment.cache is not None:
        name = environment.cache.instance
        for body in _named(snapshot, "redis.instances", name):
            where = f"projects/{project}/locations/{environment.project.region}"
            yield Live("caches", name, _inputs("caches", body), f"{where}/instances/{name}")


def _services(snapshot: Snapshot, environment: Environment) -> Iterator[Live]:
    where = f"projects/{environment.project.id}/locations/{environment.project.region}/services"
    policies = dict(snapshot.of("run.policies"))
    for service in environment.services:
        for body in _named(snapshot, "run.services", service.name):
            secret = {variable for variable, _ in service.secrets}
            secret |= {name for item in containers(body) for name in variables(item) if secret_for(environment, name)}
            inputs = _without_secrets(_inputs("services", body), secret)
            invokers = tuple(sorted(members(policies.get(service.name, {}), SECTIONS["services"].role)))
            own = f"{where}/{service.name}"
            yield Live("services", service.name, inputs, own, invokers, own)


def _balancer(snapshot: Snapshot, environment: Environment) -> Iterator[Live]:
    place = f"projects/{environment.project.id}/global"
    if environment.balancer is not None:
        name = environment.balancer.url_map
        for body in _named(snapshot, "compute.urlMaps", name):
            yield Live("urlMaps", name, _inputs("urlMaps", body), f"{place}/urlMaps/{name}")
        for name in dict.fromkeys(route.backend for route in environment.balancer.routes):
            for body in _named(snapshot, "compute.backendServices", name):
                yield Live("backends", name, _inputs("backends", body), f"{place}/backendServices/{name}")
    if environment.cdn is not None:
        name = environment.cdn.backend_bucket
        for body in _named(snapshot, "compute.backendBuckets", name):
            yield Live("backendBuckets", name, _inputs("backendBuckets", body), f"{place}/backendBuckets/{name}")
        name = environment.cdn.bucket
        for body in _named(snapshot, "storage.buckets", name):
            yield Live("buckets", name, _inputs("buckets", body), f"{environment.project.id}/{name}")


def _encryption(snapshot: Snapshot, environment: Environment) -> Iterator[Live]:
    if environment.encryption is None:
        return
    for key in environment.encryption.keys:
        for body in _named(snapshot, "kms.keys", key):
            ring, _, name = key.partition("/cryptoKeys/")
            yield Live("keyRings", last(ring), {"location": ring.split("/")[3]}, ring)
            inputs = {**_inputs("keys", body), "keyRing": ring}
            inputs.pop("rotationPeriod", None)
            if body.get("rotationPeriod"):
                inputs["rotationPeriod"] = f"{body['rotationPeriod']}s"
            users = tuple(sorted(members({"bindings": body.get("bindings", ())}, SECTIONS["keys"].role)))
            yield Live("keys", name, inputs, key, users, key)
    for name in environment.encryption.datasets:
        for body in _named(snapshot, "bigquery.datasets", name):
            own = f"projects/{environment.project.id}/datasets/{name}"
            yield Live("datasets", name, _inputs("datasets", body), own)


def _named(snapshot: Snapshot, kind: str, name: str) -> Iterator[Body]:
    body = snapshot.of(kind).items.get(name)
    if body is not None:
        yield body


def _inputs(section: str, body: Body) -> dict[str, Any]:
    return to_program(body, known(SECTIONS[section].token).fields)


def _without_secrets(inputs: dict[str, Any], names: set[str]) -> dict[str, Any]:
    """The inputs of a service with every plain value of a secret replaced by "as it is live"."""
    for container in (inputs.get("template") or {}).get("containers") or ():
        for variable in container.get("envs") or ():
            if variable.get("value") and (
                secret_like(variable["name"], str(variable["value"])) or variable["name"] in names
            ):
                variable["value"] = LIVE
    return inputs
