"""What a conversion means: the converted test fails exactly when the original returned False, or raised.

Random tests are run as they were and converted, in random worlds in which each call gives True, False or an error.
"""

from __future__ import annotations

import ast
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from checks.code import tests_assert_not_return
from regreen.facts.source import MemoryTree, OverlayTree, survey
from regreen.model import Proposal, compose
from regreen.policy import Policy
from remedies.code import return_to_assert

Lines = list[str]
CALLS = 4


@st.composite
def blocks(draw: st.DrawFn, depth: int, returns: bool = True) -> Lines:
    """The lines of a block, ending somewhere."""
    lines: Lines = []
    for _ in range(draw(st.integers(1, 3))):
        lines += draw(statements(depth, returns))
    return lines if any(lines) else ["f(0)"]


@st.composite
def statements(draw: st.DrawFn, depth: int, returns: bool) -> Lines:
    """The lines of one statement."""
    number = draw(st.integers(0, CALLS - 1))
    plain = [[f"f({number})"], [f"assert f({number})  # checked"], [f"x = f({number})"], ["print('ä said')"], [""]]
    gives = [
        ["return True"],
        ["return False"],
        [f"return f({number}) == 1"],
        ["return (", f"    f({number})", "    is True", ")"],
    ]
    kinds = ["plain", "if", "for", "try", "return"] if depth and returns else ["plain", "return"]
    kind = draw(st.sampled_from(kinds))
    if kind == "plain" or (kind == "return" and not returns):
        return list(draw(st.sampled_from(plain)))
    if kind == "return":
        return list(draw(st.sampled_from(gives)))
    body = _indented(draw(blocks(depth - 1)))
    if kind == "for":
        return ["for _ in range(2):", *body]
    if kind == "if":
        other = ["else:", *_indented(draw(blocks(depth - 1)))] if draw(st.booleans()) else []
        return [f"if f({number}):", *body, *other]
    error = draw(st.sampled_from(["Exception", "ValueError"]))
    speaks = ["    print(f'no: {e}')"] if draw(st.booleans()) else []
    ends = draw(st.sampled_from(["return False", "return True", "pass", "raise"]))
    finally_ = ["finally:", "    print('done')"] if draw(st.booleans()) else []
    return ["try:", *body, f"except {error} as e:", *speaks, f"    {ends}", *finally_]


def _indented(lines: Lines) -> Lines:
    return [f"    {line}" if line else "" for line in lines]


@st.composite
def sources(draw: st.DrawFn) -> str:
    """A test module with one random test and one that must not change."""
    body = _indented(draw(blocks(depth=2)))
    return "\n".join(
        ["import pytest", "", "", "def test_a():", *body, "", "", "def test_b():", "    assert f(0)  # ö", ""]
    )


class World:
    """What each call gives: True, False, or an error."""

    def __init__(self, outcomes: tuple[str, ...]) -> None:
        self.outcomes = outcomes

    def __call__(self, number: int) -> bool:
        outcome = self.outcomes[number]
        if outcome in ("ValueError", "KeyError"):
            raise {"ValueError": ValueError, "KeyError": KeyError}[outcome](number)
        return outcome == "True"


def fails(source: str, world: World) -> bool:
    """Whether `test_a` raises or returns False."""
    names: dict[str, object] = {"f": world, "print": lambda *_: None}
    exec(compile(source, "test_a.py", "exec"), names)
    function = names["test_a"]
    assert callable(function)
    try:
        return function() is False
    except (AssertionError, ValueError, KeyError, pytest.fail.Exception):
        return True


def convert(source: str, dress: Callable[[str], bytes]) -> tuple[MemoryTree, Proposal, bytes]:
    tree = MemoryTree({"test_a.py": dress(source)})
    result = survey(tree, [tests_assert_not_return], Policy())
    proposal = return_to_assert.propose(result.diagnosis.verdicts[0].findings, result.index, Policy())
    edits, waiting = compose(tree, proposal.changes)
    assert not waiting
    return tree, proposal, edits.get("test_a.py", dress(source))


DRESSES: dict[str, Callable[[str], bytes]] = {
    "as written": str.encode,
    "CRLF": lambda text: text.replace("\n", "\r\n").encode(),
    "BOM": lambda text: b"\xef\xbb\xbf" + text.encode(),
    "latin-1": lambda text: b"# -*- coding: latin-1 -*-\n" + text.encode("latin-1"),
}
WORLDS = st.lists(st.sampled_from(["True", "False", "ValueError", "KeyError"]), min_size=CALLS, max_size=CALLS)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
@given(source=sources(), worlds=st.lists(WORLDS, min_size=3, max_size=3))
def test_a_converted_test_fails_when_the_original_said_so(source: str, worlds: list[list[str]]) -> None:
    _, proposal, after = convert(source, str.encode)

    if proposal.changes:
        text = after.decode()
        for outcomes in worlds:
            world = World(tuple(outcomes))
            assert fails(text, world) == fails(source, world), text
    else:
        assert after == source.encode()


@pytest.mark.parametrize("dress", DRESSES)
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
@given(source=sources())
def test_other_lines_stay_to_the_byte_and_the_result_parses(dress: str, source: str) -> None:
    tree, proposal, after = convert(source, DRESSES[dress])

    ast.parse(after)
    before = tree.read("test_a.py")
    tail = before[before.index(b"def test_b") :]
    assert after.endswith(tail)
    head = before[: before.index(b"def test_a")]
    assert after.startswith(head)
    assert after.count(b"\r\n") == (after.count(b"\n") if dress == "CRLF" else 0)
    kept = {line.strip() for line in before.splitlines()}
    new = [line.strip() for line in after.splitlines() if line.strip() not in kept]
    assert all(line.startswith((b"assert", b"pytest.fail(", b"raise", b"return", b"pass")) for line in new), new
    overlay = OverlayTree(tree, {"test_a.py": after})
    again = survey(overlay, [tests_assert_not_return], Policy())
    second = return_to_assert.propose(again.diagnosis.verdicts[0].findings, again.index, Policy())
    assert not second.changes
    assert len(proposal.changes) + len(again.diagnosis.verdicts[0].findings) in (0, 1)
