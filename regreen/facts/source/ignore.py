"""Ignore patterns as git understands them."""

from __future__ import annotations

from collections.abc import Iterable

from pathspec import GitIgnoreSpec


class Ignore:
    """A list of gitignore patterns. A folder's path ends with a slash."""

    def __init__(self, patterns: Iterable[str]) -> None:
        lines = [line for line in patterns if line.strip() and not line.startswith("#")]
        self._spec = GitIgnoreSpec.from_lines(lines) if lines else None

    def match(self, path: str) -> bool:
        """Whether the patterns leave this path out."""
        return self._spec is not None and self._spec.match_file(path)
