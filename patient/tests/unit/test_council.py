from decimal import Decimal

import pytest

from test_tools.trades import TestOrder
from tidemark.allocator import Agent, Council, consensus
from tidemark.allocator.council import thrift
from tidemark.allocator.models import Kind, Request, Vote

pytestmark = pytest.mark.unit


def vote(in_favour: bool) -> Vote:
    return Vote("agent", in_favour, 0.5, "")


def test_a_majority_carries():
    assert consensus([vote(True), vote(True), vote(False)]) is True


def test_a_minority_does_not():
    assert consensus([vote(True), vote(False), vote(False)]) is False


def test_a_split_council_has_no_consensus():
    return consensus([vote(True), vote(False)]) is None


def test_every_agent_votes_once():
    votes = Council().votes(TestOrder("quants", 2).request(), Decimal(800), 40)
    assert [each.agent for each in votes] == ["thrift", "reserve", "fairness"]


def test_thrift_is_against_dear_requests():
    request = Request("r", "quants", Kind.DESK, 1, Decimal(1000))
    assert thrift(request, Decimal(900), 10)[0] is True
    assert thrift(request, Decimal(901), 10)[0] is False


def test_an_agent_gives_its_reason():
    agent = Agent("never", lambda request, cost, free: (False, 1.0, "on principle"))
    assert agent.vote(TestOrder("quants", 1).request(), Decimal(1), 1) == Vote("never", False, 1.0, "on principle")


def test_a_council_needs_an_agent():
    with pytest.raises(ValueError, match="needs an agent"):
        Council([])
