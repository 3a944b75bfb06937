"""Settings of every service, read from the environment."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Literal

from pydantic import SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """One flat set of settings; a service reads the few it needs."""

    model_config = SettingsConfigDict(env_prefix="TIDEMARK_")

    environment: Literal["development", "staging", "production"] = "development"
    feed_host: str = "127.0.0.1"
    feed_port: int = 8765
    feed_token: SecretStr = SecretStr("")
    broker: Literal["memory", "kafka"] = "memory"
    kafka_bootstrap: str = "127.0.0.1:9092"
    trades_topic: str = "trades"
    outbox_path: Path = Path("outbox.db")
    warehouse_url: str = "sqlite:///warehouse.db"
    ledger_url: str = "postgresql+asyncpg://127.0.0.1:5432/tidemark"
    redis_url: str = "redis://127.0.0.1:6379/0"
    signing_key: SecretStr = SecretStr("")
    e2e_bypass_key: SecretStr = SecretStr("")
    api_host: str = "127.0.0.1"
    api_port: int = 8000

    @property
    def feed_url(self) -> str:
        """Where ingest connects to."""
        return f"ws://{self.feed_host}:{self.feed_port}"


@lru_cache(maxsize=1)
def settings() -> Settings:
    """The settings of this process, read once and on first use."""
    return Settings()
