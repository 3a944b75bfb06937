"""Put the bases of a class into the one order that Python accepts.

A class whose bases contradict each other cannot be created, so no program depends on the order that it has. Every order of
its bases is tried against the linearizations of the bases (C3); where exactly one passes, it is written down, and nothing
but the bases' own text moves. What an unknown ancestor adds are more constraints, so the only order that passes stays the
only one: it is proven where no ancestor is unknown, or where each base derives from the next; else the change is unsafe.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from itertools import pairwise, permutations
from typing import Final

from regreen.facts.libraries.editing import Draft, Edit, UndecidedError, one_by_one
from regreen.facts.source import Index
from regreen.facts.source.classes import Classes
from regreen.model import Example, Finding, Proposal, Risk, Safety, Span, Splice, Undo
from regreen.policy import Policy

ID: Final = "code.reorder-bases"
CHECK: Final = "code.bases-linearize"
SAFETY: Final = Safety.SAFE
UNDO: Final = Undo.EXACT
RISK: Final = Risk.LOW

_SOURCE: Final = "https://docs.python.org/3/howto/mro.html"
_MOST: Final = 6  # bases: 720 orders
#: What may follow a base on its own line: a comma, then a comment that belongs to the base.
_TAIL: Final = re.compile(rb"[ \t]*,?([ \t]*(?:#[^\r\n]*)?)(?=[\r\n])")


def propose(findings: Sequence[Finding], index: Index, policy: Policy) -> Proposal:
    """One change per class whose bases have exactly one order; the refusal for any other names the conflict."""

    def edit(finding: Finding, draft: Draft) -> Edit:
        node = _class(finding, draft)
        order, safety = _only_order(finding, index)
        splices = _moved(node, order, draft)
        names = ", ".join(draft.source(node.bases[n]) for n in order)
        return Edit(
            splices, f"class {node.name}({' '.join(names.split())})",
            f"{finding.observed}; of all orders of its bases, this one alone passes C3; {_SOURCE}", safety,
        )  # fmt: skip

    return one_by_one(ID, findings, index, edit)


def _class(finding: Finding, draft: Draft) -> ast.ClassDef:
    where = finding.where
    name = finding.subject.rpartition("::")[2].rpartition(".")[2]
    if isinstance(where, Span):
        for node in ast.walk(draft.tree):
            if isinstance(node, ast.ClassDef) and node.name == name and node.lineno == where.line:
                return node
    raise UndecidedError("the file changed since it was read", "run again")


def _plain(name: str) -> str:
    return name.partition("::")[2] or name


def _only_order(finding: Finding, index: Index) -> tuple[tuple[int, ...], Safety]:
    """The one order of a class's bases that has a linearization. Raises UndecidedError."""
    first, second = _plain(finding.get("first")), _plain(finding.get("second"))
    file = index.files[finding.path]
    line = finding.where.line if isinstance(finding.where, Span) else 0
    item = next((found for found in file.classes if found.line == line and len(found.bases) > 1), None)
    if item is None:
        raise UndecidedError("the file changed since it was read", "run again")
    if first == second:
        raise UndecidedError(
            f"{first} stands twice among its bases, and no order of them helps",
            "which of the two to remove, and whether another class was meant",
        )
    conflict = f"{first} would have to come both before and after {second}"
    if len(item.bases) > _MOST:
        raise UndecidedError(f"{conflict}, and there are too many bases to try every order", "the order, by hand")
    classes = Classes.of(index)
    name = f"{file.path}::{item.qualname}"
    bases = classes.bases(file, item)
    orders = [
        order
        for order in permutations(range(len(bases)))
        if order != tuple(range(len(bases))) and classes.passes(name, tuple(bases[n] for n in order))
    ]
    if not orders:
        raise UndecidedError(
            f"{conflict}, in every order of the bases",
            f"which base of {item.qualname} to drop, or whether the bases of {first} or {second} change",
        )
    if len(orders) > 1:
        some = "; ".join(", ".join(item.bases[n] for n in order) for order in orders[:4])
        raise UndecidedError(f"{conflict}, and {len(orders)} orders of the bases are possible", f"one of: {some}")
    chosen = tuple(bases[n] for n in orders[0])
    chain = all(after in classes.ancestry(before) for before, after in pairwise(chosen))
    known = not any(above.startswith("?") for base in chosen for above in classes.ancestry(base))
    return orders[0], Safety.SAFE if chain or known else Safety.UNSAFE


