"""A table of test results in Markdown, for the channel."""

from __future__ import annotations

from collections.abc import Mapping

HEADER = ""
| test | result |
| --- | --- |
"""

FOOTER = """
{passed} of {total} passed.
"""


def render(results: Mapping[str, bool]) -> str:
    """Failures first, then by name."""
    ordered = sorted(results.items(), key=lambda item: (item[1], item[0]))
    rows = "\n".join(f"| {name} | {'pass' if passed else 'FAIL'} |" for name, passed in ordered)
    return f"{HEADER}{rows}\n{FOOTER.format(passed=sum(results.values()), total=len(results))}".strip()


def share(results: Mapping[str, bool]) -> float:
    """Passed over all; 0.0 when nothing ran."""
    return sum(results.values()) / len(results) if results else 0.0
