"""From the statements of a test to its obligations.

The walk follows what pytest would run: helpers are entered, literal loops unrolled, guards (conditions, handlers, early
returns) kept with each obligation, and what can never run is left out.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import Final

from .assertion import bind_target, formula
from .constant import Const
from .expression import Binding, Scope, Value, bind, constant, definition, enter, value
from .formula import FALSE, Atom, Test
from .obligation import Act, Guard
from .raising import expectation, is_context, last_expression, names_in, raised
from .recorder import MOST, Recorder
from .rewrite import as_expression, is_assertive, is_failure
from .shape import arranges, asserts, fails_last, is_true, loaded, nested, only_fails
from .source import Function, calls_in, dotted, last_name
from .syntax import iterated

_SKIPS: Final = frozenset({"skip", "skipTest", "xfail", "importorskip", "SkipTest", "exit", "_exit"})
_SWALLOWS: Final = frozenset({"move_on_after", "move_on_at", "ignore_after", "ignore_at"})
"""Time limits of anyio, trio and curio that end their block in silence."""
_UNROLL: Final = 40


class Walk(Recorder):
    """Walks one test (or helper), entering what it calls."""

    # -- statements -------------------------------------------------------------------------------------------

    def block(self, body: Sequence[ast.stmt]) -> bool:
        """Walk statements in order; True when control cannot fall through the end."""
        return any(self.statement(statement) for statement in body)

    def statement(self, node: ast.stmt) -> bool:
        match node:
            case ast.Assert():
                self.calls(node.test)
                self.oblige(node.test, node)
                return constant(node.test, self.scope) is not None and formula(node.test, self.scope) == FALSE
            case ast.Expr():
                return self.expression(node)
            case ast.Assign() | ast.AnnAssign() | ast.AugAssign():
                self.assign(node)
            case ast.If():
                return self.branch(node)
            case ast.For() | ast.AsyncFor():
                self.loop(node)
            case ast.While():
                self.under(self.guard("while", node.test), node.body)
                self.block(node.orelse)
            case ast.With() | ast.AsyncWith():
                return self.context(node)
            case ast.Try() | ast.TryStar():
                return self.attempt(node)
            case ast.Match():
                for case in node.cases:
                    text = ast.unparse(case.pattern)
                    self.under(Guard("match", text, text), case.body)
            case ast.Return():
                if node.value is not None:
                    self.calls(node.value)
                    self.record.yields.append(value(node.value, self.scope))
                self.leave("return")
                return True
            case ast.Break() | ast.Continue():
                self.leave("return")
                return True
            case ast.Raise():
                return self.throw(node)
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                self.scope.inner[node.name] = node
                self.local(node.name)
            case ast.ClassDef():
                self.local(node.name)
                self.callbacks([item for item in node.body if isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef)])
            case ast.Import() | ast.ImportFrom():
                self.imported(node)
        return False

    def expression(self, node: ast.Expr) -> bool:
        inner = node.value.value if isinstance(node.value, ast.Await | ast.Yield) else node.value
        if isinstance(node.value, ast.Yield) and node.value.value is not None:
            self.record.yields.append(value(node.value.value, self.scope))
        if not isinstance(inner, ast.Call):
            if inner is not None:
                self.calls(inner)
            return False
        if is_failure(inner):
            self.fail(node)
            return True
        if last_name(inner.func) in _SKIPS and dotted(inner.func).split(".")[0] in {
            "pytest",
            "self",
            "skip",
            "xfail",
            "unittest",
            "os",
        }:
            if last_name(inner.func) == "importorskip":
                self.exits += (self.named("skip", inner),)
                return False
            self.leave("skip")
            return True
        if self.assumes(inner):
            self.exits += (self.guard("if", inner.args[0]),)
            return False
        self.act(inner)
        return False

    def assumes(self, call: ast.Call) -> bool:
        """`hypothesis.assume(x)`: what follows runs for the examples where x holds."""
        origin = self.scope.module.imports.get(dotted(call.func).split(".")[0], "")
        return last_name(call.func) == "assume" and origin.startswith("hypothesis") and len(call.args) == 1

    def act(self, call: ast.Call) -> None:
        """A call as a statement: an assertion, a helper that asserts, or an act."""
        found = expectation(call, self.scope)
        if found is not None and found.body is not None:
            self.raises(found.kinds, found.match, [ast.copy_location(ast.Expr(found.body), call)], call, found.verb)
            return
        helper = definition(call, self.scope)
        rewritten = as_expression(call) if helper is None else None
        if rewritten is not None:
            self.calls(call)
            self.oblige(rewritten, call)
            return
        entered = self.calls(call)
        if call in entered:
            return
        if is_assertive(call) and not arranges(call) and (helper is None or asserts(helper, self.scope)):
            self.opaque(call)
            return
        self.patch(call)
        self.act_of(last_name(call.func), call)

    def assign(self, node: ast.Assign | ast.AnnAssign | ast.AugAssign) -> None:
        if node.value is None:
            return
        entered = self.calls(node.value)
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        call = node.value.value if isinstance(node.value, ast.Await) else node.value
        if isinstance(call, ast.Call) and dotted(call.func) == "pytest.importorskip":
            self.exits += (self.named("skip", call),)
        found = expectation(call, self.scope) if isinstance(call, ast.Call) else None
        if found is not None and found.body is not None and isinstance(call, ast.Call):
            body = [ast.copy_location(ast.Expr(found.body), node)]
            bound = self.raises(found.kinds, found.match, body, call, found.verb)
            for target in targets:
                if isinstance(target, ast.Name):
                    self.scope.env[target.id] = bound
            return
        if isinstance(call, ast.Call) and call not in entered:
            self.patch(call)
            self.act_of(last_name(call.func), call)
        if isinstance(node, ast.AugAssign):
            joined = ast.BinOp(loaded(node.target), node.op, node.value)
            self.store(node.target, bind(ast.copy_location(joined, node), self.scope))
            return
        bound = bind(node.value, self.scope)
        for target in targets:
            self.store(target, bound)

    # -- control ----------------------------------------------------------------------------------------------

    def branch(self, node: ast.If) -> bool:
        known = constant(node.test, self.scope)
        if known is not None:
            return self.block(node.body if known.value else node.orelse)
        self.calls(node.test)
        yes, no = self.guard("if", node.test), self.guard("if", node.test, negated=True)
        before, exits = dict(self.scope.env), self.exits
        count = len(self.record.obligations)
        ended = self.under(yes, node.body)
        after_body, body_exits = self.scope.env, self.exits[len(exits) :]
        if ended and only_fails(node.body) and self.fails:
            del self.record.obligations[count:]
            self.oblige(ast.copy_location(ast.UnaryOp(ast.Not(), node.test), node), node)
            body_exits = ()
        self.scope.env, self.exits = dict(before), exits
        other = self.under(no, node.orelse) if node.orelse else False
        self.exits += body_exits
        if not ended:
            self.merge(after_body, other)
        return ended and other

    def under(self, guard: Guard, body: Sequence[ast.stmt]) -> bool:
        """Walk a block under one more guard."""
        guards, self.guards = self.guards, (*self.guards, guard)
        try:
            return self.block(body)
        finally:
            self.guards = guards

    def loop(self, node: ast.For | ast.AsyncFor) -> None:
        self.calls(node.iter)
        source = value(iterated(node.iter), self.scope.at(deep=True))
        jumps = any(isinstance(part, ast.Break | ast.Continue | ast.Return) for s in node.body for part in ast.walk(s))
        room = len(self.record.obligations) + len(source.items or ()) < MOST
        if source.items is not None and len(source.items) <= _UNROLL and not jumps and room:
            trial = self.scope.at(deep=True)
            if all(bind_target(node.target, item, trial) for item in source.items):
                for item in source.items:
                    bind_target(node.target, item, self.scope)
                    self.block(node.body)
                self.block(node.orelse)
                return
        exits = self.exits
        for part in ast.walk(node.target):
            if isinstance(part, ast.Name):
                self.record.locals.add(part.id)
                deep = Value(f"item of {source.text}", (*source.spine, "[]"))
                self.scope.env[part.id] = Binding(deep, Value(f"‹{part.id}›", deep.spine))
        shallow = value(iterated(node.iter), self.scope.at(deep=False))
        until = " until " + ends if (ends := _ends(node)) else ""
        guard = Guard("loop", f"for {source.text}{until}", f"for {shallow.text}{until}", None, (*source.spine, until))
        self.under(guard, node.body)
        self.exits = exits
        self.block(node.orelse)

    def context(self, node: ast.With | ast.AsyncWith) -> bool:
        guards = self.guards
        body: Sequence[ast.stmt] = node.body
        for index, item in enumerate(node.items):
            call = item.context_expr
            if is_context(call) and isinstance(call, ast.Call):
                rest = node.items[index + 1 :]
                inner = [ast.copy_location(ast.With(rest, node.body), node)] if rest else body
                found = expectation(call, self.scope)
                if found is not None:
                    name = item.optional_vars.id if isinstance(item.optional_vars, ast.Name) else ""
                    self.raises(found.kinds, found.match, inner, call, found.verb, name)
                    self.guards = guards
                    return False
            if isinstance(call, ast.Call):
                if last_name(call.func) in {"suppress", *_SWALLOWS}:
                    kinds = ", ".join(names_in(call.args, self.scope)) if "suppress" in last_name(call.func) else "time"
                    self.guards += (Guard("suppress", kinds, kinds),)
                    continue
                entered = self.calls(call)
                self.patch(call)
                if call not in entered:
                    if is_assertive(call):
                        self.opaque(call)
                    else:
                        self.act_of(last_name(call.func), call)
            if item.optional_vars is not None:
                bound = bind(call, self.scope)
                self.store(item.optional_vars, bound)
        ended = self.block(body)
        self.guards = guards
        return ended

    def attempt(self, node: ast.Try | ast.TryStar) -> bool:
        swallowing = [handler for handler in node.handlers if not fails_last(handler.body)]
        must_raise = bool(node.body) and (fails_last(node.body) or only_fails(node.orelse)) and self.fails
        if must_raise and len(swallowing) == 1 and len(node.handlers) == 1 and swallowing[0].type is not None:
            handler = swallowing[0]
            body = node.body if only_fails(node.orelse) else node.body[:-1]
            kinds = names_in([handler.type] if handler.type else [], self.scope)
            if body and not {"AssertionError", "Exception", "BaseException"} & set(kinds):
                bound = self.raises(kinds, None, body, node, "raised", as_value=True)
                if handler.name:
                    self.scope.env[handler.name] = bound
                self.block(handler.body)
                self.block(node.finalbody)
                return False
        guards = self.guards
        for handler in swallowing:
            caught = ", ".join(names_in([handler.type] if handler.type else [], self.scope)) or "everything"
            self.guards += (Guard("try", caught, caught),)
        ended = self.block(node.body)
        if not ended:
            ended = self.block(node.orelse)
        self.guards = guards
        exits = self.exits
        for handler in node.handlers:
            caught = ", ".join(names_in([handler.type] if handler.type else [], self.scope)) or "everything"
            if handler.name:
                spine = ("excinfo",)
                self.scope.env[handler.name] = Binding(Value("caught", spine), Value("caught", spine))
            fails, self.fails = self.fails, False
            body = handler.body if handler in swallowing else handler.body[:-1]  # failing there is no news
            self.under(Guard("except", caught, caught), body)
            self.fails = fails
        if swallowing and any(isinstance(s, ast.Return | ast.Continue | ast.Break) for h in swallowing for s in h.body):
            self.exits = (*exits, Guard("try", "handler leaves", "handler leaves"))
        else:
            self.exits = exits
        return self.block(node.finalbody) or (ended and not swallowing)

    def throw(self, node: ast.Raise) -> bool:
        name = last_name(node.exc.func if isinstance(node.exc, ast.Call) else node.exc) if node.exc else ""
        if name in {"SkipTest", "Skipped"}:
            self.leave("skip")
        elif self.fails:
            self.fail(node)
        else:
            self.leave("return")
        return True

    def raises(
        self, kinds: tuple[str, ...], match: ast.expr | None, body: Sequence[ast.stmt], origin: ast.AST,
        verb: str, name: str = "", *, as_value: bool = False,
    ) -> Binding:  # fmt: skip
        """`with raises(E, match): body`: the obligation, and then the body, whose asserts may not be reached."""
        count = len(self.record.obligations)
        inner = Guard(verb, ", ".join(kinds), ", ".join(kinds))
        if name:
            target = last_expression(body)
            early = raised(target, body, verb, self.scope)
            self.scope.env[name] = early
        if verb == "raised":
            fails, self.fails = self.fails, False
            self.under(inner, body)
            self.fails = fails
        else:
            self.block(body)
        if verb == "raised":
            self.exits = tuple(exit_ for exit_ in self.exits if exit_.kind != "return" or "raised" not in exit_.deep)
        held = self.record.obligations[count:]
        del self.record.obligations[count:]
        whole = raised(last_expression(body), body, verb, self.scope)
        bound = raised(last_expression(body), body, verb, self.scope, as_value=as_value)
        if name:
            self.scope.env[name] = bound
            self.record.locals.add(name)
        arg = Const.of(kinds)
        outside, self.guards = self.guards, (*self.guards, *_also(body, verb))
        subject, short, spine = whole.deep.text, whole.shallow.text, whole.deep.spine
        self.note(
            Atom(f"{verb} {subject}", Test("raises", arg), spine),
            Atom(f"{verb} {short}", Test("raises", arg), spine),
            origin,
        )
        if match is not None:
            self.matching(match, subject, short, spine, origin)
        self.guards = outside
        self.record.obligations += held
        return bound

    # -- calls ------------------------------------------------------------------------------------------------

    def calls(self, node: ast.expr) -> list[ast.Call]:
        """Enter every helper with assertions that an expression calls; the calls that were entered."""
        entered: list[ast.Call] = []
        for call in calls_in(node):
            self.record.ran.append(Act(last_name(call.func), frozenset(), call.lineno, self.around()))
            if dotted(call.func) == "zip" and any(is_true(kw) for kw in call.keywords if kw.arg == "strict"):
                deep, shallow = value(call, self.scope.at(deep=True)), value(call, self.scope.at(deep=False))
                test = Test("holds")
                self.note(
                    Atom(f"equal lengths in {deep.text}", test), Atom(f"equal lengths in {shallow.text}", test), call
                )
            helper = definition(call, self.scope)
            if helper is None or helper.function in self.stack or len(self.stack) > 5:
                continue
            if not asserts(helper, self.scope) or len(self.record.obligations) >= MOST:
                continue
            inside = enter(call, helper, self.scope)
            if inside is None:
                continue
            walk = Walk(inside, self.record)
            walk.guards, walk.fails = self.around(), self.fails
            walk.stack = (*self.stack, helper.function)
            yields, self.record.yields = self.record.yields, []
            walk.block(helper.function.body)
            self.record.yields = yields
            self.scope.env.update({k: v for k, v in walk.scope.env.items() if k.startswith("self.")})
            entered.append(call)
        return entered

    def callbacks(self, functions: Sequence[Function], *, called: frozenset[str] = frozenset()) -> None:
        """Functions defined in a test and handed on: their assertions run if somebody calls them back."""
        for function in functions:
            if function.name in called:
                continue
            inside = Scope(
                self.scope.project, self.scope.module, self.scope.owner, dict(self.scope.env), self.scope.shared,
                self.scope.used, dict(self.scope.inner), self.scope.depth,
            )  # fmt: skip
            for arg in (*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs):
                inside.env[arg.arg] = Binding(
                    Value(f"argument {arg.arg}", ("argument",)), Value(f"‹{arg.arg}›", ("argument",))
                )
            walk = Walk(inside, self.record)
            walk.guards, walk.fails = (*self.guards, Guard("callback", "callback", "callback")), False
            walk.stack = (*self.stack, function)
            yields, self.record.yields = self.record.yields, []
            walk.block(function.body)
            walk.finish(function)
            self.record.yields = yields

    def finish(self, function: Function) -> None:
        """After the body: walk the nested functions that are used other than by a direct call that was entered."""
        loads: dict[str, int] = {}
        direct: dict[str, int] = {}
        for part in ast.walk(function):
            if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Load):
                loads[part.id] = loads.get(part.id, 0) + 1
            if isinstance(part, ast.Call) and isinstance(part.func, ast.Name):
                direct[part.func.id] = direct.get(part.func.id, 0) + 1
        used = [
            f for name, f in self.scope.inner.items()
            if f not in self.stack and nested(f, function)
            and (f.decorator_list or loads.get(name, 0) > direct.get(name, 0))
        ]  # fmt: skip
        self.exits = ()
        self.callbacks(used)


def _ends(loop: ast.For | ast.AsyncFor) -> str:
    """What ends a loop before its last item: the text of its own `break` and `return` with their conditions."""
    found: list[str] = []
    pending: list[tuple[ast.stmt, str]] = [(statement, "") for statement in loop.body]
    while pending:
        node, under = pending.pop(0)
        match node:
            case ast.Break() | ast.Return():
                found.append(under or "the first")
            case ast.If():
                test = ast.unparse(node.test)
                pending += [(part, test) for part in node.body] + [(part, f"not ({test})") for part in node.orelse]
            case ast.With() | ast.AsyncWith():
                pending += [(part, under) for part in node.body]
            case ast.Try():
                parts = [*node.body, *node.orelse, *node.finalbody, *(s for h in node.handlers for s in h.body)]
                pending += [(part, under or "some") for part in parts]
    return ", ".join(found)


def _also(body: Sequence[ast.stmt], verb: str) -> tuple[Guard, ...]:
    """What else in the body might raise: with it, less is known of where the exception came from."""
    last = last_expression(body)
    inside = set(ast.walk(last)) if last is not None else set()
    names = {last_name(call.func) for statement in body for call in calls_in(statement) if call not in inside}
    names |= {"raise" for statement in body for part in ast.walk(statement) if isinstance(part, ast.Raise)}
    names -= {"raises", "warns", "assertRaises", "assertWarns", "catch_warnings", "simplefilter", "subTest"}
    return tuple(Guard(f"also {verb}", name, name) for name in sorted(names))
