"""The returns of one test, rewritten where they stand: what is no return stays as it is, to the byte.

The cases are those of the fact sheet: a tail `return True` goes; `return <condition>` becomes `assert <condition>`; a
handler that turns an error into `return False` goes, or raises again where it also speaks; `return False` elsewhere
becomes `pytest.fail`; a pair becomes an assertion with a message; a mapping is asserted by the key that says success.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from typing import Final

from regreen.facts.source import SourceText, last_name
from regreen.facts.source.testcode import FunctionNode, own_expressions
from regreen.model import Splice
from remedies.returning.syntax import (
    BROAD,
    CONDITIONS,
    SKIPS,
    below,
    checks_itself,
    flat,
    gives,
    handles_imports,
    is_broad,
    is_string,
    is_text,
    kinds,
    outermost,
    quoted,
    runs,
    said,
    speaks_of_error,
    talks,
    value_of,
)
from remedies.returning.unwrap import unwrapped
from remedies.returning.values import Reader, Says, Value, value_returns


class Refused(Exception):  # noqa: N818 - an answer, not an error
    """The test is left alone: `reason` says why, `decide` what a person must decide."""

    def __init__(self, reason: str, decide: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.decide = decide


@dataclass
class Rewriting:
    """The splices for one function; `fails` where `pytest.fail` is needed; `unmasks` where it can fail now."""

    splices: list[Splice] = field(default_factory=list)
    fails: bool = False
    unmasks: bool = False
    proven: bool = True
    done: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a return stands: the blocks around it, outermost first, as (statement, the name of its part)."""

    around: tuple[tuple[ast.stmt | ast.ExceptHandler, str], ...]
    block: list[ast.stmt]
    tail: bool


_MEANING: Final = "say in the test what failure is, as an assertion"


