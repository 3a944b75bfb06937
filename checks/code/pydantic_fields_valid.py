"""Pydantic models hold only what pydantic 2 accepts.

Refused when the class is made: `regex=`, `const=` and `unique_items=` in `Field`, an attribute or an override without an
annotation, `class Config` beside `model_config`, `@root_validator` without `skip_on_failure=True`, `__root__`, and
`BaseSettings` from pydantic. Refused later, when data comes: a bound such as `ge=` on a `str`. And silently different:
`Optional[X]` without a default is required now; that is reported only in files that other signs show to be written for
pydantic 1, because in new code it is a way to say "required, may be None". Mutable defaults are copied: no finding.
Judged where the declared range of pydantic begins at 2 or later, or is open; `pydantic.v1` is left alone.
"""

from __future__ import annotations

import ast
from typing import Any, Final

from regreen.facts.libraries.pydantic_models import SUSPECT, Models, suspects
from regreen.facts.libraries.reading import names_at
from regreen.facts.libraries.versions import Side, side
from regreen.facts.source import Context, FileFacts, Index, Interests, Scope
from regreen.model import Example, Finding, Severity, Verdict
from regreen.policy import Policy

ID: Final = "code.pydantic-fields-valid"
VERSION: Final = 1
SEVERITY: Final = Severity.ERROR
SOURCE: Final = "https://docs.pydantic.dev/latest/migration/"

_NODES: Final = "pydantic classes"
#: Kinds that show that a file was written for pydantic 1.
_OLD: Final = frozenset(
    {"regex", "const", "unique-items", "config-twice", "root-validator", "root", "old-keys", "settings"}
)
_SAID: Final = {
    "regex": ("`regex=` is removed: PydanticUserError when the class is made", "`pattern=`"),
    "const": ("`const=` is removed: PydanticUserError when the class is made", "`Literal[…]` as the annotation"),
    "unique-items": (
        "`unique_items=` is removed: PydanticUserError when the class is made",
        "`set[…]`, or a validator",
    ),
    "config-twice": ("`Config` and `model_config` cannot be used together: PydanticUserError", "one `model_config`"),
    "root-validator": ("`@root_validator` must say `skip_on_failure=True`: PydanticUserError", "`@model_validator`"),
    "optional": ("allows None and has no default: it is required since pydantic 2", "`= None`"),
    "number-on-text": (
        "a numeric bound on a `str`: TypeError as soon as a value comes",
        "a number's type, or a bound on the length",
    ),
    "bare": ("has no annotation: PydanticUserError when the class is made", "an annotation"),
    "root": ("`__root__` is removed: PydanticUserError when the class is made", "`RootModel[…]`"),
    "settings": ("`BaseSettings` moved: PydanticImportError", "`from pydantic_settings import BaseSettings`"),
}


def _class(node: ast.stmt, context: Context) -> None:
    assert isinstance(node, ast.ClassDef)
    context.memo.setdefault(_NODES, []).append((node, context.scope))


def _finish(context: Context) -> None:
    if not SUSPECT.search(context.source):
        return
    for item in context.structure.imports:
        level, module, names, flags, scope = item[4], item[5], item[6], item[7], item[8]
        if level or flags or module not in ("pydantic", "pydantic.env_settings"):
            continue
        if any(name == "BaseSettings" for name, _ in names):
            context.emit("settings", scope, tuple(item[:4]), "", "from pydantic import BaseSettings", False)
    nodes: list[tuple[ast.ClassDef, Scope]] = context.memo.get(_NODES, [])
    for node, scope in nodes:
        name = f"{scope.qualname}.{node.name}" if scope.qualname else node.name

        def origin(part: ast.AST, scope: Scope = scope) -> str:
            return context.origin(part, scope)

        for base in node.bases:
            if origin(base) == "pydantic.BaseSettings" and isinstance(base, ast.Attribute):
                context.emit("settings", name, context.at(base), "", "pydantic.BaseSettings", False)
        for kind, position, detail, snippet in suspects(node, origin, context.source):
            context.emit(kind, name, position, detail, snippet, True)


