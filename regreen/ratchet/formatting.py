"""The templates of `str.format` and `%` as pieces of text around fields, which is what an f-string is."""

from __future__ import annotations

import ast
import re
import string
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Field:
    """One place to fill: `key` names the argument (its position or its name)."""

    key: str
    conversion: str = ""
    spec: str = ""


Template = tuple[list[str], list[Field]]
"""Texts and the fields between them: always one text more than fields."""


def braces(template: str) -> Template | None:
    """The pieces of `"{0!r} and {name}"`; None where a specification is itself computed, or nothing parses."""
    pieces, fields, automatic = [""], list[Field](), 0
    try:
        for text, name, spec, conversion in string.Formatter().parse(template):
            pieces[-1] += text
            if name is None:
                continue
            if "{" in (spec or ""):
                return None
            fields.append(Field(name or str(automatic), conversion or "", spec or ""))
            automatic += not name
            pieces.append("")
    except ValueError:
        return None
    return pieces, fields


def percent(template: str) -> Template | None:
    """The pieces of `"%s and %r"`; None where other conversions are used."""
    parts = re.split(r"%([sr%])", template)
    if "%" in "".join(parts[::2]):
        return None
    pieces, fields = [parts[0]], list[Field]()
    for letter, text in zip(parts[1::2], parts[2::2], strict=True):
        if letter == "%":
            pieces[-1] += "%" + text
        else:
            fields.append(Field(str(len(fields)), letter.replace("s", "")))
            pieces.append(text)
    return pieces, fields


def concatenated(node: ast.BinOp) -> tuple[list[str], list[ast.expr]] | None:
    """The pieces of `"a " + x + " b"`, and what stands between them; None where no part is a written-down text."""
    parts, pending = list[ast.expr](), [node.right, node.left]
    while pending:
        part = pending.pop()
        if isinstance(part, ast.BinOp) and isinstance(part.op, ast.Add):
            pending += [part.right, part.left]
        else:
            parts.append(part)
    if any(isinstance(part, ast.JoinedStr) for part in parts):
        return None
    pieces, between = [""], list[ast.expr]()
    for part in parts:
        if isinstance(part, ast.Constant) and isinstance(part.value, str):
            pieces[-1] += part.value
        else:
            between.append(part)
            pieces.append("")
    return (pieces, between) if len(between) < len(parts) else None


def without_str(text: str) -> str:
    """`str(x)` in a place where it is formatted anyway is `x`; any other text stays."""
    if not text.startswith("str(") or not text.endswith(")") or "," in text:
        return text
    depth = 0
    for letter in text[4:-1]:
        depth += (letter == "(") - (letter == ")")
        if depth < 0:
            return text
    return text[4:-1]
