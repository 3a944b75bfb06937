"""A test whose value others read, split in two: a helper that still returns, and a thin test that asserts."""

from __future__ import annotations

import ast
from collections.abc import Callable

from regreen.facts.source import SourceText
from regreen.facts.source.testcode import FunctionNode
from regreen.model import Splice
from remedies.returning.references import References
from remedies.returning.rewrite import Refused
from remedies.returning.syntax import checks_itself
from remedies.returning.values import Reader, Says, value_returns

_CALL = ["RESULT"]  # the helper asserts by itself; what it returns is for others
_DECIDE = "say what the returned value means, and give the runner a function of its own"


def split(
    path: str, text: SourceText, other: dict[str, SourceText], function: FunctionNode, owner: str,
    free: Callable[[str], bool], references: References, boolean: frozenset[str],
) -> list[Splice]:  # fmt: skip
    """The splices: the function under a new name, every use of its value renamed, a thin test below. Raises Refused."""
    checks = _checks(function, boolean)
    if checks != _CALL and _falls_off(function.body):
        raise Refused("others read its value, and some path ends without one", _DECIDE)
    if function.args.vararg or function.args.kwarg:
        raise Refused("others read its value, and it takes any arguments", _DECIDE)
    name = _new_name(function.name, free)
    splices = [_renamed(path, text, function, name)]
    decorators = b""
    if function.decorator_list:
        start, end = text.line_start(function.decorator_list[0].lineno), text.line_start(function.lineno)
        decorators = text.source[start:end]
        splices.append(Splice(path, start, end, b""))
    indent = text.indent(function.lineno).decode(text.encoding)
    last = function.end_lineno or function.lineno
    end = text.line_start(last) + len(text.line(last))
    gap = "\n" * (1 + _blank_lines(text, last, 1 if owner else 2))
    thin = _thin(function, owner, name, checks, indent)
    new = text.encode(gap) + decorators + text.encode(thin)
    splices.append(Splice(path, end, end, new))
    for use in references.names:
        stop = text.offset(use.end_lineno or use.lineno, use.end_col_offset or 0)
        splices.append(Splice(path, stop - len(text.encode(function.name)), stop, text.encode(name)))
    for file, alias in references.imports:
        content = other[file]
        start = content.offset(alias.lineno, alias.col_offset)
        stop = content.offset(alias.end_lineno or alias.lineno, alias.end_col_offset or 0)
        renamed = f"{name} as {alias.asname or alias.name}"
        splices.append(Splice(file, start, stop, content.encode(renamed)))
    return splices


def _blank_lines(text: SourceText, last: int, usual: int) -> int:
    """How many blank lines the file leaves below this function, or the usual number at its end."""
    number = last + 1
    while text.line_start(number) < len(text.source) and not text.line(number).strip():
        number += 1
    return max(1, min(number - last - 1, usual)) if text.line_start(number) < len(text.source) else usual


def _new_name(name: str, free: Callable[[str], bool]) -> str:
    rest = name.removeprefix("test").lstrip("_") or "this"
    for candidate in (f"check_{rest}", f"outcome_of_{rest}", f"result_of_{rest}"):
        if free(candidate):
            return candidate
    raise Refused("no free name for the helper", _DECIDE)


def _renamed(path: str, text: SourceText, function: FunctionNode, name: str) -> Splice:
    start = text.offset(function.lineno, function.col_offset)
    old = text.encode(function.name)
    place = text.source.index(old, text.source.index(b"def", start) + 3)
    return Splice(path, place, place + len(old), text.encode(name))


def _thin(function: FunctionNode, owner: str, name: str, checks: list[str], indent: str) -> str:
    is_async = isinstance(function, ast.AsyncFunctionDef)
    arguments = function.args
    positional = [a.arg for a in (*arguments.posonlyargs, *arguments.args)]
    receiver = ""
    if owner:
        if not positional:
            raise Refused("a static method whose value others read", _DECIDE)
        receiver = f"{positional.pop(0)}."
    call = ", ".join([*positional, *(f"{a.arg}={a.arg}" for a in arguments.kwonlyargs)])
    result = f"{'await ' if is_async else ''}{receiver}{name}({call})"
    returns = " -> None" if function.returns is not None else ""
    head = f"{indent}{'async ' if is_async else ''}def {function.name}({ast.unparse(arguments)}){returns}:"
    body = [line.replace("RESULT", result) for line in checks]
    return "\n".join([head, *(f"{indent}    {line}" for line in body)])


def _checks(function: FunctionNode, boolean: frozenset[str]) -> list[str]:
    """The lines of the thin test, with RESULT for the helper's call."""
    reader = Reader(function, boolean)
    values = [reader.read(item.value) for item in value_returns(function) if item.value is not None]
    values = [value for value in values if value.says is not Says.LEAVES]
    plain = all(
        value.says is Says.CONDITION or (isinstance(value.node, ast.Constant) and isinstance(value.node.value, bool))
        for value in values
    )
    if plain and all(value.proven for value in values):
        return ["assert RESULT"]
    if all(isinstance(value.node, ast.Tuple) and value.says in (Says.PASS, Says.FAIL, Says.PAIR) for value in values):
        return ["outcome = RESULT", "assert outcome[0], outcome[1:]"]
    keys = {value.key for value in values}
    mapped = all(value.says is Says.MAPPING or isinstance(value.node, ast.Dict) for value in values)
    if mapped and len(keys) == 1 and "status" not in keys:
        key = keys.pop()
        if key:
            return ["outcome = RESULT", f'assert outcome["{key}"], outcome']
        if all(value.says is Says.MAPPING for value in values):
            return ["outcome = RESULT", "assert all(outcome.values()), outcome"]
    if all(value.says is Says.OBJECT for value in values) and checks_itself(function):
        return _CALL
    raise Refused("others read its value, and nothing in the code says what failure is", _DECIDE)


def _falls_off(body: list[ast.stmt]) -> bool:
    """Whether the end of a block can be reached."""
    if not body:
        return True
    last = body[-1]
    if isinstance(last, ast.Return):
        return last.value is None
    if isinstance(last, ast.Raise):
        return False
    if isinstance(last, ast.If):
        return _falls_off(last.body) or _falls_off(last.orelse)
    if isinstance(last, ast.With | ast.AsyncWith):
        return _falls_off(last.body)
    if isinstance(last, ast.Try):
        if last.finalbody and not _falls_off(last.finalbody):
            return False
        main = _falls_off(last.orelse) if last.orelse else _falls_off(last.body)
        return main or any(_falls_off(handler.body) for handler in last.handlers)
    if isinstance(last, ast.While) and isinstance(last.test, ast.Constant) and last.test.value:
        return any(isinstance(node, ast.Break) for node in ast.walk(last))
    return True