INTERESTS: Final = Interests(modules=("pydantic", "sqlmodel"), statements={ast.ClassDef: _class}, finish=_finish)


def judge(index: Index, policy: Policy) -> Verdict:
    """One finding per place that pydantic 2 refuses, or takes otherwise than it was meant."""
    by_file: dict[str, tuple[FileFacts, list[tuple[Any, ...]]]] = {}
    for file, record in index.records(ID):
        by_file.setdefault(file.path, (file, []))[1].append(record)
    models = Models.of(index)
    for file, names in models.heirs():
        by_file[file.path] = (file, _heirs(index, file, names))
    findings: list[Finding] = []
    skipped = 0
    for file, records in by_file.values():
        if side(index, "pydantic", "2", file.path) in (Side.BEFORE, Side.EITHER):
            skipped += 1
            continue
        true = [record for record in records if not record[5] or models.is_model(file.path, record[1])]
        old = any(record[0] in _OLD for record in true)
        for kind, scope, position, detail, snippet, _ in true:
            if kind == "old-keys" or (kind == "optional" and not old):
                continue
            said, expected = _SAID[kind]
            observed = f"{detail} {said}" if kind in ("optional", "bare") else said
            findings.append(
                index.finding(
                    ID, SEVERITY, file, position, scope=scope, observed=observed, expected=expected, snippet=snippet,
                    data={"kind": kind, "detail": detail},
                )
            )  # fmt: skip
    files = "1 file" if skipped == 1 else f"{skipped} files"
    note = f"{files} may run with pydantic 1: not judged" if skipped else ""
    return Verdict.of(ID, len(index.files), findings, note)


def _heirs(index: Index, file: FileFacts, wanted: list[str]) -> list[tuple[Any, ...]]:
    """The suspects of models in a file that does not import pydantic itself."""
    names = names_at(index, file.path)
    if names is None:
        return []
    found: list[tuple[Any, ...]] = []
    for node, space in list(names.spaces.items()):
        if isinstance(node, ast.ClassDef) and space.qualname in wanted:
            for kind, position, detail, snippet in suspects(node, names.origin, b""):
                found.append((kind, space.qualname, position, detail, snippet, True))
    return found


_MODEL: Final = (
    "from typing import Optional\n\nfrom pydantic import BaseModel, Field, root_validator\n\n\nclass M(BaseModel):\n"
)

