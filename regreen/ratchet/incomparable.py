"""When two assertions are provably incomparable: as specific as before, about another value or another input.

`== 3` became `== 4`: neither implies the other, and neither accepts more. That is decided, not unknown, but only a
person knows which is right. Whatever could hide a loosening (another kind of predicate, a shorter text, a wider
tolerance, an exception of an unread hierarchy, a value computed by other calls) is left unknown.
"""

from __future__ import annotations

import ast
import itertools
import re
from collections.abc import Iterator, Sequence
from typing import Final

from .formula import Atom, Formula, Join
from .obligation import Obligation

_RELATION: Final = "<=>"
#: Parts of a spine that compute nothing which the test could get from the product.
_MADE: Final = frozenset(
    {"lit", "const", "f-string", "op", "comp", "item", "[]", "str", "repr", "len", "int", "float", "bytes", "dict"}
)
_LAX: Final = re.compile(r"\b(ANY|Mock|MagicMock|AsyncMock|suppress|nullcontext|does_not_raise|Any\w*|lambda)\b")
_LIMITS: Final = frozenset(
    {"rtol", "atol", "rel", "abs", "rel_tol", "abs_tol", "places", "decimal", "delta", "tolerance", "timeout", "msg"}
)
_SHORTER: Final = 0.6
"""How much of the length of an expected text must remain for the new one to count as as specific."""


def changed(old: Obligation, new: Obligation) -> str:
    """What changed between two assertions that are equally specific; empty where that is not certain."""
    if is_lax(str(new.deep), str(old.deep)):
        return ""
    for before, after in ((old.shallow, new.shallow), (old.deep, new.deep)):
        what = _formulas(before, after)
        if what:
            return what
    return "other expected arguments" if alike_calls(old.call, new.call) else ""


def is_lax(new: str, old: str) -> bool:
    """Whether a text names something that equals, raises or accepts anything, where it did not before."""
    return bool(set(_LAX.findall(new)) - set(_LAX.findall(old)))


def _formulas(old: Formula, new: Formula) -> str:
    match old, new:
        case Atom(), Atom():
            return _atoms(old, new)
        case Join(), Join() if old.all_of and new.all_of and len(old.parts) == len(new.parts):
            found = ["same" if str(a) == str(b) else _formulas(a, b) for a, b in zip(old.parts, new.parts, strict=True)]
            return next((item for item in found if item != "same"), "") if all(found) else ""
    return ""


def _atoms(old: Atom, new: Atom) -> str:
    if old.subject == new.subject and old.test.op == new.test.op and old.test.arg and new.test.arg:
        return "another expectation" if _as_specific(old, new) else ""
    if _RELATION in old.spine or _RELATION in new.spine:
        return _relations(old, new)
    if old.spine != new.spine or not old.spine or old.test.op != new.test.op:
        return ""
    if "()" not in old.spine and "call" not in " ".join(old.spine):
        return ""
    if old.test.op == "true" and ".__any_call__" in old.spine:
        return "other expected arguments"
    if not _as_specific(old, new) or any(
        isinstance(atom.test.arg and atom.test.arg.value, bool) for atom in (old, new)
    ):
        return ""  # `isclose(x, y, tol) == True` says nothing of what it accepts
    return "another input" if old.test == new.test else "another input and another expectation"


def _as_specific(old: Atom, new: Atom) -> bool:
    before, after = (atom.test.arg.value if atom.test.arg else None for atom in (old, new))
    match old.test.op:
        case "==" | "is":
            return True
        case "contains" if isinstance(before, str) and isinstance(after, str):
            return len(after) >= _SHORTER * len(before)
        case "contains":
            return type(before) is type(after)
        case "matches" if isinstance(before, str) and isinstance(after, str):
            return len(_letters(after)) >= len(_letters(before)) and after.count("*") <= before.count("*")
        case "between" if isinstance(before, tuple) and isinstance(after, tuple):
            return _tolerance(after) <= _tolerance(before) * (1 + 1e-9)
    return False


def _letters(pattern: str) -> str:
    return re.sub(r"\\.|\W", "", pattern)


