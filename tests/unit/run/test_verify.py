"""What counts as new, as closed, as blind; and who is to blame."""

from __future__ import annotations

import pytest

from regreen.facts.source import MemoryTree
from regreen.model import Change, Diagnosis, Finding, Severity, Span, Splice, Verdict
from regreen.ratchet import compare
from regreen.run.blame import components, suspects
from regreen.run.grades import ratchet_grades, ratchet_problems
from regreen.run.verify import Problem, new_findings, parse_problems, verdict_problems


def finding(subject: str = "a.py::f", snippet: str = "f(x)", line: int = 1, check: str = "code.x") -> Finding:
    path = subject.partition("::")[0]
    return Finding(check, subject, Span(path, line), "seen", "wanted", Severity.ERROR, snippet)


def diagnosis(*findings: Finding, examined: int = 5) -> Diagnosis:
    return Diagnosis("t", (Verdict.of("code.x", examined, findings),), 1, 1, 0, 0, 0, 0.0)


def change(*closes: str, path: str = "a.py", subject: str = "a.py::f") -> Change:
    return Change("code.cure", subject, "s", closes, (Splice(path, 0, 0, b"x"),))


@pytest.mark.parametrize(
    ("before", "after", "new"),
    [
        ([], [finding()], 1),
        ([finding()], [finding()], 0),
        ([finding(line=1)], [finding(line=90)], 0),  # moved
        ([finding("a.py::f")], [finding("a.py::g")], 0),  # its scope was renamed
        ([finding(snippet="f(x)")], [finding(snippet="f(x, 1)")], 0),  # rewritten by another repair
        ([finding("a.py::f")], [finding("b.py::f")], 1),  # another file
        ([finding()], [finding(), finding(line=2)], 1),  # one more of the same
        ([finding("a.py::f", "p"), finding("a.py::g", "q")], [finding("a.py::f", "r"), finding("a.py::g", "q")], 0),
        ([finding("a.py::f", "p")], [finding("a.py::f", "p"), finding("a.py::f", "q", 2)], 1),
    ],
)
def test_what_is_new(before: list[Finding], after: list[Finding], new: int) -> None:
    assert len(new_findings(diagnosis(*before), diagnosis(*after))) == new


def test_a_closed_finding_explains_nothing() -> None:
    """The repair of one fault must not leave another one of the same check in the same place."""
    old, other = finding(snippet="p"), finding(snippet="q")

    assert new_findings(diagnosis(old), diagnosis(other), [old]) == diagnosis(other).verdicts[0].findings


def test_a_check_that_is_new_has_no_excuse() -> None:
    other = Diagnosis("t", (Verdict.of("code.y", 1, [finding(check="code.y")]),), 1, 1, 0, 0, 0, 0.0)

    assert len(new_findings(diagnosis(), other)) == 1


def test_closing_one_of_three_equal_findings_renumbers_the_others() -> None:
    before = diagnosis(finding(line=1), finding(line=2), finding(line=3))
    first = before.verdicts[0].findings[0]
    after = diagnosis(finding(line=2), finding(line=3))

    assert first.fingerprint in after.findings
    assert verdict_problems(before, after, [change(first.fingerprint)], before.findings) == []


def test_a_finding_that_stays_is_not_closed() -> None:
    before = diagnosis(finding())
    only = before.verdicts[0].findings[0]

    problems = verdict_problems(before, before, [change(only.fingerprint)], before.findings)

    assert problems == [Problem("a.py", "a.py::f", "code.x still finds it afterwards", only.fingerprint)]


def test_a_check_that_stops_seeing_is_a_problem() -> None:
    empty = Diagnosis("t", (Verdict("code.x", 0),), 1, 1, 0, 0, 0, 0.0)
    failed = Diagnosis("t", (Verdict.unknown("code.x", "boom"),), 1, 1, 0, 0, 0, 0.0)

    assert [item.text for item in verdict_problems(diagnosis(), empty, [], {})] == [
        "code.x finds nothing left to examine"
    ]
    assert verdict_problems(diagnosis(), failed, [], {})[0].text == "code.x can no longer judge: boom"
    assert verdict_problems(failed, failed, [], {}) == []


