"""The graph's move to AuraDB: an instance made, its password kept before anything else can fail, the data copied and compared.

Sources: https://neo4j.com/docs/aura/platform/api/specification/ (the password is in the answer to the creation and nowhere
else) and https://neo4j.com/docs/cypher-manual/current/. Reading goes by stream and writing by batch, so memory stays flat. A copy that was
interrupted, or that differs, begins anew: what it had written carries a mark until both sides are equal.
"""

from __future__ import annotations

import base64
import hashlib
import json
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from infra.errors import StepError
from infra.secret_values import access, add_version, ensure_secret, newest
from regreen.facts.cloud.aura import client_credentials

if TYPE_CHECKING:
    from neo4j import Driver

    from regreen.environment import Environment
    from regreen.facts.cloud.google import Google

_CREATION_LIMIT: Final = 900.0
_CONNECTION_LIMIT: Final = 60.0
_BATCH: Final = 500
_MARK: Final = "RegreenMoved"
_ID: Final = "regreen_moved_id"
#: Constraints and indexes that are copied, by the types that SHOW names; LOOKUP indexes are every database's own.
_CONSTRAINTS: Final = {
    "UNIQUENESS": "IS UNIQUE", "NODE_PROPERTY_UNIQUENESS": "IS UNIQUE", "NODE_KEY": "IS NODE KEY",
    "NODE_PROPERTY_EXISTENCE": "IS NOT NULL", "RELATIONSHIP_UNIQUENESS": "IS UNIQUE",
    "RELATIONSHIP_PROPERTY_UNIQUENESS": "IS UNIQUE", "RELATIONSHIP_KEY": "IS RELATIONSHIP KEY",
    "RELATIONSHIP_PROPERTY_EXISTENCE": "IS NOT NULL",
}  # fmt: skip
_INDEXES: Final = ("RANGE", "TEXT", "POINT")


@dataclass(frozen=True, slots=True)
class Wanted:
    """An instance as it is asked for; `memory` as Aura writes it (`2GB`), `client_secret` a secret that holds `ID:SECRET`."""

    project: str
    instance: str
    api: str
    client_secret: str
    version: str
    region: str
    memory: str
    type: str
    cloud: str
    tenant: str = ""

    @classmethod
    def of(cls, environment: Environment) -> Wanted:
        """What an environment file asks for."""
        aura, project = environment.aura, environment.project
        assert aura is not None, "asked for a graph in an environment without [aura]"
        return cls(
            project.id, aura.instance, aura.api, aura.client_secret, aura.version, aura.region or project.region, aura.memory,
            aura.type, aura.cloud, aura.tenant,
        )  # fmt: skip

    @classmethod
    def of_properties(cls, props: Mapping[str, Any]) -> Wanted:
        """What a stack's file asks for."""
        names = ("project", "instance", "api", "clientSecret", "version", "region", "memory", "type", "cloud", "tenant")
        return cls(*(str(props.get(name) or "") for name in names))


def create(google: Google, wanted: Wanted) -> dict[str, Any]:
    """Make the instance, or find it, and wait until it runs; the API's words on it, no password. Raises StepError, CloudError.

    The password goes to a secret of its own (`INSTANCE-password`), which no service reads until the data is there.
    """
    api = _Aura(google, wanted)
    found = api.instance(wanted.instance)
    if found is None:
        holding = ensure_secret(google, wanted.project, _holding(wanted.instance))
        body = {
            "name": wanted.instance, "version": wanted.version, "region": wanted.region, "memory": wanted.memory,
            "type": wanted.type, "cloud_provider": wanted.cloud, "tenant_id": api.tenant(),
        }  # fmt: skip
        made = api.call("POST", "/v1/instances", body)["data"]
        try:
            add_version(google, holding, str(made["password"]))
        except BaseException:
            # Nobody can log in to it any more, and nothing is in it: it must not stand in the way of the next try.
            api.call("DELETE", f"/v1/instances/{made['id']}")
            raise
        found = made
    return _running(api, wanted, str(found["id"]))


def read(google: Google, wanted: Wanted, number: str) -> dict[str, Any]:
    """The API's words on an instance. Raises StepError, also where there is none of that id."""
    return _Aura(google, wanted).read(number)


