"""Boundaries of a system as its tests meet them: HTTP, WebSocket, SQL, Redis, Kafka, Neo4j, cloud, files, processes, time.

What a test says of them is read from its text: libraries that it names, targets that it patches, fixtures whose names
say that they stand in for something. It is information, not proof; a traced run says more.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import re2

HTTP: Final = "HTTP"
SOCKET: Final = "WebSocket"
SQL: Final = "SQL"
REDIS: Final = "Redis"
KAFKA: Final = "Kafka"
NEO4J: Final = "Neo4j"
CLOUD: Final = "cloud"
FILES: Final = "files"
PROCESS: Final = "processes"
TIME: Final = "time"
BOUNDARIES: Final = (HTTP, SOCKET, SQL, REDIS, KAFKA, NEO4J, CLOUD, FILES, PROCESS, TIME)
#: Boundaries behind which another process stands.
REMOTE: Final = (HTTP, SOCKET, SQL, REDIS, KAFKA, NEO4J, CLOUD)

#: Words of libraries by boundary; a word counts where it stands for itself or as a part of a dotted or snake_case name.
WORDS: Final = {
    "requests": HTTP, "httpx": HTTP, "aiohttp": HTTP, "urllib": HTTP, "urlopen": HTTP, "urllib3": HTTP, "http": HTTP,
    "websockets": SOCKET, "websocket": SOCKET, "sqlalchemy": SQL, "psycopg": SQL, "psycopg2": SQL, "asyncpg": SQL,
    "sqlite3": SQL, "pymysql": SQL, "aiosqlite": SQL, "postgres": SQL, "postgresql": SQL, "mysql": SQL,
    "redis": REDIS, "aioredis": REDIS, "kafka": KAFKA, "confluent_kafka": KAFKA, "aiokafka": KAFKA, "neo4j": NEO4J,
    "boto3": CLOUD, "botocore": CLOUD, "s3": CLOUD, "bigquery": CLOUD, "pubsub": CLOUD, "dynamodb": CLOUD,
    "sqs": CLOUD, "shutil": FILES, "tmp_path": FILES, "tmpdir": FILES, "subprocess": PROCESS, "popen": PROCESS,
    "sleep": TIME, "monotonic": TIME,
}  # fmt: skip
#: Names whose presence in a test means that a boundary is replaced.
STAND_INS: Final = {
    "responses": HTTP, "respx": HTTP, "respx_mock": HTTP, "requests_mock": HTTP, "httpx_mock": HTTP, "aioresponses": HTTP,
    "httpretty": HTTP, "pook": HTTP, "vcr": HTTP, "MockTransport": HTTP, "fakeredis": REDIS, "FakeRedis": REDIS,
    "FakeStrictRedis": REDIS, "mock_aws": CLOUD, "mock_s3": CLOUD, "moto": CLOUD, "pyfakefs": FILES, "freezegun": TIME,
    "freeze_time": TIME, "time_machine": TIME, "freezer": TIME,
}  # fmt: skip
#: In-process faces of a server: no socket is opened.
IN_PROCESS: Final = ("TestClient", "ASGITransport", "WSGITransport", "test_client", "AsyncClient(app")

_PATCH: Final = re.compile(
    r"(?:\bpatch(?:\.object|\.dict|\.multiple)?|\bsetattr|\bsetitem|\bcreate_autospec)\(\s*([\"'][^\"'\n]+[\"']|[\w.]+)"
    r"(?:\s*,\s*([\"'][\w.]+[\"']))?"
)
_NAME: Final = re.compile(r"[A-Za-z_]\w*")
_STAND_IN: Final = re.compile(r"(?:^|_)(?:mock(?:ed)?|fake|stub(?:bed)?|dummy)(?:_|$)")


_NAMED: Final = frozenset(WORDS)
_STANDING_IN: Final = frozenset(STAND_INS)
_HINTS: Final = ("mock", "Mock", "fake", "Fake", "stub", "Stub", "dummy", "Dummy")


@cache
def _speaking() -> Any:
    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1  # bytes as they are
    words = "|".join(sorted(_NAMED | _STANDING_IN))
    patching = r"patch(?:\.\w+)?\(|setattr\(|setitem\(|create_autospec\("
    return re2.compile(f"(?:{words})\\b|{'|'.join(_HINTS)}|{patching}".encode(), options)


def speaking(source: bytes) -> list[int]:
    """Lines, from 1, with anything that `met` goes by: a test without such a line meets no boundary."""
    lines: list[int] = []
    line, counted = 1, 0
    for match in _speaking().finditer(
        source.replace(b"\r\n", b"\n").replace(b"\r", b"\n") if b"\r" in source else source
    ):
        start = match.start()
        line += match.string.count(b"\n", counted, start)
        counted = start
        if not lines or lines[-1] != line:
            lines.append(line)
    return lines


@dataclass(frozen=True, slots=True)
class Met:
    """What one test's text says: boundaries that are real, those that are replaced, and the patched targets."""

    real: tuple[str, ...]
    mocked: tuple[str, ...]
    in_process: bool
    patched: tuple[str, ...]


def met(text: str) -> Met:
    """Read a test function's source, decorators and parameters included."""
    mocked: set[str] = set()
    real: set[str] = set()
    targets: list[str] = []
    rest = text
    for match in _PATCH.finditer(text) if "patch" in text or "set" in text or "autospec" in text else ():
        target = match[1].strip("\"'") + (f".{match[2].strip(chr(34) + chr(39))}" if match[2] else "")
        targets.append(target)
        mocked.update(_of(target))
        rest = rest.replace(match[0], " ")
    words = set(_NAME.findall(rest))
    for word in words & _STANDING_IN:
        mocked.add(STAND_INS[word])
    for word in words & _NAMED:
        real.add(WORDS[word])
    if any(hint in rest for hint in _HINTS):
        for word in words:
            if _STAND_IN.search(word.lower()):
                mocked.update(_of(word))
    inside = any(name in text for name in IN_PROCESS)
    if inside:
        real.discard(HTTP)
    real -= mocked
    return Met(_sorted(real), _sorted(mocked), inside, tuple(targets))


def _of(name: str) -> set[str]:
    parts = re.split(r"[._]", re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name).lower())
    whole = set(name.lower().split("."))
    return {WORDS[part] for part in (*parts, *whole) if part in WORDS}


def named(text: str) -> set[str]:
    """The boundaries that a name or a path speaks of."""
    return {WORDS[word] for word in re.split(r"[^a-z0-9]+", text.lower()) if word in WORDS and word != "http"}


def _sorted(found: set[str]) -> tuple[str, ...]:
    return tuple(boundary for boundary in BOUNDARIES if boundary in found)
