"""Settings of every service, read from the environment."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """One flat set of settings; a service reads the few it needs."""

    model_config = SettingsConfigDict(env_prefix="TIDEMARK_", populate_by_name=True)

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
    port: int = Field(0, validation_alias="PORT")
    project: str = Field("", validation_alias="GOOGLE_CLOUD_PROJECT")
    dataset: str = "market"
    allocations_topic: str = "allocations"
    control_topic: str = "trades.control"
    feed_address: str = ""
    feed_rate: float = 10.0
    feed_count: int = 0
    database_url: SecretStr = SecretStr("")
    graph_url: str = ""
    graph_user: str = "neo4j"
    graph_password: SecretStr = SecretStr("")
    cache_ttl: int = 60
    allocator_url: str = ""
    allocator_audience: str = ""
    council_pause: float = 0.0
    otlp_endpoint: str = ""
    web_root: Path = Path("web")
    asset_prefix: str = ""

    @property
    def feed_url(self) -> str:
        """Where ingest connects to."""
        given = self.feed_address.replace("http://", "ws://", 1).replace("https://", "wss://", 1)
        return given or f"ws://{self.feed_host}:{self.feed_port}"


@lru_cache(maxsize=1)
def settings() -> Settings:
    """The settings of this process, read once and on first use."""
    return Settings()
