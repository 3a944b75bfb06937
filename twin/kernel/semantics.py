"""What a service adds to the generic verbs, and the call that its functions are handed."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from twin.kernel.errors import ApiError, not_found
from twin.kernel.names import last, project_of, relative
from twin.kernel.types import Body, Context, Reply, rfc3339

if TYPE_CHECKING:
    from twin.kernel.documents import Method
    from twin.kernel.engine import Engine


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of behaviour that no discovery document states."""

    id: str
    says: str
    source: str
    """Where it is documented, or which public recording of the real API shows it."""
    status: Literal["confirmed", "assumed"] = "confirmed"


@dataclass(slots=True)
class Call:
    """One method being called inside one transaction."""

    engine: Engine
    context: Context
    method: Method
    params: Body
    body: Body
    name: str
    """Canonical name of the resource (or, for create and list, the collection) that the path addresses."""
    region: str = ""
    media: bytes | None = None
    media_type: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    mask: list[tuple[str, ...]] | None = None

    @property
    def now(self) -> datetime:
        return self.context.now

    @property
    def stamp(self) -> str:
        return rfc3339(self.context.now)

    @property
    def api(self) -> str:
        return self.method.document.name

    @property
    def project(self) -> str:
        """The project's id, from the path or, for storage, from the bucket."""
        found = project_of(self.name)
        if found:
            return found
        return str(self.params.get("project") or self.engine.project_of(self.name))

    @property
    def number(self) -> str:
        return self.engine.number_of(self.project)

    def get(self, name: str) -> Body | None:
        return self.engine.store.get(name)

    def need(self, name: str = "") -> Body:
        """The body of a resource. ApiError NOT_FOUND in the service's own words."""
        name = name or self.name
        body = self.engine.store.get(name)
        if body is None:
            raise self.engine.missing(name)
        return body

    def copy(self, name: str = "") -> Body:
        """A body of one's own, to change and put back."""
        return copy.deepcopy(self.need(name))

    def put(self, name: str, body: Body) -> Body:
        self.engine.store.put(name, body)
        return body

    def delete(self, name: str) -> None:
        self.engine.store.delete(name)

    def children(self, collection: str) -> Iterable[tuple[str, Body]]:
        return self.engine.store.children(collection)

    def announce(self, topic: str, name: str) -> None:
        """Tell the runtime, once this transaction is committed, that something happened to a resource."""
        self.engine.outbox.append((topic, name))

    def invoke(self, method_id: str, name: str, body: Body | None = None, principal: str = "", **params: Any) -> Body:
        """Call another service through its own door, as `principal` (by default: the twin itself), IAM included."""
        context = self.context
        context = (
            replace(context, principal=principal, internal=False) if principal else replace(context, internal=True)
        )
        return self.engine.invoke(context, method_id, name, body or {}, params)


MethodFunction = Callable[[Call], "Body | Reply"]
CreateFunction = Callable[[Call, Body], None]
UpdateFunction = Callable[[Call, Body, Body], None]
DeleteFunction = Callable[[Call, Body], None]
ViewFunction = Callable[[Call, str, Body], Body]
Bindings = Callable[["Engine", str, Body], list[Body]]


def _nothing_missing(name: str) -> ApiError:
    return not_found(f"Resource '{relative(name)}' was not found")


def _already(name: str) -> ApiError:
    return ApiError("ALREADY_EXISTS", f"Resource '{relative(name)}' already exists", reason="alreadyExists")


@dataclass(frozen=True, slots=True)
class Semantics:
    """One service. Keys of the tables are the last two parts of a method's id, or the last part of a collection."""

    api: str
    dialect: Literal["rpc", "legacy", "legacy+status"] = "rpc"
    methods: Mapping[str, MethodFunction] = field(default_factory=dict)
    creating: Mapping[str, CreateFunction] = field(default_factory=dict)
    updating: Mapping[str, UpdateFunction] = field(default_factory=dict)
    deleting: Mapping[str, DeleteFunction] = field(default_factory=dict)
    viewing: Mapping[str, ViewFunction] = field(default_factory=dict)
    ids: Mapping[str, str] = field(default_factory=dict)
    """Where a new resource's id is found: a dotted path in the body, or `generate:uuid`, `generate:number`."""
    missing: Callable[[str], ApiError] = _nothing_missing
    existing: Callable[[str], ApiError] = _already
    permissions: Mapping[str, str] = field(default_factory=dict)
    """Permission per method where it does not follow from the id; '' asks for none."""
    bindings: Bindings | None = None
    """Extra IAM bindings that a resource's own body carries (BigQuery's dataset access, storage's ACLs)."""
    denied: Callable[[Call, str], ApiError] | None = None
    """How this service words a missing permission; None for the common sentence."""
    packages: Mapping[str, str] = field(default_factory=dict)
    """The protobuf package per version, or per `version/collection`, for `@type` in operations."""
    merge_patch: bool = False
    """PATCH is a JSON merge patch instead of an overlay by mask."""
    short_names: bool = False
    """`name` in a body is the last segment instead of the whole path."""
    children_first: Mapping[str, Callable[[str], ApiError]] = field(default_factory=dict)
    """Collections whose resources cannot be deleted while anything lives below them, with the refusal."""
    hidden_operations: bool = False
    rules: tuple[Rule, ...] = ()


def local_key(method: Method) -> str:
    """`cryptoKeys.encrypt` for `cloudkms.projects.locations.keyRings.cryptoKeys.encrypt`."""
    return ".".join(method.id.rsplit(".", 2)[1:])


def short(name: str) -> str:
    return last(name)
