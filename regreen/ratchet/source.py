"""One Python file of a test tree: its syntax, what it defines and what its names stand for."""

from __future__ import annotations

import ast
import io
import posixpath
import sys
import tokenize
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

Function = ast.FunctionDef | ast.AsyncFunctionDef
_TEST_FOLDERS: Final = frozenset({"test", "tests", "testing", "unit_tests", "integration_tests", "e2e"})

_BACKPORTS: Final = {
    "mock": "unittest.mock",
    "importlib_metadata": "importlib.metadata",
    "importlib_resources": "importlib.resources",
    "typing_extensions": "typing",
    "tomli": "tomllib",
    "exceptiongroup": "builtins",
    "zoneinfo_backports": "zoneinfo",
}


_DEEPEST: Final = 10_000
"""Frames that reading may go down: a sum of a thousand texts is a tree a thousand levels deep."""


@contextmanager
def going_deep() -> Iterator[None]:
    """Let functions that follow a syntax tree go down as far as a parsed tree may reach. Parsing keeps its own limit."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(max(before, _DEEPEST))
    try:
        yield
    finally:
        sys.setrecursionlimit(before)


@contextmanager
def _usual_depth() -> Iterator[None]:
    """The interpreter's own limit while it parses: it builds the tree on the C stack, in proportion to the limit."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(min(before, 1_000))
    try:
        yield
    finally:
        sys.setrecursionlimit(before)


class UnreadableError(Exception):
    """The file does not decode or parse; the message says why."""


@dataclass(frozen=True, slots=True)
class Module:
    """A parsed file. `imports` maps local names to dotted origins; `assigns` holds names bound exactly once."""

    path: str
    tree: ast.Module
    lines: Sequence[str]
    imports: Mapping[str, str]
    functions: Mapping[str, Function]
    classes: Mapping[str, ast.ClassDef]
    assigns: Mapping[str, ast.expr]

    def snippet(self, node: ast.AST) -> str:
        """The source of a node on one line, shortened to 110 characters."""
        start, end = getattr(node, "lineno", 0), getattr(node, "end_lineno", 0) or 0
        text = " ".join(line.strip() for line in self.lines[start - 1 : end]) if start else ""
        if start == end and start:
            raw = self.lines[start - 1].encode("utf-8", "surrogatepass")
            text = raw[getattr(node, "col_offset", 0) : getattr(node, "end_col_offset", None)].decode(
                "utf-8", "replace"
            )
        text = " ".join(text.split())
        return text if len(text) <= 110 else text[:107] + "..."


def parse(path: str, data: bytes) -> Module:
    """Parse the bytes of a file by PEP 263. Raises `UnreadableError`."""
    try:
        with warnings.catch_warnings(), _usual_depth():
            warnings.simplefilter("ignore")  # invalid escapes in a target are not our warnings
            tree = ast.parse(data, filename=path)
        encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
        lines = data.decode(encoding).splitlines()
    except SyntaxError as error:
        raise UnreadableError(
            f"does not parse with this Python's grammar: {error.msg} (line {error.lineno})"
        ) from error
    except (ValueError, RecursionError, MemoryError, LookupError) as error:
        raise UnreadableError(f"cannot be read as Python: {error}") from error
    imports: dict[str, str] = {}
    functions: dict[str, Function] = {}
    classes: dict[str, ast.ClassDef] = {}
    assigns: dict[str, ast.expr] = {}
    bound: set[str] = set()
    for node in top_level(tree.body):
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                functions[node.name] = node
                imports.pop(node.name, None)
            case ast.ClassDef():
                classes[node.name] = node
                imports.pop(node.name, None)
            case ast.Import() | ast.ImportFrom():
                imports.update(origins(node, path))
            case ast.Assign() | ast.AnnAssign() | ast.AugAssign():
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                for name in (target.id for target in targets if isinstance(target, ast.Name)):
                    if name in bound or node.value is None or isinstance(node, ast.AugAssign):
                        assigns.pop(name, None)
                    else:
                        assigns[name] = node.value
                    bound.add(name)
                    imports.pop(name, None)
    return Module(path, tree, lines, imports, functions, classes, assigns)


def top_level(body: Sequence[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements of a module, those inside module-level `if`, `try` and `with` included."""
    for node in body:
        yield node
        for name in ("body", "orelse", "finalbody"):
            if isinstance(node, ast.If | ast.Try | ast.With):
                yield from top_level(getattr(node, name, []))
        if isinstance(node, ast.Try):
            for handler in node.handlers:
                yield from top_level(handler.body)


def origins(node: ast.Import | ast.ImportFrom, path: str) -> Iterator[tuple[str, str]]:
    """The names that an import binds, with the dotted origin of each."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            if alias.asname:
                yield alias.asname, _modern(alias.name)
            else:
                yield alias.name.split(".")[0], _modern(alias.name.split(".")[0])
        return
    prefix = node.module or ""
    if node.level:
        folder = posixpath.dirname(path).split("/") if posixpath.dirname(path) else []
        kept = folder[: len(folder) - node.level + 1] if node.level > 1 else folder
        prefix = ".".join([*kept, *([node.module] if node.module else [])])
    for alias in node.names:
        if alias.name != "*":
            origin = f"{prefix}.{alias.name}" if prefix else alias.name
            yield alias.asname or alias.name, _within_tests(origin, path) if node.level else _modern(origin)


def _within_tests(origin: str, path: str) -> str:
    """A relative import's origin counted from the folder of the tests, so that moving the whole folder is no change."""
    parts = posixpath.dirname(path).split("/")
    roots = [index for index, part in enumerate(parts) if part.lower() in _TEST_FOLDERS]
    names = origin.split(".")
    if roots and names[: roots[0] + 1] == parts[: roots[0] + 1]:
        return ".".join(["tests", *names[roots[0] + 1 :]])
    return origin


def _modern(origin: str) -> str:
    """The one name of something imported from a backport of the standard library, or through its source root.

    `src.app.errors` and `app.errors` are one module reached by two names: `src` is a source root by convention.
    """
    first, dot, rest = origin.removeprefix("src.").partition(".")
    return _BACKPORTS.get(first, first) + dot + rest


def is_test_file(path: str) -> bool:
    """Whether pytest or unittest collect tests from a file of that name, by their usual patterns."""
    name = posixpath.basename(path)
    if not name.endswith(".py"):
        return False
    stem = name[:-3]
    return stem.startswith(("test_", "tests_")) or stem.endswith(("_test", "_tests")) or stem in {"test", "tests"}


def is_test_support(path: str) -> bool:
    """Whether a Python file belongs to the tests: a test file, a conftest, or a module in a test folder."""
    if not path.endswith(".py"):
        return False
    folders = posixpath.dirname(path).lower().split("/")
    return (
        is_test_file(path)
        or posixpath.basename(path) == "conftest.py"
        or any(folder in _TEST_FOLDERS or folder.startswith("test_") or folder.endswith("_tests") for folder in folders)
    )


def calls_in(node: ast.AST) -> Iterator[ast.Call]:
    """Every call inside a node, the node itself included."""
    return (part for part in ast.walk(node) if isinstance(part, ast.Call))


def last_name(node: ast.expr) -> str:
    """The last part of a dotted callee: `assertEqual` of `self.assertEqual`."""
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def dotted(node: ast.expr) -> str:
    """`a.b.c` of an attribute chain on a name, else an empty string."""
    if isinstance(node, ast.Attribute):
        owner = dotted(node.value)
        return f"{owner}.{node.attr}" if owner else ""
    return node.id if isinstance(node, ast.Name) else ""
