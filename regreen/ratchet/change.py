"""Comparing all changed test files: pairing tests with themselves, through renames and moves."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Mapping

from .closure import Outline, digest
from .expression import Scope
from .judge import judge
from .project import Definition, Project, is_fixture
from .shape import asserts
from .source import Function, Module, UnreadableError, going_deep, is_test_support, parse
from .surroundings import DECIDING, conftest_changes
from .unit import Unit, collect
from .verdict import Comparison, Grade, Skipped, TestVerdict

Reader = Callable[[str], bytes | None]


def compare(
    before: Mapping[str, bytes],
    after: Mapping[str, bytes],
    *,
    context_before: Reader | None = None,
    context_after: Reader | None = None,
    renames: Mapping[str, str] | None = None,
) -> Comparison:
    """Grade every test of the changed files.

    The mappings hold the bytes of each changed file on both sides (tests, conftest files, helper modules); a path on
    one side only was added or deleted. The context callables give unchanged files, or None where there is none.
    `renames` maps old paths to new ones where that is known. Nothing of the files is imported or executed.
    """
    with going_deep():
        return _compare(Project(before, context_before), Project(after, context_after), before, after, renames or {})


def _compare(
    olds: Project, news: Project, before: Mapping[str, bytes], after: Mapping[str, bytes], moved: Mapping[str, str]
) -> Comparison:
    paths = sorted(path for path in {*before, *after} if path.endswith(".py") and is_test_support(path))
    skipped = [Skipped(path, "not a Python test file") for path in sorted({*before, *after}) if path not in paths]
    verdicts: list[TestVerdict] = []
    broken: set[str] = set()
    for path in paths:
        reason = _broken(path, before, after)
        if reason:
            verdicts.append(TestVerdict(path, Grade.UNKNOWN, reason))
            broken.add(path)
    paths = [path for path in paths if path not in broken]
    old_tests = {(path, name): unit for path in paths if path in before for name, unit in collect(olds, path).items()}
    new_tests = {(path, name): unit for path in paths if path in after for name, unit in collect(news, path).items()}
    shared = _shared_changes(paths, olds, news)
    helpers = [path for path in paths if not _tests_in(path, old_tests, new_tests)]
    calm = not shared and all(
        before.get(path) == after.get(moved.get(path, path)) for path in helpers if path in before
    )
    outlines_old = {path: Outline(module) for path in paths if path in before and (module := olds.module(path))}
    outlines_new = {path: Outline(module) for path in paths if path in after and (module := news.module(path))}
    pairs: list[tuple[tuple[str, str], tuple[str, str]]] = []
    for key in old_tests:
        target = (moved.get(key[0], key[0]), key[1])
        if target in new_tests:
            pairs.append((key, target))
    gone = [key for key in old_tests if key not in {a for a, _ in pairs}]
    fresh = [key for key in new_tests if key not in {b for _, b in pairs}]
    for a, b in pairs:
        old, new = old_tests[a], new_tests[b]
        same = calm and digest(old.function) == digest(new.function)
        if same and outlines_old[a[0]].reach(old) == outlines_new[b[0]].reach(new):
            verdicts.append(TestVerdict(f"{b[0]}::{b[1]}", Grade.EQUAL, "unchanged", old.line, new.line))
        else:
            verdicts.append(judge(old, new, b[0]))
    verdicts += _moved(gone, fresh, old_tests, new_tests)
    verdicts += shared
    graded = {verdict.test for verdict in verdicts}
    verdicts += [item for item in conftest_changes(paths, olds, news) if item.test not in graded]
    verdicts.sort(key=lambda v: (v.test.split("::")[0], v.line_after or v.line_before, v.test))
    return Comparison(tuple(verdicts), tuple(skipped))


def _tests_in(path: str, *sides: Mapping[tuple[str, str], Unit]) -> bool:
    return any(key[0] == path for side in sides for key in side)


def _broken(path: str, before: Mapping[str, bytes], after: Mapping[str, bytes]) -> str:
    for when, side in (("before", before), ("after", after)):
        if path in side:
            try:
                parse(path, side[path])
            except UnreadableError as error:
                return f"the file {error} ({when} the change); compare it by hand"
    return ""


def _moved(
    gone: list[tuple[str, str]], fresh: list[tuple[str, str]],
    old_tests: Mapping[tuple[str, str], Unit], new_tests: Mapping[tuple[str, str], Unit],
) -> list[TestVerdict]:  # fmt: skip
    """Tests that are gone under their name: moved, renamed, merged into another, or removed."""
    verdicts: list[TestVerdict] = []
    free = list(fresh)
    for key in gone:
        old = old_tests[key]
        candidates = sorted(free, key=lambda other: -_resemblance(key, old, other, new_tests[other]))[:3]
        found = None
        for other in candidates:
            alike = _resemblance(key, old, other, new_tests[other]) >= 0.25 and bool(old.record.obligations)
            if not alike and _body(old.function) != _body(new_tests[other].function):
                continue
            verdict = judge(old, new_tests[other], other[0])
            if verdict.grade in (Grade.EQUAL, Grade.STRONGER):
                found = (other, verdict)
                break
        if found is None:
            verdicts.append(_removed(key, old))
            continue
        other, verdict = found
        if not new_tests[other].marks.cases or old.marks.cases:
            free.remove(other)  # a parametrized test may have taken in several
        elif other in fresh:
            fresh = [item for item in fresh if item != other]
        kind = "moved from" if other[1] == key[1] else "renamed from"
        reason = f"{kind} {key[0]}::{key[1]}; {verdict.reason}"
        verdicts.append(TestVerdict(verdict.test, verdict.grade, reason, verdict.line_before, verdict.line_after))
    graded = {verdict.test for verdict in verdicts}
    for key in fresh:
        unit = new_tests[key]
        name = f"{key[0]}::{key[1]}"
        if name not in graded:
            verdicts.append(TestVerdict(name, Grade.ADDED, "a new test", 0, unit.line))
    return verdicts


def _removed(key: tuple[str, str], old: Unit) -> TestVerdict:
    name = f"{key[0]}::{key[1]}"
    lost = old.record.obligations
    what = f"the test is gone, and with it `{lost[0].snippet}`" if lost else "the test is gone"
    more = f" and {len(lost) - 1} more" if len(lost) > 1 else ""
    return TestVerdict(name, Grade.REMOVED, what + more, old.line, 0)


def _body(function: Function) -> str:
    return "".join(ast.dump(node) for node in function.body)


def _resemblance(a: tuple[str, str], old: Unit, b: tuple[str, str], new: Unit) -> float:
    if a[1] == b[1]:
        return 2.0
    if _body(old.function) == _body(new.function):
        return 1.5
    if a[1].rsplit("::", 1)[-1] == b[1].rsplit("::", 1)[-1]:
        return 1.2
    left, right = _words(old), _words(new)
    return len(left & right) / max(1, len(left))


def _words(unit: Unit) -> set[str]:
    if not unit.names:
        for node in ast.walk(unit.function):
            if isinstance(node, ast.Attribute):
                unit.names.add(node.attr)
            elif isinstance(node, ast.Name):
                unit.names.add(node.id)
            elif isinstance(node, ast.Constant):
                unit.names.add(repr(node.value))
    return unit.names


def _shared_changes(paths: Iterable[str], olds: Project, news: Project) -> list[TestVerdict]:
    """Helpers, fixtures and hooks that tests of other files may use: graded under their own name when they changed."""
    verdicts: list[TestVerdict] = []
    for path in paths:
        old, new = olds.module(path), news.module(path)
        if old is None:
            continue
        after = dict(_functions(new)) if new is not None else {}
        for name, (owner, function) in _functions(old).items():
            if name not in after or digest(function) == digest(after[name][1]):
                continue
            verdict = _shared(path, name, (old, owner, function), (new, *after[name]), olds, news) if new else None
            if verdict is not None:
                verdicts.append(verdict)
    return verdicts


def _functions(module: Module) -> dict[str, tuple[ast.ClassDef | None, Function]]:
    found: dict[str, tuple[ast.ClassDef | None, Function]] = {
        name: (None, function) for name, function in module.functions.items() if not name.startswith("test")
    }
    for name, cls in module.classes.items():
        for node in cls.body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not node.name.startswith("test"):
                found[f"{name}::{node.name}"] = (cls, node)
    return found


def _shared(
    path: str, name: str, before: tuple[Module, ast.ClassDef | None, Function],
    after: tuple[Module | None, ast.ClassDef | None, Function], olds: Project, news: Project,
) -> TestVerdict | None:  # fmt: skip
    old_module, old_owner, old_function = before
    new_module, new_owner, new_function = after
    if new_module is None:
        return None
    if name.startswith("pytest_") and path.endswith("conftest.py"):
        if name in DECIDING:
            reason = "a hook that decides which tests run, or what counts as a failure, changed: a person decides"
            return TestVerdict(f"{path}::{name}", Grade.UNKNOWN, reason, old_function.lineno, new_function.lineno)
        return None
    old, new = (
        Unit(olds, old_module, old_function, old_owner, name),
        Unit(news, new_module, new_function, new_owner, name),
    )
    doubled = _doubled(old, new)
    if doubled:
        return TestVerdict(f"{path}::{name}", Grade.WEAKER, doubled, old.line, new.line)
    definition = Definition(old_module, old_function, old_owner)
    if not asserts(definition, Scope(olds, old_module, old_owner)) or not old.record.obligations:
        return None
    verdict = judge(old, new, path)
    return verdict if verdict.grade is not Grade.EQUAL else None


def _doubled(old: Unit, new: Unit) -> str:
    """A fixture that handed out the product and now hands out a mock."""
    if not is_fixture(new.function):
        return ""
    before = {part for result in old.record.yields for part in result.spine}
    after = {part for result in new.record.yields for part in result.spine}
    if "mock" in after and "mock" not in before and before:
        return "the fixture now hands out a mock"
    return ""
