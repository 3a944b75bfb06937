"""One file's bytes to one plain record. Pure, and the only thing that runs in the workers."""

from __future__ import annotations

from typing import Any

from regreen.facts.source.syntax import Unreadable, compiles, parse
from regreen.facts.source.visitor import Visitor

#: Part of every cache key: raise it when records change shape or meaning.
VERSION = 4


def extract(visitor: Visitor, source: bytes, stub: bool = False, test_code: bool = True) -> tuple[Any, ...]:
    """(structure or (), what the checks emitted, why unreadable or ()): only values that `marshal` takes."""
    parsed = parse(source)
    if isinstance(parsed, Unreadable):
        return ((), [], tuple(parsed))
    text, tree = parsed
    structure, emitted = visitor.visit(text, tree, stub, test_code)
    structure.finish(text, tree)
    error = compiles(tree) if structure.suspicious and not stub else None
    return (structure.pack(), emitted, tuple(error) if error else ())
