"""The assertion ratchet inside a run: what it says of the edited tests, and what of that blocks."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Final

from regreen.run.record import TestGrade
from regreen.run.verify import Problem, parse_error, parser

if TYPE_CHECKING:
    from regreen.model import TreeView
    from regreen.run.options import Ratchet

#: Grades that block, and why.
_BLOCKED: Final = {
    "weaker": "the assertion ratchet finds this test weaker",
    "removed": "the assertion ratchet finds this test gone",
    "changed": "the assertion ratchet finds that this test asks for something else, and a person decides that",
    "unknown": "the assertion ratchet cannot compare this test, and unknown blocks",
}


def ratchet_grades(ratchet: Ratchet, tree: TreeView, edits: Mapping[str, bytes], remedy: str) -> list[TestGrade]:
    """The grades of every test that the edits change or touch; files that did not parse before have none."""
    before: dict[str, bytes] = {}
    after: dict[str, bytes] = {}
    for path, content in edits.items():
        if not path.endswith(".py"):
            continue
        if tree.exists(path):
            old = tree.read(path)
            parse = parser(path)
            if old == content or parse is None or parse_error(parse, old):
                continue
            before[path] = old
        after[path] = content

    def read_before(path: str) -> bytes | None:
        return tree.read(path) if tree.exists(path) else None

    def read_after(path: str) -> bytes | None:
        return edits[path] if path in edits else read_before(path)

    if not after:
        return []
    try:
        comparison = ratchet(before, after, context_before=read_before, context_after=read_after)
    except Exception as error:  # noqa: BLE001 - what cannot be compared is unknown, and unknown blocks
        reason = f"the ratchet itself failed: {type(error).__name__}: {error}"
        return [TestGrade(path, "unknown", reason, remedy) for path in sorted(before)]
    return [
        TestGrade(verdict.test, str(verdict.grade), verdict.reason, remedy)
        for verdict in comparison.tests
        if verdict.reason != "unchanged"
    ]


def ratchet_problems(grades: Iterable[TestGrade], edits: Mapping[str, bytes]) -> list[Problem]:
    """The grades that block, with the lines of the test where it still exists."""
    blocking = [grade for grade in grades if grade.grade in _BLOCKED]
    lines: dict[str, dict[str, tuple[int, int]]] = {}
    problems: list[Problem] = []
    for grade in blocking:
        path, _, name = grade.test.partition("::")
        if path not in lines:
            lines[path] = _functions(edits.get(path, b""))
        text = f"{_BLOCKED[grade.grade]}: {grade.test}: {grade.reason}"
        problems.append(Problem(path, grade.test, text, lines=lines[path].get(name, (0, 0))))
    return problems


def _functions(content: bytes) -> dict[str, tuple[int, int]]:
    """First and last line of each function, by `Class::name`."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(content)
    except (SyntaxError, ValueError):
        return {}
    found: dict[str, tuple[int, int]] = {}
    stack: list[tuple[str, ast.AST]] = [("", tree)]
    while stack:
        prefix, node = stack.pop()
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                name = f"{prefix}{child.name}"
                first = min([child.lineno, *(item.lineno for item in child.decorator_list)])
                if not isinstance(child, ast.ClassDef):
                    found[name] = (first, child.end_lineno or first)
                stack.append((f"{name}::", child))
            elif isinstance(child, ast.stmt):
                stack.append((prefix, child))
    return found