def _tolerance(limits: tuple[float, ...]) -> float:
    low, high = float(limits[0]), float(limits[-1])
    middle = abs(low + high) / 2
    return (high - low) / middle if middle else high - low


def _relations(old: Atom, new: Atom) -> str:
    """`f(x) == expected`: one side is the same, the other is put together from nothing of the product."""
    sides_old, sides_new = list(_sides(old)), list(_sides(new))
    texts_old, texts_new = _texts(old), _texts(new)
    if new.test.op == "==" and len(sides_old) == 2:
        return "another expectation" if new.subject in texts_old and _equality(old) else ""
    if old.test.op == "==" and len(sides_new) == 2:
        other = [side for text, side in zip(texts_new, sides_new, strict=False) if text != old.subject]
        plain = len(other) == 1 and _equality(new) and "()" not in other[0]
        return "another expectation" if plain and _is_made(other[0]) else ""
    if old.test != new.test or len(sides_old) != 2 or len(sides_new) != 2 or len(texts_old) != 2:
        return ""
    for a, b in itertools.product((0, 1), repeat=2):
        same = texts_old[a] == texts_new[b]
        called = sides_old[a] == sides_new[b] and "()" in sides_old[a]
        left, right = sides_old[1 - a], sides_new[1 - b]
        if (same or called) and (left == right or _is_made(right)):
            return "another expectation" if same else "another input"
    return ""


def _equality(atom: Atom) -> bool:
    return atom.domain == "order" and atom.test.arg is not None and atom.test.arg.value == (0,)


def _texts(atom: Atom) -> list[str]:
    parts = atom.subject.split(f" {_RELATION} ")
    return parts if len(parts) == 2 else []


def _sides(atom: Atom) -> Iterator[tuple[str, ...]]:
    side: list[str] = []
    for part in atom.spine:
        if part == _RELATION:
            yield tuple(side)
            side = []
        else:
            side.append(part)
    yield tuple(side)


def _is_made(side: Sequence[str]) -> bool:
    """Whether a value is written down in the test: literals and constants, no call."""
    return bool(side) and "()" not in side and side[0] in _MADE and "alternative" not in side


def alike_calls(old: ast.Call | None, new: ast.Call | None) -> bool:
    """Two calls of one assertion that differ in literal arguments only: `result.assert_outcomes(passed=2)`."""
    if old is None or new is None or ast.dump(old.func) != ast.dump(new.func) or len(old.args) != len(new.args):
        return False
    before = {kw.arg: kw.value for kw in old.keywords}
    after = {kw.arg: kw.value for kw in new.keywords}
    if before.keys() != after.keys() or None in before:
        return False
    pairs = [*zip(old.args, new.args, strict=True), *((before[name], after[name]) for name in before)]
    if any(name in _LIMITS and ast.dump(before[name]) != ast.dump(after[name]) for name in before if name):
        return False
    return all(_same_shape(a, b) for a, b in pairs)


def built_alike(old: str, new: str) -> bool:
    """Two objects of one class, written down in place, that differ in literal arguments only: `Slice(start=14, end=24)`."""
    try:
        before, after = (ast.parse(text, mode="eval").body for text in (old, new))
    except SyntaxError:
        return False
    if not isinstance(before, ast.Call) or not isinstance(after, ast.Call):
        return False
    name = getattr(before.func, "attr", getattr(before.func, "id", ""))
    return bool(re.match(r"_*[A-Z][a-z]", name)) and alike_calls(before, after)


def _same_shape(old: ast.expr, new: ast.expr) -> bool:
    if ast.dump(old) == ast.dump(new):
        return True
    match old, new:
        case ast.Constant(), ast.Constant():
            if isinstance(old.value, str) and isinstance(new.value, str):
                fewer = new.value.count("*") <= old.value.count("*")
                return fewer and len(new.value) >= _SHORTER * len(old.value)
            return type(old.value) is type(new.value) and not isinstance(old.value, bool)
        case ast.List() | ast.Tuple(), ast.List() | ast.Tuple():
            alike = type(old) is type(new) and len(old.elts) == len(new.elts)
            return alike and all(_same_shape(a, b) for a, b in zip(old.elts, new.elts, strict=True))
    return False
