"""A service for the runtime's tests: each path shows one behaviour. Started as an instance, with PORT and FLAVOUR."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time

from aiohttp import WSMsgType, web

FLAVOUR = os.environ.get("FLAVOUR", "plain")
requests = {"active": 0, "most": 0, "served": 0, "away": 0}
eaten: list[bytes] = []


async def hello(request: web.Request) -> web.Response:
    requests["served"] += 1
    said = {
        "revision": os.environ["K_REVISION"],
        "pid": os.getpid(),
        "served": requests["served"],
        "path": request.path_qs,
        "host": request.host,
    }
    return web.json_response(said)


async def environment(_: web.Request) -> web.Response:
    return web.json_response(dict(os.environ))


async def headers(request: web.Request) -> web.Response:
    return web.json_response(dict(request.headers))


async def slow(request: web.Request) -> web.Response:
    """Answers after `seconds`; counts how many are here at once."""
    requests["active"] += 1
    requests["most"] = max(requests["most"], requests["active"])
    try:
        await asyncio.sleep(float(request.query["seconds"]))
    finally:
        requests["active"] -= 1
    return web.json_response({"most": requests["most"], "pid": os.getpid()})


async def drip(request: web.Request) -> web.StreamResponse:
    """One line at a time."""
    response = web.StreamResponse()
    await response.prepare(request)
    for number in range(int(request.query["lines"])):
        await response.write(f"{number}\n".encode())
        await asyncio.sleep(float(request.query.get("pause", "0.05")))
    return response


async def echo(request: web.Request) -> web.Response:
    return web.Response(body=await request.read(), headers={"X-Length": str(request.content_length)})


async def follow(request: web.Request) -> web.StreamResponse:
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    async for message in socket:
        if message.type is WSMsgType.TEXT:
            await socket.send_str(f"echo {message.data}")
        elif message.type is WSMsgType.BINARY:
            await socket.send_bytes(message.data)
    return socket


async def asset(request: web.Request) -> web.Response:
    """Static content; the query sets headers and status."""
    requests["served"] += 1
    given = dict(request.query)
    status = int(given.pop("status", "200"))
    body = f"served {requests['served']}".encode()
    if request.headers.get("If-None-Match") == given.get("ETag") and "ETag" in given:
        return web.Response(status=304, headers=given)
    return web.Response(status=status, body=body, content_type="text/css", headers=given)


async def crash(_: web.Request) -> web.Response:
    os._exit(7)


async def sick(_: web.Request) -> web.Response:
    global FLAVOUR
    FLAVOUR = "sick"
    return web.Response(text="sick from now on")


async def health(_: web.Request) -> web.Response:
    return web.Response(status=500 if FLAVOUR == "sick" else 200)


async def pause(request: web.Request) -> web.Response:
    """From now on not ready (`ready=no`) or ready again."""
    requests["away"] = int(request.query["ready"] == "no")
    return web.Response()


async def ready(_: web.Request) -> web.Response:
    return web.Response(status=503 if requests["away"] else 200)


async def eat(request: web.Request) -> web.Response:
    """Hold so many mebibytes for good."""
    eaten.append(b"x" * (int(request.query["mib"]) * 2**20))
    return web.Response()


async def serve_health() -> None:
    """A gRPC server with the standard health service: SERVING for `app`, NOT_SERVING for `sick`, no other is known."""
    import grpc.aio  # type: ignore[import-untyped]

    async def check(asked: bytes, context: grpc.aio.ServicerContext) -> bytes:
        if asked == b"\x0a\x03app":
            return b"\x08\x01"
        if asked == b"\x0a\x04sick":
            return b"\x08\x02"
        await context.abort(grpc.StatusCode.NOT_FOUND, "no such service")
        return b""

    method = grpc.unary_unary_rpc_method_handler(check)
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("grpc.health.v1.Health", {"Check": method}),))
    server.add_insecure_port(f"127.0.0.1:{os.environ['PORT']}")
    await server.start()
    await server.wait_for_termination()


def main() -> None:
    if FLAVOUR == "exits":
        print("cannot start: no database", file=sys.stderr, flush=True)
        sys.exit(3)
    if FLAVOUR == "deaf":
        time.sleep(60)
    if FLAVOUR == "slow-start":
        time.sleep(0.7)
    if FLAVOUR == "task":
        print(
            json.dumps({"severity": "NOTICE", "message": "task", "index": os.environ["CLOUD_RUN_TASK_INDEX"]}),
            flush=True,
        )
        sys.exit(int(os.environ.get("EXIT", "0")))
    print(json.dumps({"severity": "WARNING", "message": "starting"}), flush=True)
    if FLAVOUR == "grpc":
        asyncio.run(serve_health())
        return
    application = web.Application()
    application.router.add_get("/environment", environment)
    application.router.add_get("/headers", headers)
    application.router.add_get("/slow", slow)
    application.router.add_get("/drip", drip)
    application.router.add_post("/echo", echo)
    application.router.add_get("/follow", follow)
    application.router.add_get("/asset", asset)
    application.router.add_get("/crash", crash)
    application.router.add_get("/sick", sick)
    application.router.add_get("/health", health)
    application.router.add_get("/pause", pause)
    application.router.add_get("/ready", ready)
    application.router.add_get("/eat", eat)
    application.router.add_get("/{path:.*}", hello)
    host = "0.0.0.0" if FLAVOUR == "exposed" else "127.0.0.1"
    web.run_app(application, host=host, port=int(os.environ["PORT"]), print=None, access_log=None)


if __name__ == "__main__":
    main()
