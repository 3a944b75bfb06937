"""What was read of a project at one moment. An error of one collection is kept beside the others, never dropped."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

SCHEMA: Final = 1
Body = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Collection:
    """Resources of one kind by name, as the API gave them, or why they could not be read."""

    items: Mapping[str, Body] = field(default_factory=dict)
    error: str = ""

    def __iter__(self) -> Iterator[tuple[str, Body]]:
        return iter(self.items.items())

    def __len__(self) -> int:
        return len(self.items)


@dataclass(frozen=True, slots=True)
class Measurement:
    """The outcome of one experiment: a number in its unit, what was seen, or why it could not be made."""

    value: float = 0.0
    unit: str = "s"
    seen: str = ""
    error: str = ""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The collections and measurements of a project. `number` is the live project number, '' when unreadable."""

    project: str
    number: str
    taken: str
    collections: Mapping[str, Collection] = field(default_factory=dict)
    measurements: Mapping[str, Measurement] = field(default_factory=dict)

    def of(self, kind: str) -> Collection:
        """The resources of a kind; one that nobody collected is an error, not an empty list."""
        found = self.collections.get(kind)
        return Collection(error=f"{kind} was not collected") if found is None else found

    def measured(self, name: str) -> Measurement:
        """The outcome of an experiment; one that nobody made is an error."""
        found = self.measurements.get(name)
        return Measurement(error=f"{name} was not measured") if found is None else found

    def trouble(self, *kinds: str) -> str:
        """The first error among some collections, with its kind; '' when all were read."""
        return next((f"{kind}: {self.of(kind).error}" for kind in kinds if self.of(kind).error), "")

    def dumps(self) -> str:
        """The snapshot as JSON, to be judged elsewhere. It holds names and settings, never a secret's value."""
        return json.dumps(
            {
                "schema": SCHEMA,
                "project": self.project,
                "number": self.number,
                "taken": self.taken,
                "collections": {
                    kind: {"items": dict(found.items), "error": found.error} for kind, found in self.collections.items()
                },
                "measurements": {
                    name: {"value": m.value, "unit": m.unit, "seen": m.seen, "error": m.error}
                    for name, m in self.measurements.items()
                },
            },
            indent=1,
            sort_keys=True,
        )

    @classmethod
    def loads(cls, text: str) -> Snapshot:
        """The snapshot that `dumps` wrote. Raises ValueError for anything else."""
        data = json.loads(text)
        if not isinstance(data, dict) or data.get("schema") != SCHEMA:
            raise ValueError(f"not a snapshot of schema {SCHEMA}")
        return cls(
            data["project"],
            data["number"],
            data["taken"],
            {kind: Collection(found["items"], found["error"]) for kind, found in data["collections"].items()},
            {name: Measurement(**found) for name, found in data["measurements"].items()},
        )

    @classmethod
    def read(cls, path: Path) -> Snapshot:
        """A saved snapshot. Raises OSError, ValueError."""
        return cls.loads(path.read_text(encoding="utf-8"))
