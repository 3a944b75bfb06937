"""Make tests that return what they found assert it.

In place where nobody reads the value: a tail `return True` goes, a returned condition is asserted, a handler that
turned errors into `return False` goes or raises again, `return False` becomes `pytest.fail`, a pair becomes an
assertion with a message, a dict is asserted by the key that says success. Where a runner or another test reads the
value, the test is split: a helper that still returns, and a thin test that asserts. Nothing becomes `assert True`.
Refused is what a person must decide: values whose failure meaning stands nowhere, handlers that clean up, returns that
decide a skip, values that are looked up at run time. Tests that could not fail and can now are named as unmasked.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from typing import Final

from regreen.facts.source import Index
from regreen.facts.source.testcode import FunctionNode, Suite, decorator_names, parsed
from regreen.facts.source.text import UndecodableError
from regreen.model import (
    Change,
    Example,
    Finding,
    OverlapError,
    Proposal,
    Refusal,
    Risk,
    Safety,
    Span,
    Splice,
    Undo,
    splice,
)
from regreen.policy import Policy
from remedies.returning.imports import importing
from remedies.returning.references import FileReferences, References, elsewhere
from remedies.returning.rewrite import Refused, Rewriter
from remedies.returning.split import split
from remedies.returning.values import boolean_functions, value_returns

ID: Final = "code.return-to-assert"
CHECK: Final = "code.tests-assert-not-return"
SAFETY: Final = Safety.SAFE
UNDO: Final = Undo.EXACT
RISK: Final = Risk.MEDIUM

_EVIDENCE: Final = (
    "pytest ignores what a test returns (https://docs.pytest.org/en/stable/how-to/assert.html#return-not-none)"
)
_CONSUMING: Final = re.compile(r"(?:mpl_image_compare|array_compare|arraydiff|snapshot)$")
_PLAIN: Final = re.compile(
    r"^(?:pytest\.|.*\bmark\.|(?:unittest\.)?(?:mock\.)?patch\b|(?:hypothesis\.)?(?:given|settings|example|seed|assume)$"
    r"|(?:unittest\.)?(?:skip|skipIf|skipUnless|expectedFailure)$|override_settings$|modify_settings$|tag$|freeze_time$"
    r"|.*\.(?:freeze_time|use_cassette|activate|travel|mock)$|mock_\w+$|respx\.mock$|staticmethod$|classmethod$"
    r"|(?:skip|requires?|needs|only|slow|mark|unless)_?\w*$|flaky$|parametrize$|parameterized\.expand$|httpretty\.\w+$|mock$)"
)


class _File:
    """A parsed file of the tree, with what is known of the functions in it."""

    def __init__(self, index: Index, path: str) -> None:
        self.path = path
        self.text = index.text(path)
        self.tree = parsed(self.text.source)
        self.boolean = boolean_functions(self.tree)
        self.references = FileReferences(self.tree)
        self.functions: dict[str, list[FunctionNode]] = {}
        self.names = {node.id for node in ast.walk(self.tree) if isinstance(node, ast.Name)}
        self._collect(self.tree.body, "")

    def _collect(self, body: Sequence[ast.stmt], prefix: str) -> None:
        for node in body:
            if isinstance(node, FunctionNode):
                self.functions.setdefault(f"{prefix}{node.name}", []).append(node)
                self.names.add(node.name)
            elif isinstance(node, ast.ClassDef):
                self._collect(node.body, f"{prefix}{node.name}.")
            elif not isinstance(node, ast.Expr):
                for name in ("body", "orelse", "finalbody"):
                    self._collect(getattr(node, name, ()), prefix)
                for handler in getattr(node, "handlers", ()):
                    self._collect(handler.body, prefix)

    def function(self, qualname: str, line: int) -> FunctionNode | None:
        """The definition of that name that holds a line."""
        return next(
            (f for f in self.functions.get(qualname, ()) if f.lineno <= line <= (f.end_lineno or f.lineno)), None
        )


def propose(findings: Sequence[Finding], index: Index, policy: Policy) -> Proposal:
    """One change or one refusal for each finding."""
    changes: list[Change] = []
    refusals: list[Refusal] = []
    files: dict[str, _File] = {}
    for finding in findings:
        assert isinstance(finding.where, Span)
        try:
            if finding.path not in files:
                files[finding.path] = _File(index, finding.path)
            changes.append(_change(finding, finding.where, files[finding.path], index))
        except Refused as refused:
            refusals.append(
                Refusal(ID, finding.fingerprint, finding.subject, finding.where, refused.reason, refused.decide)
            )
        except (UndecodableError, SyntaxError, ValueError) as error:
            reason = f"the file cannot be edited: {error}"
            refusals.append(
                Refusal(ID, finding.fingerprint, finding.subject, finding.where, reason, "repair the file first")
            )
    return Proposal(tuple(changes), tuple(refusals))


def _change(finding: Finding, where: Span, file: _File, index: Index) -> Change:
    qualname = finding.subject.removeprefix(f"{file.path}::").replace("::", ".")
    function = file.function(qualname, where.line)
    if function is None:
        raise Refused("the test was not found where it was seen", "run the diagnosis again")
    owner = qualname.rpartition(".")[0]
    _refuse_decorators(function, file)
    references = file.references.of(function, owner)
    if owner and references.names and len([q for q in file.functions if q.endswith(f".{function.name}")]) > 1:
        references.obstacle = references.obstacle or "several classes of this file have a test of that name"
    elsewhere(index, file.path, function, owner, references)
    if len(file.functions[qualname]) > 1:
        raise Refused("two tests in this file have one name; the later one hides the other", "rename one of them")
    if references.obstacle:
        raise Refused(references.obstacle, "give the runner a function of its own, and let the test assert")
    if references.any:
        return _split(finding, file, function, owner, references, index)
    suite = Suite.of(index)
    unittest = any(
        suite.is_unittest(base)
        for item in index.files[file.path].classes
        if item.qualname == owner
        for base in item.bases
    )
    place = importing(file.path, file.text, file.tree, "pytest")
    fail = "self.fail" if unittest else f"{place.name}.fail"
    rewriting = Rewriter(file.path, file.text, function, file.boolean, fail).run()
    splices = list(rewriting.splices)
    if rewriting.fails and not unittest and place.splice is not None:
        splices.append(place.splice)
    _prove(file, splices, qualname)
    return Change(
        ID,
        finding.subject,
        f"{function.name}: {'; '.join(dict.fromkeys(rewriting.done))}",
        (finding.fingerprint,),
        tuple(splices),
        safety=Safety.SAFE if rewriting.proven else Safety.UNSAFE,
        evidence=_EVIDENCE,
        unmasks=(finding.subject,) if rewriting.unmasks else (),
    )


def _split(
    finding: Finding, file: _File, function: FunctionNode, owner: str, references: References, index: Index
) -> Change:
    configuration = Suite.of(index).configuration

    def free(name: str) -> bool:
        return name not in file.names and not configuration.matches_function(file.path, name)

    other = {path: index.text(path) for path, _ in references.imports}
    splices = split(file.path, file.text, other, function, owner, free, references, file.boolean)
    _prove(
        file,
        [item for item in splices if item.path == file.path],
        f"{owner}.{function.name}" if owner else function.name,
    )
    uses = len(references.names) + len(references.imports)
    return Change(
        ID,
        finding.subject,
        f"{function.name}: split into a helper that returns (read in {uses} other place{'s' * (uses > 1)}) and a test that asserts",
        (finding.fingerprint,),
        tuple(splices),
        evidence=_EVIDENCE,
        unmasks=(finding.subject,),
    )


def _refuse_decorators(function: FunctionNode, file: _File) -> None:
    aliases = {
        target.id: ast.unparse(statement.value)
        for statement in file.tree.body
        if isinstance(statement, ast.Assign)
        for target in statement.targets
        if isinstance(target, ast.Name)
    }
    for name in decorator_names(function):
        meant = aliases.get(name, name)
        if _CONSUMING.search(meant):
            raise Refused(f"@{name} reads the returned value", "nothing: the plugin asserts on it")
        if not _PLAIN.match(meant):
            raise Refused(
                f"@{name} may read the returned value",
                "say whether the decorator needs it; if not, let the test assert",
            )


def _prove(file: _File, splices: Sequence[Splice], qualname: str) -> None:
    """The edited file parses, and the test returns nothing any more."""
    try:
        edited = splice(file.text.source, splices)
        tree = parsed(edited)
    except (OverlapError, SyntaxError, ValueError) as error:
        raise Refused(f"the edit would not be valid Python ({error})", "rewrite this test by hand") from error
    *owners, name = qualname.split(".")
    bodies: list[Sequence[ast.stmt]] = [tree.body]
    for owner in owners:
        bodies = [
            node.body for body in bodies for node in _all(body) if isinstance(node, ast.ClassDef) and node.name == owner
        ]
    left = [node for body in bodies for node in _all(body) if isinstance(node, FunctionNode) and node.name == name]
    if len(left) != 1 or value_returns(left[0]):
        raise Refused("some return of the test cannot be rewritten", "rewrite this test by hand")


def _all(body: Sequence[ast.stmt]) -> list[ast.stmt]:
    found: list[ast.stmt] = []
    for node in body:
        found.append(node)
        if not isinstance(node, FunctionNode | ast.ClassDef):
            for name in ("body", "orelse", "finalbody"):
                found += _all(getattr(node, name, ()))
            for handler in getattr(node, "handlers", ()):
                found += _all(handler.body)
    return found


def _one(*lines: str, head: str = "", name: str = "def test_a():", tail: str = "") -> dict[str, str]:
    return {"test_a.py": head + name + "\n" + "".join(f"    {line}\n" if line else "\n" for line in lines) + tail}


_IMPORT: Final = "import pytest\n\n\n"
_DOC: Final = '"""Doc."""\n\nimport os\nfrom a import f, g\n'
_RUN: Final = "\n\nif __name__ == '__main__':\n    results = [{}]\n    print(all(results))\n"
_MAIN: Final = "\n\nif __name__ == '__main__':\n    test_a()\n"
_FINDS: Final = "import test_a\n\nfor name in dir(__import__('test_a')):\n    if name.startswith('test'):\n        print(getattr(test_a, name)())\n"
_SEARCH: Final = "\n\nfor n in list(globals()):\n    if n.startswith('test_'):\n        print(globals()[n]())\n"
_UNIT: Final = "import unittest\n\n\nclass A(unittest.TestCase):\n    def test_a(self):\n        if f():\n            {}\n        {} g() == 1\n"
_NOTHING: Final = 'pytest.fail("test_a: nothing above was a success")'


def _to(
    title: str, before: Sequence[str], after: Sequence[str], head: str = "", name: str = "def test_a():"
) -> Example:
    return Example(title, _one(*before, head=head, name=name), _one(*after, head=head, name=name))


def _refused(title: str, *lines: str, head: str = "", tail: str = "") -> Example:
    files = _one(*lines, head=head, tail=tail)
    return Example(title, files, files, refuses=True)


EXAMPLES: Final = (
    _to("a tail True after asserts goes", ("x = f()", "assert x == 1", "", "return True"), ("x = f()", "assert x == 1")),
    _to("a condition is asserted", ("return f() == 1  # kept",), ("assert f() == 1  # kept",)),
    _to(
        "a condition over several lines", ("return (", "    f() == 1", "    and f() == 2", ")"),
        ("assert (", "    f() == 1", "    and f() == 2", ")"),
    ),
    _to("awaited", ("r = await f()", "return r.ok is True"), ("r = await f()", "assert r.ok is True"), name="async def test_a():"),
    _to(
        "a flag", ("ok = True", "for x in f():", "    if not x:", "        ok = False", "return ok"),
        ("ok = True", "for x in f():", "    if not x:", "        ok = False", "assert ok"),
    ),
    _to(
        "a handler that hides errors goes",
        ("try:", "    x = f()", "    assert x", "    return True", "except Exception:", "    return False"),
        ("x = f()", "assert x"),
    ),
    _to(
        "a handler that speaks raises again",
        ("try:", "    assert f()", "    print('ok')", "    return True", "except Exception as e:", "    print(f'no: {e}')", "    return False"),
        ("try:", "    assert f()", "    print('ok')", "except Exception as e:", "    print(f'no: {e}')", "    raise"),
    ),
    _to(
        "a condition in a try", ("try:", "    r = f()", "    return r == 1", "except ValueError:", "    return False"),
        ("r = f()", "assert r == 1"),
    ),
    _to(
        "a pair in a try, early", ("try:", "    ok, why = f() is 1, 2", "    return ok, why", "except ValueError:", "    return False", "assert g()"),
        ("ok, why = f() is 1, 2", "assert ok, why", "return", "assert g()"),
    ),
    _to(
        "finally stays", ("try:", "    assert f()", "    return True", "except Exception:", "    return False", "finally:", "    g()"),
        ("try:", "    assert f()", "finally:", "    g()"),
    ),
    _to(
        "a failure under if", ("for x in f():", "    if not x.ok:", "        print(f'{x} is bad')", "        return False", "return True"),
        ("for x in f():", "    if not x.ok:", "        print(f'{x} is bad')", "        pytest.fail(f'{x} is bad')"), head=_IMPORT,
    ),
    _to(
        "a failure without words", ("x = f()", "if x.status != 200:", "    return False", "assert x.body"),
        ("x = f()", "if x.status != 200:", '    pytest.fail("x.status != 200")', "assert x.body"), head=_IMPORT,
    ),
    Example(
        "pytest is imported where it is needed",
        _one("if f():", "    return False", "assert g()", head=_DOC + "\n\n"),
        _one("if f():", '    pytest.fail("f()")', "assert g()", head=_DOC + "import pytest\n\n\n"),
    ),
    _to("a branch between True and False", ("r = f()", "if r.ok:", "    return True", "else:", "    return False"), ("r = f()", "assert r.ok")),
    _to("False first", ("r = f()", "if not r:", "    return False", "return True"), ("r = f()", "assert r")),
    _to(
        "both branches speak", ("if f():", "    print('ok')", "    return True", "else:", "    print('bad')", "    return False"),
        ("if f():", "    print('ok')", "else:", "    print('bad')", "    pytest.fail('bad')"), head=_IMPORT,
    ),
    _to(
        "found in a loop", ("for x in f():", "    if x == 1:", "        return True", "return False"),
        ("for x in f():", "    if x == 1:", "        return", _NOTHING), head=_IMPORT,
    ),
    _to(
        "an early condition", ("if g():", "    return f() == 1", "assert f() == 2"),
        ("if g():", "    assert f() == 1", "    return", "assert f() == 2"),
    ),
    _to("a pair", ("ok, why = f() == 1, 'why'", "return (ok, why)"), ("ok, why = f() == 1, 'why'", "assert ok, why")),
    _to(
        "constant pairs", ("if not f():", "    return False, 'no answer'", "return True, 'fine'"),
        ("if not f():", "    pytest.fail('no answer')"), head=_IMPORT,
    ),
    _to(
        "a dict with a key that says success", ("r = f()", "return {'success': r == 1, 'rows': g()}"),
        ("r = f()", "outcome = {'success': r == 1, 'rows': g()}", 'assert outcome["success"], outcome'),
    ),
    _to(
        "a dict of conditions by name", ("r = {'a': f() == 1, 'b': g() == 2}", "return r"),
        ("r = {'a': f() == 1, 'b': g() == 2}", "assert all(r.values()), r"),
    ),
    _to("a value that nobody reads", ("user = f()", "assert user.id", "return user"), ("user = f()", "assert user.id")),
    Example(
        "the annotation follows",
        _one("return f() == 1", name="def test_a(x: int) -> bool:"),
        _one("assert f() == 1", name="def test_a(x: int) -> None:"),
    ),
    _to(
        "an expected error", ("try:", "    f()", "    return False", "except ValueError:", "    return True"),
        ("try:", "    f()", f"    {_NOTHING}", "except ValueError:", "    pass"), head=_IMPORT,
    ),
    Example(
        "a method of unittest",
        {"test_a.py": _UNIT.format("return False", "return")}, {"test_a.py": _UNIT.format('self.fail("f()")', "assert")},
    ),
    Example(
        "a runner reads the value: split",
        _one("return f() == 1", name="def test_a() -> bool:", tail=_RUN.format("test_a()")),
        _one(
            "return f() == 1", name="def check_a() -> bool:",
            tail="\n\ndef test_a() -> None:\n    assert check_a()\n" + _RUN.format("check_a()"),
        ),
    ),
    Example(
        "a list of tests, a pair, decorators and arguments: split",
        _one("return f(x) == 1, 'why'", head=_IMPORT + "@pytest.mark.slow\n", name="async def test_a(x, *, y=2):", tail="\n\nTESTS = [('a', test_a)]\n"),
        _one(
            "return f(x) == 1, 'why'", head=_IMPORT, name="async def check_a(x, *, y=2):",
            tail="\n\n@pytest.mark.slow\nasync def test_a(x, *, y=2):\n    outcome = await check_a(x, y=y)\n"
            "    assert outcome[0], outcome[1:]\n\n\nTESTS = [('a', check_a)]\n",
        ),
    ),
    Example(
        "a script imports the test: split",
        {**_one("return f() == 1"), "run.py": "from test_a import test_a\n\nif not test_a():\n    raise SystemExit(1)\n"},
        {
            **_one("return f() == 1", name="def check_a():", tail="\n\ndef test_a():\n    assert check_a()\n"),
            "run.py": "from test_a import check_a as test_a\n\nif not test_a():\n    raise SystemExit(1)\n",
        },
    ),
    Example(
        "others read a thing, the test asserts by itself: split",
        _one("x = f()", "assert x", "return x", tail=_RUN.format("test_a()")),
        _one("x = f()", "assert x", "return x", name="def check_a():", tail="\n\ndef test_a():\n    check_a()\n" + _RUN.format("check_a()")),
    ),
    Example("a runner that reads nothing: in place", _one("return f() == 1", tail=_MAIN), _one("assert f() == 1", tail=_MAIN)),
    _refused("numbers say nothing", "started = clock()", "f()", "return {'rows': 3, 'seconds': clock() - started}"),
    _refused("an exit code", "f()", "return 0"),
    _refused("a handler that cleans up", "try:", "    assert f()", "    return True", "except AssertionError:", "    g()", "    return False"),
    _refused("the return decides a skip", "if not f():", "    print('skipped: no server')", "    return True", "assert g()"),
    _refused("a skip by the environment", "if not os.environ.get('X'):", "    return False", "assert g()"),
    _refused("pytest.skip", "return pytest.skip('no')", head=_IMPORT),
    _refused("a broad handler as success", "try:", "    f()", "except Exception:", "    return True", "assert g()"),
    _refused("found by name at run time", "return f() == 1", tail=_SEARCH),
    _refused("a decorator that may read it", "return f() == 1", head="@timed\n"),
    _refused("an image that a plugin compares", "assert f()", "return f", head=_IMPORT + "@pytest.mark.mpl_image_compare\n"),
    _refused("two tests of one name", "return f() == 1", tail="\n\ndef test_a():\n    assert g()\n"),
    _refused("others read a value without a meaning", "x = f()", "return x", tail=_RUN.format("test_a()")),
    Example(
        "a runner elsewhere finds the tests by name", {**_one("return f() == 1"), "run.py": _FINDS},
        {**_one("return f() == 1"), "run.py": _FINDS}, refuses=True,
    ),
)  # fmt: skip
