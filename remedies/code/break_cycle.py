"""Move an import that comes too early to where its names are used, which is after all modules have run.

Into the functions that use the names, or under `TYPE_CHECKING` where only annotations do and `from __future__ import
annotations` keeps them from being evaluated. Refused where a name is needed while the module runs (a base class, a default,
a decorator, a function called at import), where it is the module's public face (`__all__`, an `__init__`, other modules or
patches that take it from here), and where something reads annotations at run time. One moved import often breaks the whole
cycle: then it answers for all of the cycle's findings.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from regreen.facts.libraries.editing import Draft, UndecidedError, position
from regreen.facts.source import Index, last_name
from regreen.facts.source.initialization import initialization
from regreen.model import Change, Example, Finding, Proposal, Refusal, Risk, Safety, Span, Splice, Undo
from regreen.policy import Policy
from remedies.untangling.elsewhere import taken_from_here
from remedies.untangling.replay import Later, too_early
from remedies.untangling.uses import (
    LEAF,
    READERS,
    Function,
    exported,
    in_annotation,
    later,
    not_called_early,
    quoted,
    rebound,
)

ID: Final = "code.break-cycle"
CHECK: Final = "code.imports-acyclic"
SAFETY: Final = Safety.SAFE
UNDO: Final = Undo.EXACT
RISK: Final = Risk.MEDIUM

_SOURCE: Final = (
    "https://docs.python.org/3/faq/programming.html#what-are-the-best-practices-for-using-import-in-a-module"
)
_TRIED: Final = 12  # moves that are compared at a time; each comparison replays the tree's cycles
_MOST: Final = 5  # functions that take the import; more of them want a third module


@dataclass(frozen=True, slots=True)
class _Move:
    """A way to move one import: into functions, under TYPE_CHECKING where annotations use the names, or both."""

    finding: Finding
    draft: Draft
    node: ast.ImportFrom
    moved: tuple[ast.alias, ...]
    functions: tuple[Function, ...]
    annotated: bool

    @property
    def place(self) -> tuple[str, int]:
        return self.draft.path, self.node.lineno

    @property
    def gone(self) -> frozenset[str]:
        """The names that the statement no longer takes, as `replay` wants them."""
        every = len(self.moved) == len(self.node.names)
        return frozenset({"*"}) if every else frozenset(alias.name for alias in self.moved)

    @property
    def cost(self) -> tuple[int, str, int]:
        return 2 * len(self.functions) + self.annotated, self.draft.path, self.node.lineno


def propose(findings: Sequence[Finding], index: Index, policy: Policy) -> Proposal:
    """The cheapest move that breaks each cycle; a refusal for each finding that no move answers."""
    moves: dict[str, _Move] = {}
    reasons: dict[str, UndecidedError] = {}
    drafts: dict[str, Draft | None] = {}
    for finding in findings:
        if finding.path not in drafts:
            drafts[finding.path] = Draft.of(index, finding.path)
        draft = drafts[finding.path]
        try:
            if draft is None:
                raise UndecidedError("the file does not parse", "its syntax comes first")
            moves[finding.fingerprint] = _move(finding, draft)
        except UndecidedError as why:
            reasons[finding.fingerprint] = why
    wanted: dict[tuple[str, str], list[str]] = {}
    for mark, move in moves.items():
        for alias in move.moved:
            wanted.setdefault((move.draft.path, alias.asname or alias.name), []).append(mark)
    taken = taken_from_here(index, wanted)
    reasons.update(taken)
    moves = {mark: move for mark, move in moves.items() if mark not in taken}
    changes, done = _chosen(list(moves.values()), findings, index)
    for mark in moves.keys() - done:
        reasons[mark] = UndecidedError("the cycle breaks elsewhere when this import moves", LEAF)
    return Proposal(
        tuple(changes),
        tuple(
            Refusal(ID, f.fingerprint, f.subject, f.where, str(reasons[f.fingerprint]), reasons[f.fingerprint].decide)
            for f in findings
            if f.fingerprint not in done
        ),
    )


def _move(finding: Finding, draft: Draft) -> _Move:
    """How the names that a finding is about can be imported later. Raises UndecidedError."""
    node = _statement(finding, draft)
    early = set(finding.get("names").split(", "))
    moved = tuple(alias for alias in node.names if alias.name in early)
    if draft.path.endswith("__init__.py"):
        raise UndecidedError("the package offers the names to its importers", LEAF)
    functions: dict[Function, None] = {}
    annotated = False
    for local in [alias.asname or alias.name for alias in moved]:
        if local in exported(draft):
            raise UndecidedError(f"`__all__` offers {local} to other modules", LEAF)
        if len(draft.names.module.bound.get(local, ())) != 1 or rebound(draft, local):
            raise UndecidedError(f"{local} is bound more than once", LEAF)
        annotated = annotated or quoted(local, draft)
        for load in draft.names.loads:
            found = draft.names.space(load).lookup(local) if load.id == local else None
            if found is None or found[1] is not draft.names.module:
                continue
            if in_annotation(load, draft):
                annotated = True
                continue
            functions[later(load, draft)] = None
    if not functions and not annotated:
        raise UndecidedError(
            "nothing in the module uses the names, so others may take them from it", "remove it, or re-export it"
        )
    if annotated and READERS.search(draft.text.source):
        raise UndecidedError("something in the file may read annotations while it runs", LEAF)
    if len(functions) > _MOST:
        raise UndecidedError(f"{len(functions)} functions use the names", LEAF)
    not_called_early(functions, draft)
    return _Move(finding, draft, node, moved, tuple(functions), annotated)


def _statement(finding: Finding, draft: Draft) -> ast.ImportFrom:
    where = finding.where
    wanted = (where.line, where.column, where.end_line, where.end_column) if isinstance(where, Span) else ()
    for node in draft.tree.body:
        if isinstance(node, ast.ImportFrom) and position(node) == wanted:
            before = draft.text.source[draft.text.line_start(node.lineno) : draft.start(node)]
            after = draft.text.source[draft.end(node) : draft.text.line_start((node.end_lineno or 0) + 1)].strip()
            if before or (after and not after.startswith(b"#")):
                raise UndecidedError("the import shares its line with other statements", "give it a line of its own")
            if b"#" in draft.text.source[draft.start(node) : draft.end(node)]:
                raise UndecidedError("comments stand between the names of the import", "where they go when it moves")
            return node
    raise UndecidedError("the import stands under a condition", LEAF)


def _chosen(moves: list[_Move], findings: Sequence[Finding], index: Index) -> tuple[list[Change], set[str]]:
    """The moves that are made, each with the findings that go away with it: most at once first, then the cheapest."""
    places = {f.fingerprint: (f.path, f.where.line) for f in findings if isinstance(f.where, Span)}
    left = set(places)
    moved: dict[tuple[str, int], frozenset[str]] = {}
    broken = too_early(initialization(index))
    changes: list[Change] = []
    waiting = sorted(moves, key=lambda move: move.cost)
    while waiting:
        best: tuple[_Move, set[str], set[tuple[str, int]]] | None = None
        for move in waiting[:_TRIED]:
            later = too_early(Later(index, {**moved, move.place: move.gone}))
            gone = {mark for mark in left if places[mark] not in later}
            useful = move.finding.fingerprint in gone and later <= broken
            if useful and (best is None or len(gone) > len(best[1])):
                best = move, gone, later
        if best is None:
            waiting = waiting[_TRIED:]
            continue
        move, gone, broken = best
        moved[move.place] = move.gone
        changes.append(_change(move, [finding for finding in findings if finding.fingerprint in gone]))
        left -= gone
        waiting = [other for other in waiting if other.finding.fingerprint in left]
    return changes, set(places) - left


def _change(move: _Move, closes: Sequence[Finding]) -> Change:
    draft, node = move.draft, move.node
    dots = "." * node.level + (node.module or "")
    line = f"from {dots} import {', '.join(map(_alias, move.moved))}"
    kept = [alias for alias in node.names if alias not in move.moved]
    start, end = draft.start(node), draft.end(node)
    comment = ""
    if kept:
        rest = f"from {dots} import {', '.join(map(_alias, kept))}"
        if node.lineno != node.end_lineno:
            rest = "".join((f"from {dots} import (\n", *(f"    {_alias(alias)},\n" for alias in kept), ")"))
        splices = [Splice(draft.path, start, end, draft.text.encode(rest))]
    else:
        after = draft.text.line_start((node.end_lineno or 0) + 1)
        tail = draft.text.source[end:after].decode(draft.text.encoding).rstrip()
        comment = f"  {tail.lstrip()}" if tail else ""
        splices = [Splice(draft.path, start, after, b"")]
    splices += [_into(function, line + comment, draft) for function in move.functions]
    if move.annotated:
        splices += _under_type_checking(move, line + comment)
    where = ", ".join((*(function.name for function in move.functions), *(["TYPE_CHECKING"] if move.annotated else [])))
    marks = tuple(dict.fromkeys((move.finding.fingerprint, *(f.fingerprint for f in closes))))
    return Change(
        ID,
        move.finding.subject,
        f"`{line}` moves into {where}",
        marks,
        tuple(splices),
        evidence=f"{move.finding.get('cycle')}; the names are used there only; {_SOURCE}",
    )


def _alias(alias: ast.alias) -> str:
    return f"{alias.name} as {alias.asname}" if alias.asname else alias.name


def _into(function: Function, line: str, draft: Draft) -> Splice:
    """The import as the first statement of a function, below its docstring."""
    body = function.body
    text = draft.text
    first = body[0]
    documented = (
        isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str)
    )
    start = draft.start(first)
    before = text.source[text.line_start(first.lineno) : start]
    if before.strip():  # the body stands behind the colon
        indent = f"{text.indent(function.lineno).decode(text.encoding)}    "
        gap = start - len(before) + len(before.rstrip())
        return Splice(draft.path, gap, start, text.encode(f"\n{indent}{line}\n{indent}"))
    indent = before.decode(text.encoding)
    if not documented:
        place = (
            first.decorator_list[0].lineno
            if isinstance(first, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and first.decorator_list
            else first.lineno
        )
        return draft.insert(text.line_start(place), f"{indent}{line}\n")
    end = draft.end(first)
    return draft.insert(end, f"\n{indent}{line}")


def _under_type_checking(move: _Move, line: str) -> list[Splice]:
    draft, text = move.draft, move.draft.text
    for node in draft.tree.body:
        if isinstance(node, ast.If) and last_name(node.test) == "TYPE_CHECKING" and node.body[0].lineno > node.lineno:
            indent = text.indent(node.body[0].lineno).decode(text.encoding)
            return [draft.insert(text.line_start(node.body[0].lineno), f"{indent}{line}\n")]
    local, splices = draft.bring("typing", "TYPE_CHECKING")
    top = [n for n in draft.tree.body if isinstance(n, ast.Import | ast.ImportFrom) and n is not move.node]
    after = max([n.end_lineno or 0 for n in [*top, move.node]])
    place = text.line_start(after + 1)
    bare = "" if text.source[:place].endswith((b"\n", b"\r")) else "\n"
    return [*splices, draft.insert(place, f"{bare}\nif {local}:\n    {line}\n")]


def _pair(before: str, after: str, **more: str) -> tuple[dict[str, str], dict[str, str]]:
    other = {
        "a.py": "from b import g\n\n\nclass A:\n    def f(self):\n        return g\n",
        "t.py": "import a\n",
        **more,
    }
    return {**other, "b.py": before}, {**other, "b.py": after}


_REFUSED: Final = {"a.py": "from b import g\n\n\nclass A(g):\n    pass\n", "t.py": "import a\n"}

EXAMPLES: Final = (
    Example("one function uses the name", *_pair(
        "import os\nfrom a import A  # é\n\n\nclass g:\n    def h(self):\n        '''Make one.'''\n        return A(os)\n",
        "import os\n\n\nclass g:\n    def h(self):\n        '''Make one.'''\n        from a import A  # é\n        return A(os)\n",
        **{"a.py": _REFUSED["a.py"]},
    )),
    Example("two functions, one in one line", *_pair(
        "from a import A as B\n\n\ndef g(x):\n    if x:\n        return B()\n\n\ndef h(): return [B for _ in 'ab']\n",
        "\n\ndef g(x):\n    from a import A as B\n    if x:\n        return B()\n\n\ndef h():\n    from a import A as B\n    return [B for _ in 'ab']\n",
        **{"a.py": _REFUSED["a.py"]},
    )),
    Example("annotations only", *_pair(
        "from __future__ import annotations\n\nimport os\n\nfrom a import A\n\n\nclass g:\n    x: A\n\n    def h(self, a: A | None) -> list[A]:\n        return [os]\n",
        "from __future__ import annotations\n\nimport os\n\nfrom typing import TYPE_CHECKING\n\nif TYPE_CHECKING:\n    from a import A\n\n\nclass g:\n    x: A\n\n    def h(self, a: A | None) -> list[A]:\n        return [os]\n",
    )),
    Example("a TYPE_CHECKING block is there", *_pair(
        "from __future__ import annotations\nfrom typing import TYPE_CHECKING\nfrom a import A\n\nif TYPE_CHECKING:\n    import os\n\n\ndef g(a: A): ...\n",
        "from __future__ import annotations\nfrom typing import TYPE_CHECKING\n\nif TYPE_CHECKING:\n    from a import A\n    import os\n\n\ndef g(a: A): ...\n",
    )),
    Example("annotations and a function", *_pair(
        "from __future__ import annotations\n\nfrom a import A\n\n\nclass g:\n    def h(self) -> A:\n        return A()\n",
        "from __future__ import annotations\n\nfrom typing import TYPE_CHECKING\n\nif TYPE_CHECKING:\n    from a import A\n\n\nclass g:\n    def h(self) -> A:\n        from a import A\n        return A()\n",
        **{"a.py": _REFUSED["a.py"]},
    )),
    Example("other names stay", {
        "a.py": "X = 1\nfrom b import g\n\n\nclass A(g): ...\n", "b.py": "from a import X, A\n\n\nclass g:\n    x = X\n\n    def h(self):\n        return A\n", "t.py": "import a\n",
    }, {
        "a.py": "X = 1\nfrom b import g\n\n\nclass A(g): ...\n", "b.py": "from a import X\n\n\nclass g:\n    x = X\n\n    def h(self):\n        from a import A\n        return A\n", "t.py": "import a\n",
    }),
    Example("other names stay in their lines", {
        "a.py": "X = 1\nfrom b import g\n\n\nclass A(g): ...\n", "b.py": "from a import (\n    A,\n    X,\n)\n\n\nclass g:\n    x = X\n\n    def h(self):\n        return A\n", "t.py": "import a\n",
    }, {
        "a.py": "X = 1\nfrom b import g\n\n\nclass A(g): ...\n", "b.py": "from a import (\n    X,\n)\n\n\nclass g:\n    x = X\n\n    def h(self):\n        from a import A\n        return A\n", "t.py": "import a\n",
    }),
    Example("comments between the names", {**_REFUSED, "b.py": "from a import (\n    A,  # why\n)\n\n\ndef g():\n    return A\n"}, refuses=True),
    Example("used while the module runs", {**_REFUSED, "b.py": "from a import A\n\n\ndef g(x=A):\n    return A\n"}, refuses=True),
    Example("a function that the module calls", {**_REFUSED, "b.py": "from a import A\n\n\ndef h():\n    return A\n\n\ng = h()\n"}, refuses=True),
    Example("annotations that are evaluated", {**_REFUSED, "b.py": "from a import A\n\n\ndef g(x: A): ...\n"}, refuses=True),
    Example("annotations that something reads", {**_REFUSED, "b.py": "from __future__ import annotations\nfrom pydantic import BaseModel\nfrom a import A\n\n\nclass g(BaseModel):\n    x: A\n"}, refuses=True),
    Example("others take it from here", {**_REFUSED, "b.py": "from a import A\n\n\ndef g():\n    return A\n", "c.py": "from b import A\n"}, refuses=True),
    Example("annotations in quotes", *_pair(
        "from typing import TYPE_CHECKING\nfrom a import A\n\n\nclass g:\n    def h(self, a: 'A | None'): ...\n",
        "from typing import TYPE_CHECKING\n\nif TYPE_CHECKING:\n    from a import A\n\n\nclass g:\n    def h(self, a: 'A | None'): ...\n",
        **{"a.py": _REFUSED["a.py"]},
    )),
    Example("others take it from here under another name", {
        **_REFUSED, "b.py": "from a import A\n\n\ndef g():\n    return A\n", "c.py": "import b as x\n\nprint(x.A)\n",
    }, refuses=True),
    Example("a test sets it here", {
        **_REFUSED, "b.py": "from a import A\n\n\ndef g():\n    return A\n", "test_c.py": "import b\n\n\ndef test_a(monkeypatch):\n    monkeypatch.setattr(b, 'A', 1)\n",
    }, refuses=True),
    Example("a test patches it here", {**_REFUSED, "b.py": "from a import A\n\n\ndef g():\n    return A\n", "test_c.py": "from unittest.mock import patch\n\n\n@patch('b.A')\ndef test_a(m): ...\n"}, refuses=True),
    Example("no cycle that breaks", *_pair(*["import a\n\n\ndef g():\n    return a.A\n"] * 2, **{"a.py": "import b\n\nA = 1\n"})),
)  # fmt: skip