def resize(google: Google, wanted: Wanted, number: str) -> dict[str, Any]:
    """Give a running instance the memory that is asked for, and wait until it runs again. Raises StepError."""
    api = _Aura(google, wanted)
    api.call("PATCH", f"/v1/instances/{number}", {"memory": wanted.memory})
    return _running(api, wanted, number)


def _running(api: _Aura, wanted: Wanted, number: str) -> dict[str, Any]:
    until = time.monotonic() + _CREATION_LIMIT
    while True:
        found = api.read(number)
        if found["status"] == "running":
            return found
        if time.monotonic() > until or found["status"] in ("destroying", "deleted"):
            raise StepError(
                f"the AuraDB instance {wanted.instance} is {found['status']}; look at it in the Aura console, then run again"
            )
        time.sleep(0.5)


def move(google: Google, environment: Environment, instance: str) -> str:
    """Copy schema and data, compare both graphs, then give the services' secrets the new address. Raises StepError, CloudError.

    Whoever writes must be paused. The old graph keeps everything.
    """
    assert environment.aura is not None
    aura, project = environment.aura, environment.project.id
    api = _Aura(google, Wanted.of(environment))
    found = api.instance(instance)
    if found is None:
        raise StepError(f"there is no AuraDB instance {instance}: `invoke infra.up` makes it from the stack's file")
    address = str(api.read(found["id"])["connection_url"])
    uri, password = (f"projects/{project}/secrets/{name}" for name in (aura.uri_secret, aura.password_secret))
    old_address = access(google, newest(google, uri))
    if old_address == address:
        return f"the services' graph is {instance} already"
    held = access(google, newest(google, f"projects/{project}/secrets/{_holding(instance)}"))
    with _connected(old_address, access(google, newest(google, password))) as old, _connected(address, held) as new:
        _emptied(new, instance)
        rules = _copy_schema(old, new)
        _copy_nodes(old, new)
        _copy_edges(old, new)
        before, after = _measured(old), _measured(new)
        wrong = [
            f"{key}: {before.get(key)} and {after.get(key)}"
            for key in sorted({*before, *after})
            if before.get(key) != after.get(key)
        ]
        if wrong:
            raise StepError(
                f"the copy on {instance} differs from the graph ({', '.join(wrong)}): does somebody write to it? "
                "The services keep the old one; the next run copies anew"
            )
        _unmarked(new)
    # The password first: whoever starts between the two still finds the old address, and is refused rather than misled.
    add_version(google, password, held)
    add_version(google, uri, address)
    return (
        f"{before['nodes']} nodes, {before['relationships']} relationships and {rules} constraints and indexes are on {instance}, "
        f"with equal digests; secret {aura.uri_secret} leads there; the old graph is kept"
    )


class _Aura:
    """The Aura API as one client."""

    def __init__(self, google: Google, wanted: Wanted) -> None:
        self._api, self._tenant = wanted.api, wanted.tenant
        credentials = client_credentials(google, wanted.project, wanted.client_secret)
        basic = base64.b64encode(credentials.encode()).decode()
        headers = {"Authorization": f"Basic {basic}", "Content-Type": "application/x-www-form-urlencoded"}
        answer = self._send("POST", "/oauth/token", headers, "grant_type=client_credentials")
        self._headers = {"Authorization": f"Bearer {answer['access_token']}", "Content-Type": "application/json"}

    def call(self, verb: str, path: str, body: Any = None) -> dict[str, Any]:
        return self._send(verb, path, self._headers, None if body is None else json.dumps(body))

    def instance(self, name: str) -> dict[str, Any] | None:
        """An instance by name; StepError where several bear it."""
        found = [item for item in self.call("GET", "/v1/instances")["data"] if item["name"] == name]
        if len(found) > 1:
            raise StepError(f"{len(found)} AuraDB instances are named {name}: rename or delete all but one")
        return found[0] if found else None

    def read(self, number: str) -> dict[str, Any]:
        return dict(self.call("GET", f"/v1/instances/{number}")["data"])

    def tenant(self) -> str:
        """The tenant of the environment file, else the only one that this client sees."""
        if self._tenant:
            return self._tenant
        found = self.call("GET", "/v1/tenants")["data"]
        if len(found) != 1:
            raise StepError(f"the Aura client sees {len(found)} tenants: name one as `tenant` in [aura]")
        return str(found[0]["id"])

    def _send(self, verb: str, path: str, headers: Mapping[str, str], body: str | None) -> dict[str, Any]:
        import requests

        try:
            answer = requests.request(verb, self._api + path, headers=dict(headers), data=body, timeout=60)
        except requests.RequestException as error:
            raise StepError(f"the Aura API does not answer: {type(error).__name__}") from None
        if answer.status_code >= 300:
            raise StepError(f"the Aura API says {answer.status_code} to {verb} {path}: {_reason(answer.text)}")
        found: dict[str, Any] = json.loads(answer.text or "{}")
        return found


