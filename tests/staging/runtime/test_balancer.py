"""The load balancer: routes, time-outs, health, draining, WebSockets."""

from __future__ import annotations

import functools
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from tests.staging.runtime.conftest import APP, COMPUTE, PROJECT, Stage, until
from tests.staging.runtime.wire import Answer, Asking, ask, load
from twin.runtime.ports import Ports


@pytest.fixture
def machines() -> Iterator[list[int]]:
    """Ports of two processes outside of Cloud Run, as virtual machines would be."""
    import socket

    ports, processes = [], []
    for _ in range(2):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            ports.append(int(probe.getsockname()[1]))
        env = {"PORT": str(ports[-1]), "K_REVISION": f"machine-{len(ports)}", "PATH": "/usr/bin"}
        processes.append(
            subprocess.Popen([sys.executable, str(APP / "stand_in.py")], env=env, stdout=subprocess.DEVNULL)
        )
    for port in ports:
        until(functools.partial(_answers, port))
    yield ports
    for process in processes:
        process.kill()
        process.wait(10)


def _answers(port: int) -> bool:
    try:
        return ask(f"http://127.0.0.1:{port}").status == 200
    except OSError:
        return False


def _follow(url: str, path: str = "/follow") -> ClientConnection:
    return connect(url.replace("http://", "ws://") + path, proxy=None, open_timeout=10)


def test_hosts_and_paths_choose_the_backend(stage: Stage, unique: str) -> None:
    stage.deploy(unique)
    stage.deploy(f"{unique}-b", env={"WHO": "b"})
    plain = stage.serverless(f"{unique}-1", unique)
    special = stage.serverless(f"{unique}-2", f"{unique}-b")
    url = stage.balancer(
        unique,
        {
            "defaultService": plain,
            "hostRules": [{"hosts": ["shop.example"], "pathMatcher": "m"}],
            "pathMatchers": [
                {
                    "name": "m",
                    "defaultService": plain,
                    "pathRules": [
                        {"paths": ["/api/*"], "service": special},
                        {"paths": ["/api/old/*"], "service": plain},
                        {"paths": ["/go"], "urlRedirect": {"pathRedirect": "/there", "redirectResponseCode": "FOUND"}},
                    ],
                }
            ],
        },
    )

    def revision(path: str, host: str = "shop.example") -> str:
        return str(ask(url, path, Host=host).json["revision"]).rpartition("-")[0].rpartition("-")[0]

    assert revision("/api/x") == f"{unique}-b"
    assert revision("/api/old/x") == unique
    assert revision("/api") == unique
    assert revision("/api/x", "other.example") == unique
    moved = ask(url, "/go?a=1", Host="shop.example")
    assert (moved.status, moved.headers["location"]) == (302, "http://shop.example/there?a=1")


def test_route_rules_match_rewrite_and_bound_a_request(stage: Stage, unique: str, machines: list[int]) -> None:
    stage.deploy(unique)
    plain, slow = stage.serverless(f"{unique}-1", unique), stage.zonal(f"{unique}-2", machines[0])
    rewritten = {"urlRewrite": {"pathTemplateRewrite": "/headers/{rest}", "hostRewrite": "inner.example"}}
    url = stage.balancer(
        unique,
        {
            "defaultService": plain,
            "hostRules": [{"hosts": ["*"], "pathMatcher": "m"}],
            "pathMatchers": [
                {
                    "name": "m",
                    "defaultService": plain,
                    "routeRules": [
                        {
                            "priority": 2,
                            "matchRules": [{"pathTemplateMatch": "/shown/{rest=**}"}],
                            "service": slow,
                            "routeAction": rewritten,
                            "headerAction": {
                                "responseHeadersToAdd": [{"headerName": "X-Rule", "headerValue": "2", "replace": True}]
                            },
                        },
                        {
                            "priority": 1,
                            "matchRules": [
                                {"prefixMatch": "/", "headerMatches": [{"headerName": "X-Fast", "exactMatch": "1"}]}
                            ],
                            "service": slow,
                            "routeAction": {"timeout": {"seconds": "0", "nanos": 300_000_000}},
                        },
                    ],
                }
            ],
        },
    )

    seen = ask(url, "/shown/a/b?c=1")
    cut = ask(url, "/slow?seconds=4", X_Fast="1")

    assert (seen.json["revision"], seen.json["path"], seen.headers["x-rule"]) == ("machine-1", "/headers/a/b?c=1", "2")
    assert seen.json["host"] == "inner.example"
    assert (cut.status, cut.text) == (504, "upstream request timeout")
    assert "x-rule" not in ask(url, "/elsewhere").headers


