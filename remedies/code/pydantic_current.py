"""Write models as pydantic 2 takes them.

`regex=` → `pattern=`; `const=True` → `Literal[…]`; `Config` merged into `model_config`, keys renamed; `@root_validator` →
`@model_validator(mode="after")` where the function only reads fields, else with `skip_on_failure=True`; `= None` where a
model of old meant it; the inherited annotation on an override; `BaseSettings` from pydantic-settings. Safe: the class could
not be made before, or (`Optional`) refused what it was written to accept. Refused: patterns with look-around, which the
default engine does not know; configuration that says two things; numeric bounds on text; `__root__`; `unique_items`.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from typing import Final

from regreen.facts.libraries.editing import Draft, Edit, UndecidedError, one_by_one
from regreen.facts.libraries.pydantic_models import Models, annotation_of
from regreen.facts.libraries.pydantic_rewrites import config_merged, validator_edits
from regreen.facts.libraries.reading import names_at
from regreen.facts.source import Index
from regreen.facts.source.metadata import requirement
from regreen.model import Example, Finding, Proposal, Risk, Safety, Undo
from regreen.policy import Policy

ID: Final = "code.pydantic-current"
CHECK: Final = "code.pydantic-fields-valid"
SAFETY: Final = Safety.SAFE
UNDO: Final = Undo.EXACT
RISK: Final = Risk.LOW

_SOURCE: Final = "https://docs.pydantic.dev/latest/migration/"
_LOOK: Final = re.compile(r"\(\?(?:[=!]|<[=!]|P=|\()|\\[1-9]")


def propose(findings: Sequence[Finding], index: Index, policy: Policy) -> Proposal:
    """One change per finding."""

    def edit(finding: Finding, draft: Draft) -> Edit:
        kind = finding.get("kind")
        done = {
            "regex": _regex, "const": _const, "config-twice": _config, "root-validator": _validator,
            "optional": _optional, "bare": _bare, "settings": _settings,
        }.get(kind)  # fmt: skip
        if done is None:
            raise UndecidedError(finding.observed, _DECIDE.get(kind, "what is meant"))
        return done(finding, draft, index)

    return one_by_one(ID, findings, index, edit)


_DECIDE: Final = {
    "number-on-text": "whether the field is a number, or its length is bounded (min_length, max_length)",
    "root": "how callers use the model: `RootModel` holds its value in `.root`",
    "unique-items": "whether the field becomes a set (order is lost) or keeps a list with a validator",
}


def _keyword(call: ast.Call, name: str) -> ast.keyword:
    return next(item for item in call.keywords if item.arg == name)


def _regex(finding: Finding, draft: Draft, index: Index) -> Edit:
    call = draft.the(finding.where, ast.Call)
    item = _keyword(call, "regex")
    if not isinstance(item.value, ast.Constant) or not isinstance(item.value.value, str):
        raise UndecidedError("the pattern is computed elsewhere", "whether it uses look-around or back-references")
    if _LOOK.search(item.value.value):
        raise UndecidedError(
            "the pattern uses look-around or back-references, which pydantic's own engine does not know",
            "a pattern without them, or `regex_engine='python-re'` in model_config",
        )
    return Edit([draft.rename_keyword(item, "pattern")], "`regex=` → `pattern=`", _SOURCE)


def _const(finding: Finding, draft: Draft, index: Index) -> Edit:
    call = draft.the(finding.where, ast.Call)
    item = _keyword(call, "const")
    statement = draft.names.parents.get(call)
    if isinstance(item.value, ast.Constant) and item.value.value is False:
        return Edit([draft.drop_argument(call, item)], "drop `const=False`", _SOURCE)
    default = call.args[0] if call.args else next((k.value for k in call.keywords if k.arg == "default"), None)
    if (
        not isinstance(statement, ast.AnnAssign)
        or not isinstance(item.value, ast.Constant)
        or item.value.value is not True
        or not isinstance(default, ast.Constant)
        or not isinstance(default.value, str | int | bytes)
    ):
        raise UndecidedError("the constant is computed, or has no value here", "the values of `Literal[…]`")
    local, splices = draft.bring("typing", "Literal")
    return Edit(
        [
            draft.replace(statement.annotation, f"{local}[{draft.source(default)}]"),
            draft.drop_argument(call, item),
            *splices,
        ],
        "`const=True` → `Literal[…]`",
        _SOURCE,
    )


def _config(finding: Finding, draft: Draft, index: Index) -> Edit:
    return Edit(
        config_merged(draft, draft.the(finding.where, ast.ClassDef)), "merge `Config` into `model_config`", _SOURCE
    )


def _validator(finding: Finding, draft: Draft, index: Index) -> Edit:
    decorator = next(
        (node for kind in (ast.Call, ast.Name, ast.Attribute) if (node := draft.find(finding.where, kind)) is not None),
        None,
    )
    if decorator is None:
        raise UndecidedError("the file changed since it was read", "run again")
    splices, summary = validator_edits(draft, decorator)
    return Edit(splices, summary, "a root validator of pydantic 2 does not run after a failure; " + _SOURCE)


def _optional(finding: Finding, draft: Draft, index: Index) -> Edit:
    statement = draft.the(finding.where, ast.AnnAssign)
    evidence = f"the file is written for pydantic 1, where a field that allows None had None as its default; {_SOURCE}"
    call = statement.value
    if isinstance(call, ast.Call):
        if call.keywords:  # a Field with positional arguments has a default
            return Edit(
                [draft.insert(draft.start(call.keywords[0]), "default=None, ")], "None as the default", evidence
            )
        return Edit([draft.append_arguments(call, ["default=None"])], "None as the default", evidence)
    return Edit([draft.insert(draft.end(statement), " = None")], "None as the default", evidence)


def _bare(finding: Finding, draft: Draft, index: Index) -> Edit:
    statement = draft.the(finding.where, ast.Assign)
    name = finding.get("detail")
    scope = finding.subject.partition("::")[2].replace("::", ".")
    text = _inherited(draft, index, scope, name)
    why = "the base declares the field with this annotation"
    if text is None:
        value = statement.value
        if isinstance(value, ast.Constant) and type(value.value) in (str, int, float, bool):
            text, why = type(value.value).__name__, "pydantic 1 took the type from the value"
        elif _is_declared_elsewhere(index, draft.path, scope):
            raise UndecidedError("the annotation of the base cannot be written here", f"the annotation of `{name}`")
        else:
            raise UndecidedError(f"no base declares `{name}`, and its value does not say its type",
                                 f"the annotation of `{name}`, or `ClassVar` if it is no field")  # fmt: skip
    target = statement.targets[0]
    return Edit([draft.insert(draft.end(target), f": {text}")], f"annotate `{name}`", f"{why}; {_SOURCE}")


def _inherited(draft: Draft, index: Index, scope: str, name: str) -> str | None:
    """The text of the annotation that a base gives a field, where every name in it means the same in this file."""
    models = Models.of(index)
    queue = [target for _, target in models.bases(draft.path, scope) if target is not None]
    while queue:
        path, qualname = queue.pop(0)
        names = draft.names if path == draft.path else names_at(index, path)
        if names is not None:
            annotation = annotation_of(names.tree, qualname, name)
            if annotation is not None:
                other = Draft(path, index.text(path), names)
                for node in ast.walk(annotation):
                    if isinstance(node, ast.Constant) and isinstance(node.value, str):
                        raise UndecidedError("the base's annotation is in quotes", f"the annotation of `{name}`")
                    if isinstance(node, ast.Name) and path != draft.path:
                        there = names.origin(node)
                        here = draft.names.module.bound.get(node.id)
                        same = there and here and all(binding.origin == there for binding in here)
                        if not same and (there or here or names.module.bound.get(node.id)):
                            raise UndecidedError(f"`{node.id}` of the base's annotation is not known in this file",
                                                 f"the import of `{node.id}`, and the annotation of `{name}`")  # fmt: skip
                return other.source(annotation)
        queue += [target for _, target in models.bases(path, qualname) if target is not None]
    return None


def _is_declared_elsewhere(index: Index, path: str, scope: str) -> bool:
    return any(target is not None for _, target in Models.of(index).bases(path, scope))


def _settings(finding: Finding, draft: Draft, index: Index) -> Edit:
    if requirement(index, "pydantic-settings", draft.path) is None and not _is_used(index):
        raise UndecidedError("`BaseSettings` lives in pydantic-settings, which nothing declares",
                             "that pydantic-settings becomes a dependency")  # fmt: skip
    base = draft.find(finding.where, ast.Attribute)
    if base is not None:
        local, splices = draft.bring("pydantic_settings", "BaseSettings")
        return Edit([draft.replace(base, local), *splices], "`BaseSettings` from pydantic-settings", _SOURCE)
    statement = draft.the(finding.where, ast.ImportFrom)
    if b"#" in draft.text.source[draft.start(statement) : draft.end(statement)]:
        raise UndecidedError("comments stand inside the import", "where they belong")
    moved = [_spelled(alias) for alias in statement.names if alias.name == "BaseSettings"]
    kept = [_spelled(alias) for alias in statement.names if alias.name != "BaseSettings"]
    indent = draft.text.indent(statement.lineno).decode(draft.text.encoding)
    lines = [f"from {statement.module} import {', '.join(kept)}"] if kept else []
    lines.append(f"from pydantic_settings import {', '.join(moved)}")
    return Edit([draft.replace(statement, f"\n{indent}".join(lines))], "`BaseSettings` from pydantic-settings", _SOURCE)


def _is_used(index: Index) -> bool:
    return any(
        item[5].partition(".")[0] == "pydantic_settings" for file in index.files.values() for item in file.raw_imports
    )


def _spelled(alias: ast.alias) -> str:
    return f"{alias.name} as {alias.asname}" if alias.asname else alias.name


def _pair(before: str, after: str, **more: str) -> tuple[dict[str, str], dict[str, str]]:
    return {"a.py": before, **more}, {"a.py": after, **more}


_M: Final = "from pydantic import BaseModel, Field, root_validator\n\n\nclass M(BaseModel):\n"
_O: Final = "from typing import Optional\n\n" + _M
_S: Final = {"requirements.txt": "pydantic-settings>=2\n"}

EXAMPLES: Final = (
    Example("regex", *_pair(_M + "    a: str = Field(..., regex=r'^a$', max_length=3)\n", _M + "    a: str = Field(..., pattern=r'^a$', max_length=3)\n")),
    Example("const", *_pair(
        _M + "    a: str = Field('x', const=True)\n    b: int = Field(default=3, const=True, title='b')\n    c: int = Field(1, const=False)\n",
        "from pydantic import BaseModel, Field, root_validator\nfrom typing import Literal\n\n\nclass M(BaseModel):\n"
        "    a: Literal['x'] = Field('x')\n    b: Literal[3] = Field(default=3, title='b')\n    c: int = Field(1)\n",
    )),
    Example("Config beside model_config", *_pair(
        _M + "    model_config = ConfigDict(extra='forbid')\n\n    class Config:\n        orm_mode = True\n        extra = 'forbid'  # strict\n\n    a: int\n",
        _M + "    model_config = ConfigDict(extra='forbid', from_attributes=True)\n\n    a: int\n",
    )),
    Example("Config as the last thing in the class", *_pair(
        _M + "    model_config = {'extra': 'forbid'}\n    a: int\n\n    class Config:\n        allow_mutation = False\n        title = 'x'\n\n\nX = 1\n",
        _M + "    model_config = {'extra': 'forbid', 'frozen': True, 'title': 'x'}\n    a: int\n\n\nX = 1\n",
    )),
    Example("a root validator that reads fields", *_pair(
        _M + "    a: int\n    b: int\n\n    @root_validator\n    def check(cls, values):\n        if values['a'] > values.get('b'):\n"
        "            raise ValueError('no')\n        return values\n",
        "from pydantic import BaseModel, Field, model_validator\n\n\nclass M(BaseModel):\n    a: int\n    b: int\n\n"
        "    @model_validator(mode=\"after\")\n    def check(self):\n        if self.a > self.b:\n            raise ValueError('no')\n        return self\n",
    )),
    Example("a root validator that changes values", *_pair(
        _M + "    a: int\n\n    @root_validator()\n    def check(cls, values):\n        values['a'] += 1\n        return values\n",
        _M + "    a: int\n\n    @root_validator(skip_on_failure=True)\n    def check(cls, values):\n        values['a'] += 1\n        return values\n",
    )),
    Example("Optional in code for pydantic 1", *_pair(
        _O + "    a: str = Field(regex='x')\n    b: Optional[int]  # may be missing\n    c: Optional[int] = Field(title='c')\n    d: Optional[int] = Field()\n",
        _O + "    a: str = Field(pattern='x')\n    b: Optional[int] = None  # may be missing\n    c: Optional[int] = Field(default=None, title='c')\n"
        "    d: Optional[int] = Field(default=None)\n",
    )),
    Example("overrides", *_pair(
        "from pydantic import BaseModel\n\n\nclass A(BaseModel):\n    x: int | None = 1\n\n\nclass B(A):\n    x = 2\n    y = 'y'\n",
        "from pydantic import BaseModel\n\n\nclass A(BaseModel):\n    x: int | None = 1\n\n\nclass B(A):\n    x: int | None = 2\n    y: str = 'y'\n",
    )),
    Example("an override of another file's field", *_pair(
        "from b import A\n\n\nclass B(A):\n    x = {}\n", "from b import A\n\n\nclass B(A):\n    x: dict[str, int] = {}\n",
        **{"b.py": "from pydantic import BaseModel\n\n\nclass A(BaseModel):\n    x: dict[str, int]\n"},
    )),
    Example("BaseSettings beside other names", *_pair(
        "from pydantic import BaseSettings as S, Field\n\n\nclass A(S):\n    x: int = Field(1)\n",
        "from pydantic import Field\nfrom pydantic_settings import BaseSettings as S\n\n\nclass A(S):\n    x: int = Field(1)\n", **_S,
    )),
    Example("BaseSettings by its module", *_pair(
        "import pydantic\n\n\nclass A(pydantic.BaseSettings):\n    x: int = pydantic.Field(1)\n",
        "import pydantic\nfrom pydantic_settings import BaseSettings\n\n\nclass A(BaseSettings):\n    x: int = pydantic.Field(1)\n", **_S,
    )),
    Example("BaseSettings where nothing declares its new home", {"a.py": "from pydantic import BaseSettings\n"}, refuses=True),
    Example("look-around", {"a.py": _M + "    a: str = Field(regex='(?=x)')\n    b: str = Field(regex=PATTERN)\n"}, refuses=True),
    Example("two configurations that disagree, and one with a method", {
        "a.py": _M + "    model_config = {'frozen': True}\n\n    class Config:\n        frozen = False\n\n\nclass N(BaseModel):\n"
        "    model_config = {}\n\n    class Config:\n        def f(self): ...\n",
    }, refuses=True),
    Example("what only a person knows", {
        "a.py": _M + "    a: str = Field(ge=1)\n    b: list = Field(unique_items=True)\n    c: str = Field(DEFAULT, const=True)\n    d = []\n\n\n"
        "class R(BaseModel):\n    __root__: int\n",
    }, refuses=True),
    Example("current code", *_pair(_M + "    a: str = Field(pattern='x')\n", _M + "    a: str = Field(pattern='x')\n")),
)  # fmt: skip