EXAMPLES: Final = (
    Example("removed keywords of Field", {
        "a.py": _MODEL + "    a: str = Field(regex='x')\n    b: str = Field('x', const=True)\n    c: list = Field(unique_items=True)\n",
    }, fires=3),
    Example("regex inside Annotated and constr", {
        "a.py": "from typing import Annotated\nimport pydantic as p\n\n\nclass M(p.BaseModel):\n    a: Annotated[str, p.Field(regex='x')]\n"
        "    b: p.constr(regex='x')\n",
    }, fires=2),
    Example("Config beside model_config", {
        "a.py": _MODEL + "    model_config = {'extra': 'forbid'}\n\n    class Config:\n        frozen = True\n",
    }, fires=1),
    Example("root validators", {
        "a.py": _MODEL + "    @root_validator\n    def a(cls, v):\n        return v\n\n    @root_validator()\n    def b(cls, v):\n        return v\n\n"
        "    @root_validator(pre=True)\n    def c(cls, v):\n        return v\n\n    @root_validator(skip_on_failure=True)\n    def d(cls, v):\n        return v\n",
    }, fires=2),
    Example("no annotation", {
        "a.py": _MODEL + "    x: int = 1\n\n\nclass N(M):\n    x = 2\n    y = Field(3)\n    Z = 'z'\n    _p = 1\n\n    def f(self): ...\n",
    }, fires=3),
    Example("an override in a file that does not import pydantic", {
        "app/__init__.py": "", "app/base.py": "from pydantic_settings import BaseSettings\nfrom pydantic import Field\n\n\nclass Base(BaseSettings):\n    x: int = Field(1)\n",
        "app/a.py": "from .base import Base\n\n\nclass Mine(Base):\n    x = 2\n",
        "app/b.py": "import pydantic\n\n\nclass M(pydantic.BaseModel):\n    z = 1\n",
    }, fires=2),
    Example("BaseSettings", {"a.py": "from pydantic import BaseSettings\n"}, fires=1),
    Example("BaseSettings by its module", {"a.py": "import pydantic\n\n\nclass S(pydantic.BaseSettings):\n    Field: int\n"}, fires=1),
    Example("Optional without default in code for pydantic 1", {
        "a.py": _MODEL + "    a: str = Field(regex='x')\n    b: Optional[int]\n    c: Optional[int] = Field(title='c')\n    d: 'int'\n    e: int | None\n"
        "    f: Optional[int] = None\n    g: Optional[int] = Field(None)\n    h: Optional[int] = Field(...)\n",
    }, fires=4),
    Example("Optional without default beside an old configuration", {
        "a.py": _MODEL + "    b: Optional[int]\n\n    class Config:\n        orm_mode = True\n",
    }, fires=1),
    Example("a numeric bound on text", {"a.py": _MODEL + "    a: str = Field(ge=1)\n    b: Optional[str] = Field(None, lt=1)\n"}, fires=2),
    Example("a root model of old", {"a.py": _MODEL + "    __root__: list[int]\n"}, fires=1),
    Example("Optional in new code is required on purpose", {"a.py": _MODEL + "    a: Optional[int]\n    b: int | None\n"}),
    Example("current code", {
        "a.py": "from typing import ClassVar, Literal\n\nfrom pydantic import BaseModel, ConfigDict, Field, model_validator\n\n\nclass M(BaseModel):\n"
        "    model_config = ConfigDict(frozen=True)\n    LIMIT: ClassVar[int] = 3\n    a: str = Field(pattern='x')\n    b: Literal['x'] = 'x'\n"
        "    c: list = []\n    d: int = Field(ge=1)\n\n    @model_validator(mode='after')\n    def e(self):\n        return self\n",
    }),
    Example("pydantic 1 is declared", {"a.py": _MODEL + "    a: str = Field(regex='x')\n", "requirements.txt": "pydantic<2\n"}),
    Example("both are allowed", {"a.py": _MODEL + "    a: str = Field(regex='x')\n", "requirements.txt": "pydantic>=1.10\n"}),
    Example("the module that brings pydantic 1", {"a.py": "from pydantic.v1 import BaseModel, BaseSettings, Field\n\n\nclass M(BaseModel):\n    a: str = Field(regex='x')\n    b = 1\n"}),
    Example("classes that are no models", {
        "a.py": "from enum import Enum\nfrom pydantic import BaseModel\n\n\nclass A(Enum):\n    X = 1\n\n\nclass B:\n    x = 1\n    model_config = 1\n\n"
        "    class Config:\n        pass\n\n\nclass C(Other):\n    x = 1\n",
    }),
    Example("either import", {
        "a.py": "try:\n    from pydantic_settings import BaseSettings\nexcept ImportError:\n    from pydantic import BaseSettings\n",
    }),
    Example("another library's Field", {"a.py": "from mine import Field\nfrom pydantic import BaseModel\n\n\nclass M(BaseModel):\n    a: str = Field(regex='x')\n"}),
    Example("a metaclass of its own", {
        "a.py": "from pydantic import BaseModel\nfrom pydantic._internal._model_construction import ModelMetaclass\n\n\n"
        "class Meta(ModelMetaclass): ...\n\n\nclass M(BaseModel, metaclass=Meta):\n    x = 1\n\n\nclass N(M):\n    y = 2\n",
    }),
    Example("Config alone is deprecated and works", {"a.py": _MODEL + "    a: int\n\n    class Config:\n        frozen = True\n"}),
)  # fmt: skip
