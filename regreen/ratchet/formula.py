"""Predicates on subjects, and when one implies another.

A formula is a boolean combination of atoms; an atom is a subject (canonical text) with a test on it. Implication is
decided by trying witnesses: for each subject the constants of its tests, their neighbours, and values of other types.
Tests compare with constants, so these points stand for every value that any of the tests can tell apart.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from .constant import Const
from .exceptions import is_subclass

_COMBINATIONS: Final = 20_000


@dataclass(frozen=True, slots=True)
class Test:
    """What an atom asks of its subject: `op` with a constant; `holds` asks for a true opaque statement."""

    op: str
    arg: Const | None = None

    def __str__(self) -> str:
        return f"{self.op} {self.arg.key}" if self.arg else self.op


@dataclass(frozen=True, slots=True)
class Atom:
    subject: str
    test: Test
    spine: tuple[str, ...] = ()
    domain: str = ""

    def __str__(self) -> str:
        return self.subject if self.test.op == "holds" else f"{self.subject} {self.test}"


@dataclass(frozen=True, slots=True)
class Not:
    part: Atom

    def __str__(self) -> str:
        return f"not {self.part}"


@dataclass(frozen=True, slots=True)
class Join:
    """All of the parts (`all_of`), or at least one of them."""

    all_of: bool
    parts: tuple[Formula, ...]

    def __str__(self) -> str:
        return ("all" if self.all_of else "any") + "(" + "; ".join(sorted(map(str, self.parts))) + ")"


Formula = Atom | Not | Join
TRUE: Final = Join(True, ())
FALSE: Final = Join(False, ())


def negate(formula: Formula) -> Formula:
    """The formula that holds exactly when this one does not (and nothing raises)."""
    match formula:
        case Atom():
            return Not(formula)
        case Not():
            return formula.part
        case Join():
            return Join(not formula.all_of, tuple(negate(part) for part in formula.parts))


def join(all_of: bool, parts: Iterable[Formula]) -> Formula:
    """A conjunction or disjunction, flattened; a single part stands for itself."""
    flat: dict[Formula, None] = {}
    for part in parts:
        if isinstance(part, Join) and (part.all_of is all_of or not part.parts):
            if not part.parts and part.all_of is not all_of:
                return part  # `x or True`, `x and False`
            flat.update(dict.fromkeys(part.parts))
        else:
            flat[part] = None
    return next(iter(flat)) if len(flat) == 1 else Join(all_of, tuple(flat))


def atoms(formula: Formula) -> Iterator[Atom]:
    """Every atom of a formula."""
    match formula:
        case Atom():
            yield formula
        case Not():
            yield formula.part
        case Join():
            for part in formula.parts:
                yield from atoms(part)


def subjects(formula: Formula) -> frozenset[str]:
    """The subjects that a formula speaks about."""
    return frozenset(atom.subject for atom in atoms(formula))


class _RaisedError(Exception):
    """The test cannot be applied to the witness: an assertion with it fails."""


@dataclass(frozen=True, slots=True)
class _Witness:
    value: Any
    true: frozenset[Test] = frozenset()


class _Something:
    """A value of a class that no test names."""


def is_valid(formula: Formula) -> bool:
    """Whether nothing can make the formula false: it checks nothing."""
    return formula == TRUE or (bool(subjects(formula)) and _always(formula))


def _always(formula: Formula) -> bool:
    decided = False
    for world in _worlds(list(atoms(formula))):
        decided = True
        if not _holds(formula, world):
            return False
    return decided


def implies(new: Sequence[Formula], old: Formula, *, spread: bool = True) -> bool:
    """Whether `old` holds wherever every formula of `new` does. False also when that cannot be decided.

    Formulas that share no subject with `old` are left out; `spread` allows them to be used together.
    """
    wanted = subjects(old)
    useful = [formula for formula in new if subjects(formula) & wanted]
    close = [formula for formula in useful if subjects(formula) <= wanted]
    if not useful:
        return old == TRUE
    if old in useful:
        return True
    groups = [[formula] for formula in useful] + ([close] if spread and len(close) > 1 else [])
    return any(_implies(group, old) for group in groups)


def _implies(new: Sequence[Formula], old: Formula) -> bool:
    met = False
    for world in _worlds([atom for formula in (*new, old) for atom in atoms(formula)]):
        if all(_holds(formula, world) for formula in new):
            met = True
            if not _holds(old, world):
                return False
    return met


def _worlds(parts: Sequence[Atom]) -> Iterator[Mapping[str, _Witness]]:
    by_subject: dict[str, list[Atom]] = {}
    for atom in parts:
        by_subject.setdefault(atom.subject, []).append(atom)
    choices = [list(_witnesses(group)) for group in by_subject.values()]
    size = 1
    for choice in choices:
        size *= len(choice)
    if size > _COMBINATIONS:
        return iter(())
    return (dict(zip(by_subject, world, strict=True)) for world in itertools.product(*choices))


def _witnesses(group: Sequence[Atom]) -> Iterator[_Witness]:
    tests = list(dict.fromkeys(atom.test for atom in group))
    opaque = [test for test in tests if test.op in _OPAQUE]
    values: list[Any] = [_Something] if opaque else []
    if len(tests) > len(opaque):
        values += _points(tests, {atom.domain for atom in group})
    if len(opaque) > 6:
        return
    for truth in itertools.product((False, True), repeat=len(opaque)):
        bits = frozenset(test for test, true in zip(opaque, truth, strict=True) if true)
        for value in values:
            yield _Witness(value, bits)


_OPAQUE: Final = frozenset({"holds", "kind", "matches"})


def _points(tests: Sequence[Test], domains: set[str]) -> list[Any]:
    constants = [test.arg.value for test in tests if test.arg is not None and test.op != "kind"]
    if any(test.op == "raises" for test in tests):
        names = {name for value in constants if isinstance(value, tuple) for name in value}
        return [*sorted(names), "BaseException", "Exception", "~other"]
    if "order" in domains:
        return [-1, 0, 1, None]
    if "distance" in domains:
        return [point for value in constants for point in _around(value)]
    flat: list[Any] = []
    for value in constants:
        flat.append(value)
        if isinstance(value, list | tuple | set | frozenset):
            flat += list(value)
    flat = _distinct(flat)
    if len(flat) > 60:
        return []
    numbers = sorted({value for value in flat if isinstance(value, int | float) and not isinstance(value, bool)})
    near: list[Any] = [0, 1, 2, -1, *numbers, *(n + 1 for n in numbers), *(n - 1 for n in numbers)]
    if "int" in domains or "size" in domains:
        return [n for n in dict.fromkeys(near) if isinstance(n, int) and (n >= 0 or "size" not in domains)]
    near += [n + d for n in numbers for d in (0.25, -0.25)] + [(a + b) / 2 for a, b in itertools.pairwise(numbers)]
    strings = [value for value in flat if isinstance(value, str)]
    texts = ["", "~", *strings, *(f"~{value}" for value in strings), *(f"{value}~~" for value in strings)]
    texts += ["~".join(strings), *("~".join(part) for part in _one_left_out(strings))]
    if "str" in domains:
        return list(dict.fromkeys(texts))
    others: list[Any] = [None, True, False, 0.5, 1j, _Something, [], ["~"], (), {}, set(), frozenset(), b"", b"~"]
    containers = [*([value] for value in flat), [*flat], *(list(part) for part in _one_left_out(flat))]
    nearby = [other for value in flat for other in _neighbours(value)]
    return _distinct([*near, *texts, *others, *flat, *containers, *nearby])


def _neighbours(value: Any) -> Iterator[Any]:
    """A little more and a little less than a collection, so that "equals" differs from "contains"."""
    if isinstance(value, set | frozenset):
        yield type(value)([*value, "~"])
        yield type(value)(sorted(value, key=repr)[1:])
    elif isinstance(value, list):
        yield [*value, "~"]
        yield value[:-1]
    elif isinstance(value, tuple):
        yield (*value, "~")
        yield value[:-1]
    elif isinstance(value, dict):
        yield {**value, "~": 1}
        yield dict(list(value.items())[:-1])
    elif isinstance(value, bytes):
        yield value + b"~"


def _around(value: Any) -> tuple[Any, Any, Any]:
    return value, value / 2, value * 2 + 1


def _one_left_out(items: Sequence[Any]) -> Iterator[list[Any]]:
    """Without these, "contains a and b" would seem to imply "contains c"."""
    return ([*items[:index], *items[index + 1 :]] for index in range(len(items)))


def _distinct(values: Iterable[Any]) -> list[Any]:
    return list({Const.of(value).key: value for value in values}.values())


def _holds(formula: Formula, world: Mapping[str, _Witness]) -> bool:
    try:
        return _value(formula, world)
    except _RaisedError:
        return False


def _value(formula: Formula, world: Mapping[str, _Witness]) -> bool:
    match formula:
        case Atom():
            return _ask(formula.test, world[formula.subject])
        case Not():
            return not _value(formula.part, world)
        case Join():
            results = (_value(part, world) for part in formula.parts)
            return all(results) if formula.all_of else any(results)


def _ask(test: Test, witness: _Witness) -> bool:
    value, arg = witness.value, test.arg.value if test.arg else None
    if test.op in _OPAQUE:
        if test.op == "matches" and isinstance(value, str) and isinstance(arg, str):
            return _search(arg, value)
        return test in witness.true
    try:
        return bool(_OPERATIONS[test.op](value, arg))
    except (TypeError, ValueError) as error:
        raise _RaisedError from error


def _search(pattern: str, text: str) -> bool:
    if len(pattern) > 300 or len(text) > 400:
        raise _RaisedError
    try:
        return re.search(pattern, text) is not None
    except (re.error, RecursionError) as error:
        raise _RaisedError from error


_OPERATIONS: Final[Mapping[str, Any]] = {
    "true": lambda value, _: value,
    "==": lambda value, arg: value == arg,
    "is": lambda value, arg: value is arg or (type(value) is type(arg) and value == arg),
    "<": lambda value, arg: value < arg,
    "<=": lambda value, arg: value <= arg,
    ">": lambda value, arg: value > arg,
    ">=": lambda value, arg: value >= arg,
    "between": lambda value, arg: arg[0] <= value <= arg[1],
    "in": lambda value, arg: value in arg,
    "contains": lambda value, arg: arg in value,
    "isinstance": isinstance,
    "raises": lambda value, arg: any(is_subclass(value, name) for name in arg),
}
