"""Asking an instance or an endpoint whether it is well."""

from __future__ import annotations

import asyncio

import aiohttp
from yarl import URL

from twin.runtime.template import Probe


async def probe(session: aiohttp.ClientSession, host: str, port: int, wanted: Probe) -> str:
    """'' when the probe passes, else what was seen. Bounded by the probe's own time-out."""
    try:
        async with asyncio.timeout(wanted.timeout):
            if wanted.kind == "http":
                return await _http(session, host, port, wanted)
            if wanted.kind == "grpc":
                return await _grpc(host, port, wanted.service)
            _, writer = await asyncio.open_connection(host, port)
            writer.close()
            return ""
    except TimeoutError:
        return f"no answer within {wanted.timeout:g} s"
    except (OSError, aiohttp.ClientError) as error:
        return str(error) or type(error).__name__


async def _http(session: aiohttp.ClientSession, host: str, port: int, wanted: Probe) -> str:
    url = URL(f"http://{host}:{port}{wanted.path}")
    headers = {"User-Agent": "GoogleHC/1.0", **dict(wanted.headers)}
    async with session.get(url, headers=headers, allow_redirects=False) as answer:
        return "" if 200 <= answer.status < 400 else f"status {answer.status}"


async def _grpc(host: str, port: int, service: str) -> str:
    """https://github.com/grpc/grpc/blob/master/doc/health-checking.md, with the two messages read by hand."""
    import grpc.aio  # type: ignore[import-untyped]

    name = service.encode()
    request = b"\x0a" + bytes([len(name)]) + name if name else b""
    try:
        async with grpc.aio.insecure_channel(f"{host}:{port}", options=[("grpc.enable_http_proxy", 0)]) as channel:
            answer = await channel.unary_unary("/grpc.health.v1.Health/Check")(request)
    except grpc.aio.AioRpcError as error:
        return f"gRPC {error.code().name}"
    return "" if answer == b"\x08\x01" else "not SERVING"
