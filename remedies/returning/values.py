"""What a returned value says about pass and fail, as far as the code tells.

Nothing is guessed: a value whose failure meaning stands nowhere in the function is UNKNOWN, and its test is refused.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Final

from regreen.facts.source import last_name
from regreen.facts.source.testcode import FunctionNode, own_expressions, own_statements


class Says(Enum):
    """The kinds of returned values."""

    PASS = auto()  # a constant that means success
    FAIL = auto()  # a constant that means failure
    CONDITION = auto()  # an expression that is true on success
    PAIR = auto()  # a condition (or constant) first, details after it
    MAPPING = auto()  # a dict with a key that says success, or of conditions only
    PROBLEMS = auto()  # a collection that is empty on success, by its name
    LEAVES = auto()  # a call that raises: pytest.skip and its kin
    OBJECT = auto()  # a thing that says nothing about success
    UNKNOWN = auto()


@dataclass(frozen=True, slots=True)
class Value:
    """A returned value: what it says; `key` of a mapping (empty: all values); `details` of a failure."""

    says: Says
    node: ast.expr
    key: str = ""
    details: ast.expr | None = None
    proven: bool = True


_PASS_WORDS: Final = frozenset({"pass", "passed", "ok", "success", "successful", "succeeded"})
_FAIL_WORDS: Final = frozenset({"fail", "failed", "failure", "error"})
_KEYS: Final = ("success", "ok", "passed", "all_passed", "succeeded", "is_valid", "valid", "test_passed")
_GOOD_NAMES: Final = re.compile(
    r"^(?:(?:all|is|has|was|test|overall|every)_)*(?:ok|okay|success|succeeded|successful|passed|pass|valid)(?:_all)?$"
)
_BAD_NAMES: Final = re.compile(r"(?:^|_)(?:errors|failures|problems|mismatches|violations|issues)$")
_BOOLEAN_CALLS: Final = frozenset(
    {
        "all", "any", "bool", "isinstance", "issubclass", "callable", "hasattr", "startswith", "endswith", "issubset",
        "issuperset", "isdisjoint", "is_set", "exists", "is_file", "is_dir", "isfile", "isdir", "isclose", "allclose",
        "array_equal", "isdigit", "isalpha", "isalnum", "isnumeric", "islower", "isupper", "is_integer", "is_alive",
        "samefile", "array_equiv",
    }
)  # fmt: skip
_BOOLEAN_PREFIX: Final = re.compile(r"^(?:is|has|can|should|was)_[a-z]")


@dataclass
class Reader:
    """Reads the returned values of one function. `boolean` are functions of the file that return a truth value."""

    function: FunctionNode
    boolean: frozenset[str] = frozenset()
    _assigned: dict[str, list[ast.expr | None]] = field(default_factory=dict)
    _busy: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        for node in own_expressions(self.function):
            if isinstance(node, ast.Assign):
                for target in node.targets:
                    self._bind(target, node.value)
            elif isinstance(node, ast.AnnAssign) and node.value is not None:
                self._bind(node.target, node.value)
            elif isinstance(node, ast.AugAssign):
                plain = isinstance(node.op, ast.BitAnd | ast.BitOr)
                self._bind(node.target, node.value if plain else None)
            elif isinstance(node, ast.NamedExpr):
                self._bind(node.target, node.value)
            elif isinstance(node, ast.For | ast.AsyncFor | ast.comprehension):
                self._bind(node.target, None)
            elif isinstance(node, ast.withitem) and node.optional_vars is not None:
                self._bind(node.optional_vars, None)
        arguments = self.function.args
        for argument in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs):
            self._assigned.setdefault(argument.arg, []).append(None)

    def _bind(self, target: ast.expr, value: ast.expr | None) -> None:
        if isinstance(target, ast.Name):
            self._assigned.setdefault(target.id, []).append(value)
        elif isinstance(target, ast.Tuple | ast.List):
            values = value.elts if isinstance(value, ast.Tuple | ast.List) else []
            for place, element in enumerate(target.elts):
                self._bind(element, values[place] if len(values) == len(target.elts) else None)
        elif isinstance(target, ast.Starred):
            self._bind(target.value, None)

    @property
    def names(self) -> set[str]:
        """Every name that the function binds or reads."""
        return {node.id for node in own_expressions(self.function) if isinstance(node, ast.Name)} | set(self._assigned)

    def read(self, node: ast.expr) -> Value:
        """What a returned expression says."""
        if isinstance(node, ast.Constant):
            return Value(_constant(node.value), node)
        if isinstance(node, ast.Tuple):
            return self._pair(node)
        if isinstance(node, ast.Dict):
            return self._mapping(node, node)
        if isinstance(node, ast.IfExp):
            chosen, other = self.read(node.body).says, self.read(node.orelse).says
            if {chosen, other} == {Says.PASS, Says.FAIL} or (chosen, other) == (Says.CONDITION, Says.CONDITION):
                return Value(Says.CONDITION, node)
            return Value(Says.UNKNOWN, node)
        if isinstance(node, ast.Call) and _raises(node):
            return Value(Says.LEAVES, node)
        if self.is_condition(node):
            return Value(Says.CONDITION, node)
        if isinstance(node, ast.Name):
            return self._name(node)
        if isinstance(node, ast.Call | ast.Await | ast.Subscript | ast.Attribute | ast.BinOp):
            if isinstance(node, ast.Attribute | ast.Subscript) and _GOOD_NAMES.match(_last(node)):
                return Value(Says.CONDITION, node, proven=False)
            return Value(Says.OBJECT if not _runs(node) else Says.UNKNOWN, node)
        return Value(Says.OBJECT, node)

    def is_condition(self, node: ast.expr) -> bool:
        """Whether an expression is a truth value for certain."""
        if isinstance(node, ast.Await):
            return self.is_condition(node.value)
        if isinstance(node, ast.Compare) or (isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not)):
            return True
        if isinstance(node, ast.BoolOp):
            return self.is_condition(node.values[-1]) or all(map(self.is_condition, node.values))
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitAnd | ast.BitOr):
            return self.is_condition(node.left) and self.is_condition(node.right)
        if isinstance(node, ast.Call):
            name = last_name(node.func)
            if isinstance(node.func, ast.Name) and name in self.boolean:
                return True
            return name in _BOOLEAN_CALLS or _BOOLEAN_PREFIX.match(name) is not None
        if isinstance(node, ast.Name):
            return self._always(node.id)
        return False

    def _always(self, name: str) -> bool:
        values = self._assigned.get(name, [])
        if not values or name in self._busy:
            return False
        self._busy.add(name)
        try:
            return all(
                value is not None
                and ((isinstance(value, ast.Constant) and isinstance(value.value, bool)) or self.is_condition(value))
                for value in values
            )
        finally:
            self._busy.discard(name)

    def _name(self, node: ast.Name) -> Value:
        values = self._assigned.get(node.id, [])
        for value in values:
            if isinstance(value, ast.Dict):
                found = self._mapping(value, node)
                if found.key or len(values) == 1:
                    return found
        if _GOOD_NAMES.match(node.id) and values:
            return Value(Says.CONDITION, node, proven=False)
        empties = [v for v in values if isinstance(v, ast.List | ast.Dict | ast.Set) and not _elements(v)]
        if _BAD_NAMES.search(node.id) and empties and len(empties) == len(values):
            return Value(Says.PROBLEMS, node, proven=False)
        return Value(Says.OBJECT, node)

    def _pair(self, node: ast.Tuple) -> Value:
        if len(node.elts) < 2 or any(isinstance(element, ast.Starred) for element in node.elts):
            return Value(Says.OBJECT, node)
        first = self.read(node.elts[0])
        rest: ast.expr = node.elts[1] if len(node.elts) == 2 else ast.Tuple(node.elts[1:], ast.Load())
        if isinstance(node.elts[0], ast.Constant) and isinstance(node.elts[0].value, bool):
            return Value(first.says, node, details=rest)
        if first.says is Says.CONDITION:
            return Value(Says.PAIR, node, details=rest, proven=first.proven)
        return Value(Says.OBJECT, node)

    def _mapping(self, literal: ast.Dict, node: ast.expr) -> Value:
        table = {
            key.value: value
            for key, value in zip(literal.keys, literal.values, strict=True)
            if isinstance(key, ast.Constant) and isinstance(key.value, str)
        }
        for key in _KEYS:
            value = table.get(key)
            if value is None:
                continue
            if isinstance(value, ast.Constant) and isinstance(value.value, bool):
                if node is not literal:
                    return Value(Says.MAPPING, node, key)
                return Value(Says.PASS if value.value else Says.FAIL, node, key, node)
            return Value(Says.MAPPING, node, key, proven=self.is_condition(value))
        status = table.get("status")
        if isinstance(status, ast.Constant) and node is literal and isinstance(status.value, str):
            return Value(_constant(status.value), node, "status", node)
        if table and len(table) == len(literal.keys) and all(map(self.is_condition, table.values())):
            return Value(Says.MAPPING, node)
        return Value(Says.OBJECT, node)


def _elements(node: ast.List | ast.Dict | ast.Set) -> int:
    return len(node.keys) if isinstance(node, ast.Dict) else len(node.elts)


def _constant(value: object) -> Says:
    if isinstance(value, bool):
        return Says.PASS if value else Says.FAIL
    if isinstance(value, str):
        word = value.strip().lower().rstrip("!.")
        return Says.PASS if word in _PASS_WORDS else Says.FAIL if word in _FAIL_WORDS else Says.OBJECT
    return Says.UNKNOWN if isinstance(value, int | float) else Says.OBJECT


def _raises(node: ast.Call) -> bool:
    return last_name(node.func) in ("skip", "fail", "xfail", "skipTest", "exit")


def _last(node: ast.expr) -> str:
    if isinstance(node, ast.Subscript):
        return node.slice.value if isinstance(node.slice, ast.Constant) and isinstance(node.slice.value, str) else ""
    return last_name(node)


def _runs(node: ast.AST) -> bool:
    return any(isinstance(inner, ast.Call | ast.Await | ast.Yield | ast.YieldFrom) for inner in ast.walk(node))


def value_returns(function: FunctionNode) -> list[ast.Return]:
    """The returns of a function's own body that give a value other than None, in source order."""
    return [
        statement
        for statement in own_statements(function)
        if isinstance(statement, ast.Return)
        and statement.value is not None
        and not (isinstance(statement.value, ast.Constant) and statement.value.value is None)
    ]


def boolean_functions(tree: ast.Module) -> frozenset[str]:
    """Top-level functions of a file that return a truth value on every path, or say so in their annotation."""
    found: set[str] = set()
    functions = [node for node in tree.body if isinstance(node, FunctionNode)]
    grown = True
    while grown:
        grown = False
        for node in functions:
            if node.name in found:
                continue
            said = isinstance(node.returns, ast.Name) and node.returns.id == "bool"
            returns = value_returns(node)
            reader = Reader(node, frozenset(found))
            if said or (returns and all(_is_truth(reader, item.value) for item in returns)):
                found.add(node.name)
                grown = True
    return frozenset(found)


def _is_truth(reader: Reader, value: ast.expr | None) -> bool:
    if isinstance(value, ast.Constant):
        return isinstance(value.value, bool)
    return value is not None and reader.is_condition(value)
