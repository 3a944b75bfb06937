"""A test whose handlers were taken away fails wherever the original failed, and passes only where nothing was swallowed."""

from __future__ import annotations

import warnings

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from checks.code import tests_can_fail
from regreen.facts.source import MemoryTree, OverlayTree, survey
from regreen.facts.source.testcode import parsed
from regreen.model import compose
from regreen.policy import Policy
from remedies.code import assert_can_fail

Lines = list[str]


@st.composite
def bodies(draw: st.DrawFn, depth: int = 2) -> Lines:
    """Statements with handlers around assertions."""
    lines: Lines = []
    for _ in range(draw(st.integers(1, 2))):
        number = draw(st.integers(0, 3))
        kind = draw(st.sampled_from(["call", "assert", "tuple", "text", "if", "try"] if depth else ["call", "assert"]))
        inner = [f"    {line}" for line in draw(bodies(depth - 1))] if kind in ("if", "try") else []
        if kind == "if":
            lines += [f"if f({number}):", *inner]
        elif kind == "try":
            error = draw(
                st.sampled_from(["except Exception:", "except:", "except AssertionError as e:", "except KeyError:"])
            )
            hides = draw(st.sampled_from([["pass"], ["print('no')"], ["return"], ["print('no')", "pass"], ["raise"]]))
            lines += ["try:", *inner, error, *(f"    {line}" for line in hides)]
        else:
            lines += {
                "call": [f"f({number})  # ö"],
                "assert": [f"assert f({number})"],
                "tuple": [f"assert (f({number}), 'one')"],
                "text": [f"assert f({number}), '''", "two lines'''"],
            }[kind]
    return lines


def source(lines: Lines) -> str:
    body = "\n".join(f"    {line}" if not line.startswith("two lines") else line for line in lines)
    return f"def test_a():\n{body}\n\n\ndef test_b():\n    assert f(0) == 1  # ü\n"


def fails(text: str, outcomes: list[str]) -> bool:
    """Whether `test_a` raises in a world in which each call gives True, False or an error."""

    def f(number: int) -> bool:
        if outcomes[number] == "KeyError":
            raise KeyError(number)
        return outcomes[number] == "True"

    names: dict[str, object] = {"f": f, "print": lambda *_: None}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SyntaxWarning)  # an assertion on a tuple
        code = compile(text, "test_a.py", "exec")
    exec(code, names)
    function = names["test_a"]
    assert callable(function)
    try:
        function()
    except (AssertionError, KeyError):
        return True
    return False


WORLDS = st.lists(
    st.lists(st.sampled_from(["True", "False", "KeyError"]), min_size=4, max_size=4), min_size=3, max_size=3
)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(lines=bodies(), worlds=WORLDS)
def test_nothing_that_failed_passes_afterwards(lines: Lines, worlds: list[list[str]]) -> None:
    text = source(lines)
    tree = MemoryTree({"test_a.py": text})
    result = survey(tree, [tests_can_fail], Policy())
    findings = result.diagnosis.verdicts[0].findings
    proposal = assert_can_fail.propose(findings, result.index, Policy())
    edits, _ = compose(tree, proposal.changes)  # nested handlers may wait for the next pass
    after = edits.get("test_a.py", text.encode()).decode()

    parsed(after.encode())
    assert after.endswith("\n\n\ndef test_b():\n    assert f(0) == 1  # ü\n")
    assert {
        *(f for change in proposal.changes for f in change.closes),
        *(r.fingerprint for r in proposal.refusals),
    } == {finding.fingerprint for finding in findings}
    for outcomes in worlds:
        assert fails(after, outcomes) or not fails(text, outcomes), after
    left = survey(OverlayTree(tree, dict(edits)), [tests_can_fail], Policy()).diagnosis.verdicts[0].findings
    assert len(left) <= len(findings)
