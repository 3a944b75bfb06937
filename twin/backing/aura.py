"""AuraDB's REST API in front of the local graph: https://neo4j.com/docs/aura/platform/api/specification/

Every instance is a graph of its own behind Bolt with TLS at `neo4j+s://localhost:PORT`. Statuses follow the twin's
clock. The wording of errors is assumed; their envelope and codes are documented.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hmac
import json
import secrets
import ssl
import uuid
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from aiohttp import web

from twin.backing.bolt import Bolt
from twin.backing.cypher.graph import Graph
from twin.frontdoor.authority import write_private
from twin.frontdoor.mint import Mint
from twin.kernel.engine import Engine
from twin.kernel.errors import ApiError

HOST: Final = "api.neo4j.io"
_REQUIRED: Final = ("version", "region", "memory", "name", "type", "tenant_id", "cloud_provider")
_CLOUDS: Final = ("gcp", "aws", "azure")
_TYPES: Final = (
    "enterprise-db", "enterprise-ds", "professional-db", "professional-ds", "free-db", "business-critical",
)  # fmt: skip
_LONGEST_NAME: Final = 30
_SHOWN: Final = ("id", "name", "tenant_id", "cloud_provider")
_FULL: Final = (*_SHOWN, "status", "connection_url", "region", "type", "memory", "storage", "created_at")
_CREATED: Final = (
    "id",
    "name",
    "tenant_id",
    "cloud_provider",
    "connection_url",
    "region",
    "type",
    "username",
    "password",
)
_PRINCIPAL: Final = "aura:"


class AuraError(Exception):
    """An answer that is an error."""

    def __init__(self, status: int, reason: str, message: str, field: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.body = {"errors": [{"message": message, "reason": reason, **({"field": field} if field else {})}]}


class Aura:
    """Instances, their graphs, and who may manage them."""

    def __init__(self, engine: Engine, mint: Mint, folder: Path, context: ssl.SSLContext) -> None:
        self._engine, self._mint, self._context = engine, mint, context
        self._folder = folder / "aura"
        self._file = self._folder / "aura.json"
        self._delay = engine.settings.operation_seconds
        self._bolts: dict[str, Bolt] = {}
        self._facts: dict[str, Any] = {}

    async def open(self) -> None:
        """Serve the instances of the last time, on their ports."""
        try:
            self._facts = json.loads(self._file.read_text())
        except (OSError, ValueError):
            self._facts = _fresh()
        for record in self._facts["instances"].values():
            await self._serve(record)

    def close(self) -> None:
        for bolt in self._bolts.values():
            bolt.drop()
            bolt.graph.close()
        self._bolts.clear()

    def reset(self) -> None:
        """No instance is left; the client and the tenant stay."""
        self.close()
        self._facts["instances"] = {}
        for path in self._folder.glob("*.sqlite*"):
            path.unlink()
        self._save()

    def admin(self, body: dict[str, Any]) -> dict[str, Any]:
        """`POST /-/aura {"delay": seconds}`: client id and secret, tenant; sets how long changes of status take."""
        if "delay" in body:
            self._delay = float(body["delay"])
        self._save()
        return {name: self._facts[name] for name in ("client_id", "client_secret", "tenant_id")}

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        try:
            status, body = await self._answer(request)
        except AuraError as error:
            status, body = error.status, error.body
        except ApiError as error:  # an injected fault
            status, body = error.http, {"errors": [{"message": error.message, "reason": "server-error"}]}
        return web.json_response(body, status=status)

    async def _answer(self, request: web.BaseRequest) -> tuple[int, dict[str, Any]]:
        text = await request.text()
        parts = request.path.strip("/").split("/")
        if parts == ["oauth", "token"] and request.method == "POST":
            return self._token(request, text)
        if not self._mint.principal(request.headers.get("Authorization", "")).startswith(_PRINCIPAL):
            raise AuraError(401, "invalid-token", "the token is missing, expired or not valid; tokens last one hour")
        if parts[0] != "v1" or len(parts) < 2:
            raise AuraError(404, "not-found", f"no such path: {request.path}")
        try:
            body = json.loads(text) if text else {}
        except ValueError:
            raise AuraError(400, "invalid-body", "the body is not JSON") from None
        if not isinstance(body, dict):
            raise AuraError(400, "invalid-body", "the body is not an object")
        what = parts[1]
        verb = {"GET": "get", "POST": "create", "PATCH": "update", "DELETE": "delete"}.get(request.method, "")
        delay, _ = self._engine.faults.strike(f"aura.{what}.{verb}")
        await asyncio.sleep(delay)
        if what == "tenants":
            return self._tenants(parts[2:])
        if what != "instances":
            raise AuraError(404, "not-found", f"no such path: {request.path}")
        self._settle()
        match verb, parts[2:]:
            case "get", []:
                return 200, {"data": [_only(each, _SHOWN) for each in self._facts["instances"].values()]}
            case "create", []:
                return 202, {"data": await self._create(body)}
            case "get", [name]:
                return 200, {"data": _only(self._find(name), _FULL)}
            case "update", [name]:
                return 202, {"data": self._update(self._find(name), body)}
            case "delete", [name]:
                return 202, {"data": self._change(self._find(name), "destroying", "gone")}
            case "create", [name, "pause"]:
                return 202, {"data": self._change(self._need(name, "running"), "pausing", "paused")}
            case "create", [name, "resume"]:
                return 202, {"data": self._change(self._need(name, "paused"), "resuming", "running")}
            case "create", [name, "overwrite"]:
                return 202, {"data": self._overwrite(self._need(name, "running"), body)}
            case _, [name, "snapshots", *rest]:
                return self._snapshots(verb, self._find(name), rest)
        raise AuraError(405, "method-not-allowed", f"{request.method} {request.path} is not part of the API")

    def _token(self, request: web.BaseRequest, text: str) -> tuple[int, dict[str, Any]]:
        scheme, _, word = request.headers.get("Authorization", "").partition(" ")
        given = ""
        with contextlib.suppress(ValueError):
            given = base64.b64decode(word).decode() if scheme.lower() == "basic" else ""
        right = f"{self._facts['client_id']}:{self._facts['client_secret']}"
        if not hmac.compare_digest(given.encode(), right.encode()):
            return 401, {"error": "access_denied", "error_description": "Unauthorized"}
        if "grant_type=client_credentials" not in text:
            return 403, {
                "error": "unsupported_grant_type",
                "error_description": "grant_type must be client_credentials",
            }
        expires = self._engine.now() + timedelta(hours=1)
        token = self._mint.token(_PRINCIPAL + self._facts["client_id"], expires)
        return 200, {"access_token": token, "expires_in": 3600, "token_type": "bearer"}

    def _tenants(self, rest: list[str]) -> tuple[int, dict[str, Any]]:
        tenant = {"id": self._facts["tenant_id"], "name": "Twin"}
        if not rest:
            return 200, {"data": [tenant]}
        if rest != [tenant["id"]]:
            raise AuraError(404, "tenant-not-found", f"Tenant not found: {rest[0]}")
        return 200, {"data": {**tenant, "instance_configurations": []}}

    async def _create(self, body: dict[str, Any]) -> dict[str, Any]:
        for name in _REQUIRED:
            if not isinstance(body.get(name), str) or not body[name]:
                raise AuraError(400, "missing-field", f"{name} is required", name)
        if body["tenant_id"] != self._facts["tenant_id"]:
            raise AuraError(404, "tenant-not-found", f"Tenant not found: {body['tenant_id']}", "tenant_id")
        for name, known in (("cloud_provider", _CLOUDS), ("type", _TYPES), ("version", ("5",))):
            if body[name] not in known:
                raise AuraError(400, f"invalid-{name}", f"{name} must be one of {', '.join(known)}", name)
        _check_name(body["name"])
        record = {
            **{name: body[name] for name in _REQUIRED},
            "id": secrets.token_hex(4),
            "status": "creating",
            "storage": "4GB",
            "username": "neo4j",
            "password": secrets.token_urlsafe(32),
            "created_at": self._engine.now().strftime("%Y-%m-%dT%H:%M:%SZ"),
            "port": 0,
            "snapshots": {},
        }
        await self._serve(record)
        self._facts["instances"][record["id"]] = record
        self._change(record, "creating", "running")
        return _only(record, _CREATED)

    def _update(self, record: dict[str, Any], body: dict[str, Any]) -> dict[str, Any]:
        unknown = sorted(set(body) - {"name", "memory"})
        if unknown or not body:
            raise AuraError(400, "invalid-field", "only name and memory can be changed", unknown[0] if unknown else "")
        if "name" in body:
            _check_name(body["name"])
            record["name"] = body["name"]
            self._save()
        if "memory" in body:
            self._need(record["id"], "running")
            record["memory"] = str(body["memory"])
            self._change(record, "updating", "running")
        return _only(record, _FULL)

    def _overwrite(self, record: dict[str, Any], body: dict[str, Any]) -> dict[str, Any]:
        """With the data of another instance, now or as one of its snapshots has it."""
        source = self._find(str(body.get("source_instance_id", record["id"])))
        if "source_snapshot_id" in body:
            path = self._snapshot_file(source, str(body["source_snapshot_id"]))
        else:
            path = self._folder / f"{record['id']}.copy.sqlite"
            self._bolts[source["id"]].graph.copy_to(path)
        self._load(record, path)
        return self._change(record, "overwriting", "running")

    def _snapshots(self, verb: str, record: dict[str, Any], rest: list[str]) -> tuple[int, dict[str, Any]]:
        if verb == "get" and not rest:
            return 200, {"data": list(record["snapshots"].values())}
        if verb == "get" and len(rest) == 1:
            self._snapshot_file(record, rest[0])
            return 200, {"data": record["snapshots"][rest[0]]}
        if verb == "create" and not rest:
            self._need(record["id"], "running")
            name = str(uuid.uuid4())
            self._bolts[record["id"]].graph.copy_to(self._folder / f"{record['id']}.{name}.sqlite")
            record["snapshots"][name] = {
                "instance_id": record["id"], "snapshot_id": name, "profile": "AddHoc", "status": "Completed",
                "timestamp": self._engine.now().strftime("%Y-%m-%dT%H:%M:%SZ"),
            }  # fmt: skip
            self._save()
            return 202, {"data": {"snapshot_id": name}}
        if verb == "create" and rest[1:] == ["restore"]:
            self._need(record["id"], "running")
            self._load(record, self._snapshot_file(record, rest[0]))
            return 202, {"data": self._change(record, "restoring", "running")}
        raise AuraError(405, "method-not-allowed", "not part of the API")

    def _snapshot_file(self, record: dict[str, Any], name: str) -> Path:
        if name not in record["snapshots"]:
            raise AuraError(404, "snapshot-not-found", f"Snapshot not found: {name}")
        return self._folder / f"{record['id']}.{name}.sqlite"

    # Instances and time

    def _find(self, name: str) -> dict[str, Any]:
        found = self._facts["instances"].get(name)
        if found is None:
            raise AuraError(404, "db-not-found", f"DB not found: {name}")
        record: dict[str, Any] = found
        return record

    def _need(self, name: str, status: str) -> dict[str, Any]:
        record = self._find(name)
        if record["status"] != status:
            raise AuraError(409, f"db-not-{status}", f"the instance {name} is {record['status']}, not {status}")
        return record

    def _change(self, record: dict[str, Any], status: str, then: str) -> dict[str, Any]:
        record["status"] = status
        record["next"], record["at"] = then, (self._engine.now() + timedelta(seconds=self._delay)).isoformat()
        shown = _only(record, _FULL)
        self._save()
        return shown

    def _settle(self) -> None:
        """What was to happen by now has happened."""
        now, changed = self._engine.now(), False
        for name, record in list(self._facts["instances"].items()):
            if "next" not in record or datetime.fromisoformat(record["at"]) > now:
                continue
            changed = True
            record["status"] = record.pop("next")
            if record["status"] == "paused":
                self._bolts[name].end_connections()  # who was connected is not any more
            if record["status"] == "gone":
                bolt = self._bolts.pop(name)
                bolt.drop()
                bolt.graph.close()
                for path in self._folder.glob(f"{name}*"):
                    path.unlink()
                del self._facts["instances"][name]
        if changed:
            self._save()

    async def _serve(self, record: dict[str, Any]) -> None:
        self._folder.mkdir(exist_ok=True, mode=0o700)

        def serving() -> bool:
            self._settle()
            return record["status"] in ("running", "updating")

        graph = Graph(self._folder / f"{record['id']}.sqlite")
        bolt = Bolt(graph, record["password"], "", open_=serving)
        record["port"] = await bolt.serve(record["port"], self._context)
        bolt.address = f"localhost:{record['port']}"
        record["connection_url"] = f"neo4j+s://{bolt.address}"
        self._bolts[record["id"]] = bolt

    def _load(self, record: dict[str, Any], path: Path) -> None:
        bolt = self._bolts[record["id"]]
        bolt.end_connections()
        bolt.graph.replace_by(path)

    def _save(self) -> None:
        self._folder.mkdir(exist_ok=True, mode=0o700)
        write_private(self._file, json.dumps(self._facts).encode())


def _fresh() -> dict[str, Any]:
    return {
        "client_id": secrets.token_urlsafe(24),
        "client_secret": secrets.token_urlsafe(48),
        "tenant_id": str(uuid.uuid4()),
        "instances": {},
    }


def _only(record: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: record[name] for name in names}


def _check_name(name: Any) -> None:
    if not isinstance(name, str) or not 0 < len(name) <= _LONGEST_NAME:
        raise AuraError(400, "invalid-name", f"name must have 1 to {_LONGEST_NAME} characters", "name")