def _reason(text: str) -> str:
    """What an error's body says; never the body itself."""
    try:
        return "; ".join(str(item.get("message", "")) for item in json.loads(text)["errors"])
    except (ValueError, KeyError, TypeError, AttributeError):
        return "no reason"


def _holding(instance: str) -> str:
    return f"{instance}-password"


def _connected(address: str, password: str) -> Driver:
    """A driver that has connected. A new instance takes a while to be known by name, so it is given a minute."""
    from neo4j import GraphDatabase
    from neo4j.exceptions import AuthError, DriverError, Neo4jError

    driver = GraphDatabase.driver(address, auth=("neo4j", password))
    until = time.monotonic() + _CONNECTION_LIMIT
    while True:
        try:
            driver.verify_connectivity()
            return driver
        except AuthError:
            driver.close()
            raise StepError(
                f"{_host(address)} refuses the password that Secret Manager holds: set it anew there"
            ) from None
        except (DriverError, Neo4jError, OSError) as error:
            if time.monotonic() > until:
                driver.close()
                raise StepError(f"{_host(address)} does not answer: {type(error).__name__}") from None
            time.sleep(0.5)


def _host(address: str) -> str:
    return address.split("@")[-1]


def _rows(driver: Driver, query: str, **parameters: Any) -> Iterator[dict[str, Any]]:
    with driver.session() as session:
        for record in session.run(query, parameters):
            yield {key: record[key] for key in record.keys()}  # noqa: SIM118 - iterating a Record gives its values


def _do(driver: Driver, query: str, **parameters: Any) -> None:
    driver.execute_query(query, parameters)


def _emptied(new: Driver, instance: str) -> None:
    """Remove what an interrupted copy left. Raises StepError where anything else is in the instance."""
    while next(_rows(new, f"MATCH (n:{_MARK}) RETURN count(n) AS n"))["n"]:
        _do(new, f"MATCH (n:{_MARK}) WITH n LIMIT {_BATCH} DETACH DELETE n")
    there = next(_rows(new, "MATCH (n) RETURN count(n) AS n"))["n"]
    if there:
        raise StepError(
            f"AuraDB instance {instance} holds {there} nodes that no move of ours made: empty it, or name another"
        )


def _copy_schema(old: Driver, new: Driver) -> int:
    """Constraints and indexes by their own names. Raises StepError for a kind that is not copied."""
    made = 0
    owned = set()
    for row in list(_rows(old, "SHOW CONSTRAINTS")):
        if row["type"] not in _CONSTRAINTS:
            raise StepError(
                f"constraint {row['name']} is a {row['type']}, which is not copied: make it by hand, then run again"
            )
        owned.add(row["name"])
        keys = ", ".join(f"x.{_quoted(key)}" for key in row["properties"])
        keys = f"({keys})" if len(row["properties"]) > 1 else keys
        place, name = _pattern(row), _quoted(row["name"])
        _do(new, f"CREATE CONSTRAINT {name} IF NOT EXISTS FOR {place} REQUIRE {keys} {_CONSTRAINTS[row['type']]}")
        made += 1
    for row in list(_rows(old, "SHOW INDEXES")):
        if row["type"] == "LOOKUP" or row["name"] in owned or row.get("owningConstraint"):
            continue
        if row["type"] not in _INDEXES:
            raise StepError(
                f"index {row['name']} is a {row['type']} index, which is not copied: make it by hand, then run again"
            )
        keys = ", ".join(f"x.{_quoted(key)}" for key in row["properties"])
        kind = "" if row["type"] == "RANGE" else f"{row['type']} "
        _do(new, f"CREATE {kind}INDEX {_quoted(row['name'])} IF NOT EXISTS FOR {_pattern(row)} ON ({keys})")
        made += 1
    return made


def _pattern(row: Mapping[str, Any]) -> str:
    label = _quoted(row["labelsOrTypes"][0])
    return f"()-[x:{label}]-()" if row["entityType"] == "RELATIONSHIP" else f"(x:{label})"


