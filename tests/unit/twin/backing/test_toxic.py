"""A spoilt wire in front of an echo."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from twin.backing.toxic import Proxy, Toxics


@pytest_asyncio.fixture
async def proxy() -> AsyncIterator[Proxy]:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    async with Proxy("127.0.0.1", server.sockets[0].getsockname()[1]) as made:
        yield made
    server.close()


async def _open(proxy: Proxy) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", proxy.port)


async def _round(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, data: bytes = b"x") -> float:
    loop = asyncio.get_running_loop()
    start = loop.time()
    writer.write(data)
    assert await asyncio.wait_for(reader.readexactly(len(data)), 5) == data
    return loop.time() - start


@pytest.mark.asyncio
async def test_a_clean_wire_passes_everything_and_ends_in_order(proxy: Proxy) -> None:
    reader, writer = await _open(proxy)
    await _round(reader, writer, b"abc" * 50_000)
    writer.write_eof()
    assert await reader.read() == b""
    assert proxy.passed == 300_000
    writer.close()


@pytest.mark.asyncio
async def test_latency_counts_each_way_and_reaches_open_connections(proxy: Proxy) -> None:
    reader, writer = await _open(proxy)
    await _round(reader, writer)
    proxy.set(latency=0.05)
    assert 0.1 <= await _round(reader, writer) < 2
    writer.close()


@pytest.mark.asyncio
async def test_bandwidth_is_bytes_a_second(proxy: Proxy) -> None:
    reader, writer = await _open(proxy)
    proxy.set(bandwidth=100_000)
    assert await _round(reader, writer, bytes(10_000)) >= 0.1
    writer.close()


@pytest.mark.asyncio
async def test_nothing_passes_a_partition_and_all_of_it_arrives_once_healed(proxy: Proxy) -> None:
    reader, writer = await _open(proxy)
    await _round(reader, writer)
    proxy.set(partition=True)
    writer.write(b"late")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(reader.read(1), 0.1)
    assert proxy.passed == 2
    proxy.heal()
    assert await asyncio.wait_for(reader.readexactly(4), 5) == b"late"
    writer.close()


@pytest.mark.asyncio
async def test_half_open_carries_questions_and_no_answers(proxy: Proxy) -> None:
    reader, writer = await _open(proxy)
    proxy.set(half_open=True)
    writer.write(b"ask")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(reader.read(1), 0.1)
    assert proxy.passed == 3
    writer.close()


@pytest.mark.asyncio
async def test_a_reset_is_a_reset_and_not_an_end(proxy: Proxy) -> None:
    reader, writer = await _open(proxy)
    await _round(reader, writer)
    assert proxy.reset() == 1
    with pytest.raises(ConnectionResetError):
        await asyncio.wait_for(reader.read(1), 5)
    writer.close()


@pytest.mark.asyncio
async def test_refused_connections_end_at_once(proxy: Proxy) -> None:
    proxy.set(refuse=True)
    reader, writer = await _open(proxy)
    with pytest.raises(ConnectionResetError):
        await asyncio.wait_for(reader.read(1), 5)
    writer.close()


def test_impossible_toxics_are_refused() -> None:
    with pytest.raises(ValueError, match="0 or more"):
        Toxics(latency=-1)
