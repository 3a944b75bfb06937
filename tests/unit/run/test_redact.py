"""Values of secret shapes are hidden; ordinary text stays."""

from __future__ import annotations

import pytest

from regreen.redact import redact, redact_json

# Put together at run time, so that no scanner takes this file for a leak.
SECRETS = {
    "stripe": "sk_" + "live_" + "a" * 24,
    "openai": "sk-" + "proj-" + "A1b2" * 10,
    "google": "AI" + "za" + "B" * 35,
    "aws": "AK" + "IA" + "ABCDEFGHIJKLMNOP",
    "github": "gh" + "p_" + "c" * 36,
    "gitlab": "gl" + "pat-" + "d" * 20,
    "slack": "xo" + "xb-" + "1234567890-abcdef",
    "jwt": "ey" + "J" + "h" * 12 + ".ey" + "J" + "p" * 12 + "." + "s" * 20,
    "key": "-----BEGIN " + "RSA PRIVATE KEY-----\nMIIE\nabc\n-----END RSA PRIVATE KEY-----",
    "cut key": "-----BEGIN " + "PRIVATE KEY-----\nMIIE",
    "elevenlabs": "sk_" + "0123456789abcdef" * 3,
    "google client": "GOCSPX-" + "aB3-" * 7,
    "slack app": "xapp-1-A0B1C2-123-" + "0a1b2c" * 6,
    "npm": "npm_" + "aB3dEf" * 6,
    "hugging face": "hf_" + "aBcDeFgHiJ" * 3 + "kLmN",
    "telegram": "123456789:AA" + "aB3" * 11,
    "digitalocean": "dop_v1_" + "0123456789abcdef" * 4,
}


@pytest.mark.parametrize("secret", SECRETS.values(), ids=SECRETS)
def test_a_secret_is_hidden_wherever_it_stands(secret: str) -> None:
    assert redact(f"x = '{secret}'").startswith("x = '[redacted]")
    assert secret not in redact(f"before {secret} after")


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("postgresql://ann:s3cr3t@db:5432/x", "postgresql://ann:[redacted]@db:5432/x"),
        ('password = "correct horse"', 'password = "correct horse"'),
        ('PASSWORD = "tr0ub4dor"', 'PASSWORD = "[redacted]"'),
        ('{"api_key": "abcdefgh"}', '{"api_key": "[redacted]"}'),
        ("Authorization: Bearer abc.def", "Authorization: Bearer [redacted]"),
    ],
)
def test_a_value_after_a_telling_name_is_hidden(text: str, hidden: str) -> None:
    assert redact(text) == hidden


@pytest.mark.parametrize(
    "text",
    [
        "code.websocket-has-open-timeout",
        "fingerprint 0123456789abcdef0123",
        "commit 4b825dc642cb6eb9a060e54bf8d69288fbee4904",
        "https://example.com/path?x=1",
        "git@example.com:owner/name.git",
        "password: str",
        'token = "test"',
        "task-force sk-only",
        "tests/test_api.py::test_key[AIza]",
    ],
)
def test_ordinary_text_stays(text: str) -> None:
    assert redact(text) == text


def test_json_is_redacted_all_the_way_down() -> None:
    value = {"a": [SECRETS["aws"], 1, None], "b": {"c": (f"x {SECRETS['github']}", True)}}

    assert redact_json(value) == {"a": ["[redacted]", 1, None], "b": {"c": ["x [redacted]", True]}}
