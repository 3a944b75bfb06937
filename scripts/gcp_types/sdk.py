"""Input names and shapes of a resource, from the source of the installed pulumi-gcp SDK. Nothing of it is imported."""

from __future__ import annotations

import ast
import importlib.util
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Final

_SCALARS: Final = {
    "_builtins.str": "string",
    "_builtins.int": "integer",
    "_builtins.float": "number",
    "_builtins.bool": "boolean",
}


@dataclass(slots=True)
class Shape:
    """One input: `kind` is string, integer, number, boolean, map, object, list (of scalars) or objects (a list of objects)."""

    name: str
    kind: str
    fields: list[Shape] = field(default_factory=list)


def package() -> Path:
    """The folder of pulumi_gcp."""
    found = importlib.util.find_spec("pulumi_gcp")
    if found is None or found.origin is None:
        raise SystemExit("pulumi-gcp is not installed here; use the project's development environment")
    return Path(found.origin).parent


def inputs(module: str, resource: str) -> list[Shape]:
    """The inputs of `cloudrunv2`, `Service`."""
    return _fields(module, f"{resource}Args")


def outputs(module: str, resource: str) -> list[str]:
    """Names of what a resource has besides its inputs."""
    for tree in _trees(module):
        for node in tree.body:
            if isinstance(node, ast.ClassDef) and node.name == resource:
                names = {_camel(item) for item in node.body if isinstance(item, ast.FunctionDef) and _is_property(item)}
                return sorted(names - {item.name for item in inputs(module, resource)})
    raise KeyError(f"{module}.{resource}")


@cache
def _trees(module: str) -> list[ast.Module]:
    return [ast.parse(path.read_text(encoding="utf-8")) for path in sorted((package() / module).glob("*.py"))]


@cache
def _classes(module: str) -> dict[str, ast.ClassDef]:
    return {node.name: node for tree in _trees(module) for node in tree.body if isinstance(node, ast.ClassDef)}


def _fields(module: str, name: str) -> list[Shape]:
    node = _classes(module)[name]
    names = {item.name: _camel(item) for item in node.body if isinstance(item, ast.FunctionDef) and _is_property(item)}
    init = next(item for item in node.body if isinstance(item, ast.FunctionDef) and item.name == "__init__")
    found = []
    for argument in init.args.kwonlyargs:
        text = ast.unparse(argument.annotation) if argument.annotation else ""
        found.append(_shape(module, names.get(argument.arg, argument.arg), text))
    return found


def _shape(module: str, name: str, text: str) -> Shape:
    nested = text.split("'")[1] if "'" in text else ""
    if nested:
        return Shape(name, "objects" if "Sequence[" in text else "object", _fields(module, nested))
    if "Mapping[" in text:
        return Shape(name, "map")
    if "Sequence[" in text:
        return Shape(name, "list")
    return Shape(name, next((kind for word, kind in _SCALARS.items() if word in text), "string"))


def _is_property(item: ast.FunctionDef) -> bool:
    return any("getter" in ast.unparse(one) for one in item.decorator_list)


def _camel(item: ast.FunctionDef) -> str:
    for one in item.decorator_list:
        if isinstance(one, ast.Call) and one.keywords:
            return str(ast.literal_eval(one.keywords[0].value))
    return item.name
