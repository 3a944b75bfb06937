from __future__ import annotations

import asyncio

import httpx
import pytest

from tidemark.runtime.outbound import CircuitOpen, Outbound, TooManyRequests, chunked


async def fail() -> str:
    raise ConnectionError("down")


async def test_of_ten_at_once_one_tries_whether_it_is_back():
    outside = Outbound("outside", per_second=100, failures=1, rest=0.0)
    with pytest.raises(ConnectionError):
        await outside.call(fail)
    reached = 0
    held = asyncio.Event()

    async def probe() -> str:
        nonlocal reached
        reached += 1
        await held.wait()
        return "back"

    probes = [asyncio.create_task(outside.call(probe)) for _ in range(10)]
    refused, _ = await asyncio.wait(probes, timeout=0.2)
    assert (reached, len(refused)) == (1, 9)
    held.set()
    answers = await asyncio.gather(*probes, return_exceptions=True)
    assert sum(answer == "back" for answer in answers) == 1
    assert sum(isinstance(answer, CircuitOpen) for answer in answers) == 9
    assert await outside.call(probe) == "back"


async def test_an_open_circuit_sends_nothing():
    outside = Outbound("outside", per_second=100, failures=2, rest=60)
    for _ in range(2):
        with pytest.raises(ConnectionError):
            await outside.call(fail)
    with pytest.raises(CircuitOpen, match="outside"):
        await outside.call(fail)


async def test_no_permit_in_time():
    outside = Outbound("outside", per_second=1, wait=0.05)

    async def answer() -> str:
        return "here"

    assert await outside.call(answer) == "here"
    with pytest.raises(TooManyRequests):
        await outside.call(answer)


async def test_a_lost_connection_is_tried_again_and_an_answer_is_not():
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.path)
        if len(asked) == 1:
            raise httpx.ConnectError("reset")
        return httpx.Response(409)

    outside = Outbound("outside", per_second=100)
    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as client:
        found = await outside.request(client, "GET", "http://outside/a")
    assert (found.status_code, len(asked)) == (409, 2)


def test_chunks_hold_what_they_say():
    assert list(chunked(range(5), 2)) == [(0, 1), (2, 3), (4,)]
    with pytest.raises(ValueError, match="a chunk of 0"):
        list(chunked([], 0))
