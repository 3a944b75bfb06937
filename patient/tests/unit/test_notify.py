from __future__ import annotations

import httpx
import pytest

from tidemark.allocator.models import Kind
from tidemark.allocator.pricing import RemotePrices
from tidemark.api import notify


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[httpx.Request]:
    monkeypatch.setenv("SLACK_BOT_TOKEN", "slack-for-tests")
    monkeypatch.setenv("STRIPE_API_KEY", "stripe-for-tests")
    return []


def answering(sent: list[httpx.Request], content: dict[str, object]) -> httpx.MockTransport:
    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        return httpx.Response(200, json=content)

    return httpx.MockTransport(answer)


@pytest.mark.mock
def test_a_message_reaches_its_channel(sent):
    notifier = notify.Notifier(httpx.Client(transport=answering(sent, {"ok": True})))
    assert notifier.slack("#desk", "hello")
    assert b'"channel":"#desk"' in sent[0].content.replace(b": ", b":")


@pytest.mark.mock
def test_a_refused_message_is_noticed(sent):
    notifier = notify.Notifier(httpx.Client(transport=answering(sent, {"ok": False})))
    assert not notifier.slack("#desk", "hello")


def test_a_notifier_brings_its_own_client():
    notify.Notifier()
    assert True


@pytest.mark.mock
def test_an_invoice_is_in_cents(sent):
    notifier = notify.Notifier(httpx.Client(transport=answering(sent, {"id": "in_1"})))
    assert notifier.invoice("quants", 80000) == {"id": "in_1"}
    assert b"amount=80000" in sent[0].content


@pytest.mark.mock
async def test_prices_come_from_the_service(sent):
    client = httpx.AsyncClient(transport=answering(sent, {"price": "412.50"}))
    assert str(await RemotePrices("https://prices.example", client).price(Kind.DESK)) == "412.50"
    assert sent[0].url.path == "/prices/desk"
