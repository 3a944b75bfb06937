"""What is known of a whole source tree: every file's structure, what the checks emitted, and where modules are."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from regreen.facts.source.structure import ClassFacts, ImportFacts
from regreen.facts.source.syntax import Unreadable
from regreen.facts.source.text import SourceText
from regreen.model import Finding, Severity, Span

if TYPE_CHECKING:
    from regreen.facts.source.context import Position
    from regreen.facts.source.trees import Tree

T = TypeVar("T")


class FileFacts:
    """One Python file: its structure, and what the checks emitted for it."""

    __slots__ = ("_structure", "digest", "emitted", "error", "path")

    def __init__(self, path: str, digest: str, record: tuple[Any, ...]) -> None:
        self.path = path
        self.digest = digest
        self._structure: tuple[Any, ...] = record[0]
        self.emitted: list[Any] = record[1]
        self.error: Unreadable | None = Unreadable(*record[2]) if record[2] else None

    @property
    def parsed(self) -> bool:
        """Whether there is a structure: false for unreadable files (a file that only fails to compile has one)."""
        return bool(self._structure)

    @property
    def imports(self) -> Iterator[ImportFacts]:
        """The import statements, in source order."""
        return map(ImportFacts._make, self._structure[0]) if self._structure else iter(())

    @property
    def defs(self) -> Mapping[str, int]:
        """Top-level names and their kinds (see `structure`)."""
        return self._structure[1] if self._structure else {}

    @property
    def classes(self) -> Iterator[ClassFacts]:
        """Every class, nested ones too."""
        return map(ClassFacts._make, self._structure[2]) if self._structure else iter(())

    @property
    def all_names(self) -> Sequence[str] | None:
        """The literal names of `__all__`, or None where there is no `__all__`."""
        return self._structure[3] if self._structure else None

    @property
    def dynamic(self) -> bool:
        """Whether any name may exist in this module: `__getattr__`, `globals()`, `exec`; or it could not be read."""
        return bool(self._structure[4]) if self._structure else True

    @property
    def aliases(self) -> Mapping[str, str]:
        """Top-level `name = dotted.name` assignments."""
        return self._structure[5] if self._structure else {}

    @property
    def suppressions(self) -> Sequence[tuple[int, str, str]]:
        """Inline comments: (line, comma-separated check ids, reason)."""
        return self._structure[6] if self._structure else ()

    @property
    def tests(self) -> int:
        """How many functions and methods outside other functions have a name that starts with `test`."""
        return self._structure[7] if self._structure else 0

    @property
    def coroutines(self) -> Sequence[tuple[str, int, int]]:
        """`async def`s outside other functions: (qualified name, kind bits, line)."""
        return self._structure[8] if self._structure else ()

    @property
    def path_edits(self) -> Sequence[str]:
        """Folders that the file puts on `sys.path` (see `pathedits`)."""
        return self._structure[9] if self._structure else ()

    @property
    def raw_imports(self) -> Sequence[tuple[Any, ...]]:
        """The import statements as plain tuples (the fields of `ImportFacts`): for passes over the whole tree."""
        return self._structure[0] if self._structure else ()


class Index:
    """Facts about a tree. `files` are the Python files that were looked at, by path, in order."""

    def __init__(
        self, tree: Tree, files: Mapping[str, FileFacts], check_ids: Sequence[str], left_out: Sequence[str] = ()
    ) -> None:
        self.tree = tree
        self.files = files
        self.left_out = tuple(left_out)
        self._numbers = {check: number for number, check in enumerate(check_ids)}
        self._derived: dict[str, Any] = {}

    def records(self, check: str) -> Iterator[tuple[FileFacts, tuple[Any, ...]]]:
        """What a check's handlers emitted, file by file in path order, in the order of emission."""
        for file, records in self._sparse.get(self._numbers[check], ()):
            for record in records:
                if record[0] != "!":
                    yield file, record

    def failures(self, check: str) -> Iterator[tuple[FileFacts, str]]:
        """Files in which a check's handler raised, and what."""
        for file, records in self._sparse.get(self._numbers[check], ()):
            for record in records:
                if record[0] == "!":
                    yield file, record[1]

    @cached_property
    def _sparse(self) -> dict[int, list[tuple[FileFacts, list[tuple[Any, ...]]]]]:
        table: dict[int, list[tuple[FileFacts, list[tuple[Any, ...]]]]] = {}
        for file in self.files.values():
            emitted = file.emitted
            for position in range(0, len(emitted), 2):
                table.setdefault(emitted[position], []).append((file, emitted[position + 1]))
        return table

    def derive(self, name: str, make: Callable[[Index], T]) -> T:
        """A value computed once per index and shared by checks, such as the module map."""
        if name not in self._derived:
            self._derived[name] = make(self)
        value: T = self._derived[name]
        return value

    @cached_property
    def tests(self) -> tuple[int, int]:
        """Test functions, and the modules that hold any."""
        counts = [file.tests for file in self.files.values() if file.tests]
        return sum(counts), len(counts)

    def span(self, file: FileFacts, position: Position | tuple[int, ...] = ()) -> Span:
        """A span in a file from a position as `Context.at` gives it; the whole file without one."""
        line, column, end_line, end_column = position or (0, 0, 0, 0)
        return Span(file.path, line, column, end_line, end_column, file.digest)

    def text(self, path: str) -> SourceText:
        """A file's bytes with offsets, for remedies. Raises FileNotFoundError, UndecodableError."""
        return SourceText(self.tree.read(path))

    def finding(
        self,
        check: str,
        severity: Severity,
        file: FileFacts,
        position: Position | tuple[int, ...],
        *,
        scope: str = "",
        observed: str,
        expected: str,
        snippet: str = "",
        data: Mapping[str, str] | None = None,
    ) -> Finding:
        """A finding in a file; its subject is `path` or `path::scope` with dots of the scope as `::`."""
        subject = f"{file.path}::{scope.replace('.', '::')}" if scope else file.path
        return Finding(
            check,
            subject,
            self.span(file, position),
            observed,
            expected,
            severity,
            snippet,
            tuple((data or {}).items()),
        )
