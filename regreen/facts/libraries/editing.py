"""Edits of one file, as byte splices: what every remedy for a library's calls needs."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from regreen.facts.libraries.names import Names
from regreen.facts.libraries.reading import names_at
from regreen.facts.source import Index, SourceText
from regreen.model import Change, Finding, Proposal, Refusal, Safety, Span, Splice

_WIDTH: Final = 100
_COMMENT: Final = re.compile(rb"#[^\r\n]*")
Node = TypeVar("Node", bound=ast.AST)


class UndecidedError(Exception):
    """There is no answer that is certain to be right: why, and what a person must decide."""

    def __init__(self, reason: str, decide: str) -> None:
        super().__init__(reason)
        self.decide = decide


@dataclass(frozen=True, slots=True)
class Edit:
    """What a remedy does about one finding."""

    splices: Sequence[Splice]
    summary: str
    evidence: str
    safety: Safety = Safety.SAFE
    creates: tuple[tuple[str, bytes], ...] = ()


class Draft:
    """A file that is to be edited. Positions are those of its own parse."""

    def __init__(self, path: str, text: SourceText, names: Names) -> None:
        self.path = path
        self.text = text
        self.names = names

    @classmethod
    def of(cls, index: Index, path: str) -> Draft | None:
        """The draft of a file of the tree; None where it does not parse."""
        names = names_at(index, path)
        return None if names is None else cls(path, index.text(path), names)

    @property
    def tree(self) -> ast.Module:
        """The file's syntax tree."""
        return self.names.tree

    def find(self, where: object, kind: type[Node]) -> Node | None:
        """The node of a kind that a finding's span names. None inside an f-string: Python 3.11 misplaces what is there."""
        if not isinstance(where, Span):
            return None
        wanted = (where.line, where.column, where.end_line, where.end_column)
        for node in ast.walk(self.tree):
            if isinstance(node, kind) and position(node) == wanted:
                return None if self.in_fstring(node) else node
        return None

    def the(self, where: object, kind: type[Node]) -> Node:
        """As `find`. Raises UndecidedError where there is none."""
        node = self.find(where, kind)
        if node is None:
            raise UndecidedError("the place is inside an f-string, or the file changed since it was read",
                                 "edit it by hand, or run again")  # fmt: skip
        return node

    def in_fstring(self, node: ast.AST) -> bool:
        """Whether a node stands inside an f-string."""
        return any(isinstance(above, ast.JoinedStr) for above in self.names.above(node))

    def start(self, node: ast.AST) -> int:
        """The offset of a node's first byte."""
        return self.text.offset(node.lineno, node.col_offset)  # type: ignore[attr-defined]

    def end(self, node: ast.AST) -> int:
        """The offset one past a node's last byte."""
        return self.text.offset(node.end_lineno, node.end_col_offset)  # type: ignore[attr-defined]

    def source(self, node: ast.AST) -> str:
        """A node's own text, with line feeds."""
        found = self.text.source[self.start(node) : self.end(node)].decode(self.text.encoding)
        return found.replace("\r\n", "\n").replace("\r", "\n")

    def replace(self, node: ast.AST, new: str) -> Splice:
        """Replace a node."""
        return Splice(self.path, self.start(node), self.end(node), self.text.encode(new))

    def insert(self, offset: int, new: str) -> Splice:
        """Insert text."""
        return Splice(self.path, offset, offset, self.text.encode(new))

    def rename_keyword(self, item: ast.keyword, new: str) -> Splice:
        """Give a keyword argument another name."""
        assert item.arg is not None
        start = self.text.offset(item.lineno, item.col_offset)
        return Splice(self.path, start, start + len(item.arg.encode(self.text.encoding)), self.text.encode(new))

    def drop_argument(self, call: ast.Call, item: ast.expr | ast.keyword) -> Splice:
        """Remove an argument with the comma that belongs to it."""
        spans = self._arguments(call)
        number = next(n for n, (node, _, _) in enumerate(spans) if node is item)
        _, start, end = spans[number]
        if number:
            start = spans[number - 1][2]
        elif len(spans) > 1:
            end = spans[1][1]
        else:
            end = self.end(call) - 1
        return Splice(self.path, start, end, b"")

    def append_arguments(self, call: ast.Call, arguments: Sequence[str], wrap: bool = False) -> Splice:
        """Add arguments behind the last one, laid out as the call is.

        With `wrap`, a call in one line is broken where that line would become too long; then no other edit may touch
        its arguments.
        """
        spans = self._arguments(call)
        if not spans:
            return self.insert(self.end(call) - 1, ", ".join(arguments))
        last, start, end = spans[-1]
        before = spans[-2][0].end_lineno if len(spans) > 1 else call.func.end_lineno
        if last.lineno != before and self.text.source[self.text.line_start(last.lineno) : start].strip() == b"":
            indent = self.text.indent(last.lineno).decode(self.text.encoding)
            below = self.text.line_start((last.end_lineno or last.lineno) + 1)
            rest = self.text.source[end:below]
            behind = _COMMENT.sub(b"", self.text.source[end : self.end(call) - 1])
            comma = b"" if rest.lstrip().startswith(b",") else b","
            if rest.lstrip(b", \t").startswith((b"#", b"\r", b"\n")) and not (comma and b"," in behind):
                # nothing but a comma and a comment follows in the line: they stay where they are
                added = self.text.encode("".join(f"{indent}{item},\n" for item in arguments))
                return Splice(self.path, end, below, comma + rest + added)
            return self.insert(end, "".join(f",\n{indent}{item}" for item in arguments))
        line = self.text.line(call.lineno)
        if wrap and call.lineno == call.end_lineno and len(line) + sum(len(item) + 2 for item in arguments) > _WIDTH:
            indent = self.text.indent(call.lineno).decode(self.text.encoding)
            first = spans[0][1]
            given = [self.text.source[start:stop].decode(self.text.encoding) for _, start, stop in spans]
            inner = f"{indent}    "
            one = f"{inner}{', '.join([*given, *arguments])}\n"
            many = "".join(f"{inner}{item},\n" for item in [*given, *arguments])
            broken = self.text.encode("\n" + (one if len(one) <= _WIDTH else many) + indent)
            return Splice(self.path, first, self.end(call) - 1, broken)
        return self.insert(end, "".join(f", {item}" for item in arguments))

    def _arguments(self, call: ast.Call) -> list[tuple[ast.expr | ast.keyword, int, int]]:
        """The arguments in source order with the offsets around them, parentheses of their own included."""
        every: list[ast.expr | ast.keyword] = [*call.args, *call.keywords]
        every.sort(key=lambda item: (item.lineno, item.col_offset))
        spans: list[tuple[ast.expr | ast.keyword, int, int]] = []
        previous = self.end(call.func)
        for item in every:
            start, end = self.start(item), self.end(item)
            gap = _COMMENT.sub(lambda found: b" " * len(found[0]), self.text.source[previous:start])
            own = gap.count(b"(") - (not spans)
            if own > 0:
                start = previous + [n for n, byte in enumerate(gap) if byte == ord("(")][-own]
                tail = _COMMENT.sub(lambda found: b" " * len(found[0]), self.text.source[end : self.end(call)])
                end += [n for n, byte in enumerate(tail) if byte == ord(")")][own - 1] + 1
            spans.append((item, start, end))
            previous = end
        return spans

    def bring(self, module: str, name: str = "", avoid: Sequence[str] = ()) -> tuple[str, list[Splice]]:
        """How code anywhere in the file can call `module` (or `name` from it), and the import that this takes."""
        wanted = f"{module}.{name}" if name else module
        for local, bindings in self.names.module.bound.items():
            if (
                len(bindings) == 1
                and bindings[0].how == "import"
                and bindings[0].origin == wanted
                and self._plain(local)
            ):
                statement = bindings[0].node
                if statement is not None and self.names.parents.get(statement) is self.tree:
                    return local, []
        local = name or module
        taken = {
            bound
            for space in set(self.names.spaces.values())
            for bound, bindings in space.bound.items()
            if any(binding.how != "import" or binding.origin != wanted for binding in bindings)
        }
        while local.partition(".")[0] in taken or local in avoid:
            local = f"_{local.replace('.', '_')}"
        if name and local == name:
            longer = self._longer(module, name)
            if longer is not None:
                return local, [longer]
        alias = "" if local == (name or module) else f" as {local}"
        line = f"from {module} import {name}{alias}" if name else f"import {module}{alias}"
        return local, [self._import(line, module)]

    def _longer(self, module: str, name: str) -> Splice | None:
        """An import of the module that stands in one line takes one more name."""
        for node in self.tree.body:
            if (
                isinstance(node, ast.ImportFrom)
                and node.module == module
                and node.level == 0
                and node.lineno == node.end_lineno
            ):
                text = self.source(node)
                if not text.endswith((")", "*")) and len(text) + len(name) < 110:
                    return self.insert(self.end(node), f", {name}")
        return None

    def _plain(self, local: str) -> bool:
        """Whether no inner scope binds a name of the module again."""
        return not any(
            local in space.bound for space in set(self.names.spaces.values()) if space is not self.names.module
        )

    def _import(self, line: str, module: str) -> Splice:
        top = [node for node in self.tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
        top = [node for node in top if getattr(node, "module", "") != "__future__"]
        root = module.partition(".")[0]
        kin = [node for node in top if _module(node).partition(".")[0] == root and getattr(node, "level", 0) == 0]
        if kin:
            return self._below(kin[-1], line)
        plain = line.startswith("import ")
        if top and plain:
            first = next((node for node in top if isinstance(node, ast.Import) and _module(node) > module), None)
            if first is None or first is not top[0]:
                earlier = [
                    n for n in top if isinstance(n, ast.Import) and _module(n) <= module and n.lineno <= top[0].lineno
                ]
                if earlier:
                    return self._below(earlier[-1], line)
            return self._line(top[0].lineno, f"{line}\n")
        if top:
            return self._below(top[-1], line)
        body = self.tree.body
        last: ast.stmt | None = None
        for node in body:
            if not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and node is body[0]) and not (
                isinstance(node, ast.ImportFrom) and node.module == "__future__"
            ):
                break
            last = node
        if last is None:
            return self._line(body[0].lineno if body else 1, f"{line}\n\n")
        return self._below(last, f"\n{line}")

    def _line(self, number: int, text: str) -> Splice:
        return self.insert(self.text.line_start(number), text)

    def _below(self, node: ast.stmt, text: str) -> Splice:
        assert node.end_lineno is not None
        offset = self.text.line_start(node.end_lineno + 1)
        if not self.text.source[:offset].endswith((b"\n", b"\r")):
            return self.insert(offset, f"\n{text}")
        return self.insert(offset, f"{text}\n")


