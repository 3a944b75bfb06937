"""Tier 2 judges one running staging system: see tests/tiers."""

from tests.tiers.fixtures import collector, door, flow, judged, staging, visitor

__all__ = ["collector", "door", "flow", "judged", "staging", "visitor"]
