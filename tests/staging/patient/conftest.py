"""One staging system per test process: the remediated patient on the twin, with a place for its traces."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from websockets.sync.client import ClientConnection, connect

from console import catalogues
from regreen.prepared import prepared
from tests.staging.patient.collector import Collector
from twin import staging as stages
from twin.staging import Staging

ROOT = Path(__file__).resolve().parents[3]
TRADES = 120


class Visitor:
    """Somebody who comes through the balancer, with the tests' own key unless told otherwise."""

    def __init__(self, staging: Staging) -> None:
        self.staging = staging
        self._client = httpx.Client(
            base_url=staging.balancer, headers={"Host": staging.host}, timeout=30, trust_env=False
        )
        self.bearer = {"Authorization": f"Bearer {staging.secret('e2e-bypass-key')}"}

    def get(self, path: str, *, known: bool = True, **options: Any) -> httpx.Response:
        return self._client.get(path, headers=self.bearer if known else {}, **options)

    def post(self, path: str, body: Any, *, known: bool = True, **options: Any) -> httpx.Response:
        return self._client.post(path, json=body, headers=self.bearer if known else {}, **options)

    def pace(self, **wanted: float) -> None:
        """Tell the feed how fast, and how far."""
        token = {"Authorization": f"Bearer {self.staging.secret('feed-token')}"}
        answer = httpx.get(
            f"{self.staging.url('websocket-service')}/pace", params=wanted, headers=token, timeout=10, trust_env=False
        )
        answer.raise_for_status()

    def close(self) -> None:
        self._client.close()


def feed_socket(staging: Staging, **options: Any) -> ClientConnection:
    """A WebSocket to the feed, through the balancer, with the feed's token."""
    address = urlsplit(staging.balancer)
    opened = socket.create_connection((address.hostname, address.port), timeout=10)
    headers = {"Authorization": f"Bearer {staging.secret('feed-token')}"}
    found: ClientConnection = connect(
        f"ws://{staging.host}/ws", sock=opened, additional_headers=headers, proxy=None, **options
    )
    return found


def eventually(condition: Callable[[], bool], within: float = 20.0) -> None:
    """Return as soon as the condition holds; fails the test when it does not in time."""
    end = time.monotonic() + within
    while not condition():
        assert time.monotonic() < end, f"not within {within} s"
        time.sleep(0.05)


@pytest.fixture(scope="session")
def collector() -> Iterator[Collector]:
    made = Collector()
    yield made
    made.close()


@pytest.fixture(scope="session")
def code() -> Path:
    plan = catalogues.plan(ROOT / "plan.toml").part("code.")
    return prepared(ROOT / "patient", plan, catalogues.code(), ROOT / "remedies")


@pytest.fixture(scope="session")
def staged(tmp_path_factory: pytest.TempPathFactory, code: Path, collector: Collector) -> Iterator[Staging]:
    folder = tmp_path_factory.mktemp("staging") / "state"
    made = stages.up(folder, code, otlp=collector.url, rate=0, count=TRADES)
    yield made
    made.close()


@pytest.fixture
def staging(staged: Staging) -> Iterator[Staging]:
    """The healthy system; what a test breaks is healed after it."""
    yield staged
    if staged.cloud.faults.planted:
        staged.repaired()
        staged.wait_healthy()


@pytest.fixture
def visitor(staging: Staging) -> Iterator[Visitor]:
    made = Visitor(staging)
    yield made
    made.close()
