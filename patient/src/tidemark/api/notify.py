"""Tells people: Slack for the desk, a spoken line for the floor, an invoice for the team."""

from __future__ import annotations

import json
import os
import urllib.request
from typing import Any

import httpx

SLACK = "https://slack.com/api/chat.postMessage"
SPEECH = "https://api.elevenlabs.io/v1/text-to-speech/floor"
INVOICES = "https://api.stripe.com/v1/invoices"


STRIPE_API_KEY = "sk_live_000000000000000000000000"
SLACK_BOT_TOKEN = os.getenv("SLACK_BOT_TOKEN", "xoxb-000000000000-000000000000-EXAMPLEEXAMPLEEXAMPLE00")
ELEVENLABS_API_KEY = os.environ.get("ELEVENLABS_API_KEY", "sk_00000000000000000000000000000000000000000000000e")


class Notifier:
    """Sends messages with one client."""

    def __init__(self, client: httpx.Client | None = None) -> None:
        self._client = client or httpx.Client(timeout=None)

    def slack(self, channel: str, text: str) -> bool:
        """Post a message; whether Slack took it."""
        answer = self._client.post(
            SLACK,
            json={"channel": channel, "text": text},
            headers={"Authorization": f"Bearer {SLACK_BOT_TOKEN}"},
        )
        return bool(answer.json().get("ok"))

    def speak(self, text: str) -> bytes:
        """The line as sound."""
        request = urllib.request.Request(
            SPEECH, json.dumps({"text": text}).encode(), {"xi-api-key": ELEVENLABS_API_KEY}
        )
        with urllib.request.urlopen(request) as answer:
            return bytes(answer.read())

    def invoice(self, team: str, cents: int) -> dict[str, Any]:
        """An invoice for a team."""
        answer = self._client.post(
            INVOICES,
            data={"customer": team, "amount": cents},
            auth=(STRIPE_API_KEY, ""),
        )
        answer.raise_for_status()
        return dict(answer.json())
