"""The patient's cloud: API calls with placeholders, filled while they are made.

Placeholders: `{project}`, `{number}`, `{owner}`; the address of a backing service (`{kafka}`, `{postgres}`, `{redis}`,
`{graph}`, `{graph_password}`); `{random:NAME}`, chosen once; `{base64:TEXT}`; `{int:NAME}`, a number;
`{url:SERVICE}` and `{uri:SERVICE}`, where a Cloud Run service is, known once it was created; `{in_30_days}`.
"""

from __future__ import annotations

import base64
import json
import re
import secrets
import socket
import tomllib
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from twin.process import Running, TwinError

_PLACE: Final = re.compile(r"\{(base64|random|int|url|uri):((?:[^{}]|\{[^{}]*\})*)\}|\{([a-z_0-9]+)\}")
_TYPES: Final = {".js": "text/javascript", ".css": "text/css", ".csv": "text/csv", ".svg": "image/svg+xml"}
Call = dict[str, Any]


class Values:
    """What placeholders stand for."""

    def __init__(
        self, twin: Running, endpoints: Mapping[str, str], *, data: Path, otlp: str, rate: float, count: int
    ) -> None:
        self._twin = twin
        self._random: dict[str, str] = {}
        self.plain: dict[str, str] = {
            "project": twin.project,
            "number": twin.number,
            "owner": "owner@twin.example",
            "data": str(data),
            "otlp": otlp,
            "feed_rate": str(rate),
            "feed_count": str(count),
            "allocator_vm": str(_free_port()),
            "graph_password": "",
            "aura_client": "",
            "in_30_days": (datetime.now(UTC) + timedelta(days=30)).strftime("%Y-%m-%dT%H:%M:%SZ"),
            **endpoints,
        }

    def chosen(self, name: str) -> str:
        """A random value, the same whenever it is asked for."""
        return self._random.setdefault(name, secrets.token_hex(16))

    def fill(self, item: Any) -> Any:
        """The item with every placeholder filled. TwinError for one that nobody knows."""
        if isinstance(item, str):
            if item.startswith("{int:") and item.endswith("}"):
                return int(self.plain[item[5:-1]])
            return _PLACE.sub(self._one, item)
        if isinstance(item, list):
            return [self.fill(each) for each in item]
        if isinstance(item, dict):
            return {name: self.fill(value) for name, value in item.items()}
        return item

    def _one(self, match: re.Match[str]) -> str:
        kind, argument, name = match.groups()
        if kind == "base64":
            return base64.b64encode(str(self.fill(argument)).encode()).decode()
        if kind == "random":
            return self.chosen(argument)
        if kind in ("url", "uri"):
            services = self._twin.admin("GET", "endpoints")["services"]
            if argument not in services:
                raise TwinError(f"{{{kind}:{argument}}}: there is no such service yet; create it first")
            return str(services[argument][kind])
        if name not in self.plain:
            raise TwinError(f"{{{name}}}: no such placeholder")
        return self.plain[name]


class Cloud:
    """Builds the patient's cloud on the twin, breaks it, and heals it."""

    def __init__(self, twin: Running, patient: Path, values: Values) -> None:
        self._twin = twin
        self._patient = patient
        self.values = values
        self._broken: list[dict[str, Any]] = []

    def build(self, state: str, faults: Sequence[str]) -> None:
        """The healthy cloud, then its faults: all of them, as found."""
        found = json.loads((self._patient / "cloud" / "healthy.json").read_text(encoding="utf-8"))
        self.make(found["calls"])
        for entry in found["objects"]:
            self._upload(entry)
        self.plant([fault["id"] for fault in self.faults()] if state == "as-found" else faults)

    def faults(self) -> list[dict[str, Any]]:
        """The table of faults."""
        path = self._patient / "cloud" / "faults.toml"
        return list(tomllib.loads(path.read_text(encoding="utf-8")).get("fault", []))

    def plant(self, ids: Iterable[str]) -> None:
        """Break what these faults break. TwinError for an id that is not in the table."""
        table = {fault["id"]: fault for fault in self.faults()}
        for name in ids:
            if name not in table:
                raise TwinError(f"no fault {name} in cloud/faults.toml; there are: {', '.join(sorted(table))}")
            self.make(table[name]["calls"])
            self._broken.append(table[name])

    def heal(self) -> None:
        """Take the planted faults back, the newest first."""
        while self._broken:
            self.make(self._broken.pop()["heal"])

    def make(self, calls: Iterable[Call]) -> None:
        """Make calls in order, as many at a time as do not depend on what comes before them."""
        waiting: list[Call] = []
        for call in calls:
            if "{url:" in json.dumps(call) or "{uri:" in json.dumps(call):
                self._seed(waiting)
                waiting = []
            waiting.append(self.values.fill(_read(call)))
        self._seed(waiting)

    def _seed(self, calls: list[Call]) -> None:
        if calls:
            self._twin.admin("POST", "seed", {"calls": calls})

    def _upload(self, entry: Mapping[str, str]) -> None:
        """Upload a folder, every name with a hash of its content where there is a prefix."""
        token = self._twin.admin("POST", "token", {"principal": f"user:{self.values.plain['owner']}"})["accessToken"]
        for path in sorted((self._patient / entry["folder"]).iterdir()):
            content = path.read_bytes()
            name = entry["prefix"] + (hashed_name(path.name, content) if entry["prefix"] else path.name)
            metadata = {"name": name, "contentType": _TYPES.get(path.suffix, "application/octet-stream")}
            if entry["cacheControl"]:
                metadata["cacheControl"] = entry["cacheControl"]
            self._put(self.values.fill(entry["bucket"]), metadata, content, str(token))

    def _put(self, bucket: str, metadata: Mapping[str, str], content: bytes, token: str) -> None:
        boundary = "tidemark"
        head = f"--{boundary}\r\nContent-Type: application/json\r\n\r\n{json.dumps(metadata)}\r\n"
        head += f"--{boundary}\r\nContent-Type: {metadata['contentType']}\r\n\r\n"
        body = head.encode() + content + f"\r\n--{boundary}--\r\n".encode()
        request = urllib.request.Request(  # noqa: S310 - http, to the twin's own port
            f"{self._twin.proxy}/upload/storage/v1/b/{bucket}/o?uploadType=multipart",
            body,
            {
                "Host": "storage.googleapis.com",
                "Authorization": f"Bearer {token}",
                "Content-Type": f"multipart/related; boundary={boundary}",
            },
        )
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            opener.open(request, timeout=30).close()
        except urllib.error.HTTPError as error:
            raise TwinError(f"{metadata['name']} was not stored: {error.read().decode()[:300]}") from error


def hashed_name(name: str, content: bytes) -> str:
    """`app.js` becomes `app.<first 8 hex digits>.js`: what the patient's own build does."""
    stem, dot, ending = name.rpartition(".")
    return f"{stem}.{sha256(content).hexdigest()[:8]}{dot}{ending}"


def _read(call: Call) -> Call:
    """A call whose body is JSON text, as TOML tables carry it, with the body read."""
    body = call.get("body")
    if isinstance(body, str):
        return {**call, "body": json.loads(body)}
    return call


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