def _moved(node: ast.ClassDef, order: tuple[int, ...], draft: Draft) -> list[Splice]:
    """The bases in another order: each one's text, with the comment on its own line, takes another's place.

    Raises UndecidedError where it is not clear which base a comment belongs to.
    """
    source = draft.text.source
    spans = [(draft.start(base), draft.end(base)) for base in node.bases]
    if any(b"#" in source[before[1] : after[0]] for before, after in pairwise(spans)) or _comment_after(node, draft):
        tails = [_TAIL.match(source, end) for _, end in spans]
        alone = all(
            not source[draft.text.line_start(base.lineno) : start].strip()
            for base, (start, _) in zip(node.bases, spans, strict=True)
        )
        found = [tail.span(1) for tail in tails if tail is not None]
        between = [source[tail[1] : after[0]] for tail, after in zip(found, spans[1:], strict=False)]
        if not alone or len(found) != len(spans) or any(gap.strip() for gap in between):
            raise UndecidedError(
                "comments stand among the bases, and which base each belongs to is not certain",
                f"the order {', '.join(draft.source(node.bases[n]) for n in order)}, and where the comments go",
            )
        spans += found
        order = (*order, *(n + len(order) for n in order))
    return [
        Splice(draft.path, *spans[place], source[slice(*spans[taken])])
        for place, taken in enumerate(order)
        if source[slice(*spans[place])] != source[slice(*spans[taken])]
    ]


def _comment_after(node: ast.ClassDef, draft: Draft) -> bool:
    """Whether a comment follows the last base on its line, inside the parentheses."""
    tail = _TAIL.match(draft.text.source, draft.end(node.bases[-1]))
    return tail is not None and b"#" in tail[1]


def _pair(before: str, after: str) -> tuple[dict[str, str], dict[str, str]]:
    return {"a.py": before}, {"a.py": after}


_AB: Final = "class A: ...\n\n\nclass B(A): ...\n\n\n"

EXAMPLES: Final = (
    Example("a base before its own subclass", *_pair(_AB + "class C(A, B):  # é\n    x = 1\n", _AB + "class C(B, A):  # é\n    x = 1\n")),
    Example("object first", *_pair("class A: ...\nclass B(object, A): ...\n", "class A: ...\nclass B(A, object): ...\n")),
    Example("an exception before what derives from it", *_pair("class E(Exception, ValueError): ...\n", "class E(ValueError, Exception): ...\n")),
    Example("a keyword, a subscript, a decorator", *_pair(
        "import abc\nfrom typing import Generic, TypeVar\nT = TypeVar('T')\nclass A: ...\nclass B(A):\n    def __class_getitem__(cls, x): return cls\n@abc.x\nclass C( A,B[int] , metaclass=abc.ABCMeta): ...\n",
        "import abc\nfrom typing import Generic, TypeVar\nT = TypeVar('T')\nclass A: ...\nclass B(A):\n    def __class_getitem__(cls, x): return cls\n@abc.x\nclass C( B[int],A , metaclass=abc.ABCMeta): ...\n",
    )),
    Example("across files", {
        "m.py": "class Base: ...\nclass Child(Base): ...\n", "a.py": "from m import Base\nimport m\nclass C(Base, m.Child): ...\n",
    }, {
        "m.py": "class Base: ...\nclass Child(Base): ...\n", "a.py": "from m import Base\nimport m\nclass C(m.Child, Base): ...\n",
    }),
    Example("one base a line, each with its comment", *_pair(
        _AB + "class C(\n    A,  # the é of it\n    B\n): ...\n", _AB + "class C(\n    B,\n    A  # the é of it\n): ...\n",
    )),
    Example("three bases with one order", *_pair(
        _AB + "class D(B): ...\nclass C(A, B, D): ...\n", _AB + "class D(B): ...\nclass C(D, B, A): ...\n",
    )),
    Example("an inner class", *_pair(
        "class O:\n    class A: ...\n    class B(A): ...\n    class C(A, B): ...\n", "class O:\n    class A: ...\n    class B(A): ...\n    class C(B, A): ...\n",
    )),
    Example("two classes of one file", *_pair(
        _AB + "class C(A, B): ...\nclass D(A, B): ...\n", _AB + "class C(B, A): ...\nclass D(B, A): ...\n",
    )),
    Example("orders that contradict each other", {"a.py": "class X: ...\nclass Y: ...\nclass A(X, Y): ...\nclass B(Y, X): ...\nclass C(A, B): ...\n"}, refuses=True),
    Example("several orders", {"a.py": _AB + "class M: ...\nclass C(A, B, M): ...\n"}, refuses=True),
    Example("an unknown base among them", {"a.py": "from other import X\n" + _AB + "class C(A, X, B): ...\n"}, refuses=True),
    Example("the same base twice", {"a.py": "class A: ...\nclass B(A, A): ...\n"}, refuses=True),
    Example("comments of no certain base", {"a.py": _AB + "class C(\n    # the oldest\n    A, B,  # both\n): ...\n"}, refuses=True),
    Example("a diamond", *_pair(*[_AB + "class D(A): ...\nclass C(B, D, A): ...\n"] * 2)),
    Example("unknown bases", *_pair(*["from other import X, Y\nclass C(X, Y, object): ...\n"] * 2)),
)  # fmt: skip
