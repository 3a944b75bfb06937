"""Would a demo work?"""

import httpx
import pytest

pytestmark = [pytest.mark.integration, pytest.mark.e2e, pytest.mark.tier0]


def test_the_api_is_healthy(stack):
    answer = httpx.get(f"{stack.api_url}/health", timeout=10)
    assert answer.status_code == 200


def test_the_watermark_moves(stack):
    before = httpx.get(f"{stack.api_url}/health", timeout=10).json()["watermark"]
    assert before > 0


async def test_the_socket_greets(stack):
    from test_tools.sockets import greet

    assert "hello" in await greet(stack.socket_url, stack.token)


async def test_the_feed_speaks(stack):
    from test_tools.sockets import first_trades

    assert (await first_trades(stack.feed_url, 1))[0]["sequence"] == 1
