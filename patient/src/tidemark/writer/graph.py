"""Who traded what, and who was allotted what, as a graph."""

from __future__ import annotations

from typing import Protocol


class Graph(Protocol):
    """Nodes with a label and a key, joined by named edges. Merging twice is merging once."""

    async def merge(self, label: str, key: str, **properties: str) -> None:
        """A node, made or updated."""
        ...

    async def join(self, start: tuple[str, str], name: str, end: tuple[str, str]) -> None:
        """An edge between two nodes that exist. Raises KeyError for one that does not."""
        ...


class MemoryGraph:
    """For tests and for a laptop."""

    def __init__(self) -> None:
        self.nodes: dict[tuple[str, str], dict[str, str]] = {}
        self.edges: set[tuple[tuple[str, str], str, tuple[str, str]]] = set()

    async def merge(self, label: str, key: str, **properties: str) -> None:
        self.nodes.setdefault((label, key), {}).update(properties)

    async def join(self, start: tuple[str, str], name: str, end: tuple[str, str]) -> None:
        for node in (start, end):
            if node not in self.nodes:
                raise KeyError(node)
        self.edges.add((start, name, end))

    def neighbours(self, label: str, key: str) -> list[tuple[str, str]]:
        """Where the edges of a node lead to, sorted."""
        return sorted(end for start, _, end in self.edges if start == (label, key))
