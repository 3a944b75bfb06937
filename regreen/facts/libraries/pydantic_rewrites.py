"""The two larger rewrites of pydantic models: a `Config` into `model_config`, a root validator into a model validator."""

from __future__ import annotations

import ast
from typing import Final

from regreen.facts.libraries.editing import Draft, UndecidedError
from regreen.facts.libraries.names import FunctionNode
from regreen.facts.libraries.pydantic_models import OLD_KEYS
from regreen.facts.source import last_name
from regreen.model import Splice

#: Keys that mean nothing any more, or mean something else: a person says what is wanted.
_GONE: Final = frozenset(
    {
        "fields", "getter_dict", "smart_union", "copy_on_model_validation", "underscore_attrs_are_private",
        "error_msg_templates", "json_loads", "json_dumps", "post_init_call",
    }
)  # fmt: skip


def config_merged(draft: Draft, config: ast.ClassDef) -> list[Splice]:
    """Move the settings of a class `Config` into the `model_config` beside it. Raises UndecidedError."""
    owner = draft.names.parents.get(config)
    current = next(
        (
            node.value
            for node in getattr(owner, "body", ())
            if isinstance(node, ast.Assign | ast.AnnAssign)
            and any(isinstance(t, ast.Name) and t.id == "model_config" for t in _targets(node))
        ),
        None,
    )
    call = (
        current
        if isinstance(current, ast.Call) and last_name(current.func) in ("ConfigDict", "SettingsConfigDict", "dict")
        else None
    )
    if call is None and not isinstance(current, ast.Dict):
        raise UndecidedError("`model_config` is not written out here", "what of `Config` belongs into it")
    known = _known(current)
    fresh: list[tuple[str, str]] = []
    for key, value in _settings(config):
        name, text = OLD_KEYS.get(key, key), draft.source(value)
        if key == "allow_mutation" and isinstance(value, ast.Constant) and isinstance(value.value, bool):
            name, text = "frozen", str(not value.value)
        if key in _GONE or (key == "allow_mutation" and name == key):
            raise UndecidedError(f"`{key}` has no successor in pydantic 2", "what replaces it")
        if name not in known:
            fresh.append((name, text))
        elif known[name] is None or ast.dump(known[name] or value) != ast.dump(ast.parse(text, mode="eval").body):
            raise UndecidedError(f"`Config` and `model_config` disagree about `{name}`", "which of them holds")
    splices = [_without(draft, config, owner)]
    if fresh and call is not None:
        splices.append(draft.append_arguments(call, [f"{name}={text}" for name, text in fresh]))
    elif fresh:
        assert isinstance(current, ast.Dict)
        text = ", ".join(f"'{name}': {value}" for name, value in fresh)
        if current.values:
            splices.append(draft.insert(draft.end(current.values[-1]), f", {text}"))
        else:
            splices.append(draft.replace(current, f"{{{text}}}"))
    return splices


def _targets(node: ast.Assign | ast.AnnAssign) -> list[ast.expr]:
    return node.targets if isinstance(node, ast.Assign) else [node.target]


def _known(current: ast.expr | None) -> dict[str, ast.expr | None]:
    """The settings that `model_config` holds; None stands for `**rest`, which may hold anything."""
    if isinstance(current, ast.Call):
        if any(item.arg is None for item in current.keywords) or current.args:
            raise UndecidedError("`model_config` takes in settings from elsewhere", "what of `Config` belongs into it")
        return {item.arg: item.value for item in current.keywords if item.arg is not None}
    assert isinstance(current, ast.Dict)
    found: dict[str, ast.expr | None] = {}
    for key, value in zip(current.keys, current.values, strict=True):
        if not isinstance(key, ast.Constant) or not isinstance(key.value, str):
            raise UndecidedError("`model_config` takes in settings from elsewhere", "what of `Config` belongs into it")
        found[key.value] = value
    return found


def _settings(config: ast.ClassDef) -> list[tuple[str, ast.expr]]:
    if config.bases or config.keywords or config.decorator_list:
        raise UndecidedError("`Config` inherits settings", "which of them belong into `model_config`")
    found: list[tuple[str, ast.expr]] = []
    for node in config.body:
        if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            found.append((node.targets[0].id, node.value))
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value is not None:
            found.append((node.target.id, node.value))
        elif not isinstance(node, ast.Pass) and not (
            isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        ):
            raise UndecidedError("`Config` holds more than settings", "what its functions become")
    return found


