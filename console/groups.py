"""Checks that belong together: what the gates, the hooks and the tasks of these names look at. Only the standard library."""

from __future__ import annotations

from typing import Final

MARKERS: Final = (
    "code.markers-registered",
    "code.markers-spelled",
    "code.pytest-config-unique",
    "code.strict-markers-effective",
)
"""Every marker is registered, in the one file that pytest reads, and one that is not is refused."""

IMPORTS: Final = (
    "code.source-readable",
    "code.imports-resolve",
    "code.imports-acyclic",
    "code.import-paths-consistent",
    "code.dependencies-declared",
    "code.optional-imports-guarded",
    "code.bases-linearize",
)
"""Every file compiles, and every import resolves to something that is there."""
