"""The environment file: where a staging environment is, what is required of it, and what may be changed.

`environments/twin.toml` describes the bundled system on the local Google Cloud, `environments/staging.toml` is the pattern
for a real project. Everything here is policy: what is *required*. What is *desired* stands in the stack's configuration.
Times are in seconds.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from regreen.tomlsource import SourceError, Table, load

Kind = Literal["twin", "google"]
Scheme = Literal["http", "websocket"]
_PRODUCTION: Final = re.compile(r"(^|[-_./])(prod|production|prd|live)([-_./0-9]|$)", re.IGNORECASE)
#: Forms of dependency that `invoke status` speaks to, each in its own protocol.
PROBES: Final = (
    "bolt", "redis", "kafka", "postgres", "temporal", "prometheus", "grafana", "http", "websocket", "registry",
)  # fmt: skip


def looks_like_production(*names: str) -> str:
    """The first of some names (project, stack, label) that looks like production; empty when none does."""
    return next((name for name in names if _PRODUCTION.search(name)), "")


@dataclass(frozen=True, slots=True)
class Project:
    """The one project that may be changed. `number` is compared with the live one before any effect."""

    id: str
    number: str
    labels: tuple[tuple[str, str], ...]
    region: str
    zone: str


@dataclass(frozen=True, slots=True)
class Stack:
    """Where the desired state lives: a stack's configuration file, relative to the target, and its limits."""

    name: str
    file: str
    max_changes: int
    backend: str = ""
    secrets_provider: str = ""


@dataclass(frozen=True, slots=True)
class Service:
    """What is required of one Cloud Run service. `secrets` maps a variable to the secret that it must refer to."""

    name: str
    min_instances: int = 0
    max_instances: int = 100
    request_timeout: int = 0
    session_affinity: bool = False
    cpu_always: bool = False
    probes: tuple[str, ...] = ()
    variables: tuple[str, ...] = ()
    secrets: tuple[tuple[str, str], ...] = ()
    invokers: tuple[str, ...] = ()
    account: str = ""
    health: str = "/health"
    """The path that probes ask for, where the service has no probe yet."""
    pool: int = 0
    """Database connections that one instance may hold: (pool_size + max_overflow) × workers."""


@dataclass(frozen=True, slots=True)
class Route:
    """A path of the balancer's host, and the backend service or bucket that must answer it."""

    path: str
    backend: str
    scheme: Scheme = "http"


@dataclass(frozen=True, slots=True)
class Balancer:
    """What is required of the load balancer. Time-outs bind only backends that accept them (not serverless ones)."""

    url_map: str
    forwarding_rule: str
    host: str
    address: str
    routes: tuple[Route, ...]
    http_timeout: int
    websocket_timeout: int
    draining: int
    handshake: float
    idle: float
    handshake_path: str


@dataclass(frozen=True, slots=True)
class Encryption:
    """The team's own keys; `rotation` at most so many seconds.

    A key protects what is in its own location: `key` the datasets, `jobs_key` the Dataflow jobs of the project's region.
    """

    key: str
    rotation: int
    datasets: tuple[str, ...]
    jobs: bool
    jobs_key: str
    writers: tuple[str, ...] = ()
    """Services that write to the datasets: paused while a table is copied onto itself."""

    @property
    def keys(self) -> tuple[str, ...]:
        """Every key that must exist, each once."""
        return tuple(dict.fromkeys((self.key, self.jobs_key) if self.jobs else (self.key,)))


@dataclass(frozen=True, slots=True)
class Secret:
    """A secret that must exist, and the accounts (and only those) that may read it."""

    name: str
    accessors: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Aura:
    """The AuraDB instance that holds the graph."""

    instance: str
    api: str
    uri_secret: str
    password_secret: str
    client_secret: str
    writers: tuple[str, ...] = ()
    """Services that write to the graph: paused while it is moved."""
    version: str = "5"
    region: str = ""
    memory: str = "2GB"
    type: str = "professional-db"
    cloud: str = "gcp"
    tenant: str = ""
    """The Aura tenant (project); empty where the client sees only one."""


@dataclass(frozen=True, slots=True)
class Cdn:
    """The backend bucket for hashed assets."""

    backend_bucket: str
    bucket: str
    path: str
    cache_control: str
    sample: str


@dataclass(frozen=True, slots=True)
class Database:
    """A Cloud SQL instance: `max_connections` less `reserve` is what all services together may hold."""

    instance: str
    max_connections: int
    reserve: int
    query: float
    address: str = ""
    secret: str = ""


@dataclass(frozen=True, slots=True)
class Cache:
    """A Memorystore instance."""

    instance: str
    tier: str
    ping: float
    address: str = ""


@dataclass(frozen=True, slots=True)
class Dependency:
    """A service that `invoke status` probes. `secret` names a variable that holds its password."""

    name: str
    kind: str
    address: str
    needs: tuple[str, ...] = ()
    connect: float = 1.0
    query: float = 0.5
    secret: str = ""


