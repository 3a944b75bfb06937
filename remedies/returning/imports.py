"""How a file calls a module, and where an import of it would stand."""

from __future__ import annotations

import ast
from dataclasses import dataclass

from regreen.facts.source import SourceText
from regreen.model import Splice


@dataclass(frozen=True, slots=True)
class Importing:
    """The name a file has for a module, and the splice that imports it where it does not yet."""

    name: str
    splice: Splice | None


def importing(path: str, text: SourceText, tree: ast.Module, module: str) -> Importing:
    """Look for a plain top-level import; else propose one below the file's first block of imports."""
    last: ast.stmt | None = None
    leading = True
    for node in tree.body:
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name == module:
                    return Importing(alias.asname or module, None)
        text_only = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        leading = leading and (text_only or isinstance(node, ast.Import | ast.ImportFrom))
        if leading:
            last = node
    return Importing(module, _line(path, text, tree, last, f"import {module}"))


def _line(path: str, text: SourceText, tree: ast.Module, after: ast.stmt | None, line: str) -> Splice:
    if after is None:
        first = tree.body[0]
        decorators = getattr(first, "decorator_list", [])
        start = text.line_start(decorators[0].lineno if decorators else first.lineno)
        return Splice(path, start, start, text.encode(f"{line}\n\n\n"))
    end = after.end_lineno or after.lineno
    place = text.line_start(end) + len(text.line(end))
    joined = isinstance(after, ast.Import) or (isinstance(after, ast.ImportFrom) and after.module != "__future__")
    return Splice(path, place, place, text.encode(f"\n{line}" if joined else f"\n\n{line}"))
