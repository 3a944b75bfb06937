"""The order of bases that is written is one that Python accepts, and the only one."""

from __future__ import annotations

from itertools import permutations

from hypothesis import given, settings
from hypothesis import strategies as st

from checks.code import bases_linearize
from regreen.facts.source import MemoryTree, survey
from regreen.model import Proposal, Safety, compose
from regreen.policy import Policy
from remedies.code import reorder_bases


def propose(source: str) -> tuple[Proposal, str]:
    tree = MemoryTree({"a.py": source.encode()})
    policy = Policy.of(tree)
    result = survey(tree, [bases_linearize], policy)
    proposal = reorder_bases.propose(result.diagnosis.verdicts[0].findings, result.index, policy)
    edits, waiting = compose(tree, proposal.changes)
    assert not waiting
    return proposal, edits.get("a.py", source.encode()).decode()


def accepts(source: str) -> bool:
    try:
        exec(compile(source, "a.py", "exec"), {"__name__": "a"})
    except TypeError:
        return False
    return True


def test_an_unknown_ancestor_leaves_the_proof_where_each_base_derives_from_the_next() -> None:
    proposal, _ = propose("from o import X\nclass A(X): ...\nclass B(A): ...\nclass C(A, B): ...\n")
    assert [change.safety for change in proposal.changes] == [Safety.SAFE]


def test_an_unknown_ancestor_may_contradict_the_only_order() -> None:
    before = "from o import X\nclass P(X): ...\nclass Q: ...\nclass R(P, Q): ...\nclass C({}): ...\n"
    proposal, after = propose(before.format("Q, P, R"))
    assert [change.safety for change in proposal.changes] == [Safety.UNSAFE]
    assert after == before.format("R, P, Q")


def test_a_refusal_names_the_conflict_and_the_choice() -> None:
    proposal, _ = propose("class A: ...\nclass B(A): ...\nclass M: ...\nclass C(A, B, M): ...\n")
    (refusal,) = proposal.refusals
    assert refusal.reason == "A would have to come both before and after B, and 3 orders of the bases are possible"
    assert refusal.decide == "one of: B, A, M; B, M, A; M, B, A"


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_the_order_is_the_only_one_that_python_accepts(data: st.DataObject) -> None:
    lines: list[str] = []
    for number in range(6):
        bases = data.draw(st.lists(st.integers(0, number - 1), unique=True, max_size=3)) if number else []
        line = f"class C{number}({', '.join(f'C{base}' for base in bases)}): pass  # é\n"
        if accepts("".join([*lines, line])):
            lines.append(line)
        else:
            lines.append(f"class C{number}: pass\n")
    bases = data.draw(st.lists(st.integers(0, 5), unique=True, min_size=2, max_size=4))
    known = "".join(lines)

    def last(order: tuple[int, ...]) -> str:
        return f"class Z({', '.join(f'C{base}' for base in order)}): x = 'é'  # ü\n"

    before = known + last(tuple(bases))
    possible = [order for order in permutations(bases) if accepts(known + last(order))]
    proposal, after = propose(before)
    if accepts(before):
        assert not proposal.changes
        assert not proposal.refusals
    elif len(possible) == 1:
        assert after == known + last(possible[0])
        assert [change.safety for change in proposal.changes] == [Safety.SAFE]
    else:
        assert not proposal.changes
        assert len(proposal.refusals) == 1
