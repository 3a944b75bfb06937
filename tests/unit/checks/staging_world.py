"""A small healthy staging environment, as the APIs would give it, and what can be wrong with it, one fault a row."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from regreen.environment import Environment, parse_environment
from regreen.facts.cloud import Collection, Measurement, Snapshot

PROJECT: Final = "quotes-staging"
NUMBER: Final = "424242"
KEY: Final = f"projects/{PROJECT}/locations/us/keyRings/ring/cryptoKeys/data"
JOBS: Final = f"projects/{PROJECT}/locations/us-central1/keyRings/jobs/cryptoKeys/jobs"
SA: Final = f"{PROJECT}.iam.gserviceaccount.com"
YEAR: Final = "public, max-age=31536000, immutable"
GRAPH: Final = "neo4j+s://a1b2.databases.neo4j.io"
LINK: Final = f"https://www.googleapis.com/compute/v1/projects/{PROJECT}"

TEXT: Final = f"""
schema = 1
name = "quotes"
kind = "google"
bypass_variable = "TEST_DOOR"
[project]
id = "{PROJECT}"
number = "{NUMBER}"
labels = {{ environment = "staging" }}
region = "us-central1"
[stack]
name = "staging"
file = "infra/Pulumi.staging.yaml"
[[service]]
name = "api"
min_instances = 1
max_instances = 4
request_timeout = 300
session_affinity = true
probes = ["startup", "liveness"]
variables = ["MODE"]
secrets = {{ SIGNING_KEY = "signing-key" }}
invokers = ["allUsers"]
account = "api-sa@{SA}"
pool = 5
[[service]]
name = "worker"
max_instances = 1
invokers = ["serviceAccount:api-sa@{SA}"]
[balancer]
url_map = "lb"
forwarding_rule = "lb-http"
host = "staging.quotes.example"
http_timeout = 30
websocket_timeout = 3600
draining = 60
handshake = 5.0
idle = 6.0
handshake_path = "/ws"
[[balancer.route]]
path = "/api/*"
backend = "api-backend"
[[balancer.route]]
path = "/ws"
backend = "ws-backend"
scheme = "websocket"
[[balancer.route]]
path = "/static/*"
backend = "static"
[encryption]
key = "{KEY}"
rotation = 7776000
datasets = ["market"]
jobs = true
jobs_key = "{JOBS}"
[[secret]]
name = "signing-key"
accessors = ["api-sa"]
[[secret]]
name = "graph-uri"
accessors = ["api-sa"]
[aura]
instance = "graph"
[cdn]
backend_bucket = "static"
bucket = "quotes-static"
path = "/static/*"
[database]
instance = "db"
max_connections = 100
reserve = 10
query = 0.1
[cache]
instance = "cache"
tier = "STANDARD_HA"
ping = 0.1
"""


def environment(text: str = TEXT) -> Environment:
    """What is required."""
    return parse_environment("quotes.toml", text.encode())


def bare() -> Environment:
    """An environment file that requires nothing."""
    return environment(TEXT.partition("[[service]]")[0])


def _service(name: str, **template: Any) -> dict[str, Any]:
    where = f"projects/{PROJECT}/locations/us-central1/services/{name}"
    return {
        "name": where,
        "labels": {"team": "quotes"},
        "terminalCondition": {"type": "Ready", "state": "CONDITION_SUCCEEDED"},
        "latestCreatedRevision": f"{where}/revisions/{name}-00002",
        "latestReadyRevision": f"{where}/revisions/{name}-00002",
        "trafficStatuses": [{"type": "TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST", "percent": 100}],
        "template": template,
    }


def _reference(variable: str, secret: str, version: str = "latest") -> dict[str, Any]:
    return {"name": variable, "valueSource": {"secretKeyRef": {"secret": secret, "version": version}}}


_MAIN: Final[dict[str, Any]] = {
    "image": "registry/api:2",
    "ports": [{"containerPort": 8080}],
    "startupProbe": {"httpGet": {"path": "/health"}},
    "livenessProbe": {"httpGet": {"path": "/health"}},
    "env": [
        {"name": "MODE", "value": "live-data"},
        _reference("SIGNING_KEY", "signing-key", "3"),
        _reference("GRAPH_URI", "graph-uri"),
    ],
}


def _point(value: int, end: str) -> dict[str, Any]:
    return {"interval": {"endTime": end}, "value": {"int64Value": str(value)}}


def _series(name: str, *points: dict[str, Any]) -> dict[str, Any]:
    return {"resource": {"labels": {"service_name": name}}, "points": list(points)}


def _group(name: str, kind: str) -> dict[str, Any]:
    return {"name": name, "networkEndpointType": kind}


def _backend(name: str, group: str, **more: Any) -> dict[str, Any]:
    link = f"{LINK}/regions/us-central1/networkEndpointGroups/{group}"
    return {"name": name, "selfLink": f"{LINK}/global/backendServices/{name}", "backends": [{"group": link}], **more}


def _key(name: str, *members: str) -> dict[str, Any]:
    return {
        "name": name,
        "rotationPeriod": 7776000,
        "primary": {"name": f"{name}/cryptoKeyVersions/1", "state": "ENABLED"},
        "bindings": [{"role": "roles/cloudkms.cryptoKeyEncrypterDecrypter", "members": list(members)}],
    }


def _versions(secret: str, *states: str) -> dict[str, Any]:
    where = f"projects/{PROJECT}/secrets/{secret}/versions"
    return {
        "versions": [
            {"name": f"{where}/{number}", "state": state, "createTime": f"2026-01-0{number}T00:00:00Z"}
            for number, state in enumerate(states, 1)
        ]
    }


def _policy(role: str, *members: str) -> dict[str, Any]:
    return {"bindings": [{"role": role, "members": list(members)}]}


HEALTHY: Final[Mapping[str, dict[str, Any]]] = {
    "run.services": {
        "api": {
            **_service("api"),
            "scaling": {"minInstanceCount": 1},
            "template": {
                "timeout": "300s",
                "sessionAffinity": True,
                "serviceAccount": f"api-sa@{SA}",
                "scaling": {"maxInstanceCount": 4},
                "containers": [_MAIN],
            },
        },
        "worker": _service("worker", scaling={"maxInstanceCount": 1}, containers=[{"image": "registry/worker:1"}]),
    },
    "run.revisions": {
        "api-00002": {"name": "api-00002", "createTime": "2026-02-01T00:00:00Z", "containers": [_MAIN]},
        "worker-00002": {"name": "worker-00002", "containers": [{"image": "registry/worker:1"}]},
    },
    "run.policies": {
        "api": _policy("roles/run.invoker", "allUsers"),
        "worker": _policy("roles/run.invoker", f"serviceAccount:api-sa@{SA}"),
    },
    "run.jobs": {"nightly": {"template": {"template": {"containers": [{"image": "registry/nightly:1"}]}}}},
    "compute.urlMaps": {
        "lb": {
            "name": "lb",
            "defaultService": f"{LINK}/global/backendServices/api-backend",
            "hostRules": [{"hosts": ["staging.quotes.example"], "pathMatcher": "main"}],
            "pathMatchers": [
                {
                    "name": "main",
                    "defaultService": f"{LINK}/global/backendServices/api-backend",
                    "pathRules": [
                        {"paths": ["/api/*"], "service": f"{LINK}/global/backendServices/api-backend"},
                        {"paths": ["/ws", "/ws/*"], "service": f"{LINK}/global/backendServices/ws-backend"},
                        {"paths": ["/static/*"], "service": f"{LINK}/global/backendBuckets/static"},
                    ],
                }
            ],
        }
    },
    "compute.backendServices": {
        "api-backend": _backend("api-backend", "api-neg", timeoutSec=30),
        "ws-backend": _backend("ws-backend", "vm-neg", timeoutSec=3600, connectionDraining={"drainingTimeoutSec": 60}),
    },
    "compute.endpointGroups": {
        "api-neg": _group("api-neg", "SERVERLESS"),
        "vm-neg": _group("vm-neg", "GCE_VM_IP_PORT"),
    },
    "compute.backendBuckets": {
        "static": {
            "name": "static",
            "bucketName": "quotes-static",
            "enableCdn": True,
            "cdnPolicy": {"cacheMode": "USE_ORIGIN_HEADERS"},
        }
    },
    "storage.objects": {"static/app.js": {"name": "static/app.js", "cacheControl": YEAR}},
    "bigquery.datasets": {"market": {"defaultEncryptionConfiguration": {"kmsKeyName": KEY}}},
    "bigquery.tables": {
        "market.trades": {
            "type": "TABLE",
            "encryptionConfiguration": {"kmsKeyName": f"{KEY}/cryptoKeyVersions/1"},
        },
        "market.daily": {"type": "VIEW"},
    },
    "kms.keys": {
        KEY: _key(KEY, f"serviceAccount:bq-{NUMBER}@bigquery-encryption.iam.gserviceaccount.com"),
        JOBS: _key(
            JOBS,
            f"serviceAccount:service-{NUMBER}@dataflow-service-producer-prod.iam.gserviceaccount.com",
            f"serviceAccount:service-{NUMBER}@compute-system.iam.gserviceaccount.com",
        ),
    },
    "secretmanager.secrets": {"signing-key": {}, "graph-uri": {}},
    "secretmanager.versions": {
        "signing-key": _versions("signing-key", "DESTROYED", "DISABLED", "ENABLED"),
        "graph-uri": _versions("graph-uri", "ENABLED"),
    },
    "secretmanager.policies": {
        name: _policy("roles/secretmanager.secretAccessor", f"serviceAccount:api-sa@{SA}")
        for name in ("signing-key", "graph-uri")
    },
    "sql.instances": {
        "db": {
            "state": "RUNNABLE",
            "settings": {
                "activationPolicy": "ALWAYS",
                "databaseFlags": [{"name": "max_connections", "value": "100"}],
            },
        }
    },
    "redis.instances": {"cache": {"state": "READY", "tier": "STANDARD_HA"}},
    "dataflow.jobs": {"replay": {"id": "j-1", "environment": {"serviceKmsKeyName": JOBS}}},
    "logging.unavailable": {},
    "logging.internal-closes": {},
    "monitoring.requests": {"0": _series("api", _point(0, "2026-03-01T10:00:00Z"), _point(9, "2026-03-01T10:01:00Z"))},
    "monitoring.instances": {"0": _series("api", _point(2, "2026-03-01T10:01:20Z"))},
    "aura.instances": {"graph": {"status": "running", "connection_url": GRAPH}},
    "aura.address": {"graph-uri": {"address": GRAPH}},
}
MEASURED: Final[Mapping[str, Measurement]] = {
    "handshake": Measurement(0.2, seen="open"),
    "keepalive": Measurement(6.0, seen="open"),
    "cdn-hit": Measurement(12.0, seen=f"hit; 200; Cache-Control: {YEAR}"),
    "sql-query": Measurement(0.004, seen="1"),
    "redis-ping": Measurement(0.001, seen="PONG"),
    "drift": Measurement(4.0, seen=""),
}

#: Takes a part away, where a value would be put.
GONE: Final = object()


@dataclass(frozen=True)
class Fault:
    """What is broken (a path and the value there), and what the check must say: of what, and with which words."""

    check: str
    what: str
    breaks: tuple[tuple[tuple[str | int, ...], Any], ...]
    subject: str
    observed: str
    measures: Mapping[str, Measurement] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.check.removeprefix('staging.')}: {self.what}"


def snapshot(fault: Fault | None = None, number: str = NUMBER) -> Snapshot:
    """What a collector reads: healthy, but for a fault."""
    items: dict[str, Any] = copy.deepcopy(dict(HEALTHY))
    for path, value in fault.breaks if fault else ():
        at: Any = items
        for part in path[:-1]:
            at = at.setdefault(part, {}) if isinstance(at, dict) else at[part]
        if value is GONE:
            del at[path[-1]]
        else:
            at[path[-1]] = value
    measured = {**MEASURED, **(fault.measures if fault else {})}
    return Snapshot(PROJECT, number, "now", {kind: Collection(found) for kind, found in items.items()}, measured)


def _one(check: str, what: str, path: tuple[str | int, ...], value: Any, subject: str, observed: str) -> Fault:
    return Fault(f"staging.{check}", what, ((path, value),), subject, observed)


def _measured(check: str, what: str, name: str, value: float, seen: str, subject: str, observed: str) -> Fault:
    return Fault(f"staging.{check}", what, (), subject, observed, {name: Measurement(value, seen=seen)})


_API: Final = ("run.services", "api")
_BODY: Final = (*_API, "template", "containers", 0)
_RULES: Final = ("compute.urlMaps", "lb", "pathMatchers", 0, "pathRules")
_LOG: Final = {"timestamp": "2026-03-01T10:00:00Z", "resource": {"labels": {"service_name": "api"}}}
_GATHERED: Final = "secretmanager.policies"

FAULTS: Final[tuple[Fault, ...]] = (
    _one("cloud-run-ready", "not ready", (*_API, "terminalCondition"), {"state": "CONDITION_FAILED", "message": "the image is not there"}, "run/api", "CONDITION_FAILED: the image is not there"),
    _one("cloud-run-ready", "no condition yet", (*_API, "terminalCondition"), GONE, "run/api", "CONDITION_PENDING: no message"),
    _one("cloud-run-ready", "the newest revision failed", (*_API, "latestCreatedRevision"), "s/revisions/api-00003", "run/api", "revision api-00003 is not ready; api-00002 still serves"),
    _one("cloud-run-ready", "missing", _API, GONE, "run/api", "there is no such service"),
    _one("cloud-run-min-instances", "no minimum", (*_API, "scaling"), {}, "run/api", "at least 0 instances"),
    _one("cloud-run-max-instances", "too many", (*_API, "template", "scaling"), {"maxInstanceCount": 9}, "run/api", "up to 9 instances"),
    _one("cloud-run-max-instances", "no limit", (*_API, "template", "scaling"), {}, "run/api", "up to 100 instances"),
    _one("cloud-run-probes", "no liveness probe", (*_BODY, "livenessProbe"), GONE, "run/api", "no such probe"),
    _one("cloud-run-probes", "only the default startup probe", (*_BODY, "startupProbe"), {"tcpSocket": {"port": 8080}}, "run/api", "only the default TCP probe"),
    _one("cloud-run-request-timeout", "cut early", (*_API, "template", "timeout"), "5s", "run/api", "cut after 5 s"),
    _one("cloud-run-request-timeout", "no affinity", (*_API, "template", "sessionAffinity"), False, "run/api", "off"),
    _one("cloud-run-env-complete", "missing in the template", (*_BODY, "env", 0, "name"), "OTHER", "run/api", "MODE is not set in template"),
    _one("cloud-run-env-complete", "empty", (*_BODY, "env", 0, "value"), "", "run/api", "MODE is empty in template"),
    _one("cloud-run-secrets-by-reference", "a plain value", (*_BODY, "env", 1), {"name": "SIGNING_KEY", "value": "hunter2"}, "run/api", "SIGNING_KEY: a plain value of 7 characters"),
    _one("cloud-run-secrets-by-reference", "a plain value by its name alone", (*_BODY, "env", 0), {"name": "STRIPE_API_KEY", "value": "hunter2"}, "run/api", "STRIPE_API_KEY: a plain value of 7 characters"),
    _one("cloud-run-secrets-by-reference", "another secret", (*_BODY, "env", 1), _reference("SIGNING_KEY", "other"), "run/api", "SIGNING_KEY refers to other"),
    _one("cloud-run-secrets-by-reference", "a plain value in a job", ("run.jobs", "nightly", "template", "template", "containers", 0, "env"), [{"name": "DB_PASSWORD", "value": "hunter2"}], "run/nightly", "DB_PASSWORD: a plain value of 7 characters"),
    Fault("staging.no-bypass-key-in-production", "by label", (((*_API, "labels"), {"stage": "production"}), ((*_BODY, "env", 0), {"name": "TEST_DOOR", "value": "1"})), "run/api", "TEST_DOOR is set on a service that calls itself 'production'"),
    Fault("staging.no-bypass-key-in-production", "by variable", (((*_BODY, "env", 0), {"name": "NODE_ENV", "value": "prod"}), ((*_BODY, "env", 1), {"name": "E2E_BYPASS", "value": "1"})), "run/api", "E2E_BYPASS is set on a service that calls itself 'prod'"),
    _one("load-balancer-routes", "another backend", (*_RULES, 1, "service"), f"{LINK}/global/backendServices/api-backend", "urlMap/lb", "/ws goes to api-backend"),
    _one("load-balancer-routes", "no matcher for the host", ("compute.urlMaps", "lb", "hostRules"), [], "urlMap/lb", "/ws goes to api-backend"),
    _one("load-balancer-routes", "a backend that is not there", ("compute.backendServices", "ws-backend"), GONE, "urlMap/lb", "/ws goes to ws-backend, which does not exist"),
    _one("load-balancer-routes", "missing", ("compute.urlMaps", "lb"), GONE, "urlMap/lb", "there is no such URL map"),
    _one("load-balancer-timeouts", "short for WebSockets", ("compute.backendServices", "ws-backend", "timeoutSec"), 30, "backendService/ws-backend", "30 s"),
    _one("load-balancer-timeouts", "none at all", ("compute.backendServices", "ws-backend", "timeoutSec"), GONE, "backendService/ws-backend", "30 s"),
    _one("load-balancer-draining", "short", ("compute.backendServices", "ws-backend", "connectionDraining"), {"drainingTimeoutSec": 5}, "backendService/ws-backend", "5 s"),
    _one("load-balancer-draining", "none", ("compute.backendServices", "ws-backend", "connectionDraining"), GONE, "backendService/ws-backend", "0 s"),
    _measured("websocket-handshake", "slow", "handshake", 7.5, "open, service was cold", "urlMap/lb", "open, service was cold after 7.50 s"),
    _measured("websocket-handshake", "refused", "handshake", 0.1, "refused: HTTP 503", "urlMap/lb", "refused: HTTP 503 after 0.10 s"),
    _measured("websocket-handshake", "cut", "keepalive", 2.0, "closed with 1006", "urlMap/lb", "closed with 1006 after 2.0 s"),
    _one("bigquery-dataset-cmek", "no key", ("bigquery.datasets", "market"), {}, "dataset/market", "Google's own key"),
    _one("bigquery-dataset-cmek", "another key", ("bigquery.datasets", "market", "defaultEncryptionConfiguration", "kmsKeyName"), JOBS, "dataset/market", f"default key {JOBS}"),
    _one("bigquery-dataset-cmek", "missing", ("bigquery.datasets", "market"), GONE, "dataset/market", "there is no such dataset"),
    _one("bigquery-tables-cmek", "no key", ("bigquery.tables", "market.trades"), {"type": "TABLE"}, "table/market.trades", "Google's own key"),
    _one("bigquery-tables-cmek", "another key", ("bigquery.tables", "market.trades", "encryptionConfiguration", "kmsKeyName"), JOBS, "table/market.trades", f"key {JOBS}"),
    _one("kms-key-rotation", "never", ("kms.keys", KEY, "rotationPeriod"), 0, f"key/{KEY}", "never"),
    _one("kms-key-rotation", "too rarely", ("kms.keys", JOBS, "rotationPeriod"), 9000000, f"key/{JOBS}", "every 9000000 s"),
    _one("kms-key-rotation", "missing", ("kms.keys", KEY), GONE, f"key/{KEY}", "there is no such key"),
    _one("kms-key-enabled", "disabled", ("kms.keys", KEY, "primary", "state"), "DISABLED", f"key/{KEY}", "DISABLED"),
    _one("kms-key-enabled", "no primary version", ("kms.keys", KEY, "primary"), {"name": "", "state": ""}, f"key/{KEY}", "no primary version"),
    _one("kms-key-enabled", "missing", ("kms.keys", JOBS), GONE, f"key/{JOBS}", "there is no such key"),
    _one("kms-grants", "no grant", ("kms.keys", KEY, "bindings"), [], f"key/{KEY}", "no grant on the key"),
    _one("kms-grants", "public", ("kms.keys", JOBS, "bindings", 0, "members", 1), "allUsers", f"key/{JOBS}", "allUsers has roles/cloudkms.cryptoKeyEncrypterDecrypter"),
    _one("kms-grants", "missing", ("kms.keys", KEY), GONE, f"key/{KEY}", "there is no such key"),
    _one("dataflow-cmek", "no key", ("dataflow.jobs", "replay", "environment"), {}, "dataflowJob/replay", "Google's own key"),
    _one("dataflow-cmek", "another key", ("dataflow.jobs", "replay", "environment", "serviceKmsKeyName"), KEY, "dataflowJob/replay", f"key {KEY}"),
    _one("secrets-exist", "missing", ("secretmanager.secrets", "signing-key"), GONE, "secret/signing-key", "there is no such secret"),
    _one("secrets-exist", "no version", ("secretmanager.versions", "signing-key", "versions"), [], "secret/signing-key", "no version"),
    _one("secrets-exist", "none enabled", ("secretmanager.versions", "signing-key", "versions", 2, "state"), "DISABLED", "secret/signing-key", "3 versions, none enabled"),
    _one("secrets-accessors", "no access", (_GATHERED, "signing-key", "bindings"), [], "secret/signing-key", f"serviceAccount:api-sa@{SA} may not read it"),
    _one("secrets-accessors", "access on a condition is none", (_GATHERED, "signing-key", "bindings", 0, "condition"), {"expression": "false"}, "secret/signing-key", f"serviceAccount:api-sa@{SA} may not read it"),
    _one("secrets-accessors", "needless access", (_GATHERED, "graph-uri"), _policy("roles/secretmanager.secretAccessor", f"serviceAccount:api-sa@{SA}", "user:eve@example.com"), "secret/graph-uri", "user:eve@example.com may read it"),
    _one("aura-running", "paused", ("aura.instances", "graph", "status"), "paused", "aura/graph", "paused"),
    _one("aura-running", "missing", ("aura.instances", "graph"), GONE, "aura/graph", "there is no such instance"),
    _one("aura-running", "nobody moved in", ("aura.address", "graph-uri", "address"), "bolt://10.0.0.5:7687", "aura/graph", "graph-uri leads to bolt://10.0.0.5:7687"),
    _one("aura-reachable", "a plain address of another graph", (*_BODY, "env", 0), {"name": "NEO4J_URI", "value": "bolt://neo4j:hunter2@10.0.0.5:7687"}, "run/api", "NEO4J_URI leads to 10.0.0.5:7687"),
    _one("aura-reachable", "a revision from before the move", ("run.revisions", "api-00002", "createTime"), "2025-12-31T00:00:00Z", "run/api", "GRAPH_URI was read before version 1 of graph-uri"),
    _one("aura-reachable", "an old version", (*_BODY, "env", 2), _reference("GRAPH_URI", "graph-uri", "7"), "run/api", "GRAPH_URI is version 7 of graph-uri"),
    _one("cdn-enabled", "off", ("compute.backendBuckets", "static", "enableCdn"), False, "backendBucket/static", "off"),
    _one("cdn-enabled", "another bucket", ("compute.backendBuckets", "static", "bucketName"), "other", "backendBucket/static", "other"),
    _one("cdn-enabled", "missing", ("compute.backendBuckets", "static"), GONE, "backendBucket/static", "there is no such backend bucket"),
    _one("cdn-enabled", "not on the path", (*_RULES, 2), {"paths": ["/other/*"], "service": "x"}, "urlMap/lb", "/static/* goes to api-backend"),
    _one("cdn-cache-policy", "forced", ("compute.backendBuckets", "static", "cdnPolicy", "cacheMode"), "FORCE_CACHE_ALL", "backendBucket/static", "FORCE_CACHE_ALL"),
    _one("cdn-cache-policy", "cut to an hour", ("compute.backendBuckets", "static", "cdnPolicy"), {}, "backendBucket/static", "CACHE_ALL_STATIC: browsers keep for 3600 s"),
    _one("cdn-cache-policy", "an object without the header", ("storage.objects", "static/app.js", "cacheControl"), GONE, "object/quotes-static/static/app.js", "none"),
    _measured("cdn-hit", "never a hit", "cdn-hit", -1.0, f"no hit; 200; Cache-Control: {YEAR}", "backendBucket/static", f"no hit; 200; Cache-Control: {YEAR}"),
    _measured("cdn-hit", "another header", "cdn-hit", 3.0, "hit; 200; Cache-Control: max-age=60", "backendBucket/static", "hit; 200; Cache-Control: max-age=60"),
    _one("no-503-in-window", "two", ("logging.unavailable",), {"a": _LOG, "b": {**_LOG, "timestamp": "2026-03-01T11:00:00Z"}}, "run/api", "2 times, last at 2026-03-01T11:00:00Z"),
    _one("no-503-in-window", "of the balancer", ("logging.unavailable",), {"a": {**_LOG, "resource": {"labels": {"url_map_name": "lb"}}}}, "run/lb", "1 times, last at 2026-03-01T10:00:00Z"),
    _one("no-1011-in-window", "one", ("logging.internal-closes",), {"a": _LOG}, "run/api", "1 times, last at 2026-03-01T10:00:00Z"),
    _one("scaling-within-30s", "late", ("monitoring.instances", "0", "points", 0, "interval", "endTime"), "2026-03-01T10:01:31Z", "run/api", "instances 31 s after the first request"),
    _one("sql-available", "stopped", ("sql.instances", "db", "settings", "activationPolicy"), "NEVER", "sql/db", "NEVER"),
    _one("sql-available", "suspended", ("sql.instances", "db", "state"), "SUSPENDED", "sql/db", "SUSPENDED"),
    _one("sql-available", "missing", ("sql.instances", "db"), GONE, "sql/db", "there is no such instance"),
    _measured("sql-available", "slow", "sql-query", 0.25, "1", "sql/db", "SELECT 1 took 250 ms"),
    _measured("sql-available", "no connection", "sql-query", -1.0, "no connection: refused", "sql/db", "no connection: refused"),
    _one("redis-available", "not ready", ("redis.instances", "cache", "state"), "REPAIRING", "redis/cache", "REPAIRING"),
    _one("redis-available", "without replica", ("redis.instances", "cache", "tier"), "BASIC", "redis/cache", "BASIC"),
    _one("redis-available", "missing", ("redis.instances", "cache"), GONE, "redis/cache", "there is no such instance"),
    _measured("redis-available", "slow", "redis-ping", 0.3, "PONG", "redis/cache", "PING took 300 ms"),
    _measured("redis-available", "no answer", "redis-ping", -1.0, "no answer: TimeoutError", "redis/cache", "no answer: TimeoutError"),
    _one("service-auth", "a caller without the role", ("run.policies", "worker", "bindings"), [], "run/worker", f"serviceAccount:api-sa@{SA} may not invoke it"),
    _one("service-auth", "public", ("run.policies", "worker", "bindings", 0, "members"), [f"serviceAccount:api-sa@{SA}", "allAuthenticatedUsers"], "run/worker", "allAuthenticatedUsers may invoke it"),
    _one("service-auth", "another account", (*_API, "template", "serviceAccount"), "", "run/api", "runs as the default account"),
    _one("pool-budget", "too many instances", (*_API, "template", "scaling", "maxInstanceCount"), 19, "sql/db", "api 95 = 95 connections"),
    _one("pool-budget", "a smaller database", ("sql.instances", "db", "settings", "databaseFlags"), [{"name": "max_connections", "value": "25"}], "sql/db", "api 20 = 20 connections"),
    _measured("drift", "changed by hand", "drift", 4.0, "update Service api (scaling)", "stack/staging", "update Service api (scaling)"),
)  # fmt: skip
