"""Probes against servers that speak the protocol, and what is made of their answers."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import grpc  # type: ignore[import-untyped]
import pytest
from fakeredis import TcpFakeServer
from temporalio.api.workflow.v1 import WorkflowExecutionInfo
from temporalio.api.workflowservice.v1 import request_response_pb2 as messages
from temporalio.api.workflowservice.v1.service_pb2_grpc import (
    WorkflowServiceServicer,
    add_WorkflowServiceServicer_to_server,
)
from websockets.sync.server import ServerConnection, serve

from regreen.facts.services.collect import collect, read
from regreen.facts.services.order import NeedsError, start_order, with_causes
from regreen.facts.services.spec import Reading, ServiceSpec, State, Thresholds, masked
from regreen.status import form, of_stack, run

Web = Callable[[dict[str, tuple[int, Any]]], str]
CLOSED = "127.0.0.1:9"  # the discard port: nothing listens there


@pytest.fixture
def web() -> Iterator[Web]:
    """Start an HTTP server that answers from a table of paths."""
    servers: list[ThreadingHTTPServer] = []

    def start(answers: dict[str, tuple[int, Any]]) -> str:
        class Face(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                status, body = answers.get(self.path, (404, {"error": "no such path"}))
                data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002 - the server's name
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Face)
        servers.append(server)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        return f"http://127.0.0.1:{server.server_address[1]}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def test_http_is_up_or_says_what_it_answered(web: Web) -> None:
    address = web({"/health": (200, {"status": "ok"}), "/ready": (503, {"reason": "BrokerUnavailable"})})
    up = read(ServiceSpec("api", "http", f"{address}/health"))
    assert up.state is State.UP
    assert up.seen is not None
    assert 0 < up.seen.query < 5
    down = read(ServiceSpec("api", "http", f"{address}/ready"))
    assert (down.state, down.error) == (State.DOWN, "Refused")
    assert "/ready answered 503" in down.detail
    assert "BrokerUnavailable" in down.detail


def test_prometheus_tells_targets_that_are_down(web: Web) -> None:
    def address(*values: str) -> str:
        result = [{"metric": {}, "value": [0, value]} for value in values]
        query = {"status": "success", "data": {"resultType": "vector", "result": result}}
        return web({"/-/healthy": (200, "Prometheus Server is Healthy.\n"), "/api/v1/query?query=up": (200, query)})

    assert read(ServiceSpec("p", "prometheus", address("1", "1"))).state is State.UP
    poor = read(ServiceSpec("p", "prometheus", address("1", "0")))
    assert (poor.state, poor.detail) == (State.DEGRADED, "1 of 2 targets are down")


def test_grafana_is_only_as_well_as_its_database(web: Web) -> None:
    good = web({"/api/health": (200, {"database": "ok", "version": "12.1.0"})})
    assert read(ServiceSpec("g", "grafana", good)).detail == "Grafana 12.1.0"
    poor = read(ServiceSpec("g", "grafana", web({"/api/health": (200, {"database": "failing", "version": "12"})})))
    assert (poor.state, poor.detail) == (State.DEGRADED, "its database is failing")
    assert read(ServiceSpec("g", "grafana", web({"/api/health": (200, "<html>")}))).state is State.DOWN


def test_a_schema_registry_lists_its_subjects(web: Web) -> None:
    address = web({"/subjects": (200, ["a", "b"]), "/config": (200, {"compatibilityLevel": "FULL"})})
    assert read(ServiceSpec("r", "registry", address)).detail == "2 subjects, FULL"


class _Temporal(WorkflowServiceServicer):
    def GetSystemInfo(self, request: Any, context: Any) -> Any:  # noqa: N802 - gRPC's name
        return messages.GetSystemInfoResponse(server_version="1.29.0")

    def ListWorkflowExecutions(self, request: Any, context: Any) -> Any:  # noqa: N802 - gRPC's name
        if request.namespace != "staging":
            context.abort(grpc.StatusCode.NOT_FOUND, f"Namespace {request.namespace} is not found.")
        return messages.ListWorkflowExecutionsResponse(
            executions=[WorkflowExecutionInfo()] * 3, next_page_token=b"more"
        )


def test_temporal_answers_over_grpc() -> None:
    server = grpc.server(ThreadPoolExecutor(2))
    add_WorkflowServiceServicer_to_server(_Temporal(), server)  # type: ignore[abstract]  # the two calls that the probe makes
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        up = read(ServiceSpec("t", "temporal", f"127.0.0.1:{port}/staging"))
        assert (up.state, up.detail) == (State.UP, "Temporal 1.29.0, 3+ workflows in staging")
        down = read(ServiceSpec("t", "temporal", f"127.0.0.1:{port}/other"))
        assert down.state is State.DOWN
        assert "Namespace other is not found" in down.detail
    finally:
        server.stop(None).wait()


def test_a_websocket_shakes_hands_and_answers_a_ping() -> None:
    def listen(wire: ServerConnection) -> None:
        for _ in wire:
            pass

    with serve(listen, "127.0.0.1", 0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        reading = read(ServiceSpec("ws", "websocket", f"ws://127.0.0.1:{server.socket.getsockname()[1]}/"))
        server.shutdown()
        thread.join()
    assert (reading.state, reading.detail) == (State.UP, "handshake and pong")


def test_redis_is_measured() -> None:
    TcpFakeServer.daemon_threads = True
    with TcpFakeServer(("127.0.0.1", 0), server_type="redis") as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        reading = read(ServiceSpec("cache", "redis", f"redis://127.0.0.1:{server.server_address[1]}/0"))
        server.shutdown()
    assert reading.state is State.UP
    assert reading.seen is not None
    assert (reading.seen.throughput or 0) > 100


@pytest.mark.parametrize(
    ("kind", "address"),
    [
        ("http", f"http://{CLOSED}/"), ("redis", f"redis://{CLOSED}/0"), ("bolt", f"bolt://{CLOSED}"),
        ("postgres", f"postgresql://u:sesame@{CLOSED}/db"), ("websocket", f"ws://{CLOSED}/"), ("kafka", CLOSED),
        ("temporal", CLOSED),
    ],
)  # fmt: skip
def test_what_does_not_listen_is_down_with_a_next_step(kind: str, address: str) -> None:
    reading = read(ServiceSpec("it", kind, address, secret="open-sesame"), limit=1.0)
    assert reading.state is State.DOWN
    assert reading.error
    assert reading.next_step
    assert "sesame" not in json.dumps(dict(reading.form()))


def test_slower_than_allowed_is_degraded(web: Web) -> None:
    address = web({"/": (200, "ok")})
    reading = read(ServiceSpec("slow", "http", address, thresholds=Thresholds(connect=5, query=1e-9)))
    assert reading.state is State.DEGRADED
    assert "the query took" in reading.detail


def test_a_missing_library_is_unknown_and_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "neo4j", None)
    reading = read(ServiceSpec("graph", "bolt", f"bolt://{CLOSED}"))
    assert (reading.state, reading.next_step) == (State.UNKNOWN, "uv pip install neo4j")


def _reading(name: str, state: State, *needs: str) -> Reading:
    return Reading(ServiceSpec(name, "http", "http://x", needs), state)


def test_root_causes_are_told_from_cascades() -> None:
    readings = with_causes([
        _reading("kafka", State.DOWN), _reading("postgres", State.UP), _reading("writer", State.DOWN, "kafka"),
        _reading("api", State.DOWN, "postgres", "writer"), _reading("web", State.DEGRADED, "api"),
        _reading("cache", State.DOWN), _reading("through", State.UP, "kafka"), _reading("far", State.DOWN, "through"),
    ])  # fmt: skip
    seen = form(readings, ())
    assert seen["root_causes"] == ["kafka", "cache"]
    assert seen["cascades"] == {"writer": ["kafka"], "api": ["kafka"], "web": ["kafka"], "far": ["kafka"]}


def test_a_slow_need_does_not_explain_a_dead_service() -> None:
    seen = form(with_causes([_reading("db", State.DEGRADED), _reading("api", State.DOWN, "db")]), ())
    assert seen["root_causes"] == ["db", "api"]


def test_services_start_after_what_they_need() -> None:
    specs = [
        ServiceSpec("web", "http", "x", ("api",)),
        ServiceSpec("api", "http", "x", ("db",)),
        ServiceSpec("db", "http", "x"),
    ]
    assert start_order(specs) == ("db", "api", "web")


@pytest.mark.parametrize(
    ("specs", "message"),
    [
        ([("a", ("b",))], "service a needs 'b', which is not listed"),
        ([("a", ()), ("a", ())], "service a is listed twice"),
        ([("a", ("b",)), ("b", ("a",))], "need each other in a circle: [ab] → [ab] → [ab]"),
    ],
)
def test_a_list_that_contradicts_itself_is_refused(specs: list[tuple[str, tuple[str, ...]]], message: str) -> None:
    with pytest.raises(NeedsError, match=message):
        run([ServiceSpec(name, "http", "x", needs) for name, needs in specs])


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("postgresql://u:p%40ss@h:5/db", "postgresql://u:[redacted]@h:5/db"),
        ("redis://:word@h/0", "redis://:[redacted]@h/0"),
        ("https://token@h/x?key=1#f", "https://[redacted]@h/x?[redacted]"),
        ("127.0.0.1:9092,127.0.0.1:9093", "127.0.0.1:9092,127.0.0.1:9093"),
    ],
)
def test_addresses_are_shown_without_what_is_secret(address: str, shown: str) -> None:
    assert masked(address) == shown


def test_json_and_exit_code_follow_the_state(web: Web, capsys: pytest.CaptureFixture[str]) -> None:
    good = ServiceSpec("good", "http", web({"/": (200, "ok")}))
    assert run([good], "json") == 0
    assert json.loads(capsys.readouterr().out)["healthy"] is True
    assert run([good, ServiceSpec("bad", "http", f"http://u:hush@{CLOSED}/", ("good",))], "json") == 1
    said = capsys.readouterr().out
    assert json.loads(said)["root_causes"] == ["bad"]
    assert "hush" not in said
    assert run([good], "table") == 0
    assert "start order: good" in capsys.readouterr().out


def test_probes_run_at_the_same_time_and_come_back_in_order() -> None:
    gate = threading.Barrier(3, timeout=5)

    class Face(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            gate.wait()
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002 - the server's name
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Face) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        address = f"http://127.0.0.1:{server.server_address[1]}/"
        readings = collect([ServiceSpec(name, "http", address) for name in "cab"])
        server.shutdown()
    assert [(reading.spec.name, reading.state) for reading in readings] == [(name, State.UP) for name in "cab"]


def test_a_staging_system_on_this_machine_becomes_a_list_with_needs() -> None:
    facts = {
        "backing": {"kafka": "127.0.0.1:1", "graph": "bolt://127.0.0.1:2", "graph_password": "hush"},
        "services": {"writer": "http://127.0.0.1:3", "web": "http://127.0.0.1:4"},
    }
    specs = {spec.name: spec for spec in of_stack(facts, [{"service": "writer", "port": 5, "state": "ready"}])}
    assert specs["writer"].address == "http://127.0.0.1:5/ready"
    assert specs["writer"].needs == ("kafka", "graph")
    assert specs["web"].address == "http://127.0.0.1:4/health"
    assert (specs["graph"].kind, specs["graph"].secret) == ("bolt", "hush")
    assert "hush" not in repr(specs["graph"])
