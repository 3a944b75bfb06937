"""Which variables of a container hold secrets: by name, and by what a value begins with."""

from __future__ import annotations

import pytest

from regreen.facts.cloud.reading import secret_like


@pytest.mark.parametrize(
    "name",
    ["STRIPE_KEY", "API_KEY", "ELEVENLABS_APIKEY", "DB_PASSWORD", "SLACK_WEBHOOK", "SLACK_WEBHOOK_URL", "jwtSecret", "AUTH_TOKEN",
     "E2E_BYPASS_KEY", "GOOGLE_CREDENTIALS", "ENCRYPTION_KEYS", "MYSQL_PWD"],
)  # fmt: skip
def test_names_of_secrets(name: str) -> None:
    assert secret_like(name, "words")


@pytest.mark.parametrize(
    ("name", "value"),
    [("NEXT_PUBLIC_STRIPE_KEY", "pk_test_1"), ("KMS_KEY", "words"), ("PARTITION_KEY", "symbol"), ("KEY", "words"), ("KEYBOARD", "us"),
     ("TOKEN_URL", "https://oauth.example/token"), ("SECRET_NAME", "stripe"), ("MAX_TOKENS", "4096"), ("TOKEN", "3600"),
     ("USE_TOKEN", "true"), ("PASSWORD_FILE", "/run/secrets/db"), ("SIGNING_KEY", "projects/p/locations/us/keyRings/r/cryptoKeys/k"),
     ("DATABASE_URL", "postgresql://db.example/app"), ("ENVIRONMENT", "staging"), ("MONKEY", "words")],
)  # fmt: skip
def test_names_of_other_things(name: str, value: str) -> None:
    assert not secret_like(name, value)


@pytest.mark.parametrize(
    "value",
    ["postgresql://app:hunter2@db.example/app", "redis://:hunter2@cache.example:6379/0", "sk_" + "live_" + "q7Zt2LmX9vKp4RwB",
     "xoxb-" + "2488371902-q7Zt2LmX9vKp", "gh" + "p_q7Zt2LmX9vKp4RwB8nYdQ3sE", "-----BEGIN RSA PRIV" + "ATE KEY-----",
     "https://hooks.slack.com/services/" + "T0/B0/q7Zt2LmX9vKp4RwB8nYd"],
)  # fmt: skip
def test_values_that_tell_whatever_they_are_called(value: str) -> None:
    assert secret_like("SETTING", value)