@pytest.mark.parametrize(
    ("path", "before", "after", "text"),
    [
        ("a.py", "x = 1\n", "x = (\n", "SyntaxError: '(' was never closed"),
        ("pyproject.toml", "[a]\n", "[a\n", "TOMLDecodeError: Expected ']' at the end of a table declaration"),
        ("pytest.ini", "[pytest]\n", "nonsense\n", "MissingSectionHeaderError: File contains no section headers."),
        ("x.json", "{}", "{", "JSONDecodeError: Expecting property name"),
    ],
)
def test_a_file_that_stops_parsing_is_a_problem(path: str, before: str, after: str, text: str) -> None:
    tree = MemoryTree({path: before})

    found = parse_problems(tree, {path: after.encode()})

    assert len(found) == 1
    assert found[0].text.startswith(f"the file would no longer parse: {text}")
    assert parse_problems(tree, {path: before.encode()}) == []
    assert parse_problems(MemoryTree({path: after}), {path: after.encode()}) == []  # it was broken already


def test_odd_escapes_warn_nobody() -> None:
    assert parse_problems(MemoryTree({}), {"a.py": b"x = '\\d'\n"}) == []


def test_the_ratchet_sees_unchanged_helpers_and_blocks_what_is_weaker_or_unknown() -> None:
    test = "from helper import check\n\ndef test_a():\n    check(1)\n    assert f() == {}\n"
    tree = MemoryTree({"tests/test_a.py": test.format("3"), "tests/helper.py": "def check(x):\n    assert x\n"})

    def grades(content: str) -> list[str]:
        found = ratchet_grades(compare, tree, {"tests/test_a.py": content.encode()}, "code.cure")
        assert [item.remedy for item in found] == ["code.cure"] * len(found)
        return [grade.grade for grade in found]

    assert grades(test.format("3")) == []
    assert grades(test.format("3").replace("    assert f() == 3\n", "    assert f() is not None\n")) == ["weaker"]
    assert grades(test.format("4")) == ["changed"]
    edits = {"tests/test_a.py": test.format("4").encode()}
    (problem,) = ratchet_problems(ratchet_grades(compare, tree, edits, "code.cure"), edits)
    assert (problem.subject, problem.lines) == ("tests/test_a.py::test_a", (3, 5))


def test_files_that_did_not_parse_have_no_grades() -> None:
    tree = MemoryTree({"tests/test_a.py": "def test_a(:\n"})

    assert ratchet_grades(compare, tree, {"tests/test_a.py": b"def test_a():\n    assert f()\n"}, "code.cure") == []


def test_blame_goes_by_claim_then_by_subject_then_by_file() -> None:
    one = change("f1", subject="a.py::f")
    two = change("f2", subject="a.py::g")
    other = change("f3", path="b.py", subject="b.py::h")
    group = [one, two, other]

    assert suspects([Problem("a.py", "x", "t", "f2")], group, {}) == ([(two, "t")], [])
    assert suspects([Problem("a.py", "a.py::f", "t")], group, {}) == ([(one, "t")], [])
    assert suspects([Problem("b.py", "b.py::zzz", "t")], group, {}) == ([(other, "t")], [])
    assert suspects([Problem("a.py", "a.py::zzz", "t")], group, {}) == ([], [one, two])
    assert suspects([Problem("", "code.x", "t")], group, {}) == ([], [])


def test_blame_goes_by_the_lines_that_a_change_wrote() -> None:
    first = Change("r", "s1", "t", (), (Splice("a.py", 0, 1, b"A\nA"),))
    second = Change("r", "s2", "t", (), (Splice("a.py", 4, 5, b"C"),))
    edits = {"a.py": b"A\nA\nb\nC\n"}

    assert suspects([Problem("a.py", "a.py::f", "t", lines=(4, 4))], [first, second], edits) == ([(second, "t")], [])
    assert suspects([Problem("a.py", "a.py::f", "t", lines=(2, 3))], [first, second], edits) == ([(first, "t")], [])
    assert suspects([Problem("a.py", "a.py::f", "t", lines=(3, 3))], [first, second], edits) == ([], [first, second])


def test_components_share_no_file() -> None:
    def over(*paths: str) -> Change:
        return Change("r", "s", ",".join(paths), (), tuple(Splice(path, 0, 0, b"") for path in paths))

    a, b, ab, c, d = over("a"), over("b"), over("a", "b"), over("c"), over("d")

    assert components([a, b, c, ab, d]) == [[a, b, ab], [c], [d]]
