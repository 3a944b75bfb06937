"""What a conftest decides for the tests of other files: which are collected, which skip, what fixtures hand out."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from typing import Final

from .constant import Const
from .expression import Scope, constant
from .fixtures import effect, handed_out
from .project import Definition, Project, is_fixture
from .source import Module
from .verdict import Grade, TestVerdict

#: Hooks that decide which tests run, or what counts as a failure.
DECIDING: Final = frozenset(
    {
        "pytest_collection_modifyitems", "pytest_ignore_collect", "pytest_collect_file", "pytest_pycollect_makeitem",
        "pytest_runtest_protocol", "pytest_runtest_setup", "pytest_runtest_call", "pytest_runtest_makereport",
        "pytest_pyfunc_call", "pytest_report_teststatus", "pytest_sessionfinish",
    }
)  # fmt: skip
_IGNORES: Final = ("collect_ignore", "collect_ignore_glob")


def conftest_changes(paths: Iterable[str], olds: Project, news: Project) -> Iterator[TestVerdict]:
    """The holes that a changed conftest opens under tests that did not change."""
    for path in paths:
        new = news.module(path) if path.rpartition("/")[2] == "conftest.py" else None
        if new is not None:
            old = olds.module(path)
            yield from _hooks(path, old, new)
            yield from _ignored(path, old, new, olds, news)
            yield from _fixtures(path, old, new, olds, news)


def _hooks(path: str, old: Module | None, new: Module) -> Iterator[TestVerdict]:
    for name, function in new.functions.items():
        if name in DECIDING and (old is None or name not in old.functions):
            reason = "a hook that decides which tests run, or what counts as a failure, was added: a person decides"
            yield TestVerdict(f"{path}::{name}", Grade.UNKNOWN, reason, 0, function.lineno)


def _ignored(path: str, old: Module | None, new: Module, olds: Project, news: Project) -> Iterator[TestVerdict]:
    for name in _IGNORES:
        node = new.assigns.get(name)
        before = old.assigns.get(name) if old is not None else None
        if node is None or (before is not None and ast.dump(before) == ast.dump(node)):
            continue
        after = _items(constant(node, Scope(news, new)))
        known = _items(constant(before, Scope(olds, old))) if before is not None and old is not None else frozenset()
        line = getattr(node, "lineno", 0)
        if after is None or known is None:
            yield TestVerdict(f"{path}::{name}", Grade.UNKNOWN, "computes which files are not collected", 0, line)
        elif after - known:
            what = f"{', '.join(sorted(after - known))} is collected no more"
            yield TestVerdict(f"{path}::{name}", Grade.WEAKER, what, 0, line)


def _items(const: Const | None) -> frozenset[str] | None:
    if const is None or not isinstance(const.value, list | tuple | set):
        return None
    return frozenset(map(str, const.value))


def _fixtures(path: str, old: Module | None, new: Module, olds: Project, news: Project) -> Iterator[TestVerdict]:
    for name, function in new.functions.items():
        if not is_fixture(function):
            continue
        before = old.functions.get(name) if old is not None else None
        if before is not None and ast.dump(before) == ast.dump(function):
            continue
        was = Definition(old, before) if old is not None and before is not None and is_fixture(before) else None
        now = Definition(new, function)
        line = before.lineno if before is not None else 0
        held = {guard.shallow for guard in effect(olds, was).exits} if was is not None else set()
        fresh = [guard for guard in effect(news, now).exits if guard.shallow not in held]
        autouse = "autouse" in ast.dump(ast.Tuple(function.decorator_list))
        if fresh and (was is not None or autouse):
            text = fresh[0].shallow.replace("‹", "").replace("›", "")
            what = f"the fixture now may {fresh[0].kind} the tests that use it ({text})"
            yield TestVerdict(f"{path}::{name}", Grade.WEAKER, what, line, function.lineno)
        elif was is not None and _became_constant(was, now, olds, news):
            what = "the fixture handed out what a call returned, and now hands out a constant: a person decides"
            yield TestVerdict(f"{path}::{name}", Grade.UNKNOWN, what, line, function.lineno)


def _became_constant(was: Definition, now: Definition, olds: Project, news: Project) -> bool:
    before, after = handed_out(was, olds), handed_out(now, news)
    if before is None or after is None or before.deep.const is not None:
        return False
    return after.deep.const is not None and "()" in before.deep.spine
