"""Small breaks of a source file, each one edit of its bytes, on chosen lines."""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Final

_COMPARE: Final[dict[type[ast.cmpop], str]] = {
    ast.Eq: "!=", ast.NotEq: "==", ast.Lt: "<=", ast.LtE: "<", ast.Gt: ">=", ast.GtE: ">", ast.Is: "is not",
    ast.IsNot: "is", ast.In: "not in", ast.NotIn: "in",
}  # fmt: skip
_BINARY: Final[dict[type[ast.operator], str]] = {
    ast.Add: "-", ast.Sub: "+", ast.Mult: "/", ast.Div: "*", ast.FloorDiv: "*", ast.Mod: "*",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Mutant:
    """One break: the text between two places of a line becomes another. Lines count from 1."""

    path: str
    line: int
    old: str
    new: str
    content: bytes

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: `{self.old}` became `{self.new}`"


def mutants(path: str, content: bytes, lines: Collection[int]) -> Iterator[Mutant]:
    """The breaks of a file on these lines, in order; none for a file that does not parse."""
    try:
        tree = ast.parse(content)
    except (SyntaxError, ValueError):
        return
    starts = [0]
    for line in content.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    for node in ast.walk(tree):
        for piece, text in _edits(node):
            if piece.lineno not in lines or piece.lineno != piece.end_lineno or piece.end_col_offset is None:
                continue
            begin, end = starts[piece.lineno - 1] + piece.col_offset, starts[piece.lineno - 1] + piece.end_col_offset
            broken = content[:begin] + text.encode() + content[end:]
            try:
                compile(broken, path, "exec", dont_inherit=True)
            except (SyntaxError, ValueError):
                continue
            old = content[begin:end].decode("utf-8", "replace")
            yield Mutant(path, piece.lineno, old, text, broken)


def _edits(node: ast.AST) -> Iterator[tuple[ast.expr, str]]:
    match node:
        case ast.Compare(ops=[op]) if type(op) in _COMPARE:
            left, right = ast.unparse(node.left), ast.unparse(node.comparators[0])
            yield node, f"({left}) {_COMPARE[type(op)]} ({right})"
        case ast.BinOp() if type(node.op) in _BINARY:
            yield node, f"({ast.unparse(node.left)}) {_BINARY[type(node.op)]} ({ast.unparse(node.right)})"
        case ast.BoolOp(values=[first, second]):
            word = "or" if isinstance(node.op, ast.And) else "and"
            yield node, f"({ast.unparse(first)}) {word} ({ast.unparse(second)})"
        case ast.UnaryOp(op=ast.Not()):
            yield node, f"bool({ast.unparse(node.operand)})"
        case ast.Constant(value=bool()):
            yield node, str(not node.value)
        case ast.Constant(value=int() | float()):
            yield node, f"({node.value!r} + 1)"
        case ast.Return(value=ast.expr() as value) if not (isinstance(value, ast.Constant) and value.value is None):
            yield value, "None"
