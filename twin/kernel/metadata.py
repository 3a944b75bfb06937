"""What an operation says about itself, as the API's own document describes it.

The documents hold the schemas of operation metadata (`CreateTagKeyMetadata`, `OperationMetadata`) although no method
names them; which one a method uses follows from its verb and its resource (https://google.aip.dev/151).
"""

from __future__ import annotations

import re
from typing import Any

from twin.kernel.documents import Document
from twin.kernel.names import relative, title
from twin.kernel.types import Body

# `GoogleFirestoreAdminV1Database` → google.firestore.admin.v1, Database
PREFIX = re.compile(r"^(Google(?:[A-Z][a-z]+)+?V\d+(?:p\d+)?(?:(?:alpha|beta)\d*)?)(?=[A-Z])")

# The protobuf package of an API, without its version, where it is not `google.cloud.NAME` (github.com/googleapis/googleapis).
PACKAGES = {
    "accesscontextmanager": "google.identity.accesscontextmanager",
    "apikeys": "google.api.apikeys",
    "artifactregistry": "google.devtools.artifactregistry",
    "bigtableadmin": "google.bigtable.admin",
    "cloudbuild": "google.devtools.cloudbuild",
    "clouddeploy": "google.cloud.deploy",
    "cloudfunctions": "google.cloud.functions",
    "cloudresourcemanager": "google.cloud.resourcemanager",
    "cloudtasks": "google.cloud.tasks",
    "composer": "google.cloud.orchestration.airflow.service",
    "file": "google.cloud.filestore",
    "firestore": "google.firestore.admin",
    "firebasehosting": "google.firebase.hosting",
    "privateca": "google.cloud.security.privateca",
    "pubsub": "google.pubsub",
    "serviceusage": "google.api.serviceusage",
    "spanner": "google.spanner.admin.instance",
}
# APIs whose recordings say in every operation that nobody asked to cancel it, and `done: false` while it runs.
# Others have the field in their schema and leave it out (k8s-config-connector recordings).
_SAYS_UNCANCELLED = frozenset(
    {"alloydb", "config", "privilegedaccessmanager", "rapidmigrationassessment", "storageinsights", "vectorsearch"}
)
_PAST = {"insert": "Create", "patch": "Update", "put": "Create"}


def package_of(api: str, version: str, known: str = "") -> str:
    """`google.cloud.eventarc.v1`; `known` is what the service itself says."""
    return known or f"{PACKAGES.get(api, f'google.cloud.{api}')}.{version}"


def type_of(package: str, schema: str) -> str:
    """The protobuf name of a schema: a prefix in the schema's name goes into the package's version."""
    if match := PREFIX.match(schema):
        version = re.search(r"V\d.*$", match[1])
        if version is not None:
            package = package.rpartition(".")[0] + "." + version[0].lower()
        schema = schema[match.end() :]
    return f"{package}.{schema}"


def find(document: Document, verb: str, single: str) -> str:
    """The schema of the metadata of `verb` on a `single` (`tagKey`); '' when the document shows none."""
    known: dict[tuple[str, str], str] = document.shapes.setdefault("~metadata", {})
    key = (verb, single)
    if key not in known:
        known[key] = _find(document, _PAST.get(verb, title(verb)), title(single))
    return known[key]


def _find(document: Document, verb: str, single: str) -> str:
    bare = {PREFIX.sub("", name): name for name in document.schemas if name.endswith("Metadata")}
    wanted = (
        f"{verb}{single}Metadata",
        f"{verb}{single}OperationMetadata",
        f"{verb}OperationMetadata",
        f"{single}OperationMetadata",
        "OperationMetadata",
    )
    return next((bare[name] for name in wanted if name in bare), "")


def fill(document: Document, schema: str, facts: Body) -> Body:
    """Metadata by its schema. `facts`: stamp, target (canonical), verb, single, resource (or None), request."""
    properties: Body = document.schemas[schema].get("properties", {})
    stamp, single = facts["stamp"], facts["single"]
    offered: dict[str, Any] = {
        "createTime": stamp,
        "startTime": stamp,
        "requestTime": stamp,
        "~endTime": stamp,
        "target": relative(facts["target"]),
        "verb": facts["verb"],
        "apiVersion": document.version,
        "requestedCancellation": False if document.name in _SAYS_UNCANCELLED else None,
        "genericMetadata": {"createTime": stamp, "updateTime": stamp},
        "originalRequest": facts["request"],
    }
    metadata = {key: value for key, value in offered.items() if key.lstrip("~") in properties and value is not None}
    if single in properties:
        resource = facts["resource"] if "$ref" in properties[single] else relative(facts["target"])
        if resource is not None:
            metadata[single] = resource
    return metadata
