"""From words to expressions: precedence climbing, as in https://neo4j.com/docs/cypher-manual/current/syntax/operators/"""

from __future__ import annotations

from typing import Final

from twin.backing.cypher.errors import SYNTAX, CypherError, unsupported
from twin.backing.cypher.tree import (
    Binary,
    Call,
    Case,
    Each,
    EdgePattern,
    Exists,
    Expression,
    HasLabels,
    Index,
    ListOf,
    Literal,
    MapOf,
    NodePattern,
    Parameter,
    Path,
    Projection,
    Property,
    Slice,
    Unary,
    Variable,
)  # fmt: skip
from twin.backing.cypher.words import Word, place, split

_COMPARISONS: Final = ("=", "<>", "<", ">", "<=", ">=", "=~")
_QUANTIFIERS: Final = ("ANY", "ALL", "NONE", "SINGLE")


class Words:
    """The words of a query, taken one by one; expressions and patterns are read here, clauses in `parse`."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.words = split(text)
        self.at = 0
        self._anonymous = 0

    @property
    def now(self) -> Word:
        return self.words[self.at]

    def ahead(self, count: int = 1) -> Word:
        return self.words[min(self.at + count, len(self.words) - 1)]

    def take(self) -> Word:
        word = self.now
        self.at += word.kind != "end"
        return word

    def met(self, *texts: str) -> bool:
        """Take the next words if they are these."""
        if all(self.ahead(number).is_(text) for number, text in enumerate(texts)):
            self.at += len(texts)
            return True
        return False

    def need(self, *texts: str) -> None:
        for text in texts:
            if not self.met(text):
                raise self.wrong(f"expected {text!r}")

    def name(self) -> str:
        word = self.now
        if word.kind not in ("name", "quoted"):
            raise self.wrong("expected a name")
        self.at += 1
        return word.text

    def wrong(self, expected: str) -> CypherError:
        word = self.now
        seen = f"Invalid input '{word.text}'" if word.kind != "end" else "Unexpected end of input"
        return CypherError(SYNTAX, f"{seen}: {expected} {place(self.text, word.at)}")

    def expression(self) -> Expression:
        left = self._xor()
        while self.met("OR"):
            left = Binary("OR", left, self._xor())
        return left

    def _xor(self) -> Expression:
        left = self._and()
        while self.met("XOR"):
            left = Binary("XOR", left, self._and())
        return left

    def _and(self) -> Expression:
        left = self._not()
        while self.met("AND"):
            left = Binary("AND", left, self._not())
        return left

    def _not(self) -> Expression:
        return Unary("NOT", self._not()) if self.met("NOT") else self._compared()

    def _compared(self) -> Expression:
        left = self._special()
        whole: Expression | None = None
        while self.now.kind == "sign" and self.now.text in _COMPARISONS:
            sign = self.take().text
            right = self._special()
            step = Binary(sign, left, right)
            whole = step if whole is None else Binary("AND", whole, step)
            left = right
        return left if whole is None else whole

    def _special(self) -> Expression:
        left = self._sum()
        while True:
            if self.met("IN"):
                left = Binary("IN", left, self._sum())
            elif self.met("STARTS", "WITH"):
                left = Binary("STARTS WITH", left, self._sum())
            elif self.met("ENDS", "WITH"):
                left = Binary("ENDS WITH", left, self._sum())
            elif self.met("CONTAINS"):
                left = Binary("CONTAINS", left, self._sum())
            elif self.met("IS", "NULL"):
                left = Unary("IS NULL", left)
            elif self.met("IS", "NOT", "NULL"):
                left = Unary("IS NOT NULL", left)
            else:
                return left

    def _sum(self) -> Expression:
        left = self._product()
        while self.now.is_("+", "-"):
            left = Binary(self.take().text, left, self._product())
        return left

    def _product(self) -> Expression:
        left = self._power()
        while self.now.is_("*", "/", "%"):
            left = Binary(self.take().text, left, self._power())
        return left

    def _power(self) -> Expression:
        left = self._signed()
        return Binary("^", left, self._power()) if self.met("^") else left

    def _signed(self) -> Expression:
        if self.met("-"):
            return Unary("-", self._signed())
        return self._signed() if self.met("+") else self._postfix()

    def _postfix(self) -> Expression:
        left = self._atom()
        while True:
            if self.met("."):
                left = Property(left, self.name())
            elif self.now.is_("[") and not isinstance(left, MapOf):
                left = self._subscript(left)
            elif (
                self.now.is_(":") and isinstance(left, (Variable, Property)) and self.ahead().kind in ("name", "quoted")
            ):
                left = HasLabels(left, self.labels())
            elif self.now.is_("{") and isinstance(left, Variable):
                left = self._projection(left)
            else:
                return left

    def _subscript(self, left: Expression) -> Expression:
        self.need("[")
        start = None if self.now.is_("..") else self.expression()
        if self.met(".."):
            end = None if self.now.is_("]") else self.expression()
            self.need("]")
            return Slice(left, start, end)
        self.need("]")
        assert start is not None
        return Index(left, start)

    def _projection(self, left: Expression) -> Expression:
        self.need("{")
        items: list[tuple[str, Expression | None]] = []
        everything = False
        while not self.met("}"):
            if self.met("."):
                if self.met("*"):
                    everything = True
                else:
                    items.append((self.name(), None))
            else:
                key = self.name()
                items.append((key, self.expression() if self.met(":") else Variable(key)))
            if not self.now.is_("}"):
                self.need(",")
        return Projection(left, tuple(items), everything)

    def _atom(self) -> Expression:
        word = self.now
        if word.kind in ("number", "string"):
            return Literal(self.take().value)
        if self.met("$"):
            return Parameter(str(self.take().text))
        if self.now.is_("("):
            if self._is_pattern():
                return Exists((self.path(),), None)
            self.need("(")
            inner = self.expression()
            self.need(")")
            return inner
        if self.now.is_("["):
            return self._list()
        if self.now.is_("{"):
            return self.map_()
        if word.kind == "quoted":
            return Variable(self.name())
        if word.kind != "name":
            raise self.wrong("expected an expression")
        for text, value in (("TRUE", True), ("FALSE", False), ("NULL", None)):
            if self.met(text):
                return Literal(value)
        if word.is_("CASE"):
            return self._case()
        if word.is_("EXISTS", "COUNT") and self.ahead().is_("{"):
            if word.is_("COUNT"):
                raise unsupported("COUNT { … }")
            return self._exists()
        if word.is_(*_QUANTIFIERS) and self.ahead().is_("(") and self.ahead(3).is_("IN"):
            return self._quantified()
        return self._named()

    def _named(self) -> Expression:
        start, names = self.at, [self.name()]
        while self.now.is_(".") and self.ahead().kind == "name":
            self.at += 1
            names.append(self.name())
        if self.now.is_("("):
            return self._call(".".join(names).lower())
        self.at = start + 1
        return Variable(names[0])

    def _call(self, name: str) -> Expression:
        self.need("(")
        if name == "exists" and self._is_pattern():
            found = Exists((self.path(),), None)
            self.need(")")
            return found
        if self.met("*"):
            self.need(")")
            return Call(name, (), star=True)
        distinct = self.met("DISTINCT")
        arguments: list[Expression] = []
        while not self.met(")"):
            arguments.append(self.expression())
            if not self.now.is_(")"):
                self.need(",")
        return Call(name, tuple(arguments), distinct)

    def _case(self) -> Expression:
        self.need("CASE")
        subject = None if self.now.is_("WHEN") else self.expression()
        branches: list[tuple[Expression, Expression]] = []
        while self.met("WHEN"):
            when = self.expression()
            self.need("THEN")
            branches.append((when, self.expression()))
        otherwise = self.expression() if self.met("ELSE") else None
        self.need("END")
        return Case(subject, tuple(branches), otherwise)

    def _exists(self) -> Expression:
        self.take()
        self.need("{")
        self.met("MATCH")
        paths = self.paths()
        where = self.expression() if self.met("WHERE") else None
        self.need("}")
        return Exists(paths, where)

    def _quantified(self) -> Expression:
        quantifier = self.take().text.lower()
        self.need("(")
        name = self.name()
        self.need("IN")
        of = self.expression()
        where = self.expression() if self.met("WHERE") else None
        self.need(")")
        return Each(name, of, where, None, quantifier)

    def _list(self) -> Expression:
        self.need("[")
        if self.now.kind in ("name", "quoted") and self.ahead().is_("IN"):
            name = self.name()
            self.need("IN")
            of = self.expression()
            where = self.expression() if self.met("WHERE") else None
            result = self.expression() if self.met("|") else None
            self.need("]")
            return Each(name, of, where, result)
        items: list[Expression] = []
        while not self.met("]"):
            items.append(self.expression())
            if not self.now.is_("]"):
                self.need(",")
        return ListOf(tuple(items))

    def map_(self) -> MapOf:
        self.need("{")
        items: list[tuple[str, Expression]] = []
        while not self.met("}"):
            key = self.take().value if self.now.kind == "string" else self.name()
            self.need(":")
            items.append((key, self.expression()))
            if not self.now.is_("}"):
                self.need(",")
        return MapOf(tuple(items))

    def labels(self) -> tuple[str, ...]:
        found: list[str] = []
        while self.met(":") or (found and self.met("&")):
            found.append(self.name())
        return tuple(found)

    def _is_pattern(self) -> bool:
        """Whether the parenthesis here opens a node that an edge follows."""
        depth, at = 0, self.at
        while at < len(self.words):
            word = self.words[at]
            depth += word.is_("(") - word.is_(")")
            at += 1
            if not depth:
                break
        after = self.words[at : at + 2]
        if len(after) < 2:
            return False
        return (after[0].is_("-") and after[1].is_("[", "-")) or (after[0].is_("<") and after[1].is_("-"))

    def paths(self) -> tuple[Path, ...]:
        found = [self.path()]
        while self.met(","):
            found.append(self.path())
        return tuple(found)

    def path(self) -> Path:
        name = ""
        if self.now.kind in ("name", "quoted") and self.ahead().is_("="):
            name = self.name()
            self.need("=")
        shortest = self.now.is_("SHORTESTPATH") and self.ahead().is_("(")
        if shortest:
            self.take()
            self.need("(")
        nodes, edges = [self._node()], []
        while self.now.is_("-", "<"):
            edges.append(self._edge())
            nodes.append(self._node())
        if shortest:
            self.need(")")
        return Path(name, tuple(nodes), tuple(edges), shortest)

    def _hidden(self) -> str:
        self._anonymous += 1
        return f" {self._anonymous}"  # no name can hold a space unless quoted, and then not lead with it alone

    def _node(self) -> NodePattern:
        self.need("(")
        name = self.name() if self.now.kind in ("name", "quoted") else self._hidden()
        labels = self.labels()
        properties = self._properties()
        if self.now.is_("WHERE"):
            raise unsupported("WHERE inside a node pattern; put it after MATCH")
        self.need(")")
        return NodePattern(name, labels, properties)

    def _properties(self) -> Expression | None:
        if self.now.is_("{"):
            return self.map_()
        return Parameter(self.take().text) if self.met("$") else None

    def _edge(self) -> EdgePattern:
        left = self.met("<")
        self.need("-")
        name, types, properties, span = "", [], None, None
        if self.met("["):
            if self.now.kind in ("name", "quoted"):
                name = self.name()
            if self.met(":"):
                types.append(self.name())
                while self.met("|"):
                    self.met(":")
                    types.append(self.name())
            if self.met("*"):
                span = self._span()
            properties = self._properties()
            self.need("]")
        self.need("-")
        right = self.met(">")
        direction = "-" if left == right else "<" if left else ">"
        return EdgePattern(name or self._hidden(), tuple(types), properties, direction, span)

    def _span(self) -> tuple[int, int]:
        least, most = 1, -1
        if self.now.kind == "number":
            least = most = int(self.take().value)
        if self.met(".."):
            most = int(self.take().value) if self.now.kind == "number" else -1
        return least, most
