"""Parse one file, and say precisely why when that fails."""

from __future__ import annotations

import ast
import re
import sys
import warnings
from typing import Final, NamedTuple

from regreen.facts.source.text import UndecodableError, utf8

GRAMMAR: Final = f"{sys.version_info.major}.{sys.version_info.minor}"

#: Messages of CPython's parser that only Python 2 sources provoke, and what they stand for.
_PYTHON_2: Final = re.compile(
    r"Missing parentheses in call to '(?:print|exec)'|multiple exception types must be parenthesized"
    r"|leading zeros in decimal integer literals|Did you mean print\("
)
_PYTHON_2_TEXT: Final = re.compile(
    rb"^[ \t]*(?:print[ \t]+[\"'\w]|print$|raise[ \t]+\w+,|except[ \t]+[\w.()]+,[ \t]*\w+[ \t]*:|exec[ \t]+[\"'\w])",
    re.M,
)
#: Jinja statements, cookiecutter variables, or a line that begins with a placeholder.
_TEMPLATE: Final = re.compile(
    rb"\{%-?\s*(?:if|for|block|end\w+|else|elif|set|include|import|raw|extends|macro)\b|\{\{-?\s*cookiecutter\.|^[ \t]*\{\{-?\s*[\w.]+\s*-?\}\}[ \t]*\r?$",
    re.M,
)
#: A placeholder where the parser stopped; in Python it would be a set of sets, which cannot be.
_PLACEHOLDER: Final = re.compile(rb"\{\{-?\s*[A-Za-z_][\w.]*\s*-?\}\}")
#: IPython's line magics and shell escapes, as exported notebooks keep them.
_MAGIC: Final = re.compile(
    rb"^(?:%{1,2}[a-z]\w*|![ \t]*(?:pip|conda|apt|git|wget|curl|ls|cd|python3?)\b)[^\r\n]*", re.M
)
#: Syntax of 3.12 to 3.14 that older parsers refuse: type statements, type parameters, bare except lists, t-strings.
_NEWER_TEXT: Final = re.compile(
    rb"^[ \t]*(?:type[ \t]+\w+[^=\n]*=|(?:async[ \t]+)?(?:def|class)[ \t]+\w+[ \t]*\[|except\*?[ \t]+[\w.]+[ \t]*,)"
    rb"|\b[rRfFtT]{1,2}[\"']",
    re.M,
)
#: Brackets nested deeper than this can exhaust the C stack of a recursive parser, which ends the process.
_DEPTH: Final = 60
_CONFLICT: Final = re.compile(rb"^(?:<{7} .*|={7}|>{7} .*)\r?$", re.M)


class Unreadable(NamedTuple):
    """Why a file could not be read or parsed. Lines count from 1; 0 means the whole file."""

    kind: str  # io nul encoding syntax compile python-2 newer-python conflict template notebook too-large crash
    message: str
    line: int
    column: int


def parse(source: bytes) -> tuple[bytes, ast.Module] | Unreadable:
    """The file as UTF-8 and its syntax tree, or why there is none. Never raises for what is in the file."""
    if b"\0" in source:
        line = source.count(b"\n", 0, source.index(b"\0")) + 1
        return Unreadable("nul", "holds NUL bytes: not Python text (UTF-16, or a damaged file)", line, 0)
    try:
        text = utf8(source)
    except UndecodableError as error:
        return Unreadable("encoding", str(error), 0, 0)
    try:
        return text, _ast(text)
    except SyntaxError as error:
        return _explain(text, error)
    except (ValueError, OverflowError) as error:  # e.g. integers with too many digits
        return Unreadable("syntax", str(error), 0, 0)
    except (RecursionError, MemoryError):
        return Unreadable("crash", "nested too deeply for the parser of this Python", 0, 0)


def _ast(text: bytes) -> ast.Module:
    # Decoded here, so that a PEP 263 comment naming the original encoding does not apply a second time.
    plain = text.isascii() and b"coding" not in text[:400]
    source = text if plain else text.decode("utf-8", "surrogatepass")
    tree = compile(source, "<source>", "exec", ast.PyCF_ONLY_AST, dont_inherit=True)
    assert isinstance(tree, ast.Module)
    return tree


def compiles(tree: ast.Module) -> Unreadable | None:
    """Errors that only the compiler finds: `await` outside async, `return` with a value in an async generator."""
    try:
        compile(tree, "<source>", "exec", dont_inherit=True)
    except SyntaxError as error:
        return Unreadable("compile", str(error.msg), error.lineno or 0, max((error.offset or 1) - 1, 0))
    except (ValueError, RecursionError, MemoryError, OverflowError) as error:
        return Unreadable("compile", f"{type(error).__name__}: {error}", 0, 0)
    return None


def quiet() -> None:
    """Keep the parser's warnings about the target's code (invalid escapes) off this process's stderr."""
    warnings.simplefilter("ignore", SyntaxWarning)
    warnings.simplefilter("ignore", DeprecationWarning)


def _explain(text: bytes, error: SyntaxError) -> Unreadable:
    line, column = error.lineno or 0, max((error.offset or 1) - 1, 0)
    message = str(error.msg)
    markers = [match[0][:1] for match in _CONFLICT.finditer(text)]
    if b"<" in markers and b"=" in markers and b">" in markers:
        first = next(m for m in _CONFLICT.finditer(text) if m[0].startswith(b"<"))
        return Unreadable("conflict", "unresolved merge conflict markers", text.count(b"\n", 0, first.start()) + 1, 0)
    if _TEMPLATE.search(text) or _PLACEHOLDER.search(_line(text, line)):
        return Unreadable("template", f"a template, no Python until it is rendered: {message}", line, column)
    magic = _MAGIC.search(text)
    if magic:
        at = text.count(b"\n", 0, magic.start()) + 1
        return Unreadable(
            "notebook", f"notebook magic in a .py file: {magic[0].decode('ascii', 'replace').strip()}", at, 0
        )
    if _PYTHON_2.search(message) or (_PYTHON_2_TEXT.search(text) and "unterminated" not in message):
        return Unreadable("python-2", f"Python 2 syntax: {message}", line, column)
    if (_NEWER_TEXT.search(text) or "f-string" in message) and _depth(text) <= _DEPTH and _accepted(text):
        newer = f"valid only for a newer Python than the one running ({message} with the grammar of {GRAMMAR})"
        return Unreadable("newer-python", newer, line, column)
    return Unreadable("syntax", message, line, column)


def _line(text: bytes, number: int) -> bytes:
    lines = text.split(b"\n")
    return lines[number - 1] if 0 < number <= len(lines) else b""


def _depth(text: bytes) -> int:
    """The deepest nesting of brackets, strings and comments not told apart: an upper bound."""
    depth = deepest = 0
    for match in re.finditer(rb"[\[({]|[\])}]", text):
        if match[0] in b"[({":
            depth += 1
            deepest = max(deepest, depth)
        elif depth:
            depth -= 1
    return deepest


def _accepted(text: bytes) -> bool:
    """Whether a parser of newer grammars accepts the file."""
    import libcst  # here, as it is slow to import and few files come this far

    try:
        libcst.parse_module(text.decode("utf-8"))
    except Exception:  # noqa: BLE001 - libcst raises its own errors and, on odd input, others: then it is no help
        return False
    return True
