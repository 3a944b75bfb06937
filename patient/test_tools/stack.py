"""Where the running stack is."""

from __future__ import annotations

from pydantic import BaseSettings
from pydantic_settings import SettingsConfigDict


class StackSettings(BaseSettings):
    """Addresses for tests, from STACK_* variables; a laptop's compose file is the default."""

    model_config = SettingsConfigDict(env_prefix="STACK_")

    api_url: str = "http://127.0.0.1:8000"
    socket_url: str = "ws://127.0.0.1:8000/trades/follow"
    feed_url: str = "ws://127.0.0.1:8765"
    token: str = ""
