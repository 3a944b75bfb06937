"""Properties that hold for any test: nothing changed is equal, an assertion dropped never passes, names do not matter."""

from __future__ import annotations

import ast

from hypothesis import given, settings
from hypothesis import strategies as st

from regreen.ratchet import Grade, compare

KINDS = [
    "assert {s} == {n}",
    "assert {s} >= {n}",
    "assert {s} is not None",
    "assert isinstance({s}, int)",
    "assert {n} in {s}",
    "assert not {s}",
    "assert {s} == other({n})",
    "self.assertEqual({s}, {n})",
    "with pytest.raises(ValueError):\n    {s}",
    "with pytest.raises(KeyError, match='m{n}'):\n    {s}",
    "value_{i} = {s}\nassert value_{i} == {n}",
    "if cond({i}):\n    assert {s} == {n}",
    "for x in items({i}):\n    assert {s} == x",
    "try:\n    assert {s} == {n}\nexcept OSError:\n    pass",
    "double_{i}.assert_called_once_with({n})",
]


@st.composite
def assertions(draw: st.DrawFn) -> list[str]:
    """Assertions on subjects that differ from one another, so that none is implied by the rest."""
    kinds = draw(st.lists(st.sampled_from(KINDS), min_size=1, max_size=6))
    return [kind.format(s=f"subject_{i}(1)", n=draw(st.integers(-3, 9)), i=i) for i, kind in enumerate(kinds)]


def text_of(parts: list[str]) -> bytes:
    body = "\n".join(parts) or "pass"
    lines = "\n".join("    " + line for line in body.splitlines())
    return f"def test_it(self):\n{lines}\n".encode()


def grade(before: list[str], after: list[str]) -> Grade:
    result = compare({"tests/test_a.py": text_of(before)}, {"tests/test_a.py": text_of(after)})
    assert len(result.tests) == 1
    return result.tests[0].grade


@settings(max_examples=60, deadline=None)
@given(assertions())
def test_nothing_changed_is_equal(parts: list[str]) -> None:
    assert grade(parts, parts) is Grade.EQUAL
    assert grade(parts, ["# a comment", *parts, "unused = 1"]) is Grade.EQUAL


@settings(max_examples=100, deadline=None)
@given(assertions(), st.data())
def test_a_dropped_assertion_is_weaker(parts: list[str], data: st.DataObject) -> None:
    index = data.draw(st.integers(0, len(parts) - 1))
    rest = parts[:index] + parts[index + 1 :]
    assert grade(parts, rest) is Grade.WEAKER
    assert grade(rest, parts) is Grade.STRONGER


@settings(max_examples=60, deadline=None)
@given(assertions())
def test_renamed_locals_are_equal(parts: list[str]) -> None:
    tree = ast.parse(text_of(parts))
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id.startswith(("value_", "x")):
            node.id = f"renamed_{node.id}"
    result = compare({"tests/test_a.py": text_of(parts)}, {"tests/test_a.py": ast.unparse(tree).encode()})
    assert [verdict.grade for verdict in result.tests] == [Grade.EQUAL]


@settings(max_examples=60, deadline=None)
@given(assertions().flatmap(lambda parts: st.tuples(st.just(parts), st.permutations(parts))))
def test_order_does_not_matter(pair: tuple[list[str], list[str]]) -> None:
    parts, shuffled = pair
    assert grade(parts, shuffled) is Grade.EQUAL


@settings(max_examples=60, deadline=None)
@given(
    assertions(),
    st.sampled_from(
        [
            "if ready:\n{}",
            "try:\n{}\nexcept Exception:\n    pass",
            "with contextlib.suppress(Exception):\n{}",
            "for _ in ():\n{}",
            "if slow:\n    return\n{}",
            "def inner():\n{}",
        ]
    ),
)
def test_a_hole_around_everything_never_passes(parts: list[str], hole: str) -> None:
    inner = "\n".join(parts)
    indented = "\n".join("    " + line for line in inner.splitlines())
    after = hole.format(inner if "return" in hole else indented)
    assert grade(parts, [after]) in {Grade.WEAKER, Grade.UNKNOWN}


@settings(max_examples=100, deadline=None)
@given(
    st.integers(-5, 5),
    st.integers(-5, 5),
    st.sampled_from(["<", "<=", ">", ">=", "==", "!="]),
    st.sampled_from(["<", "<=", ">", ">=", "==", "!="]),
)
def test_integer_predicates_agree_with_arithmetic(a: int, b: int, op: str, other: str) -> None:
    before, after = f"assert int(f(1)) {op} {a}", f"assert int(f(1)) {other} {b}"
    numbers = range(-20, 21)
    held = {n for n in numbers if eval(f"n {op} {a}", {"n": n})}
    holds = {n for n in numbers if eval(f"n {other} {b}", {"n": n})}
    found = grade([before], [after])
    if holds == held:
        assert found is Grade.EQUAL
    elif holds < held:
        assert found is Grade.STRONGER
    elif holds > held:
        assert found is Grade.WEAKER
    else:
        assert found is (Grade.CHANGED if op == other == "==" else Grade.UNKNOWN)