@dataclass(frozen=True, slots=True)
class Environment:
    """Everything about one environment."""

    path: str
    name: str
    kind: Kind
    project: Project
    stack: Stack
    services: tuple[Service, ...] = ()
    balancer: Balancer | None = None
    encryption: Encryption | None = None
    secrets: tuple[Secret, ...] = ()
    aura: Aura | None = None
    cdn: Cdn | None = None
    database: Database | None = None
    cache: Cache | None = None
    dependencies: tuple[Dependency, ...] = ()
    window_hours: int = 24
    scaling_within: int = 30
    change_windows: tuple[str, ...] = ()
    bypass_variable: str = ""
    dataflow: tuple[str, ...] = field(default=())

    def service(self, name: str) -> Service | None:
        """The requirement on a service, or None where there is none."""
        return next((item for item in self.services if item.name == name), None)


def load_environment(path: Path) -> Environment:
    """Read an environment file. Raises SourceError with file and line; refuses whatever looks like production."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise SourceError(path, 0, f"cannot be read: {error.strerror}; name an environment of environments/") from None
    return parse_environment(str(path), content)


def parse_environment(path: str, content: bytes) -> Environment:
    """As `load_environment`, from bytes that have been read."""
    root = load(path, content)
    root.only(
        "schema", "name", "kind", "project", "stack", "service", "balancer", "encryption", "secret", "aura", "cdn",
        "database", "cache", "dependency", "window_hours", "scaling_within", "change_windows", "bypass_variable",
    )  # fmt: skip
    if root.integer("schema") != 1:
        raise root.fail("this version of Regreen reads schema 1", "schema")
    kind = root.choice("kind", ("twin", "google"))
    project, stack = _project(_table(root, "project")), _stack(_table(root, "stack"))
    labels = [f"{key}={value}" for key, value in project.labels]
    bad = looks_like_production(project.id, stack.name, *(value for _, value in project.labels), *labels)
    if bad:
        raise _table(root, "project").fail(f"{bad!r} looks like production; Regreen changes staging environments only")
    if kind == "google" and not project.number:
        raise _table(root, "project").fail(
            "a Google Cloud environment needs the project's 'number': it is compared with the live one before any change"
        )
    if not project.labels:
        raise _table(root, "project").fail("'labels' is empty: name the label that marks the project as staging")
    return Environment(
        path=path,
        name=root.text("name"),
        kind="twin" if kind == "twin" else "google",
        project=project,
        stack=stack,
        services=tuple(_service(table) for table in root.tables("service", "service {number}")),
        balancer=_balancer(_table(root, "balancer")) if "balancer" in root.values else None,
        encryption=_encryption(_table(root, "encryption"), project) if "encryption" in root.values else None,
        secrets=tuple(_secret(table) for table in root.tables("secret", "secret {number}")),
        aura=_aura(_table(root, "aura")) if "aura" in root.values else None,
        cdn=_cdn(_table(root, "cdn")) if "cdn" in root.values else None,
        database=_database(_table(root, "database")) if "database" in root.values else None,
        cache=_cache(_table(root, "cache")) if "cache" in root.values else None,
        dependencies=tuple(_dependency(table) for table in root.tables("dependency", "dependency {number}")),
        window_hours=root.integer("window_hours", 24, least=1),
        scaling_within=root.integer("scaling_within", 30, least=1),
        change_windows=root.texts("change_windows", ()),
        bypass_variable=root.text("bypass_variable", ""),
    )


def _table(root: Table, key: str) -> Table:
    value = root.values.get(key)
    if not isinstance(value, dict):
        raise root.fail(f"the table [{key}] is missing" if value is None else f"{key!r} must be a table", key)
    return Table(root.path, (*root.key, key), value, root.lines, key)


def _pairs(table: Table, key: str) -> tuple[tuple[str, str], ...]:
    value = table.values.get(key, {})
    if not isinstance(value, dict) or not all(isinstance(item, str) for item in value.values()):
        raise table.fail(f"{key!r} must be a table of strings", key)
    return tuple(value.items())


def _seconds(table: Table, key: str, default: float) -> float:
    value = table.values.get(key, default)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value <= 0:
        raise table.fail(f"{key!r} must be a number of seconds above 0", key)
    return float(value)


def _project(table: Table) -> Project:
    table.only("id", "number", "labels", "region", "zone")
    region = table.text("region")
    return Project(
        table.text("id"), table.text("number", ""), _pairs(table, "labels"), region, table.text("zone", f"{region}-a")
    )


def _stack(table: Table) -> Stack:
    table.only("name", "file", "max_changes", "backend", "secrets_provider")
    return Stack(
        table.text("name"), table.text("file"), table.integer("max_changes", 40, least=1), table.text("backend", ""),
        table.text("secrets_provider", ""),
    )  # fmt: skip


def _service(table: Table) -> Service:
    table.only(
        "name", "min_instances", "max_instances", "request_timeout", "session_affinity", "cpu_always", "probes",
        "variables", "secrets", "invokers", "account", "health", "pool",
    )  # fmt: skip
    probes = table.texts("probes", ())
    for number, probe in enumerate(probes):
        if probe not in ("startup", "liveness", "readiness"):
            raise table.fail(f"{probe!r} is no probe: startup, liveness, readiness", "probes", number)
    return Service(
        table.text("name"), table.integer("min_instances", 0), table.integer("max_instances", 100, least=1),
        table.integer("request_timeout", 0), table.boolean("session_affinity", False),
        table.boolean("cpu_always", False), probes, table.texts("variables", ()), _pairs(table, "secrets"),
        table.texts("invokers", ()), table.text("account", ""), table.text("health", "/health"), table.integer("pool", 0),
    )  # fmt: skip


def _balancer(table: Table) -> Balancer:
    table.only(
        "url_map", "forwarding_rule", "host", "address", "route", "http_timeout", "websocket_timeout", "draining",
        "handshake", "idle", "handshake_path",
    )  # fmt: skip
    routes = []
    for item in table.tables("route", "balancer, route {number}"):
        item.only("path", "backend", "scheme")
        scheme = item.choice("scheme", ("http", "websocket"), "http")
        routes.append(Route(item.text("path"), item.text("backend"), "websocket" if scheme == "websocket" else "http"))
    return Balancer(
        table.text("url_map"), table.text("forwarding_rule"), table.text("host"), table.text("address", ""),
        tuple(routes), table.integer("http_timeout", 30, least=1), table.integer("websocket_timeout", 3600, least=1),
        table.integer("draining", 60), _seconds(table, "handshake", 5.0), _seconds(table, "idle", 30.0),
        table.text("handshake_path", ""),
    )  # fmt: skip


def _encryption(table: Table, project: Project) -> Encryption:
    table.only("key", "rotation", "datasets", "jobs", "jobs_key", "writers")
    key = table.text("key")
    keys = {"key": key, "jobs_key": table.text("jobs_key", key)}
    for name, value in keys.items():
        keys[name] = value.replace("{project}", project.id)
        if not re.fullmatch(r"projects/[^/]+/locations/[^/]+/keyRings/[^/]+/cryptoKeys/[^/]+", keys[name]):
            raise table.fail(f"{name!r} must be projects/P/locations/L/keyRings/R/cryptoKeys/K", name)
    return Encryption(
        keys["key"], table.integer("rotation", 7_776_000, least=86_400), table.texts("datasets", ()),
        table.boolean("jobs", True), keys["jobs_key"], table.texts("writers", ()),
    )  # fmt: skip


def _secret(table: Table) -> Secret:
    table.only("name", "accessors")
    return Secret(table.text("name"), table.texts("accessors", ()))


def _aura(table: Table) -> Aura:
    table.only(
        "instance", "api", "uri_secret", "password_secret", "client_secret", "writers", "version", "region", "memory", "type",
        "cloud", "tenant",
    )  # fmt: skip
    return Aura(
        table.text("instance"), table.text("api", "https://api.neo4j.io"), table.text("uri_secret", "graph-uri"),
        table.text("password_secret", "graph-password"), table.text("client_secret", "aura-client"), table.texts("writers", ()),
        table.text("version", "5"), table.text("region", ""), table.text("memory", "2GB"), table.text("type", "professional-db"),
        table.choice("cloud", ("gcp", "aws", "azure"), "gcp"), table.text("tenant", ""),
    )  # fmt: skip


def _cdn(table: Table) -> Cdn:
    table.only("backend_bucket", "bucket", "path", "cache_control", "sample")
    return Cdn(
        table.text("backend_bucket"), table.text("bucket"), table.text("path", "/_next/static/*"),
        table.text("cache_control", "public, max-age=31536000, immutable"), table.text("sample", ""),
    )  # fmt: skip


def _database(table: Table) -> Database:
    table.only("instance", "max_connections", "reserve", "query", "address", "secret")
    return Database(
        table.text("instance"), table.integer("max_connections", 100, least=1), table.integer("reserve", 3),
        _seconds(table, "query", 0.1), table.text("address", ""), table.text("secret", ""),
    )  # fmt: skip


def _cache(table: Table) -> Cache:
    table.only("instance", "tier", "ping", "address")
    return Cache(
        table.text("instance"), table.choice("tier", ("BASIC", "STANDARD_HA"), "STANDARD_HA"),
        _seconds(table, "ping", 0.1), table.text("address", ""),
    )  # fmt: skip


def _dependency(table: Table) -> Dependency:
    table.only("name", "kind", "address", "needs", "connect", "query", "secret")
    return Dependency(
        table.text("name"), table.choice("kind", PROBES), table.text("address"), table.texts("needs", ()),
        _seconds(table, "connect", 1.0), _seconds(table, "query", 0.5), table.text("secret", ""),
    )  # fmt: skip