def test_headers_on_the_way(stage: Stage, unique: str) -> None:
    stage.deploy(unique)
    backend = stage.serverless(unique, unique, customRequestHeaders=["X-Region:{client_region}"])
    url = stage.balancer(unique, {"defaultService": backend})
    trace = f"00-{'c' * 32}-{'d' * 16}-01"

    answer = ask(url, "/headers", traceparent=trace, Connection="X-Hop", X_Hop="1", X_Forwarded_For="9.9.9.9")

    seen = answer.json
    assert seen["Via"] == "1.1 google" == answer.headers["via"]
    assert seen["X-Forwarded-For"].startswith("9.9.9.9,127.0.0.1,")
    assert (seen["traceparent"], seen["X-Region"]) == (trace, "US")
    assert "X-Hop" not in seen


def test_the_service_s_time_out_governs_behind_a_serverless_group(stage: Stage, unique: str) -> None:
    stage.deploy(unique, timeout="1s")
    url = stage.balancer(unique, {"defaultService": stage.serverless(unique, unique)})

    late = ask(url, "/slow?seconds=4")

    assert (late.status, late.text) == (504, "upstream request timeout")
    assert 1.0 <= late.seconds < 1.5
    with _follow(url) as socket:
        begun = time.monotonic()
        socket.send("a")
        assert socket.recv(5) == "echo a"
        with pytest.raises(ConnectionClosed):
            socket.recv(5)
        assert 0.7 < time.monotonic() - begun < 1.5


def test_a_websocket_carries_everything_both_ways(stage: Stage, unique: str) -> None:
    stage.deploy(unique)
    url = stage.balancer(unique, {"defaultService": stage.serverless(unique, unique)})

    with _follow(url) as socket:
        big = bytes(range(256)) * 2000
        socket.send(big)
        assert socket.recv(10) == big
        socket.ping().wait(5)
        socket.send("still here")
        assert socket.recv(5) == "echo still here"


@pytest.mark.parametrize(("scheme", "lives"), [("EXTERNAL", False), ("EXTERNAL_MANAGED", True)])
def test_websockets_at_the_backend_time_out(
    stage: Stage, unique: str, machines: list[int], scheme: str, lives: bool
) -> None:
    """The classic balancer cuts at timeoutSec; on the global one an active WebSocket lives on."""
    backend = stage.zonal(unique, machines[0], loadBalancingScheme=scheme, timeoutSec=1)
    url = stage.balancer(unique, {"defaultService": backend}, scheme)

    assert ask(url, "/slow?seconds=3").status == 504
    with _follow(url) as socket:
        begun = time.monotonic()
        try:
            while time.monotonic() - begun < 2:
                socket.send("x")
                assert socket.recv(2) == "echo x"
        except ConnectionClosed:
            assert not lives
            assert 0.8 < time.monotonic() - begun < 1.6
        else:
            assert lives


