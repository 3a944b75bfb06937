"""How two obligations relate when their texts differ: what they look at, where it comes from, what they have in common."""

from __future__ import annotations

import ast
import itertools
import re
from collections.abc import Mapping, Sequence
from typing import Final

from .constant import Const, NotConstantError, fold
from .expression import value
from .formula import Atom, Formula, subjects
from .obligation import Act, Guard, Obligation

_RELATION: Final = "<=>"
#: Calls that check nothing and do nothing to the subject.
IDLE: Final = frozenset({"subTest", "print", "debug", "info", "sleep", "isinstance", "len", "cast"})
ALIKE: Final = 0.45
"""How much of their words two assertions must share for one to count as the other, rewritten."""
_PLAIN: Final = frozenset(
    {"()", "[]", "op", "lit", "const", "f-string", "comp", "item", "lambda", "excinfo", "str", "len", ".value"}
)
_WORD: Final = re.compile(r"\w+")


def done_before(acts: Sequence[Act], obligation: Obligation) -> list[str]:
    """What was done before an assertion to the objects that it looks at."""
    done = acts[: obligation.epoch]
    idle = IDLE if "clos" in str(obligation.shallow) else IDLE | {"close", "aclose"}  # `with` closes as well
    return [act.name for act in done if act.touches & obligation.looks and act.name not in idle]


def computed(obligation: Obligation, known: Mapping[str, Const]) -> tuple[bool, set[str]] | None:
    """Whether an assertion holds when these subjects have these values, and which of them it needed."""
    if obligation.node is None or obligation.scope is None:
        return None
    scope, used, node = obligation.scope, set[str](), obligation.node

    def holds(whole: type[int] | type[bool]) -> bool:
        def hook(part: ast.expr) -> Const | None:
            subject = value(part, scope).text
            if subject not in known:
                return None
            used.add(subject)
            const = known[subject]
            same = isinstance(const.value, bool | int) and const.value in (0, 1)
            return Const.of(whole(const.value)) if same else const  # type: ignore[call-overload]

        return bool(fold(node, hook))

    try:
        answers = {holds(int), holds(bool)}  # what equals True may be 1
    except (NotConstantError, RecursionError):
        return None
    return (answers == {True}, used) if used else None


def read(obligation: Obligation, deep: bool) -> Formula:
    return obligation.deep if deep else obligation.shallow


def short(guard: Guard) -> str:
    text = guard.shallow.replace("‹", "").replace("›", "")
    return text if len(text) <= 80 else text[:77] + "..."


def callees(atom: Atom) -> list[str]:
    return [part for part in atom.spine if part not in _PLAIN]


def calls_behind(atom: Atom) -> list[tuple[str, ...]]:
    """For each side of a comparison the functions called on the way to it; without any, the name it starts from."""
    sides: list[list[str]] = [[]]
    for part in atom.spine:
        if part == _RELATION:
            sides.append([])
        else:
            sides[-1].append(part)
    result: list[tuple[str, ...]] = []
    for side in sides:
        if side[:1] == ["lit"]:
            continue  # a literal is an input or an expectation, not something that is called
        called = tuple(_bare(name) for name, mark in itertools.pairwise(side) if mark == "()")
        names = [_bare(name) for name in side if name not in _PLAIN]
        result.append(called or tuple(names[:1]))
    return sorted(result) if len(result) > 1 else result


def same_source(before: tuple[str, ...], after: tuple[str, ...]) -> bool:
    """Whether the same functions are called; how their receiver was made may have moved out of sight."""
    short, long = sorted((before, after), key=len)
    return before == after or (bool(short) and long[-len(short) :] == short)


def _bare(name: str) -> str:
    return name.lstrip(".").rpartition(":")[2]


def _same_calls(old: Atom, new: Atom) -> bool:
    return "()" in old.spine and old.spine == new.spine and old.test.op == new.test.op


def likeness(old: Obligation, new: Obligation) -> float:
    """How likely the new obligation is meant to replace the old: same subject, then shared words."""
    if subjects(old.shallow) & subjects(new.shallow) or subjects(old.deep) & subjects(new.deep):
        return 1.0 + 0.5 * (str(old.shallow) == str(new.shallow))
    a, b = set(_WORD.findall(str(old.shallow))), set(_WORD.findall(str(new.shallow)))
    if str(old.shallow) == str(new.shallow):
        return 2.0
    if (
        old.node is None
        and new.node is None
        and str(old.deep).startswith("runs ")
        and str(new.deep).startswith("runs ")
    ):
        return ALIKE
    if isinstance(old.deep, Atom) and isinstance(new.deep, Atom) and _same_calls(old.deep, new.deep):
        return max(ALIKE, len(a & b) / len(a | b) if a and b else 0.0)
    same = isinstance(old.shallow, Atom) and isinstance(new.shallow, Atom) and old.shallow.test == new.shallow.test
    return len(a & b) / len(a | b) + 0.1 * same if a and b else 0.0
