"""A schema registry: the part of Confluent's REST API that clients use, on SQLite.

https://docs.confluent.io/platform/current/schema-registry/develop/api.html. Schemas are stored and compared as text;
compatibility is judged for Avro records and JSON Schema objects by their fields alone.
"""

from __future__ import annotations

import argparse
import json
import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

from aiohttp import web

_LEVELS: Final = ("BACKWARD", "BACKWARD_TRANSITIVE", "FORWARD", "FORWARD_TRANSITIVE", "FULL", "FULL_TRANSITIVE", "NONE")
_TYPE: Final = "application/vnd.schemaregistry.v1+json"


class RegistryError(Exception):
    """An error in the registry's own envelope."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


class Registry:
    """Subjects, versions and ids."""

    def __init__(self, path: Path) -> None:
        self._file = sqlite3.connect(path, isolation_level=None)
        self._file.execute("PRAGMA journal_mode=WAL")
        self._file.executescript(
            "CREATE TABLE IF NOT EXISTS schema (id INTEGER PRIMARY KEY, kind TEXT, body TEXT, UNIQUE (kind, body));"
            "CREATE TABLE IF NOT EXISTS version (subject TEXT, number INTEGER, schema INTEGER, gone INTEGER DEFAULT 0,"
            " PRIMARY KEY (subject, number));"
            "CREATE TABLE IF NOT EXISTS config (subject TEXT PRIMARY KEY, level TEXT);"
        )

    def close(self) -> None:
        self._file.close()

    def subjects(self) -> list[str]:
        return [
            name for (name,) in self._file.execute("SELECT DISTINCT subject FROM version WHERE NOT gone ORDER BY 1")
        ]

    def numbers(self, subject: str) -> list[int]:
        query = "SELECT number FROM version WHERE subject = ? AND NOT gone ORDER BY 1"
        found = [number for (number,) in self._file.execute(query, (subject,))]
        if not found:
            raise RegistryError(40401, f"Subject '{subject}' not found.")
        return found

    def version(self, subject: str, number: str) -> dict[str, Any]:
        known = self.numbers(subject)
        if number == "latest":
            number = str(known[-1])
        if not number.isdigit():
            raise RegistryError(42202, f"The specified version '{number}' is not a valid version id.")
        if int(number) not in known:
            raise RegistryError(40402, f"Version {number} not found.")
        query = "SELECT s.id, s.kind, s.body FROM version v JOIN schema s ON s.id = v.schema WHERE subject = ? AND number = ?"
        found, kind, body = self._file.execute(query, (subject, int(number))).fetchone()
        typed = {} if kind == "AVRO" else {"schemaType": kind}
        return {"subject": subject, "version": int(number), "id": found, **typed, "schema": body}

    def by_id(self, number: int) -> dict[str, Any]:
        row = self._file.execute("SELECT kind, body FROM schema WHERE id = ?", (number,)).fetchone()
        if row is None:
            raise RegistryError(40403, f"Schema {number} not found")
        return {"schema": row[1], **({} if row[0] == "AVRO" else {"schemaType": row[0]})}

    def find(self, subject: str, kind: str, body: str) -> dict[str, Any]:
        for number in self.numbers(subject):
            known = self.version(subject, str(number))
            if known["schema"] == body and known.get("schemaType", "AVRO") == kind:
                return known
        raise RegistryError(40403, "Schema not found")

    def register(self, subject: str, kind: str, body: str) -> int:
        try:
            return int(self.find(subject, kind, body)["id"])
        except RegistryError:
            pass
        wrong = self.conflicts(subject, body)
        if wrong:
            level = self.level(subject)
            raise RegistryError(
                409,
                f'Schema being registered is incompatible with an earlier schema for subject "{subject}", details: {wrong}, compatibility: {level}',
            )
        self._file.execute("BEGIN IMMEDIATE")
        self._file.execute("INSERT OR IGNORE INTO schema (kind, body) VALUES (?, ?)", (kind, body))
        (number,) = self._file.execute("SELECT id FROM schema WHERE kind = ? AND body = ?", (kind, body)).fetchone()
        (last,) = self._file.execute("SELECT max(number) FROM version WHERE subject = ?", (subject,)).fetchone()
        self._file.execute(
            "INSERT INTO version (subject, number, schema) VALUES (?, ?, ?)", (subject, (last or 0) + 1, number)
        )
        self._file.execute("COMMIT")
        return int(number)

    def conflicts(self, subject: str, body: str, against: str = "") -> list[str]:
        """What a new schema breaks, by the subject's level; against one version, or those that the level names."""
        level = self.level(subject)
        try:
            known = self.numbers(subject)
        except RegistryError:
            if against:
                raise
            return []
        if level == "NONE":
            return []
        chosen = [against] if against else [str(number) for number in (known if "TRANSITIVE" in level else known[-1:])]
        found: list[str] = []
        for number in chosen:
            old = self.version(subject, number)["schema"]
            if not level.startswith("FORWARD"):
                found += missing(reader=body, writer=old)
            if not level.startswith("BACKWARD"):
                found += missing(reader=old, writer=body)
        return found

    def level(self, subject: str = "") -> str:
        for name in (subject, ""):
            row = self._file.execute("SELECT level FROM config WHERE subject = ?", (name,)).fetchone()
            if row is not None:
                return str(row[0])
        return "BACKWARD"

    def set_level(self, subject: str, level: str) -> None:
        if level not in _LEVELS:
            raise RegistryError(42203, f"Invalid compatibility level. Valid values are {', '.join(_LEVELS)}")
        self._file.execute("INSERT OR REPLACE INTO config VALUES (?, ?)", (subject, level))

    def delete(self, subject: str) -> list[int]:
        found = self.numbers(subject)
        self._file.execute("UPDATE version SET gone = 1 WHERE subject = ?", (subject,))
        return found


