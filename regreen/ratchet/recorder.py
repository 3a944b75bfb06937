"""Recording what a test checks, under the guards of the place."""

from __future__ import annotations

import ast
import builtins
import re
from typing import Final

from .assertion import formula, matches
from .expression import Binding, Scope, Value, bind, constant, value
from .formula import FALSE, TRUE, Atom, Formula, Join, Test, is_valid, join, negate
from .obligation import Act, Guard, Obligation, Record
from .shape import talks
from .source import Function, dotted, last_name, origins

_PATCHES: Final = frozenset({"patch", "object", "setattr", "multiple", "dict", "spy"})
_LOCAL: Final = re.compile("‹([^›]*)›")
_SELF: Final = re.compile(r"\bself\.\w+")
MOST: Final = 600
"""No more obligations than this are kept of one test: what is longer is generated."""


class Recorder:
    """The place that a walk has reached, and what it has found so far."""

    def __init__(self, scope: Scope, record: Record | None = None) -> None:
        self.scope = scope
        self.record = record or Record()
        self.guards: tuple[Guard, ...] = ()
        self.exits: tuple[Guard, ...] = ()
        self.fails = True
        self.stack: tuple[Function, ...] = ()

    # -- guards -----------------------------------------------------------------------------------------------

    def guard(self, kind: str, test: ast.expr, *, negated: bool = False) -> Guard:
        deep, shallow = formula(test, self.scope.at(deep=True)), formula(test, self.scope.at(deep=False))
        if negated:
            deep, shallow = negate(deep), negate(shallow)
        return Guard(kind, str(deep), str(shallow), deep)

    def named(self, kind: str, node: ast.expr) -> Guard:
        bound = bind(node, self.scope)
        return Guard(kind, bound.deep.text, bound.shallow.text)

    def leave(self, kind: str) -> None:
        """Control leaves here: what follows runs only where these guards did not hold."""
        conditions = [guard for guard in self.guards if guard.kind in {"if", "match", "while"}]
        if not conditions:
            if kind == "skip" and not self.guards:
                self.exits += (Guard(kind, "always", "always"),)
            elif self.guards:  # inside a loop or handler: what follows may or may not run
                last = self.guards[-1]
                self.exits += (Guard(kind, f"left in {last.deep}", f"left in {last.shallow}"),)
            return
        parts = [guard.formula for guard in conditions if guard.formula is not None]
        exact = negate(join(True, parts)) if len(parts) == len(conditions) else None
        text = " and ".join(guard.deep for guard in conditions)
        shallow = " and ".join(guard.shallow for guard in conditions)
        key = str(exact) if exact is not None else f"not ({text})"
        self.exits += (Guard("if" if kind == "return" else kind, key, f"not ({shallow})", exact),)

    # -- locals -----------------------------------------------------------------------------------------------

    def store(self, target: ast.expr, bound: Binding) -> None:
        """Bind a target. In shallow reading a local is itself, unless it is a constant that nothing else uses."""
        match target:
            case ast.Name():
                self.record.locals.add(target.id)
                shown = Value(f"‹{target.id}›", bound.deep.spine)
                keep = bound.deep.const is not None and target.id not in self.scope.shared
                self.scope.env[target.id] = Binding(bound.deep, bound.deep if keep else shown)
                self.scope.inner.pop(target.id, None)
            case ast.Attribute() if isinstance(target.value, ast.Name) and target.value.id in {"self", "cls"}:
                name = f"self.{target.attr}"
                shown = Value(name, bound.deep.spine)
                self.scope.env[name] = Binding(bound.deep, bound.deep if bound.deep.const is not None else shown)
            case ast.Attribute():
                if bound.deep.spine[:1] in (("mock",), ("lambda",)):
                    self.record.patches[target.attr] = ast.unparse(target)
                self.record.assigned.add(value(target, self.scope.at(deep=True)).text)
                self.act_of(target.attr, target, called=False)
            case ast.Tuple() | ast.List():
                for index, part in enumerate(target.elts):
                    items = bound.deep.items
                    if items is not None and len(items) == len(target.elts):
                        piece = items[index]
                    else:
                        piece = Value(f"{bound.deep.text}[{index}]", (*bound.deep.spine, "[]"))
                    self.store(part.value if isinstance(part, ast.Starred) else part, Binding(piece, piece))

    def act_of(self, name: str, node: ast.expr, *, called: bool = True) -> None:
        """Remember something that is done, by its name, and the locals that it touches."""
        text = value(node, self.scope.at(deep=False)).text
        line = getattr(node, "lineno", 0)
        self.record.acts.append(Act(name, self.objects(node, text), line, self.around(), called, talks(node)))

    def around(self) -> tuple[Guard, ...]:
        """The guards of this place."""
        return tuple(dict.fromkeys((*self.guards, *self.exits)))

    def objects(self, node: ast.AST | None, text: str) -> frozenset[str]:
        """The objects that a piece of code names: locals, fixtures, attributes of self, globals of the file."""
        found = set(_SELF.findall(text)) | set(_LOCAL.findall(text))
        for part in ast.walk(node) if node is not None else ():
            known = (*self.scope.module.imports, *self.scope.module.functions, *self.scope.module.classes)
            if isinstance(part, ast.Name) and not hasattr(builtins, part.id) and part.id not in known:
                found.add(part.id)
        return frozenset(found - {"self", "cls"})

    def local(self, name: str) -> None:
        """A function or class defined in the test: its name is as good as any other."""
        self.record.locals.add(name)
        self.scope.env[name] = Binding(Value(name, (name,)), Value(f"‹{name}›", (name,)))

    def imported(self, node: ast.Import | ast.ImportFrom) -> None:
        for name, origin in origins(node, self.scope.module.path):
            short = f"{origin.split('.')[0]}:{origin.rsplit('.', 1)[-1]}"
            self.scope.env[name] = Binding(Value(origin, (short,)), Value(short, (short,)))

    def merge(self, taken: dict[str, Binding], other_ended: bool) -> None:
        """A local that only one branch set, or each differently, is neither value: it gets a text of its own."""
        for name, bound in taken.items():
            now = self.scope.env.get(name)
            if now == bound:
                continue
            if now is None or other_ended:
                self.scope.env[name] = bound
                continue
            spine = bound.deep.spine
            if now.deep.spine != spine:
                spine = ("alternative", *spine, *now.deep.spine)
            texts = sorted({bound.deep.text, now.deep.text})
            deep = Value(f"either({', '.join(texts)})", spine)
            self.scope.env[name] = Binding(deep, Value(f"‹{name}›", spine))

    # -- obligations ------------------------------------------------------------------------------------------

    def oblige(self, test: ast.expr, origin: ast.AST) -> None:
        """Record an asserted expression, conjunctions apart."""
        match test:
            case ast.BoolOp(op=ast.And()):
                for part in test.values:
                    self.oblige(part, origin)
                return
            case ast.Compare() if len(test.ops) > 1:
                sides = [test.left, *test.comparators]
                for op, left, right in zip(test.ops, sides, sides[1:], strict=False):
                    self.oblige(ast.copy_location(ast.Compare(left, [op], [right]), test), origin)
                return
            case ast.Call(func=ast.Name(id="all"), args=[ast.Tuple() | ast.List() as parts]):
                for part in parts.elts:
                    self.oblige(part, origin)
                return
        deep, shallow = formula(test, self.scope.at(deep=True)), formula(test, self.scope.at(deep=False))
        for node in ast.walk(test):
            if isinstance(node, ast.NamedExpr):
                self.store(node.target, bind(node.value, self.scope))
        pairs = [(deep, shallow)]
        if (
            isinstance(deep, Join)
            and isinstance(shallow, Join)
            and deep.all_of
            and len(deep.parts) == len(shallow.parts)
        ):
            pairs = list(zip(deep.parts, shallow.parts, strict=True))
        for one, other in pairs:
            if not is_valid(one):
                self.note(one, other, origin, test)

    def note(
        self,
        deep: Formula,
        shallow: Formula,
        origin: ast.AST,
        node: ast.expr | None = None,
        call: ast.Call | None = None,
    ) -> None:
        if len(self.record.obligations) >= MOST:
            return
        scope = self.scope.at(deep=True) if node is not None else None
        self.record.obligations.append(
            Obligation(
                self.around(),
                deep,
                shallow,
                getattr(origin, "lineno", 0),
                self.scope.module.snippet(origin),
                len(self.record.acts),
                node,
                scope,
                self.objects(node, str(shallow)),
                call,
            )
        )

    def opaque(self, call: ast.Call) -> None:
        """An assertion by name whose body is out of reach: equal only to itself."""
        deep, shallow = value(call, self.scope.at(deep=True)), value(call, self.scope.at(deep=False))
        self.note(
            Atom(deep.text, Test("holds"), deep.spine),
            Atom(shallow.text, Test("holds"), shallow.spine),
            call,
            call=call,
        )

    def fail(self, node: ast.stmt) -> None:
        """This place must not be reached: the conditions around it must not all hold."""
        conditions = [guard.formula for guard in self.guards if guard.formula is not None]
        kept = tuple(guard for guard in self.guards if guard.formula is None)
        exact = negate(join(True, conditions)) if conditions else FALSE
        if exact in (TRUE, FALSE) and not kept:
            return
        guards, self.guards = self.guards, kept
        self.note(exact, exact, node)
        self.guards = guards

    def matching(self, match: ast.expr, subject: str, short: str, spine: tuple[str, ...], origin: ast.AST) -> None:
        inner = (
            match.args[0] if isinstance(match, ast.Call) and dotted(match.func) == "re.escape" and match.args else None
        )
        known = constant(inner if inner is not None else match, self.scope)
        text, brief = f"str({subject}.value)", f"str({short}.value)"
        around = ("str", *spine, ".value")
        if known is not None and isinstance(known.value, str):
            if inner is not None:
                test = Test("contains", known)
                self.note(Atom(text, test, around, "str"), Atom(brief, test, around, "str"), origin)
            else:
                self.note(matches(text, around, known.value), matches(brief, around, known.value), origin)
            return
        deep, shallow = value(match, self.scope.at(deep=True)), value(match, self.scope.at(deep=False))
        self.note(
            Atom(f"{text} matches {deep.text}", Test("holds"), around),
            Atom(f"{brief} matches {shallow.text}", Test("holds"), around),
            origin,
        )

    def patch(self, call: ast.Call) -> None:
        """Remember what a call replaces: `patch("a.b")`, `patch.object(A, "b")`, `monkeypatch.setattr(a, "b", …)`."""
        name = dotted(call.func)
        if not name or last_name(call.func) not in _PATCHES:
            return
        if not any(part in {"patch", "mocker", "monkeypatch", "mp", "m", "mock"} for part in name.split(".")):
            return
        if any(kw.arg == "wraps" for kw in call.keywords) or last_name(call.func) in {"dict", "spy"}:
            return
        consts = [c.value for c in (constant(arg, self.scope) for arg in call.args[:2]) if c is not None]
        texts = [text for text in consts if isinstance(text, str)]
        if texts:
            owner = dotted(call.args[0]) if call.args else ""
            origin = self.scope.module.imports.get(owner.split(".")[0], owner)
            self.record.patches[texts[0].rsplit(".", 1)[-1]] = texts[0] if "." in texts[0] else f"{origin}.{texts[0]}"
