"""Let a test fail: take away what keeps its assertions from being seen.

`assert (a, "message")` becomes `assert a, "message"`. A handler around assertions that passes, returns or logs goes, or
raises again after it spoke. Refused is what needs a person: assertions that check nothing (what should they check?),
bodies that do nothing, handlers that skip, a try that seems to expect an error, several handlers that belong together.
The tests may turn red; they are named as unmasked.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from typing import Final

from regreen.facts.source import Index, SourceText, last_name
from regreen.facts.source.testcode import FunctionNode, parsed
from regreen.facts.source.text import UndecodableError
from regreen.facts.source.vacuous import is_broad, swallows
from regreen.model import Change, Example, Finding, Proposal, Refusal, Risk, Safety, Span, Splice, Undo, splice
from regreen.policy import Policy
from remedies.returning.syntax import below, is_string
from remedies.returning.unwrap import unwrapped

ID: Final = "code.assert-can-fail"
CHECK: Final = "code.tests-can-fail"
SAFETY: Final = Safety.SAFE
UNDO: Final = Undo.EXACT
RISK: Final = Risk.MEDIUM

_EVIDENCE: Final = "a failed assertion is an exception that the handler caught (AssertionError derives from Exception)"
_EXPECTS: Final = re.compile(
    rb"expect|should (?:raise|fail)|supposed|intentional|may fail|allowed|ok to fail|best.effort", re.I
)
_DECIDE: Final = {
    "hollow": "write down what the test should check, or delete the test",
    "empty": "write the test, mark it as skipped with a reason, or delete it",
    "guarded": "say which errors are expected (pytest.raises), and check what the code did",
    "suppressed": "say which error is expected, and assert outside of the block",
    "async": "mark the test for its runner, use IsolatedAsyncioTestCase, or set asyncio_mode = auto",
    "swallowed": "narrow the handler to the error that is expected (pytest.raises), or take it out",
}


class _Left(Exception):  # noqa: N818 - an answer, not an error
    """Why the finding is left alone."""


def propose(findings: Sequence[Finding], index: Index, policy: Policy) -> Proposal:
    """One change or one refusal for each finding."""
    changes: list[Change] = []
    refusals: list[Refusal] = []
    trees: dict[str, tuple[SourceText, ast.Module]] = {}
    for finding in findings:
        kind = finding.get("kind")
        assert isinstance(finding.where, Span)
        try:
            if kind not in ("hollow", "swallowed"):
                raise _Left(finding.observed)
            if finding.path not in trees:
                text = index.text(finding.path)
                trees[finding.path] = (text, parsed(text.source))
            text, tree = trees[finding.path]
            node = _at(tree, finding.where)
            if isinstance(node, ast.Assert):
                splices, summary = _tuple(finding.path, text, node), "the message is a message now"
            elif isinstance(node, ast.Try):
                splices, summary = _released(finding.path, text, node)
            else:
                raise _Left("the place was not found where it was seen")
        except (_Left, UndecodableError, SyntaxError, ValueError) as error:
            refusals.append(Refusal(ID, finding.fingerprint, finding.subject, finding.where, str(error), _DECIDE[kind]))
            continue
        changes.append(
            Change(
                ID, finding.subject, summary, (finding.fingerprint,), tuple(splices), evidence=_EVIDENCE,
                unmasks=(finding.subject,),
            )
        )  # fmt: skip
    return Proposal(tuple(changes), tuple(refusals))


def _at(tree: ast.Module, where: Span) -> ast.stmt | None:
    for node in ast.walk(tree):
        if isinstance(node, ast.Assert | ast.Try) and (node.lineno, node.col_offset) == (where.line, where.column):
            return node
    return None


def _tuple(path: str, text: SourceText, node: ast.Assert) -> list[Splice]:
    test = node.test
    if not isinstance(test, ast.Tuple):
        raise _Left("the assertion checks nothing")
    if len(test.elts) != 2 or not is_string(test.elts[1]) or node.msg is not None:
        raise _Left("a tuple that is no condition with its message")
    first, second = test.elts
    opening, closing = (
        text.offset(test.lineno, test.col_offset),
        text.offset(test.end_lineno or 0, test.end_col_offset or 0),
    )
    inner = text.source[opening:closing]
    if not (inner.startswith(b"(") and inner.endswith(b")")) or b"\n" in inner or b"#" in inner:
        raise _Left("the tuple stands over several lines")
    parts = [
        text.between((e.lineno, e.col_offset), (e.end_lineno or 0, e.end_col_offset or 0)) for e in (first, second)
    ]
    return [Splice(path, opening, closing, b", ".join(parts))]


def _released(path: str, text: SourceText, node: ast.Try) -> tuple[list[Splice], str]:
    hiding = [handler for handler in node.handlers if is_broad(handler) and swallows(handler)]
    if len(hiding) != 1:
        raise _Left("several handlers hide the failure")
    handler = hiding[0]
    how = swallows(handler)
    if how == "skips":
        raise _Left("the handler turns a failed assertion into a skip")
    if any(_expects_error(statement) for statement in below(node.body)):
        raise _Left("the try seems to expect an error: it fails where none is raised")
    first, last = text.line_start(node.lineno), text.line_start((handler.body[-1].end_lineno or handler.lineno) + 1)
    if _EXPECTS.search(text.source[first:last]):
        raise _Left("a comment or a message says that the error is expected")
    quiet = all(isinstance(s, ast.Pass | ast.Return) or _is_text(s) for s in handler.body)
    if quiet and len(node.handlers) == 1 and not node.orelse:
        splices = unwrapped(path, text, node, handler)
        if splices is not None:
            return [_whole(path, text.source, splices)], "the handler that hid failed assertions is gone"
    end = handler.body[-1]
    start, stop = text.offset(end.lineno, end.col_offset), text.offset(end.end_lineno or 0, end.end_col_offset or 0)
    if isinstance(end, ast.Pass | ast.Return) or _is_text(end):
        return [Splice(path, start, stop, text.encode("raise"))], "the handler raises again"
    if handler.body[0].lineno == handler.lineno:
        raise _Left("the handler stands on one line")
    indent = text.indent(end.lineno).decode()
    return [Splice(path, stop, stop, text.encode(f"\n{indent}raise"))], "the handler speaks and raises again"


def _whole(path: str, source: bytes, splices: Sequence[Splice]) -> Splice:
    """Several splices as one, so that a repair inside of the moved lines waits for the next pass."""
    start, end = min(item.start for item in splices), max(item.end for item in splices)
    moved = [Splice(path, item.start - start, item.end - start, item.new) for item in splices]
    return Splice(path, start, end, splice(source[start:end], moved))


def _is_text(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def _expects_error(statement: ast.stmt) -> bool:
    if isinstance(statement, ast.Assert):
        return isinstance(statement.test, ast.Constant) and not statement.test.value
    if isinstance(statement, FunctionNode) or not isinstance(statement, ast.Expr):
        return False
    return isinstance(statement.value, ast.Call) and last_name(statement.value.func) == "fail"


def _to(title: str, before: Sequence[str], after: Sequence[str], refuses: bool = False) -> Example:
    def text(lines: Sequence[str]) -> dict[str, str]:
        return {"test_a.py": "def test_a():\n" + "".join(f"    {line}\n" for line in lines)}

    return Example(title, text(before), text(after), refuses)


def _same(title: str, *lines: str) -> Example:
    return _to(title, lines, lines, refuses=True)


EXAMPLES: Final = (
    _to("a tuple", ("assert (f() == 1, 'one')  # why",), ("assert f() == 1, 'one'  # why",)),
    _to("except Exception: pass", ("try:", "    x = f()", "    assert x", "except Exception:", "    pass"), ("x = f()", "assert x")),
    _to("a bare return", ("try:", "    assert f()", "except:", "    return", "g()"), ("assert f()", "g()")),
    _to(
        "it speaks", ("try:", "    assert f()", "except AssertionError as e:", "    print(e)"),
        ("try:", "    assert f()", "except AssertionError as e:", "    print(e)", "    raise"),
    ),
    _to(
        "it speaks and passes", ("try:", "    assert f()", "except Exception as e:", "    log.error(e)", "    pass"),
        ("try:", "    assert f()", "except Exception as e:", "    log.error(e)", "    raise"),
    ),
    _to(
        "with another handler", ("try:", "    assert f()", "except KeyError:", "    g()", "except Exception:", "    pass"),
        ("try:", "    assert f()", "except KeyError:", "    g()", "except Exception:", "    raise"),
    ),
    _to(
        "texts over lines stay where they are", ("try:", "    assert f('''", "x''')", "except Exception:", "    pass"),
        ("try:", "    assert f('''", "x''')", "except Exception:", "    raise"),
    ),
    _same("assert True", "f()", "assert True"),
    _same("no length is negative", "assert len(f()) >= 0"),
    _same("a tuple of two conditions", "assert (f(), g())"),
    _same("an error is expected", "try:", "    f()", "    assert False, 'no error'", "except Exception:", "    pass"),
    _same("a comment expects it", "try:", "    assert f()", "except Exception:", "    pass  # expected on old servers"),
    _same("it skips", "try:", "    assert f()", "except Exception as e:", "    pytest.skip(str(e))"),
    _same("nothing to do", "pass"),
    _same("suppress", "with suppress(Exception):", "    assert f()"),
    _to("an assertion", ("assert f() == 1",), ("assert f() == 1",)),
)  # fmt: skip
