"""Steps that no stack can take: values into Secret Manager, a key version enabled, a table copied onto itself, object headers.

A step is a name with arguments, `set-cache-control:BUCKET`, as a remedy writes it. What it found is kept beside the stack's
state (never a secret's value), so that it can be taken back; a step that cannot be taken back says so before doing anything.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from infra import aura
from infra.errors import StepError
from infra.secret_values import access, add_version, newest
from regreen.facts.cloud.google import CloudError, Google
from regreen.facts.cloud.reading import containers, last

if TYPE_CHECKING:
    from regreen.environment import Environment

_JOB_LIMIT: Final = 1800.0
_PAUSE_LIMIT: Final = 120.0


class Steps:
    """Takes steps in one environment. `memory` is a JSON file of what steps found."""

    def __init__(self, google: Google, environment: Environment, memory: Path) -> None:
        self._google, self._environment, self._memory = google, environment, memory
        self._take: Mapping[str, Callable[[str], str]] = {
            "add-secret-version": self._add_secret_version,
            "enable-key-version": self._enable_key_version,
            "reencrypt-table": self._reencrypt_table,
            "set-cache-control": self._set_cache_control,
            "move-graph": self._move_graph,
        }
        self._back: Mapping[str, Callable[[str], str]] = {
            "add-secret-version": self._disable_secret_version,
            "enable-key-version": self._disable_key_version,
            "set-cache-control": self._restore_cache_control,
        }

    def one_way(self, name: str) -> bool:
        """Whether a step can never be taken back."""
        return name.partition(":")[0] not in self._back

    def take(self, name: str) -> str:
        """Take a step; one line of evidence. Raises StepError, CloudError."""
        kind, _, rest = name.partition(":")
        if kind not in self._take:
            raise StepError(f"{name}: there is no such step; known are {', '.join(sorted(self._take))}")
        return self._take[kind](rest)

    def take_back(self, name: str) -> str:
        """Take a step back. Raises StepError for one that cannot be."""
        kind, _, rest = name.partition(":")
        if kind not in self._back:
            raise StepError(f"{name} cannot be taken back: it is one-way; what it made stays")
        return self._back[kind](rest)

    @property
    def _project(self) -> str:
        return self._environment.project.id

    def _remember(self, key: str, value: Any) -> None:
        known = self._recall()
        known[key] = value
        self._memory.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        fresh = self._memory.with_suffix(f".{os.getpid()}")
        fresh.write_text(json.dumps(known, indent=1, sort_keys=True), encoding="utf-8")
        fresh.replace(self._memory)

    def _recall(self) -> dict[str, Any]:
        try:
            found: dict[str, Any] = json.loads(self._memory.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return found

    # Secret Manager

    def _add_secret_version(self, rest: str) -> str:
        """`SECRET:SERVICE:VARIABLE`: the plain value of a live variable becomes the secret's newest version."""
        secret, service, variable = rest.split(":")
        parent = f"projects/{self._project}/secrets/{secret}"
        value = self._plain(service, variable)
        with contextlib.suppress(StepError):  # a secret without a version is what this step is for
            known = newest(self._google, parent)
            if access(self._google, known) == value:
                return f"secret {secret}: version {last(known)} holds the value already"
        made = add_version(self._google, parent, value)
        self._remember(f"add-secret-version:{rest}", made)
        return f"secret {secret}: version {last(made)} added from {variable} of {service}, and read back equal"

    def _plain(self, service: str, variable: str) -> str:
        name = f"projects/{self._project}/locations/{self._environment.project.region}/services/{service}"
        body = self._google.call("run", "v2", "projects.locations.services.get", name=name)
        for container in containers(body):
            for entry in container.get("env", ()):
                if entry["name"] == variable and entry.get("value"):
                    return str(entry["value"])
        raise StepError(f"services/{service} holds no plain value of {variable} any more; add the version by hand")

    def _disable_secret_version(self, rest: str) -> str:
        name = self._recall().get(f"add-secret-version:{rest}")
        if not name:
            return "no version was added, so there is none to disable"
        self._google.change("secretmanager", "v1", "projects.secrets.versions.disable", name=name, body={})
        return f"{last(name.partition('/versions/')[0])}: version {last(name)} disabled"

    # Cloud KMS

    def _enable_key_version(self, version: str) -> str:
        return self._key_state(version, "ENABLED")

    def _disable_key_version(self, version: str) -> str:
        return self._key_state(version, "DISABLED")

    def _key_state(self, version: str, state: str) -> str:
        method = "projects.locations.keyRings.cryptoKeys.cryptoKeyVersions.patch"
        self._google.change("cloudkms", "v1", method, name=version, updateMask="state", body={"state": state})
        return f"key version {last(version)} of {last(version.partition('/cryptoKeyVersions/')[0])} is {state}"

    # BigQuery

    def _reencrypt_table(self, rest: str) -> str:
        """`DATASET.TABLE`: a copy job onto itself under the team's key, with the writers paused, compared with the moment before."""
        assert self._environment.encryption is not None, "the check needs it"
        dataset, table = rest.split(".", 1)
        key = self._environment.encryption.key
        place = {"projectId": self._project, "datasetId": dataset, "tableId": table}
        with Paused(self._google, self._environment, self._environment.encryption.writers):
            before = self._google.call("bigquery", "v2", "tables.get", **place)
            if before.get("type", "TABLE") != "TABLE":
                raise StepError(f"{rest} is a {before['type']}, which holds no rows of its own to encrypt")
            if before.get("streamingBuffer"):
                raise StepError(
                    f"{rest} has rows in its streaming buffer, which a copy could leave out; run again later"
                )
            moment = datetime.now(UTC)
            copy = {
                "sourceTable": place, "destinationTable": place, "writeDisposition": "WRITE_TRUNCATE",
                "createDisposition": "CREATE_NEVER", "destinationEncryptionConfiguration": {"kmsKeyName": key},
            }  # fmt: skip
            job = self._google.change(
                "bigquery", "v2", "jobs.insert", projectId=self._project, body={"configuration": {"copy": copy}}
            )
            self._finished(job)
            after = self._google.call("bigquery", "v2", "tables.get", **place)
            named = str((after.get("encryptionConfiguration") or {}).get("kmsKeyName", "")).split(
                "/cryptoKeyVersions/"
            )[0]
            if named != key:
                raise StepError(
                    f"{rest}: the copy ended without an error, and the table is encrypted with {named or 'no key'}"
                )
            old, new = self._content(dataset, table, moment), self._content(dataset, table, None)
        if old != new:
            raise StepError(
                f"{rest}: {old[0]} rows before, {new[0]} after, and their digests differ; the table as it was can be read "
                f"for seven days with FOR SYSTEM_TIME AS OF {moment.isoformat(timespec='seconds')}"
            )
        lost = [
            name
            for name in ("schema", "timePartitioning", "clustering", "labels", "description", "expirationTime")
            if before.get(name) != after.get(name)
        ]
        if lost:
            raise StepError(f"{rest}: the copy changed {', '.join(lost)}; set it again by hand")
        return f"{rest}: copied onto itself under {last(key)}; {new[0]} rows and their digest are as the moment before"

    def _content(self, dataset: str, table: str, moment: datetime | None) -> tuple[str, str]:
        """Rows and an order-free digest of them, now or at a moment of the last seven days."""
        # The alias comes before the moment: cloud.google.com/bigquery/docs/reference/standard-sql/query-syntax#from_clause
        at = f" FOR SYSTEM_TIME AS OF TIMESTAMP '{moment.isoformat(timespec='milliseconds')}'" if moment else ""
        query = (
            "SELECT COUNT(*), COALESCE(BIT_XOR(FARM_FINGERPRINT(TO_JSON_STRING(t))), 0) "  # noqa: S608 - names of the API
            f"FROM `{self._project}.{dataset}.{table}` AS t{at}"
        )
        # A cached answer would be the old table's.
        body = {"query": query, "useLegacySql": False, "useQueryCache": False}
        answer = self._google.change("bigquery", "v2", "jobs.query", projectId=self._project, body=body)
        if not answer.get("jobComplete", True):
            self._finished({"jobReference": answer["jobReference"]})
            reference = answer["jobReference"]
            where = {"location": reference["location"]} if reference.get("location") else {}
            answer = self._google.call(
                "bigquery", "v2", "jobs.getQueryResults", projectId=self._project, jobId=reference["jobId"], **where
            )
        row = answer["rows"][0]["f"]
        return str(row[0]["v"]), str(row[1]["v"])

    def _finished(self, job: Mapping[str, Any]) -> None:
        reference, until = job["jobReference"], time.monotonic() + _JOB_LIMIT
        found = dict(job)
        while found.get("status", {}).get("state") != "DONE":
            if time.monotonic() > until:
                raise StepError(
                    f"job {reference['jobId']} has not ended in {_JOB_LIMIT:.0f} s; look at it, then run again"
                )
            time.sleep(0.2)
            where = {"location": reference["location"]} if reference.get("location") else {}
            found = self._google.call(
                "bigquery", "v2", "jobs.get", projectId=self._project, jobId=reference["jobId"], **where
            )
        error = found["status"].get("errorResult")
        if error:
            raise StepError(f"job {reference['jobId']}: {error.get('message')}")

    # Cloud Storage

    def _set_cache_control(self, bucket: str) -> str:
        """Cache-Control on every object below the CDN's path; what stood there is remembered."""
        assert self._environment.cdn is not None, "the check needs it"
        wanted = self._environment.cdn.cache_control
        before = {item["name"]: item.get("cacheControl") for item in self._objects(bucket)}
        changed = {name: value for name, value in before.items() if value != wanted}
        key = f"set-cache-control:{bucket}"
        self._remember(key, {**changed, **(self._recall().get(key) or {})})
        for name in changed:
            self._google.change(
                "storage", "v1", "objects.patch", bucket=bucket, object=name, body={"cacheControl": wanted}
            )
        return f"bucket {bucket}: {wanted!r} set on {len(changed)} of {len(before)} objects"

    def _restore_cache_control(self, bucket: str) -> str:
        before = self._recall().get(f"set-cache-control:{bucket}") or {}
        there = {item["name"] for item in self._objects(bucket)}
        for name, value in before.items():
            if name in there:
                body = {"cacheControl": value}
                self._google.change("storage", "v1", "objects.patch", bucket=bucket, object=name, body=body)
        return f"bucket {bucket}: the headers of {len(before)} objects are as before"

    def _objects(self, bucket: str) -> Iterator[dict[str, Any]]:
        assert self._environment.cdn is not None, "the check needs it"
        prefix = self._environment.cdn.path.lstrip("/").rstrip("*")
        return self._google.pages("storage", "v1", "objects.list", "items", bucket=bucket, prefix=prefix)

    # AuraDB

    def _move_graph(self, instance: str) -> str:
        assert self._environment.aura is not None, "the check needs it"
        with Paused(self._google, self._environment, self._environment.aura.writers):
            return aura.move(self._google, self._environment, instance)