def position(node: ast.AST) -> tuple[int, int, int, int]:
    """A node's line, column, end line and end column; zeros where it has none."""
    return (
        getattr(node, "lineno", 0),
        getattr(node, "col_offset", 0),
        getattr(node, "end_lineno", 0) or 0,
        getattr(node, "end_col_offset", 0) or 0,
    )


def one_by_one(
    remedy: str, findings: Sequence[Finding], index: Index, edit: Callable[[Finding, Draft], Edit]
) -> Proposal:
    """One change for each finding, or the refusal that `edit` raises."""
    changes: list[Change] = []
    refusals: list[Refusal] = []
    opened: dict[str, Draft | None] = {}
    for finding in findings:
        if finding.path not in opened:
            opened[finding.path] = Draft.of(index, finding.path)
        draft = opened[finding.path]
        try:
            if draft is None:
                raise UndecidedError("the file does not parse", "its syntax comes first")
            done = edit(finding, draft)
        except UndecidedError as why:
            refusals.append(Refusal(remedy, finding.fingerprint, finding.subject, finding.where, str(why), why.decide))
            continue
        changes.append(
            Change(
                remedy, finding.subject, done.summary, (finding.fingerprint,), tuple(done.splices), done.creates,
                done.safety, done.evidence,
            )
        )  # fmt: skip
    return Proposal(tuple(changes), tuple(refusals))


def _module(node: ast.Import | ast.ImportFrom) -> str:
    return (node.module or "") if isinstance(node, ast.ImportFrom) else node.names[0].name