def test_an_unhealthy_endpoint_gets_no_traffic(stage: Stage, unique: str, machines: list[int]) -> None:
    check = {
        "name": unique,
        "type": "HTTP",
        "httpHealthCheck": {"requestPath": "/health", "portSpecification": "USE_SERVING_PORT"},
    }
    stage.ask("POST", f"{COMPUTE}/global/healthChecks", {**check, "checkIntervalSec": 1, "timeoutSec": 1})
    link = f"projects/{PROJECT}/global/healthChecks/{unique}"
    url = stage.balancer(unique, {"defaultService": stage.zonal(unique, *machines, healthChecks=[link])})

    def seen() -> set[str]:
        answers = [ask(url) for _ in range(6)]
        return {answer.json["revision"] if answer.status == 200 else answer.text for answer in answers}

    until(lambda: seen() == {"machine-1", "machine-2"})
    ask(f"http://127.0.0.1:{machines[0]}", "/sick")
    until(lambda: seen() == {"machine-2"})
    ask(f"http://127.0.0.1:{machines[1]}", "/sick")
    until(lambda: seen() == {"no healthy upstream"})
    assert ask(url).status == 503


def test_draining_lets_a_request_in_flight_finish(stage: Stage, unique: str, machines: list[int]) -> None:
    backend = stage.zonal(unique, machines[0], connectionDraining={"drainingTimeoutSec": 30})
    url = stage.balancer(unique, {"defaultService": backend})
    flying = Asking(url, "/slow?seconds=1.5")
    until(lambda: _active(machines[0]))

    stage.attach(unique, machines[1])
    stage.attach(unique, machines[0], verb="detach")

    assert until(lambda: {ask(url).json["revision"] for _ in range(4)} == {"machine-2"})
    assert flying.is_alive()
    assert flying.result().status == 200


def test_without_draining_a_leaving_endpoint_is_cut(stage: Stage, unique: str, machines: list[int]) -> None:
    backend = stage.zonal(unique, machines[0], connectionDraining={"drainingTimeoutSec": 0})
    url = stage.balancer(unique, {"defaultService": backend})
    flying = Asking(url, "/slow?seconds=20")
    until(lambda: _active(machines[0]))

    stage.attach(unique, machines[0], verb="detach")
    flying.join(5)

    assert not flying.is_alive()
    assert flying.answer is None or flying.answer.status >= 500


def _active(port: int) -> bool:
    return bool(ask(f"http://127.0.0.1:{port}", "/slow?seconds=0").json["most"] >= 2)


def test_a_backend_that_is_gone_is_an_error_of_the_balancer(stage: Stage, unique: str, machines: list[int]) -> None:
    free = Ports.__new__(Ports)
    free._leased = set()
    url = stage.balancer(unique, {"defaultService": stage.zonal(unique, free.lease())})

    answer = ask(url)

    assert answer.status == 503
    assert "upstream connect error" in answer.text


def test_a_changed_url_map_is_followed_under_load(stage: Stage, unique: str) -> None:
    stage.deploy(unique)
    stage.deploy(f"{unique}-b", env={"WHO": "b"})
    first, second = stage.serverless(f"{unique}-1", unique), stage.serverless(f"{unique}-2", f"{unique}-b")
    url = stage.balancer(unique, {"defaultService": first})

    with load(url) as seen:
        until(lambda: len(seen) > 10)
        stage.ask("PATCH", f"{COMPUTE}/global/urlMaps/{unique}", {"defaultService": second})
        until(lambda: seen[-1].json["revision"].startswith(f"{unique}-b-"))

    assert {answer.status if isinstance(answer, Answer) else answer for answer in seen} == {200}


def test_requests_are_logged(stage: Stage, unique: str) -> None:
    stage.deploy(unique)
    url = stage.balancer(unique, {"defaultService": stage.serverless(unique, unique)})
    ask(url, "/hello?x=1", Host="shop.example")
    query = f'resource.type="http_load_balancer" AND resource.labels.url_map_name="{unique}"'
    body = {"resourceNames": [f"projects/{PROJECT}"], "filter": query}

    entry = until(lambda: stage.ask("POST", "logging.googleapis.com/v2/entries:list", body).get("entries"))[0]

    assert entry["httpRequest"]["requestUrl"] == "http://shop.example/hello?x=1"
    assert entry["resource"]["labels"]["backend_service_name"] == unique
    assert entry["jsonPayload"]["statusDetails"] == "response_sent_by_backend"
