"""What the stack does when a part of it goes away."""

import time

import httpx
import pytest

pytestmark = [pytest.mark.integration, pytest.mark.resilience, pytest.mark.tier3]


def wait_until_healthy(url: str, within: float = 60) -> None:
    end = time.monotonic() + within
    while time.monotonic() < end:
        try:
            if httpx.get(f"{url}/health", timeout=2).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.2)
    raise TimeoutError(f"{url} is not healthy after {within} s")


@pytest.mark.slow
def test_the_api_comes_back(stack):
    from tidemark.ops.control import restart

    restart("api")
    time.sleep(30)
    wait_until_healthy(stack.api_url)
    assert httpx.get(f"{stack.api_url}/health", timeout=10).json()["status"] == "ok"


async def test_an_idle_socket_lives(stack):
    from test_tools.sockets import is_open, through_balancer

    socket = await through_balancer(stack.socket_url)
    assert await is_open(socket)
    await socket.close()
