from __future__ import annotations

import pytest

from src.tidemark.api.auth import Denied, Tokens
from tidemark.runtime.clock import ManualClock


@pytest.fixture
def tokens(clock: ManualClock) -> Tokens:
    return Tokens("test-key", "staging", bypass_key="let-the-tests-in", clock=clock)


async def test_a_token_names_its_bearer(tokens):
    claims = await tokens.verify(tokens.issue("ada"))
    assert claims["sub"] == "ada"


async def test_a_forged_token_is_denied(tokens):
    token = Tokens("another-key").issue("ada")
    with pytest.raises(Denied, match="not ours"):
        await tokens.verify(token)


async def test_a_token_ends(tokens, clock):
    token = tokens.issue("ada", seconds=60)
    clock.advance(60)
    with pytest.raises(Denied, match="has ended"):
        await tokens.verify(token)


async def test_a_bearer_can_be_locked_out(tokens):
    token = tokens.issue("ada")
    await tokens.revoke("ada")
    with pytest.raises(Denied, match="ada was locked out"):
        await tokens.verify(token)


async def test_the_bypass_key_works_on_staging(tokens):
    assert await tokens.verify("let-the-tests-in") == {"sub": "e2e", "bypass": True}


async def test_the_bypass_key_does_nothing_in_development(clock):
    tokens = Tokens("test-key", "development", bypass_key="let-the-tests-in", clock=clock)
    with pytest.raises(Denied):
        await tokens.verify("let-the-tests-in")


@pytest.mark.tier2
def test_production_refuses_a_bypass_key():
    with pytest.raises(ValueError, match="a bypass key in production"):
        Tokens("test-key", "production", bypass_key="let-the-tests-in")


def test_a_key_is_needed():
    with pytest.raises(ValueError, match="TIDEMARK_SIGNING_KEY"):
        Tokens("")