def _without(draft: Draft, node: ast.ClassDef, owner: ast.AST | None) -> Splice:
    """Remove a class with its lines, and the blank lines on one side of it."""
    body: list[ast.stmt] = getattr(owner, "body", [])
    text = draft.text
    first, last = node.lineno, node.end_lineno or node.lineno
    if body and body[-1] is node:
        while first > 1 and not text.line(first - 1).strip():
            first -= 1
    else:
        while not text.line(last + 1).strip():
            last += 1
    return Splice(draft.path, text.line_start(first), text.line_start(last + 1), b"")


def validator_edits(draft: Draft, decorator: ast.expr) -> tuple[list[Splice], str]:
    """A root validator as pydantic 2 takes it, and a word for it."""
    function = draft.names.parents.get(decorator)
    plain = not isinstance(decorator, ast.Call) or not decorator.keywords
    simple = _reads_only(draft, function) if isinstance(function, ast.FunctionDef) and plain else None
    if simple is not None and isinstance(function, ast.FunctionDef):
        local, splices = _imported(draft, decorator.func if isinstance(decorator, ast.Call) else decorator)
        first, second = function.args.args
        span = Splice(draft.path, draft.start(first), draft.end(second), b"self")
        return [draft.replace(decorator, f'{local}(mode="after")'), span, *simple, *splices], (
            '`@root_validator` → `@model_validator(mode="after")`'
        )
    if isinstance(decorator, ast.Call):
        return [draft.append_arguments(decorator, ["skip_on_failure=True"])], "`skip_on_failure=True`"
    return [draft.insert(draft.end(decorator), "(skip_on_failure=True)")], "`skip_on_failure=True`"


def _reads_only(draft: Draft, function: ast.FunctionDef) -> list[Splice] | None:
    """The edits inside a validator that only reads `values[…]` of fields and returns `values`; else None."""
    arguments = function.args
    owner = draft.names.parents.get(function)
    if (
        len(arguments.args) != 2
        or any(argument.annotation for argument in arguments.args)
        or arguments.posonlyargs or arguments.kwonlyargs or arguments.vararg or arguments.kwarg
        or len(function.decorator_list) > 2
        or function.returns is not None
        or not isinstance(owner, ast.ClassDef)
    ):  # fmt: skip
        return None
    if (
        any(last_name(d) not in ("classmethod",) for d in function.decorator_list[1:])
        or len(function.decorator_list) > 1
    ):
        return None
    kind, values = arguments.args[0].arg, arguments.args[1].arg
    fields = {
        node.target.id for node in owner.body if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    }
    splices: list[Splice] = []
    for node in ast.walk(function):
        if isinstance(node, FunctionNode | ast.Lambda) and node is not function:
            return None
        if not isinstance(node, ast.Name) or node.id not in (kind, values, "self"):
            continue
        if node.id != values or draft.in_fstring(node):
            return None
        parent = draft.names.parents.get(node)
        if isinstance(parent, ast.Return):
            splices.append(draft.replace(node, "self"))
        elif isinstance(parent, ast.Subscript) and isinstance(parent.ctx, ast.Load) and parent.value is node:
            name = _field(parent.slice, fields)
            if name is None:
                return None
            splices.append(draft.replace(parent, f"self.{name}"))
        elif isinstance(parent, ast.Attribute) and parent.attr == "get":
            call = draft.names.parents.get(parent)
            name = (
                _field(call.args[0], fields)
                if isinstance(call, ast.Call) and len(call.args) == 1 and not call.keywords
                else None
            )
            if name is None or not isinstance(call, ast.Call):
                return None
            splices.append(draft.replace(call, f"self.{name}"))
        else:
            return None
    returns = [node for node in ast.walk(function) if isinstance(node, ast.Return)]
    if not returns or any(not isinstance(node.value, ast.Name) for node in returns):
        return None
    return splices


def _field(node: ast.expr, fields: set[str]) -> str | None:
    return (
        node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value in fields else None
    )


def _imported(draft: Draft, old: ast.expr) -> tuple[str, list[Splice]]:
    """`model_validator`, in the place of an import of `root_validator` that nothing else uses."""
    local, splices = draft.bring("pydantic", "model_validator")
    uses = [node for node in draft.names.loads if isinstance(old, ast.Name) and node.id == old.id]
    if splices and local == "model_validator" and len(uses) == 1:
        for statement, _ in draft.names.imports:
            if draft.names.parents.get(statement) is not draft.tree or not isinstance(statement, ast.ImportFrom):
                continue
            for alias in statement.names:
                if alias.name == "root_validator" and statement.module == "pydantic" and alias.asname is None:
                    return local, [draft.replace(alias, "model_validator")]
    return local, splices