class Paused:
    """Services that write are scaled to no instance by hand while a table is copied, and get their own scaling back after."""

    def __init__(self, google: Google, environment: Environment, services: tuple[str, ...]) -> None:
        self._google, self._services = google, services
        self._where = f"projects/{environment.project.id}/locations/{environment.project.region}/services"
        self._before: dict[str, dict[str, Any]] = {}

    def __enter__(self) -> Paused:
        try:
            for name in self._services:
                body = self._google.call("run", "v2", "projects.locations.services.get", name=f"{self._where}/{name}")
                self._before[name] = dict(body.get("scaling") or {})
                self._scale(name, {"scalingMode": "MANUAL", "manualInstanceCount": 0})
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for name, scaling in self._before.items():
            back = {key: value for key, value in scaling.items() if key != "manualInstanceCount"}
            self._scale(name, back or {"scalingMode": "AUTOMATIC"})

    def _scale(self, name: str, scaling: Mapping[str, Any]) -> None:
        body = {"scaling": dict(scaling)}
        operation = self._google.change(
            "run",
            "v2",
            "projects.locations.services.patch",
            name=f"{self._where}/{name}",
            updateMask="scaling",
            body=body,
        )
        until = time.monotonic() + _PAUSE_LIMIT
        while not operation.get("done"):
            if time.monotonic() > until:
                raise StepError(f"services/{name} is not scaled after {_PAUSE_LIMIT:.0f} s; nothing was copied")
            time.sleep(0.1)
            operation = self._google.call("run", "v2", "projects.locations.operations.get", name=operation["name"])
        if operation.get("error"):
            raise CloudError(f"services/{name}: {operation['error'].get('message')}")
