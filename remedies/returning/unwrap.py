"""A try statement whose handler goes: its body takes its place, one level to the left."""

from __future__ import annotations

import ast

from regreen.facts.source import SourceText
from regreen.model import Splice


def unwrapped(path: str, text: SourceText, statement: ast.Try, handler: ast.ExceptHandler) -> list[Splice] | None:
    """The splices; None where lines cannot move to the left without changing what they mean (texts over several lines).

    With a `finally` the try stays, and only the handler goes.
    """
    first = text.line_start(handler.lineno)
    last = text.line_start((handler.body[-1].end_lineno or handler.lineno) + 1)
    if not _own_lines(text, handler):
        return None
    if statement.finalbody:
        return [Splice(path, first, last, b"")]
    start, end = statement.body[0].lineno, handler.lineno - 1
    if start == statement.lineno or _texts(statement.body, text):
        return None
    inner, outer = text.indent(start), text.indent(statement.lineno)
    if not inner.startswith(outer) or inner == outer:
        return None
    splices = [Splice(path, text.line_start(statement.lineno), text.line_start(statement.lineno + 1), b"")]
    if text.line(statement.lineno).strip() != b"try:":
        return None
    for number in range(statement.lineno + 1, end + 1):
        line = text.line(number)
        if not line.strip():
            continue
        if not line.startswith(inner):
            if line.lstrip().startswith(b"#"):
                continue
            return None
        begin = text.line_start(number)
        splices.append(Splice(path, begin + len(outer), begin + len(inner), b""))
    splices.append(Splice(path, first, last, b""))
    return splices


def _own_lines(text: SourceText, handler: ast.ExceptHandler) -> bool:
    last = handler.body[-1]
    end = last.end_lineno or last.lineno
    rest = text.source[text.offset(end, last.end_col_offset or 0) : text.line_start(end + 1)].strip()
    return handler.body[0].lineno != handler.lineno and (not rest or rest.startswith(b"#"))


def _texts(body: list[ast.stmt], text: SourceText) -> bool:
    """Whether a string literal spans lines: moving it would change its value. Encodings other than UTF-8 stay too."""
    if text.encoding not in ("utf-8", "ascii"):
        return True
    for statement in body:
        for node in ast.walk(statement):
            if isinstance(node, ast.JoinedStr | ast.Constant) and node.lineno != node.end_lineno:
                value = node.value if isinstance(node, ast.Constant) else ""
                if isinstance(node, ast.JoinedStr) or isinstance(value, str | bytes):
                    return True
    return False