def _quoted(name: str) -> str:
    return "`" + str(name).replace("`", "``") + "`"


def _copy_nodes(old: Driver, new: Driver) -> None:
    _do(new, f"CREATE INDEX {_ID} IF NOT EXISTS FOR (x:{_MARK}) ON (x.{_ID})")
    rows = _rows(old, "MATCH (n) RETURN elementId(n) AS id, labels(n) AS labels, properties(n) AS held")
    for batch in _batches(rows):
        for labels, members in _grouped(batch, lambda row: tuple(sorted(row["labels"]))).items():
            names = "".join(f":{_quoted(label)}" for label in labels)
            query = f"UNWIND $rows AS row CREATE (n:{_MARK}{names}) SET n = row.held SET n.{_ID} = row.id"
            _do(new, query, rows=[{"id": row["id"], "held": row["held"]} for row in members])


def _copy_edges(old: Driver, new: Driver) -> None:
    rows = _rows(
        old,
        "MATCH (a)-[r]->(b) RETURN elementId(a) AS a, elementId(b) AS b, type(r) AS kind, properties(r) AS held",
    )
    for batch in _batches(rows):
        for kind, members in _grouped(batch, lambda row: row["kind"]).items():
            query = (
                f"UNWIND $rows AS row MATCH (a:{_MARK} {{{_ID}: row.a}}) MATCH (b:{_MARK} {{{_ID}: row.b}}) "
                f"CREATE (a)-[r:{_quoted(kind)}]->(b) SET r = row.held"
            )
            _do(new, query, rows=[{"a": row["a"], "b": row["b"], "held": row["held"]} for row in members])


def _unmarked(new: Driver) -> None:
    while next(_rows(new, f"MATCH (n:{_MARK}) RETURN count(n) AS n"))["n"]:
        _do(new, f"MATCH (n:{_MARK}) WITH n LIMIT {_BATCH} REMOVE n.{_ID} REMOVE n:{_MARK}")
    _do(new, f"DROP INDEX {_ID} IF EXISTS")


def _batches(rows: Iterable[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    source = iter(rows)
    while batch := list(islice(source, _BATCH)):
        yield batch


def _grouped(rows: Iterable[dict[str, Any]], key: Any) -> dict[Any, list[dict[str, Any]]]:
    found: dict[Any, list[dict[str, Any]]] = {}
    for row in rows:
        found.setdefault(key(row), []).append(row)
    return found


def _measured(driver: Driver) -> dict[str, Any]:
    """Counts of everything, and a digest of all nodes and edges that no order of reading changes."""
    counts: Counter[str] = Counter()
    digest = 0
    for row in _rows(driver, "MATCH (n) RETURN labels(n) AS labels, properties(n) AS held"):
        labels, held = _bare(row["labels"], row["held"])
        counts["nodes"] += 1
        counts.update(f"label {label}" for label in labels)
        digest = _mixed(digest, "node", labels, held)
    query = (
        "MATCH (a)-[r]->(b) RETURN type(r) AS kind, properties(r) AS held, labels(a) AS la, properties(a) AS pa, "
        "labels(b) AS lb, properties(b) AS pb"
    )
    for row in _rows(driver, query):
        counts["relationships"] += 1
        counts[f"type {row['kind']}"] += 1
        ends = (_bare(row["la"], row["pa"]), _bare(row["lb"], row["pb"]))
        digest = _mixed(digest, "edge", row["kind"], row["held"], *ends)
    for kind in ("CONSTRAINTS", "INDEXES"):
        rules = [row for row in _rows(driver, f"SHOW {kind}") if row["type"] != "LOOKUP" and row["name"] != _ID]
        counts[kind.lower()] = len(rules)
    return {"nodes": 0, "relationships": 0, **counts, "digest": f"{digest:064x}"}


def _bare(labels: Iterable[str], held: Mapping[str, Any]) -> tuple[list[str], dict[str, Any]]:
    """A node without the mark of a copy."""
    return sorted(set(labels) - {_MARK}), {key: value for key, value in held.items() if key != _ID}


def _mixed(digest: int, *parts: Any) -> int:
    text = json.dumps(parts, sort_keys=True, default=str)
    return (digest + int.from_bytes(hashlib.sha256(text.encode()).digest())) % (1 << 256)
