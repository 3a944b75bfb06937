"""The patient's cloud: API calls with placeholders, filled while they are made.

Placeholders: `{project}`, `{number}`, `{owner}`; the address of a backing service (`{kafka}`, `{postgres}`, `{redis}`,
`{graph}`, `{graph_password}`, `{aura_client}`); `{random:NAME}`, chosen once; `{base64:TEXT}`; `{int:NAME}`, a number;
`{url:SERVICE}` and `{uri:SERVICE}`, where a Cloud Run service is, known once it was created; `{asset:FILE}`, the
quoted object name of a web asset; `{in_30_days}`, `{hour_ago}`; `{fresh}`, another name each time.
"""

from __future__ import annotations

import base64
import json
import re
import secrets
import socket
import urllib.parse
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from twin.frontdoor.authority import write_private
from twin.process import Running, TwinError
from twin.staging_faults import Api, Faults
from twin.staging_graph import GraphHome

_PLACE: Final = re.compile(r"\{(base64|random|int|url|uri|asset):((?:[^{}]|\{[^{}]*\})*)\}|\{([a-z_0-9]+)\}")
_TYPES: Final = {".js": "text/javascript", ".css": "text/css", ".csv": "text/csv", ".svg": "image/svg+xml"}
Call = dict[str, Any]


class Values:
    """What placeholders stand for."""

    def __init__(
        self, twin: Running, endpoints: Mapping[str, str], *, data: Path, otlp: str, rate: float, count: int
    ) -> None:
        self._twin = twin
        self._random: dict[str, str] = {}
        self.assets: dict[str, Path] = {}
        self.plain: dict[str, str] = {
            "project": twin.project,
            "number": twin.number,
            "owner": "owner@twin.example",
            "data": str(data),
            "otlp": otlp,
            "feed_rate": str(rate),
            "feed_count": str(count),
            "allocator_vm": str(_free_port()),
            "in_30_days": (datetime.now(UTC) + timedelta(days=30)).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "hour_ago": (datetime.now(UTC) - timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ"),
            **endpoints,
            "machine_graph": endpoints.get("graph", ""),
            "machine_graph_password": endpoints.get("graph_password", ""),
        }

    def keep(self, path: Path) -> None:
        """Write what the placeholders stand for, for the next start: a secret of this machine's own twin, 0600."""
        write_private(path, json.dumps({"plain": self.plain, "random": self._random}).encode())

    def recall(self, path: Path) -> bool:
        """What was kept, if it was; whether it was."""
        try:
            found = json.loads(path.read_bytes())
        except (OSError, ValueError):
            return False
        self.plain |= found["plain"]
        self._random |= found["random"]
        return True

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
        if kind == "asset":
            name = hashed_name(argument, self.assets[argument].read_bytes())
            return urllib.parse.quote(f"_next/static/{name}", safe="")
        if kind in ("url", "uri"):
            services = self._twin.admin("GET", "endpoints")["services"]
            if argument not in services:
                raise TwinError(f"{{{kind}:{argument}}}: there is no such service yet; create it first")
            return str(services[argument][kind])
        if name == "fresh":
            return f"staging-{secrets.token_hex(8)}"
        if name not in self.plain:
            raise TwinError(f"{{{name}}}: no such placeholder")
        return self.plain[name]


class Cloud:
    """Builds the patient's cloud on the twin; its faults are in `faults`."""

    def __init__(self, twin: Running, patient: Path, values: Values) -> None:
        self._twin = twin
        self._patient = patient
        self.values = values
        self.api = Api(twin, values.plain["owner"])
        values.assets = {path.name: path for path in (patient / "web" / "public").iterdir()}
        self._healthy = json.loads((patient / "cloud" / "healthy.json").read_text(encoding="utf-8"))
        self.graph = GraphHome(twin, self.api, values, self._healthy["graph"])
        ways = {"graph-to-machine": (self.graph.to_machine, self.graph.to_aura)}
        self.faults = Faults(patient / "cloud" / "faults.toml", self.api, values.fill, ways)

    def build(self, state: str, faults: Sequence[str]) -> None:
        """The healthy cloud, then its faults: all of them, as found."""
        self.graph.make()
        self.make(self._healthy["calls"])
        for entry in self._healthy["objects"]:
            self._upload(entry)
        self.faults.plant(self.faults.table if state == "as-found" else faults)

    def make(self, calls: Iterable[Call]) -> None:
        """Make calls in order, as many at a time as do not depend on what comes before them."""
        waiting: list[Call] = []
        for call in calls:
            if "{url:" in json.dumps(call) or "{uri:" in json.dumps(call):
                self._seed(waiting)
                waiting = []
            waiting.append(self.values.fill(call))
        self._seed(waiting)

    def _seed(self, calls: list[Call]) -> None:
        if calls:
            self._twin.admin("POST", "seed", {"calls": calls})

    def _upload(self, entry: Mapping[str, str]) -> None:
        """Upload a folder, every name with a hash of its content where there is a prefix."""
        for path in sorted((self._patient / entry["folder"]).iterdir()):
            content = path.read_bytes()
            name = entry["prefix"] + (hashed_name(path.name, content) if entry["prefix"] else path.name)
            metadata = {"name": name, "contentType": _TYPES.get(path.suffix, "application/octet-stream")}
            if entry["cacheControl"]:
                metadata["cacheControl"] = entry["cacheControl"]
            self._put(self.values.fill(entry["bucket"]), metadata, content)

    def _put(self, bucket: str, metadata: Mapping[str, str], content: bytes) -> None:
        boundary = "tidemark"
        head = f"--{boundary}\r\nContent-Type: application/json\r\n\r\n{json.dumps(metadata)}\r\n"
        head += f"--{boundary}\r\nContent-Type: {metadata['contentType']}\r\n\r\n"
        body = head.encode() + content + f"\r\n--{boundary}--\r\n".encode()
        url = f"https://storage.googleapis.com/upload/storage/v1/b/{bucket}/o?uploadType=multipart"
        self.api.send("POST", url, body, f"multipart/related; boundary={boundary}")


def hashed_name(name: str, content: bytes) -> str:
    """`app.js` becomes `app.<first 8 hex digits>.js`: what the patient's own build does."""
    stem, dot, ending = name.rpartition(".")
    return f"{stem}.{sha256(content).hexdigest()[:8]}{dot}{ending}"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
