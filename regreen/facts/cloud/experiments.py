"""Experiments: active measurements of a running environment, each bounded in time and in what it may do.

They read what a user would see: a handshake, a second cache hit, a query. Where a capability is missing (no address, a service
that cannot be made cold outside the twin) the outcome is an error, and whoever leans on it is UNKNOWN.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from regreen.facts.cloud.snapshot import Measurement

if TYPE_CHECKING:
    from websockets.sync.client import ClientConnection

    from regreen.environment import Environment

_HTTP_LIMIT: Final = 15.0
#: Edges differ, so a second answer may be another edge's first (Cloud CDN, "Verifying your configuration").
_CDN_TRIES: Final = 6


@dataclass(frozen=True, slots=True)
class Reach:
    """How experiments get at an environment. Addresses hold no secret but `database`, which is never printed.

    `balancer` is a URL that leads to the load balancer; `token` opens a WebSocket there, as a bearer; `cool` makes a Cloud
    Run service cold, where that can be done.
    """

    balancer: str = ""
    cool: Callable[[str], None] | None = None
    database: str = ""
    cache: str = ""
    token: str = ""


Experiment = Callable[["Environment", Reach], Measurement]


def handshake(environment: Environment, reach: Reach) -> Measurement:
    """Seconds until a WebSocket through the balancer is open; on a service made cold first, where that can be done."""
    from websockets.exceptions import InvalidHandshake

    if environment.balancer is None or not _reachable(environment, reach):
        return Measurement(error="the environment names no balancer address and handshake_path")
    cold = _cool(environment, reach)
    begun = time.perf_counter()
    try:
        with _socket(environment, reach, environment.balancer.handshake * 2):
            took = time.perf_counter() - begun
    except TimeoutError:
        return Measurement(time.perf_counter() - begun, seen="no handshake before the limit")
    except InvalidHandshake as error:
        return Measurement(time.perf_counter() - begun, seen=f"refused: {error}")
    except OSError as error:
        return Measurement(error=f"{type(error).__name__}: {error}")
    return Measurement(took, seen="open" + (", service was cold" if cold else ""))


def keepalive(environment: Environment, reach: Reach) -> Measurement:
    """Seconds that a WebSocket with nothing but pings stayed open; at most the environment's `idle`."""
    from websockets.exceptions import ConnectionClosed, InvalidHandshake

    if environment.balancer is None or not _reachable(environment, reach):
        return Measurement(error="the environment names no balancer address and handshake_path")
    limit = environment.balancer.idle
    begun = time.perf_counter()
    try:
        with _socket(environment, reach, _HTTP_LIMIT, ping_interval=1) as held:
            begun = time.perf_counter()
            while (left := limit - (time.perf_counter() - begun)) > 0:
                try:
                    held.recv(timeout=left)  # whatever it sends is its business; that it stays open is ours
                except TimeoutError:
                    break
            return Measurement(time.perf_counter() - begun, seen="open")
    except ConnectionClosed as error:
        code = error.rcvd.code if error.rcvd else 1006
        return Measurement(time.perf_counter() - begun, seen=f"closed with {code}")
    except (TimeoutError, InvalidHandshake) as error:
        return Measurement(0.0, seen=f"no handshake: {error}")
    except OSError as error:
        return Measurement(error=f"{type(error).__name__}: {error}")


def cdn_hit(environment: Environment, reach: Reach) -> Measurement:
    """The Age in seconds of a repeated GET of an asset; `seen` is its Cache-Control."""
    import requests

    if environment.cdn is None or not reach.balancer:
        return Measurement(error="the environment names no CDN or no balancer address")
    if not environment.cdn.sample:
        return Measurement(error="no asset to fetch: [cdn] names no 'sample', and the bucket holds none below the path")
    url = reach.balancer.rstrip("/") + "/" + environment.cdn.sample.lstrip("/")
    seen = ""
    with requests.Session() as session:
        session.trust_env = False
        for _ in range(_CDN_TRIES):
            try:
                answer = session.get(url, headers=_host(environment), timeout=_HTTP_LIMIT)
            except requests.RequestException as error:
                return Measurement(error=f"{type(error).__name__}: {url}")
            seen = f"{answer.status_code}; Cache-Control: {answer.headers.get('Cache-Control', 'none')}"
            if answer.status_code == 200 and "Age" in answer.headers:
                return Measurement(float(answer.headers["Age"]), seen="hit; " + seen)
    return Measurement(-1.0, seen="no hit; " + seen)


def sql_query(environment: Environment, reach: Reach) -> Measurement:
    """Seconds that `SELECT 1` takes on an open connection to the database."""
    import psycopg

    if not reach.database:
        return Measurement(error="no way to the database from here: the environment names no address")
    try:
        with psycopg.connect(reach.database, connect_timeout=5) as connection:
            begun = time.perf_counter()
            connection.execute("SELECT 1").fetchone()
            return Measurement(time.perf_counter() - begun, seen="1")
    except psycopg.OperationalError as error:
        return Measurement(-1.0, seen=f"no connection: {str(error).splitlines()[0]}")


def redis_ping(environment: Environment, reach: Reach) -> Measurement:
    """Seconds that a PING takes on an open connection to the cache."""
    import redis

    if not reach.cache:
        return Measurement(error="no way to the cache from here: the environment names no address")
    client = redis.Redis.from_url(reach.cache, socket_timeout=5, socket_connect_timeout=5)
    try:
        client.ping()
        begun = time.perf_counter()
        client.ping()
        return Measurement(time.perf_counter() - begun, seen="PONG")
    except redis.RedisError as error:
        return Measurement(-1.0, seen=f"no answer: {type(error).__name__}")
    finally:
        client.close()


EXPERIMENTS: Final[Mapping[str, Experiment]] = {
    "handshake": handshake,
    "keepalive": keepalive,
    "cdn-hit": cdn_hit,
    "sql-query": sql_query,
    "redis-ping": redis_ping,
}


def _host(environment: Environment) -> dict[str, str]:
    return {"Host": environment.balancer.host} if environment.balancer else {}


def _reachable(environment: Environment, reach: Reach) -> bool:
    return bool(environment.balancer and environment.balancer.handshake_path and reach.balancer)


def _socket(environment: Environment, reach: Reach, limit: float, **options: Any) -> ClientConnection:
    """A WebSocket that asks for the balancer's host, over a connection to where the balancer is."""
    from websockets.sync.client import connect

    assert environment.balancer is not None, "asked for a socket without a balancer"
    place = urlsplit(reach.balancer)
    secure = place.scheme == "https"
    opened = socket.create_connection((place.hostname, place.port or (443 if secure else 80)), timeout=limit)
    url = f"{'wss' if secure else 'ws'}://{environment.balancer.host}{environment.balancer.handshake_path}"
    headers = {"Authorization": f"Bearer {reach.token}"} if reach.token else {}
    made: ClientConnection = connect(
        url, sock=opened, open_timeout=limit, proxy=None, additional_headers=headers, **options
    )
    return made


def _cool(environment: Environment, reach: Reach) -> bool:
    """Make the service behind the handshake cold; False where that cannot be done."""
    if reach.cool is None or environment.balancer is None:
        return False
    route = next(
        (item for item in environment.balancer.routes if item.path == environment.balancer.handshake_path), None
    )
    name = route.backend.removesuffix("-backend") if route else ""
    service = next((item.name for item in environment.services if item.name in (name, f"{name}-service")), "")
    if not service:
        return False
    reach.cool(service)
    return True
