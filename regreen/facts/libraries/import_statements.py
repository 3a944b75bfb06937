"""Import statements as byte splices: another module in place of one, names from where they are defined."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from typing import Final

from regreen.facts.libraries.editing import Draft, UndecidedError
from regreen.facts.source.context import dotted, last_name
from regreen.model import Finding, Span, Splice

#: Callees whose first string argument names a module or something in it (unittest.mock, pytest, importlib).
_BY_NAME: Final = frozenset({"patch", "setattr", "delattr", "import_module", "importorskip", "find_spec"})
_WIDTH: Final = 100


def statement_at(draft: Draft, finding: Finding) -> ast.Import | ast.ImportFrom:
    """The import statement that a finding names. Raises UndecidedError where the file is another by now."""
    where = finding.where
    if isinstance(where, Span):
        for node in ast.walk(draft.tree):
            if isinstance(node, ast.Import | ast.ImportFrom) and (node.lineno, node.col_offset) == (
                where.line,
                where.column,
            ):
                return node
    raise UndecidedError("the file changed since it was read", "run again")


def other_module(draft: Draft, node: ast.ImportFrom, new: str) -> Splice:
    """`from old import …` becomes `from new import …`; everything behind it stays. `new` may start with dots."""
    start = draft.start(node) + len(b"from")
    source = draft.text.source
    end = source.index(b"import", start + _module_length(node, source[start:]))
    begin = start + (len(source[start:end]) - len(source[start:end].lstrip(b" \t")))
    stop = begin + len(source[begin:end].rstrip(b" \t\\\r\n"))
    return Splice(draft.path, begin, stop, draft.text.encode(new))


def _module_length(node: ast.ImportFrom, text: bytes) -> int:
    """How far the module's own text reaches: its name may hold the word `import`."""
    name = (node.module or "").encode()
    return text.index(name) + len(name) if name else 0


def other_import(draft: Draft, node: ast.Import, old: str, new: str) -> list[Splice]:
    """`import old` becomes `import new`, and with it every use of the dotted name. Raises UndecidedError."""
    alias = next(alias for alias in node.names if alias.name == old)
    splices = [Splice(draft.path, draft.start(alias), draft.start(alias) + len(old.encode()), draft.text.encode(new))]
    if alias.asname:
        return splices
    for part in ast.walk(draft.tree):
        if isinstance(part, ast.Attribute | ast.Name) and dotted(part) == old:
            if draft.in_fstring(part):
                raise UndecidedError(f"{old} is used inside an f-string", f"write {new} there by hand")
            splices.append(draft.replace(part, new))
    return splices


def strings(draft: Draft, old: str, new: str, names: Sequence[str] = ()) -> list[Splice]:
    """Targets of patches and dynamic imports that name the module, or (with `names`) these names in it."""
    splices: list[Splice] = []
    wanted = tuple(f"{old}.{name}" for name in names)
    for node in ast.walk(draft.tree):
        if not isinstance(node, ast.Call) or last_name(node.func) not in _BY_NAME or not node.args:
            continue
        first = node.args[0]
        if not isinstance(first, ast.Constant) or not isinstance(first.value, str):
            continue
        value = first.value
        fits = (
            any(value == name or value.startswith(f"{name}.") for name in wanted)
            if names
            else (value == old or value.startswith(f"{old}."))
        )
        text = draft.text.source[draft.start(first) : draft.end(first)]
        if fits and text.count(old.encode()) == 1:
            start = draft.start(first) + text.index(old.encode())
            splices.append(Splice(draft.path, start, start + len(old.encode()), draft.text.encode(new)))
    return splices


def split(draft: Draft, node: ast.ImportFrom, homes: Mapping[str, str], keep: str) -> list[Splice]:
    """Take names of a from-import from elsewhere: `homes` maps a name to its module; the others stay with `keep`.

    Raises UndecidedError where the statement holds comments or shares its line.
    """
    spelled = {alias.name: alias.name + (f" as {alias.asname}" if alias.asname else "") for alias in node.names}
    groups: dict[str, list[str]] = {}
    for alias in node.names:
        groups.setdefault(homes.get(alias.name, keep), []).append(spelled[alias.name])
    if len(groups) == 1:
        return [other_module(draft, node, next(iter(groups)))]
    source = draft.text.source
    first, last = draft.text.line_start(node.lineno), draft.text.line_start((node.end_lineno or node.lineno) + 1)
    indent = draft.text.indent(node.lineno)
    tail = source[draft.end(node) : last].strip()
    if (
        b"#" in source[draft.start(node) : draft.end(node)]
        or source[first : draft.start(node)].strip()
        or tail[:1] == b";"
    ):
        raise UndecidedError(
            "the statement holds comments, or shares its line with another", "which comment belongs to which name"
        )
    space = indent.decode()
    joiner = f"\n{space}"
    return [
        Splice(
            draft.path,
            draft.start(node),
            draft.end(node),
            draft.text.encode(joiner.join(_line(module, names, space) for module, names in groups.items())),
        )
    ]


def _line(module: str, names: Sequence[str], indent: str) -> str:
    line = f"from {module} import {', '.join(names)}"
    if len(indent) + len(line) <= _WIDTH:
        return line
    inner = "".join(f"{indent}    {name},\n" for name in names)
    return f"from {module} import (\n{inner}{indent})"


def relative(importer: str, new: str, name_of_importer: str) -> str:
    """A relative spelling of a module for a file of the same top package; empty where there is none."""
    here = name_of_importer.split(".")
    if not importer.endswith("__init__.py"):
        here = here[:-1]
    there = new.split(".")
    shared = 0
    while shared < min(len(here), len(there)) and here[shared] == there[shared]:
        shared += 1
    return "." * (len(here) - shared + 1) + ".".join(there[shared:]) if shared else ""
