"""What a file adds to `sys.path`, evaluated without running it.

Folders come out relative to the file (`@` stands for the file itself) or to the working directory, with `..` still in
them: `@/../src` for `sys.path.insert(0, str(Path(__file__).parent / "src"))`. What cannot be told is `?`.
"""

from __future__ import annotations

import ast
import posixpath
import re
from bisect import bisect_left
from typing import Final

UNKNOWN: Final = "?"
_WORDS: Final = re.compile(rb"\b(?:path|addsitedir|syspath_prepend)\b")
_BODIES: Final = ("body", "handlers", "orelse", "finalbody", "cases")
_ADDS: Final = frozenset(
    {"sys.path.insert", "sys.path.append", "sys.path.extend", "site.addsitedir", "path.insert", "path.append"}
)
_SAME: Final = frozenset(
    {
        "str",
        "abspath",
        "realpath",
        "normpath",
        "expanduser",
        "Path",
        "PurePath",
        "fspath",
        "resolve",
        "absolute",
        "as_posix",
    }
)


def edits(tree: ast.Module, source: bytes) -> list[str]:
    """The folders that a file puts on the module search path, wherever in the file it does so.

    `source` tells which lines can matter: only their statements are looked into, of all others the assignments.
    """
    lines = [number for number, line in enumerate(source.split(b"\n"), 1) if _WORDS.search(line)]
    names: dict[str, ast.expr] = {}
    found: list[str] = []
    stack: list[ast.AST] = list(reversed(tree.body))
    while stack:
        node = stack.pop()
        if isinstance(node, ast.Assign) and len(node.targets) == 1:
            target = node.targets[0]
            if isinstance(target, ast.Name):
                names.setdefault(target.id, node.value)
        below = [
            child
            for name in _BODIES
            for child in getattr(node, name, ())
            if isinstance(child, ast.stmt | ast.ExceptHandler | ast.match_case)
        ]
        if below:
            stack.extend(reversed(below))
        elif isinstance(node, ast.stmt):
            first = bisect_left(lines, node.lineno)
            if first < len(lines) and lines[first] <= (node.end_lineno or node.lineno):
                _statement(node, names, found)
    return list(dict.fromkeys(found))


def _statement(statement: ast.stmt, names: dict[str, ast.expr], found: list[str]) -> None:
    for node in ast.walk(statement):
        if isinstance(node, ast.Assign) and len(node.targets) == 1:
            target = node.targets[0]
            if _dotted(target) == "sys.path" or (
                isinstance(target, ast.Subscript) and _dotted(target.value) == "sys.path"
            ):
                found += _listed(node.value, names)
        elif isinstance(node, ast.AugAssign) and _dotted(node.target) == "sys.path":
            found += _listed(node.value, names)
        elif isinstance(node, ast.Call):
            callee = _dotted(node.func)
            if (callee in _ADDS or callee.endswith(".syspath_prepend")) and node.args:
                if callee.endswith("extend"):
                    found += _listed(node.args[0], names)
                else:
                    found.append(_folder(node.args[-1], names, 0))


def _listed(node: ast.expr, names: dict[str, ast.expr]) -> list[str]:
    if isinstance(node, ast.BinOp):
        return _listed(node.left, names) + _listed(node.right, names)
    if isinstance(node, ast.List | ast.Tuple):
        return [_folder(element, names, 0) for element in node.elts]
    return [] if "sys.path" in (_dotted(node), _dotted(getattr(node, "value", node))) else [UNKNOWN]


def _folder(node: ast.expr, names: dict[str, ast.expr], depth: int) -> str:
    value = _value(node, names, depth)
    return UNKNOWN if value is None else (posixpath.normpath(value) if not value.startswith("@") else value) or "."


def _value(node: ast.expr, names: dict[str, ast.expr], depth: int) -> str | None:
    if depth > 12:
        return None
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else None
    if isinstance(node, ast.Name):
        if node.id == "__file__":
            return "@"
        return _value(names[node.id], names, depth + 1) if node.id in names else None
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div | ast.Add):
        return _join(_value(node.left, names, depth + 1), _value(node.right, names, depth + 1))
    if isinstance(node, ast.Attribute):
        if node.attr == "parent":
            return _join(_value(node.value, names, depth + 1), "..")
        return {"curdir": ".", "pardir": "..", "sep": "/"}.get(node.attr)
    if isinstance(node, ast.Subscript):
        inner = node.value
        if isinstance(inner, ast.Attribute) and inner.attr == "parents" and isinstance(node.slice, ast.Constant):
            base = _value(inner.value, names, depth + 1)
            return (
                _join(base, "/".join([".."] * (int(node.slice.value) + 1)))
                if isinstance(node.slice.value, int)
                else None
            )
        return None
    if isinstance(node, ast.JoinedStr):
        return _formatted(node, names, depth)
    if isinstance(node, ast.Call):
        return _called(node, names, depth)
    return None


def _formatted(node: ast.JoinedStr, names: dict[str, ast.expr], depth: int) -> str | None:
    parts = [_value(v.value if isinstance(v, ast.FormattedValue) else v, names, depth + 1) for v in node.values]
    return None if any(part is None for part in parts) else "".join(part or "" for part in parts)


def _called(node: ast.Call, names: dict[str, ast.expr], depth: int) -> str | None:
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    if name in ("getcwd", "cwd"):
        return "."
    if name == "dirname" and len(node.args) == 1:
        return _join(_value(node.args[0], names, depth + 1), "..")
    if name in ("join", "joinpath"):
        parts: list[ast.expr] = list(node.args)
        if name == "joinpath" and isinstance(node.func, ast.Attribute):
            parts.insert(0, node.func.value)
        value: str | None = ""
        for part in parts:
            piece = _value(part, names, depth + 1)
            value = piece if value == "" else _join(value, piece)
        return value
    if name in _SAME:
        if node.args:
            value = _value(node.args[0], names, depth + 1)
            for more in node.args[1:]:
                value = _join(value, _value(more, names, depth + 1))
            return value
        return _value(node.func.value, names, depth + 1) if isinstance(node.func, ast.Attribute) else None
    return None


def _join(left: str | None, right: str | None) -> str | None:
    return None if left is None or right is None else f"{left}/{right.strip('/')}"


def _dotted(node: ast.AST) -> str:
    if isinstance(node, ast.Attribute):
        inner = _dotted(node.value)
        return f"{inner}.{node.attr}" if inner else ""
    return node.id if isinstance(node, ast.Name) else ""


def place(edit: str, path: str) -> str | None:
    """The folder of the tree (an empty string for its root) that an edit of a file names; None if outside or unknown."""
    if edit == UNKNOWN or edit.startswith("/"):
        return None
    raw = f"{path}{edit[1:]}" if edit.startswith("@") else edit
    folder = posixpath.normpath(raw)
    if folder.startswith(".."):
        return None
    return "" if folder == "." else folder