def missing(reader: str, writer: str) -> list[str]:
    """Why a reader with one schema cannot read what was written with the other."""
    wanted, given = _fields(reader), _fields(writer)
    if wanted is None or given is None:
        return []
    found = []
    for name, (kind, default) in wanted.items():
        if name not in given:
            if not default:
                found.append(f"READER_FIELD_MISSING_DEFAULT_VALUE: {name}")
        elif kind != given[name][0] and (given[name][0], kind) not in _PROMOTED:
            found.append(f"TYPE_MISMATCH: {name}")
    return found


# https://avro.apache.org/docs/1.12.0/specification/#schema-resolution
_PROMOTED: Final = frozenset(
    (f'"{old}"', f'"{new}"')
    for old, new in [
        ("int", "long"),
        ("int", "float"),
        ("int", "double"),
        ("long", "float"),
        ("long", "double"),
        ("float", "double"),
    ]
)


def _fields(body: str) -> dict[str, tuple[str, bool]] | None:
    """name → (type, whether it may be absent); None for a schema that has no fields."""
    try:
        schema = json.loads(body)
    except ValueError:
        return None
    if not isinstance(schema, dict):
        return None
    if schema.get("type") == "record":
        return {
            each["name"]: (json.dumps(each["type"], sort_keys=True), "default" in each) for each in schema["fields"]
        }
    if isinstance(schema.get("properties"), dict):
        required = schema.get("required", [])
        return {
            name: (json.dumps(each.get("type")), name not in required) for name, each in schema["properties"].items()
        }
    return None


def application(registry: Registry) -> web.Application:
    """The REST face."""
    routes = web.RouteTableDef()

    async def read(request: web.Request) -> dict[str, Any]:
        try:
            found = json.loads(await request.text() or "{}")
        except ValueError:
            raise RegistryError(42201, "the body is not JSON") from None
        if not isinstance(found, dict):
            raise RegistryError(42201, "the body is not an object")
        return found

    async def schema(request: web.Request) -> tuple[str, str]:
        found = await read(request)
        kind, body = str(found.get("schemaType", "AVRO")), found.get("schema")
        if kind not in ("AVRO", "JSON", "PROTOBUF") or not isinstance(body, str) or not body:
            raise RegistryError(42201, f"Invalid schema of type {kind}")
        if kind != "PROTOBUF":
            try:
                parsed = json.loads(body)
            except ValueError as error:
                raise RegistryError(42201, f"Invalid schema of type {kind}, details: {error}") from None
            body = json.dumps(parsed, separators=(",", ":"))
        return kind, body

    @routes.get("/")
    async def root(_: web.Request) -> web.Response:
        return web.json_response({})

    @routes.get("/subjects")
    async def subjects(_: web.Request) -> web.Response:
        return _json(registry.subjects())

    @routes.get("/subjects/{subject}/versions")
    async def versions(request: web.Request) -> web.Response:
        return _json(registry.numbers(request.match_info["subject"]))

    @routes.get("/subjects/{subject}/versions/{version}")
    async def version(request: web.Request) -> web.Response:
        return _json(registry.version(request.match_info["subject"], request.match_info["version"]))

    @routes.post("/subjects/{subject}/versions")
    async def register(request: web.Request) -> web.Response:
        return _json({"id": registry.register(request.match_info["subject"], *await schema(request))})

    @routes.post("/subjects/{subject}")
    async def lookup(request: web.Request) -> web.Response:
        return _json(registry.find(request.match_info["subject"], *await schema(request)))

    @routes.delete("/subjects/{subject}")
    async def delete(request: web.Request) -> web.Response:
        return _json(registry.delete(request.match_info["subject"]))

    @routes.get("/schemas/types")
    async def types(_: web.Request) -> web.Response:
        return _json(["JSON", "PROTOBUF", "AVRO"])

    @routes.get("/schemas/ids/{id:\\d+}")
    async def by_id(request: web.Request) -> web.Response:
        return _json(registry.by_id(int(request.match_info["id"])))

    @routes.post("/compatibility/subjects/{subject}/versions/{version}")
    async def compatible(request: web.Request) -> web.Response:
        _, body = await schema(request)
        wrong = registry.conflicts(request.match_info["subject"], body, request.match_info["version"])
        return _json({"is_compatible": not wrong, **({"messages": wrong} if "verbose" in request.query else {})})

    @routes.get("/config")
    @routes.get("/config/{subject}")
    async def config(request: web.Request) -> web.Response:
        return _json({"compatibilityLevel": registry.level(request.match_info.get("subject", ""))})

    @routes.put("/config")
    @routes.put("/config/{subject}")
    async def configure(request: web.Request) -> web.Response:
        level = str((await read(request)).get("compatibility", ""))
        registry.set_level(request.match_info.get("subject", ""), level)
        return _json({"compatibility": level})

    @web.middleware
    async def guard(
        request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        try:
            return await handler(request)
        except RegistryError as error:
            status = error.code if error.code < 1000 else error.code // 100
            return _json({"error_code": error.code, "message": error.message}, status)

    made = web.Application(middlewares=[guard])
    made.add_routes(routes)
    return made


def _json(body: Any, status: int = 200) -> web.Response:
    return web.json_response(body, status=status, content_type=_TYPE)


def main() -> None:
    parser = argparse.ArgumentParser(prog="twin.backing.registry")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    options = parser.parse_args()
    registry = Registry(options.folder / "registry.sqlite")
    web.run_app(
        application(registry), host="127.0.0.1", port=options.port, print=None, access_log=None, shutdown_timeout=1
    )
    registry.close()


if __name__ == "__main__":
    main()
