"""Pydantic models of a tree: what in their bodies pydantic 2 refuses, and which classes are models at all.

What is refused was tried with pydantic 2.14; the words are those of https://docs.pydantic.dev/latest/migration/.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from typing import Any, Final, TypeAlias

from regreen.facts.source import FileFacts, Index
from regreen.facts.source.context import last_name
from regreen.facts.source.modules import DEFINED, modules
from regreen.facts.source.structure import ClassFacts

#: Bytes without which a class body holds nothing of interest.
SUSPECT: Final = re.compile(
    rb"regex|const|Config|root_validator|BaseSettings|__root__|unique_items|\b(?:g|l)[et]\s*=|Field\(|^[ \t]+\w+\s*=",
    re.M,
)

ROOTS: Final = frozenset(
    {
        "pydantic.BaseModel", "pydantic.main.BaseModel", "pydantic.generics.GenericModel", "pydantic.BaseSettings",
        "pydantic.RootModel", "pydantic_settings.BaseSettings", "pydantic_settings.main.BaseSettings", "sqlmodel.SQLModel",
    }
)  # fmt: skip
FIELD: Final = frozenset({"pydantic.Field", "pydantic.fields.Field", "sqlmodel.Field"})
_CONSTRAINED: Final = frozenset({"pydantic.constr", "pydantic.types.constr"})
_VALIDATOR: Final = frozenset({"pydantic.root_validator", "pydantic.class_validators.root_validator"})
_NUMERIC: Final = frozenset({"ge", "gt", "le", "lt", "multiple_of"})
#: Keys of a `Config` that pydantic 2 ignores with a warning: the class was written for 1.
OLD_KEYS: Final = {
    "allow_population_by_field_name": "populate_by_name", "anystr_lower": "str_to_lower",
    "anystr_strip_whitespace": "str_strip_whitespace", "anystr_upper": "str_to_upper", "keep_untouched": "ignored_types",
    "max_anystr_length": "str_max_length", "min_anystr_length": "str_min_length", "orm_mode": "from_attributes",
    "schema_extra": "json_schema_extra", "validate_all": "validate_default",
}  # fmt: skip
_ENUMS: Final = frozenset(
    {
        "Enum",
        "IntEnum",
        "StrEnum",
        "Flag",
        "IntFlag",
        "TestCase",
        "Exception",
        "Protocol",
        "TypedDict",
        "NamedTuple",
        "ABC",
    }
)

Origin: TypeAlias = Callable[[ast.AST], str]
#: What a body holds: (kind, position, detail, snippet). Kinds: regex const unique-items config-twice root-validator
#: optional number-on-text bare (an attribute without annotation) root old-keys.
Suspect: TypeAlias = tuple[str, tuple[int, int, int, int], str, str]


def suspects(node: ast.ClassDef, origin: Origin, source: bytes) -> Iterator[Suspect]:
    """What pydantic 2 refuses in a class, if it is a model."""
    if any(last_name(base) in _ENUMS for base in node.bases):
        return
    config: ast.ClassDef | None = None
    current: ast.stmt | None = None
    fields = b"regex" in source or b"const" in source or b"unique_items" in source
    for statement in node.body:
        if isinstance(statement, ast.AnnAssign):
            yield from _annotated(statement, origin)
        elif isinstance(statement, ast.Assign) and len(statement.targets) == 1:
            target = statement.targets[0]
            if isinstance(target, ast.Name):
                if target.id == "model_config":
                    current = statement
                elif _is_bare(target.id, statement.value, origin):
                    yield ("bare", _at(statement), target.id, f"{target.id} =")
        elif isinstance(statement, ast.ClassDef):
            if statement.name == "Config":
                config = statement
        elif isinstance(statement, ast.FunctionDef):
            for decorator in statement.decorator_list:
                if _is_refused_validator(decorator, origin):
                    yield ("root-validator", _at(decorator), statement.name, f"@root_validator {statement.name}")
        if fields and isinstance(statement, ast.AnnAssign | ast.Assign):
            yield from _removed(statement, origin)
    if config is not None:
        old = [
            target.id
            for statement in config.body
            if isinstance(statement, ast.Assign)
            for target in statement.targets
            if isinstance(target, ast.Name) and target.id in OLD_KEYS
        ]
        if current is not None:
            yield ("config-twice", _at(config), "", f"{node.name}.Config with model_config")
        elif old:
            yield ("old-keys", _at(config), ",".join(old), "")


def _annotated(statement: ast.AnnAssign, origin: Origin) -> Iterator[Suspect]:
    if not isinstance(statement.target, ast.Name):
        return
    name = statement.target.id
    if name == "__root__":
        yield ("root", _at(statement), "", "__root__")
        return
    if name.startswith("_"):
        return
    value = statement.value
    call = value if isinstance(value, ast.Call) and origin(value.func) in FIELD else None
    if is_optional(statement.annotation) and (value is None or (call is not None and not _has_default(call))):
        yield ("optional", _at(statement), name, f"{name}: {ast.unparse(statement.annotation)}")
    if call is not None and is_text(statement.annotation):
        wrong = sorted(
            k.arg
            for k in call.keywords
            if k.arg in _NUMERIC and isinstance(k.value, ast.Constant) and not isinstance(k.value.value, str)
        )
        if wrong:
            yield ("number-on-text", _at(call), ",".join(wrong), f"{name}: Field({', '.join(wrong)})")


def _removed(statement: ast.stmt, origin: Origin) -> Iterator[Suspect]:
    for node in ast.walk(statement):
        if not isinstance(node, ast.Call):
            continue
        name = last_name(node.func)
        if name not in ("Field", "constr"):
            words = {item.arg for item in node.keywords}
            if not words & {"regex", "const", "unique_items"}:
                continue
        where = origin(node.func)
        given = {item.arg for item in node.keywords}
        target = ast.unparse(statement.target) if isinstance(statement, ast.AnnAssign) else ""
        if where in FIELD:
            for word in ("regex", "const", "unique_items"):
                if word in given:
                    yield (word.replace("_", "-"), _at(node), target, f"{target}: Field({word}=)")
        elif where in _CONSTRAINED and "regex" in given:
            yield ("regex", _at(node), target, f"{target}: constr(regex=)")


def _has_default(call: ast.Call) -> bool:
    return bool(call.args) or any(item.arg in ("default", "default_factory", None) for item in call.keywords)


def _is_bare(name: str, value: ast.expr, origin: Origin) -> bool:
    if name.startswith("_") or name == "Config":
        return False
    if isinstance(value, ast.Call):
        return origin(value.func) in FIELD
    return isinstance(value, ast.Constant | ast.List | ast.Dict | ast.Set | ast.Tuple | ast.JoinedStr | ast.UnaryOp)


def _is_refused_validator(decorator: ast.expr, origin: Origin) -> bool:
    if not isinstance(decorator, ast.Call):
        return origin(decorator) in _VALIDATOR
    if origin(decorator.func) not in _VALIDATOR:
        return False
    words = {item.arg: item.value for item in decorator.keywords}
    if "skip_on_failure" in words or None in words:
        return False
    pre = words.get("pre")
    return pre is None or (isinstance(pre, ast.Constant) and pre.value is False)


def is_optional(annotation: ast.expr) -> bool:
    """Whether an annotation allows None: `Optional[X]`, `Union[X, None]`, `X | None`."""
    if isinstance(annotation, ast.Subscript):
        name = last_name(annotation.value)
        if name == "Optional":
            return True
        if name == "Union" and isinstance(annotation.slice, ast.Tuple):
            return any(_is_none(part) for part in annotation.slice.elts)
        return False
    if isinstance(annotation, ast.BinOp) and isinstance(annotation.op, ast.BitOr):
        return _is_none(annotation.right) or _is_none(annotation.left) or is_optional(annotation.left)
    return False


def is_text(annotation: ast.expr) -> bool:
    """Whether an annotation is `str`, or `str` or None."""
    if isinstance(annotation, ast.Subscript) and last_name(annotation.value) == "Optional":
        return is_text(annotation.slice)
    if isinstance(annotation, ast.BinOp) and isinstance(annotation.op, ast.BitOr):
        parts = (annotation.left, annotation.right)
        return any(_is_none(part) for part in parts) and any(is_text(part) for part in parts)
    return isinstance(annotation, ast.Name) and annotation.id == "str"


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def _at(node: ast.AST) -> tuple[int, int, int, int]:
    return (node.lineno, node.col_offset, node.end_lineno or 0, node.end_col_offset or 0)  # type: ignore[attr-defined]


class Models:
    """Which classes of a tree are pydantic models, through bases in the tree. Get it with `Models.of(index)`."""

    def __init__(self, index: Index) -> None:
        self._index = index
        self._tables: dict[str, dict[str, ClassFacts]] = {}
        self._imports: dict[str, dict[str, str]] = {}
        self._known: dict[tuple[str, str], bool] = {}

    @classmethod
    def of(cls, index: Index) -> Models:
        """The models of an index, made once."""
        return index.derive("pydantic models", cls)

    def is_model(self, path: str, qualname: str) -> bool:
        """Whether a class descends from `BaseModel`, as far as the tree shows."""
        key = (path, qualname)
        known = self._known.get(key)
        if known is None:
            self._known[key] = False  # while it is being looked at
            # A metaclass of their own may take what pydantic's refuses.
            known = self._known[key] = not self._is_made_otherwise(path, qualname) and any(
                root in ROOTS or (target is not None and self.is_model(*target))
                for root, target in self.bases(path, qualname)
            )
        return known

    def _is_made_otherwise(self, path: str, qualname: str) -> bool:
        facts = self._table(path).get(qualname)
        return facts is not None and any(
            word.startswith("metaclass=") and not word.endswith("ModelMetaclass") for word in facts.keywords
        )

    def bases(self, path: str, qualname: str) -> list[tuple[str, tuple[str, str] | None]]:
        """The bases of a class: their origins, and the (path, name) of those that the tree defines."""
        facts = self._table(path).get(qualname)
        return [self._base(path, base) for base in facts.bases] if facts is not None else []

    def heirs(self) -> Iterator[tuple[FileFacts, list[str]]]:
        """Files that do not import pydantic and hold models, by bases from elsewhere in the tree."""
        files = self._index.files
        direct = {path for path, file in files.items() if any(map(_is_import_of_pydantic, file.raw_imports))}
        if not direct:
            return
        below: dict[str, list[tuple[str, str]]] = {}  # by the last part of a base's name: what derives from it
        for path, file in files.items():
            for item in file.classes:
                for base in item.bases:
                    below.setdefault(base.rpartition(".")[2], []).append((path, item.qualname))
        found: dict[str, list[str]] = {}
        names = ["BaseModel", "GenericModel", "SQLModel", "BaseSettings"]
        seen = set(names)
        while names:
            for path, qualname in below.get(names.pop(), ()):
                own = qualname.rpartition(".")[2]
                if own not in seen:
                    seen.add(own)
                    names.append(own)
                if path not in direct and self.is_model(path, qualname):
                    found.setdefault(path, []).append(qualname)
        for path in sorted(found):
            yield files[path], found[path]

    def _table(self, path: str) -> dict[str, ClassFacts]:
        known = self._tables.get(path)
        if known is None:
            file = self._index.files.get(path)
            known = self._tables[path] = {item.qualname: item for item in file.classes} if file is not None else {}
        return known

    def _base(self, path: str, base: str) -> tuple[str, tuple[str, str] | None]:
        root, _, rest = base.partition(".")
        if not rest and root in self._table(path):
            return base, (path, root)
        bound = self._bound(path).get(root)
        if bound is None:
            return base, None
        origin = f"{bound}.{rest}" if rest else bound
        if origin in ROOTS:
            return origin, None
        symbol = modules(self._index).origin(path, origin)
        return origin, (symbol.path, symbol.name) if symbol.state == DEFINED and symbol.path else None

    def _bound(self, path: str) -> dict[str, str]:
        known = self._imports.get(path)
        if known is None:
            known = self._imports[path] = {}
            for item in self._index.files[path].imports:
                for name, alias in item.names:
                    if item.level < 0:
                        known[alias or name.partition(".")[0]] = name if alias else name.partition(".")[0]
                    else:
                        prefix = "." * item.level + item.module
                        known[alias or name] = f"{prefix}{'' if prefix.endswith('.') else '.'}{name}"
        return known


def _is_import_of_pydantic(item: tuple[Any, ...]) -> bool:
    return item[4] <= 0 and (item[5] or item[6][0][0]).partition(".")[0] in ("pydantic", "sqlmodel")


def annotation_of(tree: ast.Module, qualname: str, name: str) -> ast.expr | None:
    """The annotation of a class's own field in a parsed file, or None."""
    body: list[ast.stmt] = tree.body
    for part in qualname.split("."):
        found = next((node for node in body if isinstance(node, ast.ClassDef) and node.name == part), None)
        if found is None:
            return None
        body = found.body
    for statement in body:
        if (
            isinstance(statement, ast.AnnAssign)
            and isinstance(statement.target, ast.Name)
            and statement.target.id == name
        ):
            return statement.annotation
    return None