class Rewriter:
    """Rewrites one function of a file."""

    def __init__(self, path: str, text: SourceText, function: FunctionNode, boolean: frozenset[str], fail: str) -> None:
        self.path = path
        self.text = text
        self.function = function
        self.reader = Reader(function, boolean)
        self.fail = fail  # the callee: `pytest.fail` or `self.fail`
        self.result = Rewriting()
        self.places: dict[int, _Place] = {}
        self.released: set[int] = set()  # handlers that let errors out
        self.moved: list[tuple[int, int, int]] = []  # lines (exclusive) that move to the left, and by how much
        self._settle(function.body, (), tail=True)

    def run(self) -> Rewriting:
        """The splices. Raises Refused."""
        gone: set[int] = set()
        for statement, handler in self._handlers():
            gone |= self._handler(statement, handler)
        gone |= self._branches()
        for item in value_returns(self.function):
            if id(item) not in gone:
                self._return(item, self.reader.read(value_of(item)))
        self._annotation()
        self.result.splices = outermost(self.result.splices)
        return self.result

    def _annotation(self) -> None:
        returns = self.function.returns
        if returns is not None:
            start = self.text.offset(returns.lineno, returns.col_offset)
            end = self.text.offset(returns.end_lineno or 0, returns.end_col_offset or 0)
            self.result.splices.append(Splice(self.path, start, end, self.text.encode("None")))

    def _settle(
        self, body: list[ast.stmt], around: tuple[tuple[ast.stmt | ast.ExceptHandler, str], ...], *, tail: bool
    ) -> None:
        for number, statement in enumerate(body):
            last = tail and number == len(body) - 1
            self.places[id(statement)] = _Place(around, body, last)
            if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                continue
            loop = isinstance(statement, ast.For | ast.AsyncFor | ast.While)
            for name in ("body", "orelse", "finalbody"):
                inner = getattr(statement, name, None)
                if inner:
                    ends = last and not (loop and name == "body")
                    if isinstance(statement, ast.Try) and name == "body" and statement.orelse:
                        ends = False
                    self._settle(inner, (*around, (statement, name)), tail=ends)
            for handler in getattr(statement, "handlers", ()):
                self._settle(handler.body, (*around, (statement, "handlers"), (handler, "body")), tail=last)
            for case in getattr(statement, "cases", ()):
                self._settle(case.body, (*around, (statement, "cases")), tail=last)

    def _handlers(self) -> list[tuple[ast.Try, ast.ExceptHandler]]:
        found: list[tuple[ast.Try, ast.ExceptHandler]] = []
        for node in own_expressions(self.function):
            if isinstance(node, ast.Try):
                found += [(node, handler) for handler in node.handlers]
        return found

    def _handler(self, statement: ast.Try, handler: ast.ExceptHandler) -> set[int]:
        """Rewrite a handler whose last statement gives up; the `id` of the return that it ends in."""
        last = handler.body[-1]
        inside = [s for s in below([*statement.body, *statement.orelse]) if isinstance(s, ast.Return) and gives(s)]
        if not isinstance(last, ast.Return):
            return set()
        if last.value is None or not gives(last):
            if not (is_broad(handler) and inside):
                return set()
        else:
            value = self.reader.read(last.value)
            if value.says is Says.PASS and is_broad(handler):
                self._refuse_swallowed(self.places[id(last)])
            if value.says is Says.PASS and (handles_imports(handler) or SKIPS.search(said(handler))):
                raise Refused("the return decides a skip", "skip with pytest.importorskip or pytest.mark.skipif")
            if value.says in (Says.PASS, Says.CONDITION):
                return set()  # the error is expected: judged with the other returns
            if value.says is not Says.FAIL and not speaks_of_error(last.value, handler):
                raise Refused(
                    "a handler returns a value that says neither pass nor fail",
                    "say what the error means: expected (pytest.raises) or a failure (no handler)",
                )
        if statement.finalbody and any(isinstance(s, ast.Return) for s in below(statement.finalbody)):
            raise Refused("a return in `finally` swallows every error", "take the return out of `finally`")
        quiet = True
        for item in handler.body[:-1]:
            if isinstance(item, ast.Pass | ast.Import) or is_text(item):
                continue
            if not talks(item):
                raise Refused(
                    "the handler does more than speak: it cleans up, or keeps the error for later",
                    "move the clean-up to a fixture or a finally block, then let the error out",
                )
            quiet = False
        if handles_imports(handler) and SKIPS.search(said(handler)):
            raise Refused("the return decides a skip", "skip with pytest.importorskip or pytest.mark.skipif")
        self.released.add(id(handler))
        self._let_out(statement, handler, last, quiet)
        return {id(last)}

    def _let_out(self, statement: ast.Try, handler: ast.ExceptHandler, last: ast.Return, quiet: bool) -> None:
        self.result.unmasks = True
        if quiet and len(statement.handlers) == 1 and not statement.orelse:
            lines = unwrapped(self.path, self.text, statement, handler)
            if lines is not None:
                self.result.splices += lines
                if not statement.finalbody:
                    inner, outer = (self.text.indent(s.lineno) for s in (statement.body[0], statement))
                    self.moved.append((statement.lineno, handler.lineno, len(inner) - len(outer)))
                self.result.done.append("the handler that hid errors is gone")
                return
        self._replace(last, "raise")
        self.result.done.append("the handler raises again")

    def _branches(self) -> set[int]:
        """`if c: return True` and `return False` after it, with nothing else: one assertion. The `id`s of the returns."""
        gone: set[int] = set()
        for statement in below(self.function.body):
            if not isinstance(statement, ast.If) or len(statement.body) != 1 or len(statement.orelse) > 1:
                continue
            place = self.places[id(statement)]
            number = place.block.index(statement)
            other = statement.orelse[0] if statement.orelse else next(iter(place.block[number + 1 :]), None)
            first = statement.body[0]
            if not (isinstance(first, ast.Return) and isinstance(other, ast.Return)):
                continue
            pair = tuple(item.value.value if isinstance(item.value, ast.Constant) else None for item in (first, other))
            leaves = place.tail or (not statement.orelse and self.places[id(other)].tail)
            if pair not in ((True, False), (False, True)) or not leaves or not self._bare(statement.lineno, other):
                continue
            self._refuse_skips(self.places[id(first)], first, self.reader.read(value_of(first)))
            self._refuse_caught(place, "assert")
            test = self._source(statement.test)
            if pair == (False, True):
                negated = isinstance(statement.test, ast.UnaryOp) and isinstance(statement.test.op, ast.Not)
                test = self._source(statement.test.operand) if negated else f"not ({test})"  # type: ignore[attr-defined]
            start, end = self.text.offset(statement.lineno, statement.col_offset), self._span(other)[1]
            self.result.splices.append(Splice(self.path, start, end, self.text.encode(f"assert {flat(test)}")))
            self._asserted("the branch between True and False is an assertion")
            gone |= {id(first), id(other)}
        return gone

    def _bare(self, first: int, last: ast.stmt) -> bool:
        """Whether lines hold no comment and start a line: what stands there can be replaced as one."""
        lines = [self.text.line(number) for number in range(first, (last.end_lineno or last.lineno) + 1)]
        return not any(b"#" in line for line in lines) and not lines[0].strip().startswith(b"elif")

    def _return(self, item: ast.Return, value: Value) -> None:
        place = self.places[id(item)]
        self._refuse_skips(place, item, value)
        self._refuse_finally(place)
        if not value.proven:
            self.result.proven = False
        if value.says is Says.PASS:
            self._refuse_swallowed(place)
            self._drop(item, place)
            self.result.done.append("a returned success is gone")
        elif value.says is Says.FAIL:
            self._refuse_caught(place, self.fail)
            self._replace(item, self._failure(item, place, value))
            self.result.fails = self.result.unmasks = True
            self.result.done.append("a returned failure fails the test")
        elif value.says is Says.CONDITION:
            self._assert(item, place)
        elif value.says is Says.PAIR:
            assert isinstance(value.node, ast.Tuple)
            self._refuse_swallowing(place)
            first = self._source(value.node.elts[0])
            details = [self._source(element) for element in value.node.elts[1:]]
            message = details[0] if len(details) == 1 else f"({', '.join(details)})"
            self._replace(item, self._then_leave(f"assert {flat(first)}, {flat(message)}", place, item))
            self._asserted("the first of the pair is asserted, the rest is its message")
        elif value.says is Says.MAPPING:
            self._mapping(item, value, place)
        elif value.says is Says.PROBLEMS:
            name = self._source(value.node)
            self._refuse_swallowing(place)
            self._replace(item, self._then_leave(f"assert not {name}, {name}", place, item))
            self._asserted(f"{name} must be empty")
        elif value.says is Says.OBJECT:
            if not checks_itself(self.function) or runs(value.node) or self._gives_none():
                raise Refused("nothing in the code says what failure is", _MEANING)
            self._drop(item, place)
            self.result.done.append("a value that nobody reads is gone; the test's own assertions stay")
        elif value.says is Says.LEAVES and isinstance(value.node, ast.Call) and last_name(value.node.func) == "fail":
            start = self.text.offset(item.lineno, item.col_offset)
            end = self.text.offset(value.node.lineno, value.node.col_offset)
            self.result.splices.append(Splice(self.path, start, end, b""))
        elif value.says is Says.LEAVES:
            raise Refused(
                "the returned call leaves the test by itself; the return decides a skip", "drop the word `return`"
            )
        else:
            raise Refused("nothing in the code says what failure is", _MEANING)

    def _assert(self, item: ast.Return, place: _Place) -> None:
        self._refuse_swallowing(place)
        start = self.text.offset(item.lineno, item.col_offset)
        self.result.splices.append(Splice(self.path, start, start + len(b"return"), self.text.encode("assert")))
        if not place.tail:
            self._append_line(item, "return")
        self._asserted("the returned condition is asserted")

    def _asserted(self, what: str) -> None:
        self.result.unmasks = True
        self.result.done.append(what)

    def _mapping(self, item: ast.Return, value: Value, place: _Place) -> None:
        self._refuse_swallowing(place)
        if isinstance(value.node, ast.Name):
            name = value.node.id
            check = f'assert {name}["{value.key}"], {name}' if value.key else f"assert all({name}.values()), {name}"
            self._replace(item, self._then_leave(check, place, item))
        else:
            name = next(n for n in ("outcome", "test_outcome", "the_outcome") if n not in self.reader.names)
            start = self.text.offset(item.lineno, item.col_offset)
            end = self.text.offset(value.node.lineno, value.node.col_offset)
            if self.text.source[start:end].strip() != self.text.encode("return"):
                raise Refused("the returned dict stands in parentheses", _MEANING)
            self.result.splices.append(Splice(self.path, start, end, self.text.encode(f"{name} = ")))
            check = f'assert {name}["{value.key}"], {name}' if value.key else f"assert all({name}.values()), {name}"
            self._append_line(item, check)
            if not place.tail:
                self._append_line(item, "return")
        self._asserted(
            f"`{value.key}` of the returned dict is asserted" if value.key else "every returned condition is asserted"
        )

    def _refuse_skips(self, place: _Place, item: ast.Return, value: Value) -> None:
        if value.says is Says.CONDITION or not place.around:
            return
        owner, part = place.around[-1]
        if isinstance(owner, ast.If):
            test = self._source(owner.test)
            words = " ".join(self._source(s) for s in place.block if s is not item)
            if SKIPS.search(words) or (CONDITIONS.search(test) and part == "body"):
                raise Refused("the return decides a skip", "skip with pytest.skip or pytest.mark.skipif, and say why")

    def _refuse_finally(self, place: _Place) -> None:
        if any(part == "finalbody" for _, part in place.around):
            raise Refused("a return in `finally` swallows every error", "take the return out of `finally`")

    def _refuse_swallowed(self, place: _Place) -> None:
        """A success that a broad handler grants for any error."""
        for owner, _ in place.around:
            if isinstance(owner, ast.ExceptHandler) and is_broad(owner):
                raise Refused(
                    "a broad handler takes every error for a success",
                    "expect the one error that is meant (pytest.raises)",
                )

    def _refuse_swallowing(self, place: _Place) -> None:
        self._refuse_caught(place, "assert")

    def _refuse_caught(self, place: _Place, how: str) -> None:
        """A failure must reach pytest: no block around it may catch it. `pytest.fail` is no `Exception`."""
        caught = {"BaseException"} if how.endswith("pytest.fail") or how == "fail" else {*BROAD, "AssertionError"}
        for owner, part in place.around:
            if part != "body":
                continue
            if isinstance(owner, ast.Try):
                for handler in owner.handlers:
                    raises = any(isinstance(s, ast.Raise) for s in below(handler.body))
                    if id(handler) not in self.released and not raises and caught & set(kinds(handler)):
                        raise Refused(
                            "a handler around the return would swallow the failure",
                            "narrow the handler to the errors that the test expects",
                        )
            elif isinstance(owner, ast.With | ast.AsyncWith):
                for entry in owner.items:
                    call = entry.context_expr
                    if isinstance(call, ast.Call) and last_name(call.func) in ("suppress", "raises", "assertRaises"):
                        raise Refused("the return stands in a block that catches errors", _MEANING)

    def _gives_none(self) -> bool:
        """Whether some path says `return None` in words, so that the value is compared with it somewhere."""
        return any(
            isinstance(s, ast.Return) and s.value is not None and not gives(s) for s in below(self.function.body)
        )

    def _source(self, node: ast.expr | ast.stmt) -> str:
        raw = self.text.between((node.lineno, node.col_offset), (node.end_lineno or 0, node.end_col_offset or 0))
        return raw.decode(self.text.encoding).replace("\r\n", "\n").replace("\r", "\n")

    def _span(self, node: ast.stmt) -> tuple[int, int]:
        return (
            self.text.offset(node.lineno, node.col_offset),
            self.text.offset(node.end_lineno or node.lineno, node.end_col_offset or 0),
        )

    def _replace(self, node: ast.stmt, new: str) -> None:
        start, end = self._span(node)
        self.result.splices.append(Splice(self.path, start, end, self.text.encode(new)))

    def _then_leave(self, new: str, place: _Place, item: ast.Return) -> str:
        return new if place.tail else f"{new}\n{self._indent(item)}return"

    def _indent(self, item: ast.stmt) -> str:
        if not self._alone(item):
            raise Refused("the return shares its line with other code", "put the return on a line of its own")
        indent = self.text.indent(item.lineno).decode(self.text.encoding)
        for first, last, width in self.moved:
            if first < item.lineno < last:
                indent = indent[width:]
        return indent

    def _append_line(self, item: ast.stmt, line: str) -> None:
        _, end = self._span(item)
        self.result.splices.append(Splice(self.path, end, end, self.text.encode(f"\n{self._indent(item)}{line}")))

    def _alone(self, item: ast.stmt) -> bool:
        before = self.text.line(item.lineno)[
            : self.text.offset(item.lineno, item.col_offset) - self.text.line_start(item.lineno)
        ]
        after = self.text.line(item.end_lineno or item.lineno)
        start = self.text.line_start(item.end_lineno or item.lineno)
        rest = after[self._span(item)[1] - start :].strip()
        return not before.strip() and (not rest or rest.startswith(b"#"))

    def _drop(self, item: ast.Return, place: _Place) -> None:
        """Take a return out, together with the blank lines above it; leave what its block needs."""
        if not place.tail:
            self._replace(item, "return")
            return
        if len(place.block) == 1 or not self._alone(item):
            self._replace(item, "pass")
            return
        first = item.lineno
        while first > 1 and not self.text.line(first - 1).strip():
            first -= 1
        end = item.end_lineno or item.lineno
        self.result.splices.append(Splice(self.path, self.text.line_start(first), self.text.line_start(end + 1), b""))

    def _failure(self, item: ast.Return, place: _Place, value: Value) -> str:
        return f"{self.fail}({self._message(item, place, value)})"

    def _message(self, item: ast.Return, place: _Place, value: Value) -> str:
        if isinstance(value.node, ast.Tuple) and len(value.node.elts) == 2:
            detail = value.node.elts[1]
            return flat(self._source(detail)) if is_string(detail) else f"str({flat(self._source(detail))})"
        if isinstance(value.node, ast.Dict):
            return f"str({flat(self._source(value.node))})"
        number = place.block.index(item)
        if number and talks(place.block[number - 1]):
            spoken = place.block[number - 1]
            assert isinstance(spoken, ast.Expr)
            call = spoken.value.value if isinstance(spoken.value, ast.Await) else spoken.value
            assert isinstance(call, ast.Call)
            if (
                len(call.args) == 1
                and not call.keywords
                and is_string(call.args[0])
                and "\n" not in self._source(call.args[0])
            ):
                return self._source(call.args[0])
        if place.around and isinstance(place.around[-1][0], ast.If):
            owner, part = place.around[-1]
            assert isinstance(owner, ast.If)
            test = " ".join(self._source(owner.test).split())
            return quoted(test if part == "body" else f"not: {test}")
        return quoted(f"{self.function.name}: nothing above was a success")
