"""Wait for a condition instead of sleeping, with the waiting function that the test module already imports.

Only where the next statement asserts a condition that can be asked again at no cost (no `await`, no assignment, no call
but plain questions), and the imported function of the tree takes a condition and asks it in a loop. The assertion
stays. A sleep that shows that something does *not* happen is left alone: a wait would return at once and show nothing.
Everything else is refused with advice: what is waited for is something only a person can name.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from typing import Final

from regreen.facts.source import Index, SourceText, last_name
from regreen.facts.source.modules import DEFINED, modules
from regreen.facts.source.testcode import parsed
from regreen.facts.source.text import UndecodableError
from regreen.model import Change, Example, Finding, Proposal, Refusal, Risk, Safety, Span, Splice, Undo
from regreen.policy import Policy

ID: Final = "code.wait-not-sleep"
CHECK: Final = "code.waits-not-sleeps"
SAFETY: Final = Safety.SAFE
UNDO: Final = Undo.EXACT
RISK: Final = Risk.LOW

_EVIDENCE: Final = (
    "the tree's own waiting function returns as soon as the condition holds, and raises when it never does"
)
_CLOCK: Final = "give the code a clock that the test moves"
_STILL: Final = re.compile(r"\b(?:not|never|still|remain\w*|unchanged|stay\w*|no(?:thing)? more)\b", re.I)
_QUESTIONS: Final = frozenset(
    {
        "ready",
        "done",
        "empty",
        "full",
        "qsize",
        "closed",
        "connected",
        "exists",
        "locked",
        "count",
        "called",
        "finished",
    }
)
_DECIDE: Final = "name the condition that the sleep waits for, and wait on it with a time limit"


def propose(findings: Sequence[Finding], index: Index, policy: Policy) -> Proposal:
    """One change or one refusal for each finding."""
    changes: list[Change] = []
    refusals: list[Refusal] = []
    for finding in findings:
        assert isinstance(finding.where, Span)
        reason = "the test waits for time to pass" if finding.get("passing") else ""
        splice: Splice | None = None
        name = ""
        if not reason:
            try:
                text = index.text(finding.path)
                splice, name, reason = _waiting(finding.path, text, finding.where, index)
            except (UndecodableError, SyntaxError, ValueError) as error:
                reason = f"the file cannot be edited: {error}"
        if splice is None:
            decide = _CLOCK if finding.get("passing") else _DECIDE
            refusals.append(Refusal(ID, finding.fingerprint, finding.subject, finding.where, reason, decide))
            continue
        summary = f"waits with {name} instead of sleeping for {finding.get('seconds')} s"
        changes.append(Change(ID, finding.subject, summary, (finding.fingerprint,), (splice,), evidence=_EVIDENCE))
    return Proposal(tuple(changes), tuple(refusals))


def _waiting(path: str, text: SourceText, where: Span, index: Index) -> tuple[Splice | None, str, str]:
    tree = parsed(text.source)
    found = _following(tree.body, where)
    if found is None:
        return None, "", "nothing that could be waited for follows the sleep"
    sleep, after = found
    if not isinstance(after, ast.Assert):
        return None, "", "what follows the sleep is no assertion"
    if any(isinstance(n, ast.Await | ast.NamedExpr | ast.Yield | ast.YieldFrom) for n in ast.walk(after.test)):
        return None, "", "what is waited for is itself awaited"
    if _unchanged(after.test) or _STILL.search(_around(text, sleep, after)):
        return None, "", "the sleep may be there to show that something does not happen"
    if not _asks_only(after.test):
        return None, "", "the condition cannot be asked again without an effect"
    awaited = isinstance(sleep.value, ast.Await)
    for name in _imported(tree):
        if _asks(path, name, awaited, index):
            condition = _condition(after.test, text)
            start = text.offset(sleep.lineno, sleep.col_offset)
            end = text.offset(sleep.end_lineno or 0, sleep.end_col_offset or 0)
            call = f"{'await ' if awaited else ''}{name}({condition})"
            return Splice(path, start, end, text.encode(call)), name, ""
    return None, "", "the module imports no function that waits for a condition"


def _unchanged(test: ast.expr) -> bool:
    """Whether an asserted expression says that something is absent: true beforehand, in all likelihood."""
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        return True
    if not isinstance(test, ast.Compare):
        return False
    for operator, other in zip(test.ops, test.comparators, strict=True):
        nothing = isinstance(other, ast.Constant) and not other.value
        nothing = nothing or (isinstance(other, ast.List | ast.Tuple | ast.Set) and not other.elts)
        nothing = nothing or (isinstance(other, ast.Dict) and not other.keys)
        if isinstance(operator, ast.NotEq | ast.NotIn | ast.IsNot) or (
            isinstance(operator, ast.Eq | ast.Is) and nothing
        ):
            return not (isinstance(operator, ast.IsNot) and nothing)
    return False


def _around(text: SourceText, sleep: ast.stmt, after: ast.stmt) -> str:
    """The lines of the sleep and the assertion, with what a person wrote above them."""
    lines = [text.line(n).decode(text.encoding) for n in range(max(1, sleep.lineno - 3), (after.end_lineno or 0) + 1)]
    return "\n".join(line[line.find("#") :] for line in lines if "#" in line)


def _asks_only(test: ast.expr) -> bool:
    for node in ast.walk(test):
        if isinstance(node, ast.Call):
            name = last_name(node.func)
            builtin = isinstance(node.func, ast.Name) and name in (
                "len",
                "all",
                "any",
                "isinstance",
                "sum",
                "sorted",
                "bool",
            )
            question = name in _QUESTIONS or name.startswith(("is_", "has_"))
            if not builtin and not (question and not node.keywords):
                return False
    return True


def _following(body: Sequence[ast.stmt], where: Span) -> tuple[ast.Expr, ast.stmt] | None:
    for number, statement in enumerate(body):
        if isinstance(statement, ast.Expr) and (statement.lineno, statement.col_offset) == (where.line, where.column):
            return (statement, body[number + 1]) if number + 1 < len(body) else None
        for name in ("body", "orelse", "finalbody", "handlers", "cases"):
            inner = getattr(statement, name, ())
            for block in [inner] if not inner or isinstance(inner[0], ast.stmt) else [part.body for part in inner]:
                found = _following(block, where)
                if found is not None:
                    return found
    return None


def _imported(tree: ast.Module) -> list[str]:
    return [
        alias.asname or alias.name for node in tree.body if isinstance(node, ast.ImportFrom) for alias in node.names
    ]


def _asks(path: str, name: str, awaited: bool, index: Index) -> bool:
    """Whether an imported function calls its first argument in a loop and takes nothing else that it needs."""
    symbol = modules(index).named(path, name)
    if symbol.state != DEFINED or symbol.path not in index.files:
        return False
    try:
        tree = parsed(index.tree.read(symbol.path))
    except (OSError, SyntaxError, ValueError):
        return False
    kind = ast.AsyncFunctionDef if awaited else ast.FunctionDef
    node = next((n for n in tree.body if isinstance(n, kind) and n.name == symbol.name), None)
    if node is None or not node.args.args or len(node.args.args) - len(node.args.defaults) != 1:
        return False
    if any(default is None for default in node.args.kw_defaults):
        return False
    first = node.args.args[0].arg
    loops = [inner for inner in ast.walk(node) if isinstance(inner, ast.While | ast.For)]
    calls = [call for loop in loops for call in ast.walk(loop) if _calls(call, first)]
    awaits = [inner for inner in ast.walk(node) if isinstance(inner, ast.Await) and _calls(inner.value, first)]
    limited = any(isinstance(inner, ast.Raise) for inner in ast.walk(node)) or all(
        isinstance(p, ast.For) for p in loops
    )
    return bool(calls) and limited and not awaits


def _calls(node: ast.AST, name: str) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == name


def _condition(test: ast.expr, text: SourceText) -> str:
    bare = isinstance(test, ast.Call) and not test.args and not test.keywords
    if isinstance(test, ast.Call) and bare and not any(isinstance(node, ast.Call) for node in ast.walk(test.func)):
        return _source(test.func, text)
    return f"lambda: {_source(test, text)}"


def _source(node: ast.expr, text: SourceText) -> str:
    raw = text.between((node.lineno, node.col_offset), (node.end_lineno or 0, node.end_col_offset or 0))
    return raw.decode(text.encoding).replace("\r\n", "\n")


_TOOL: Final = (
    "import asyncio\nimport time\n\n\nasync def eventually(condition, within=2.0):\n    end = time.monotonic() + within\n"
    "    while not condition():\n        if time.monotonic() > end:\n            raise TimeoutError\n        await asyncio.sleep(0.01)\n"
)
_HEAD: Final = "import asyncio\n\nfrom tools import eventually\n\n\nasync def test_a(x):\n    x.start()\n"


def _to(title: str, before: str, after: str, refuses: bool = False, head: str = _HEAD) -> Example:
    return Example(
        title, {"tools.py": _TOOL, "test_a.py": head + before}, {"tools.py": _TOOL, "test_a.py": head + after}, refuses
    )


def _same(title: str, body: str, head: str = _HEAD) -> Example:
    return _to(title, body, body, True, head)


EXAMPLES: Final = (
    _to(
        "a plain question", "    await asyncio.sleep(0.1)\n    assert x.ready.is_set()\n",
        "    await eventually(x.ready.is_set)\n    assert x.ready.is_set()\n",
    ),
    _to(
        "a comparison", "    if x:\n        await asyncio.sleep(1)  # settle\n        assert len(x.seen) == 3, 'three'\n",
        "    if x:\n        await eventually(lambda: len(x.seen) == 3)  # settle\n        assert len(x.seen) == 3, 'three'\n",
    ),
    _same("what is waited for is awaited", "    await asyncio.sleep(0.1)\n    assert await x.read()\n"),
    _same("nothing is asserted next", "    await asyncio.sleep(0.1)\n    x.stop()\n    assert x\n"),
    _same("to show that nothing happens", "    await asyncio.sleep(0.1)\n    assert not x.ready\n"),
    _same("a comment says so", "    # it should still be set\n    await asyncio.sleep(0.1)\n    assert x.is_set()\n"),
    _same("asking has an effect", "    await asyncio.sleep(0.1)\n    assert x.set('key') == 'OK'\n"),
    _same("nothing follows", "    await asyncio.sleep(0.1)\n"),
    _same(
        "no function that waits", "    await asyncio.sleep(0.1)\n    assert x.ready\n",
        "import asyncio\nfrom tools import asyncio as other\n\n\nasync def test_a(x):\n",
    ),
    _same(
        "time has to pass", "    await asyncio.sleep(1.1)\n    assert x.gone()\n",
        "import asyncio\nfrom tools import eventually\n\n\nasync def test_entry_expires(x):\n",
    ),
    _to("no sleep", "    assert x.ready\n", "    assert x.ready\n"),
)  # fmt: skip
