"""Canonical text of expressions: what a subject is, whatever its locals are called and however it is laid out.

In *deep* mode a local stands for the expression it was bound to, and a call of a test helper for what the helper
returns. In *shallow* mode a local stands for itself. `spine` names what a value really comes from, arguments left out:
`client.get("/x").json()` has the spine `client .get () .json ()`.
"""

from __future__ import annotations

import ast
import builtins
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from .constant import Const, NotConstantError, fold
from .formatting import Template, braces, concatenated, percent, without_str
from .project import Definition, Project
from .source import Function, Module, dotted, last_name
from .syntax import iterated, only_passes_on, plain

_BUILTINS: Final = frozenset(vars(builtins))
_LONG: Final = 600
_TRANSPARENT: Final = frozenset({"asyncio.run", "anyio.run", "trio.run", "typing.cast", "cast"})
_RUNNERS: Final = frozenset({"run_until_complete", "run_sync"})
MOCKS: Final = frozenset(
    {"Mock", "MagicMock", "AsyncMock", "NonCallableMock", "create_autospec", "PropertyMock", "stub"}
)
_FOLDABLE: Final = (
    ast.Constant, ast.Tuple, ast.List, ast.Set, ast.Dict, ast.UnaryOp, ast.BinOp, ast.JoinedStr, ast.Subscript,
    ast.Call, ast.Compare, ast.BoolOp,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Value:
    """An expression as text, what it comes from, its constant if it has one, and its parts if it is a literal."""

    text: str
    spine: tuple[str, ...] = ()
    const: Const | None = None
    items: tuple[Value, ...] | None = None


@dataclass(frozen=True, slots=True)
class Binding:
    """A local name: its value in deep mode, its value in shallow mode, and the expression where it is one."""

    deep: Value
    shallow: Value


@dataclass(slots=True)
class Scope:
    """Where an expression stands: the file, the class of the test, and the locals at that point.

    `used` are names that statements other than assertions read; `shared` those of them that are passed to calls, so
    that a constant bound to one is an input as well as an expectation.
    """

    project: Project
    module: Module
    owner: ast.ClassDef | None = None
    env: dict[str, Binding] = field(default_factory=dict)
    shared: frozenset[str] = frozenset()
    used: frozenset[str] = frozenset()
    inner: dict[str, Function] = field(default_factory=dict)
    depth: int = 0
    deep: bool = True

    def at(self, *, deep: bool) -> Scope:
        """The same place, read in the other mode; locals as they are at this moment."""
        return replace(self, deep=deep, env=dict(self.env))


def shorten(text: str) -> str:
    """Long texts end in a digest, so that substitution cannot grow without limit."""
    return text if len(text) <= _LONG else text[:80] + "#" + hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()


def constant(node: ast.expr, scope: Scope) -> Const | None:
    """The value of an expression where the text alone decides it."""
    if not isinstance(node, (*_FOLDABLE, ast.Name, ast.Attribute)):
        return None
    try:
        return Const.of(fold(node, lambda part: _known(part, scope)))
    except (NotConstantError, RecursionError):
        return None


def _known(node: ast.expr, scope: Scope) -> Const | None:
    if isinstance(node, ast.Name):
        binding = scope.env.get(node.id)
        if binding is None and not scope.deep and node.id in scope.shared:
            return None
        if binding is not None:
            return (binding.deep if scope.deep else binding.shallow).const
        if node.id in scope.module.assigns and scope.depth < 8:
            value = scope.module.assigns[node.id]
            return constant(value, Scope(scope.project, scope.module, depth=scope.depth + 1))
        found = (
            scope.project.find(scope.module.imports[node.id], scope.module.path)
            if (node.id in scope.module.imports and scope.depth < 4)
            else None
        )
        if found and found[1] in found[0].assigns:
            return constant(found[0].assigns[found[1]], Scope(scope.project, found[0], depth=scope.depth + 1))
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in {"self", "cls"}:
        binding = scope.env.get(f"self.{node.attr}")
        if binding is not None:
            return binding.deep.const
        attribute = scope.project.members(scope.module, scope.owner).get(node.attr) if scope.owner else None
        if isinstance(attribute, ast.expr) and scope.depth < 8:
            return constant(attribute, Scope(scope.project, scope.module, depth=scope.depth + 1))
    return None


def value(node: ast.expr, scope: Scope) -> Value:
    """The canonical value of an expression."""
    const = constant(node, scope)
    if const is not None:
        items = None
        if isinstance(node, ast.Tuple | ast.List) and not any(isinstance(e, ast.Starred) for e in node.elts):
            items = tuple(value(item, scope) for item in node.elts)
        elif isinstance(const.value, list | tuple) and len(const.value) <= 60:
            items = tuple(Value(shorten(c.key), ("const",), c) for c in map(Const.of, const.value))
        return Value(shorten(const.key), ("const",), const, items)
    match node:
        case ast.Name():
            return _name(node.id, scope)
        case ast.Attribute():
            return _attribute(node, scope)
        case ast.Await():
            return value(node.value, scope)
        case ast.Call():
            return _call(node, scope)
        case ast.Subscript():
            owner, index = value(node.value, scope), node.slice
            return Value(shorten(f"{owner.text}[{_text(index, scope)}]"), (*owner.spine, "[]"))
        case ast.NamedExpr():
            bound = value(node.value, scope)
            scope.env[node.target.id] = Binding(bound, bound)
            return bound
        case ast.Tuple() | ast.List() | ast.Set():
            items = tuple(value(item, scope) for item in node.elts)
            text = f"{type(node).__name__}({', '.join(item.text for item in items)})"
            whole = not isinstance(node, ast.Set) and not any(isinstance(e, ast.Starred) for e in node.elts)
            return Value(shorten(text), ("lit",), None, items if whole else None)
        case ast.Dict():
            shown = _generic(node, scope)
            return replace(shown, spine=("lit",))
        case ast.ListComp() | ast.SetComp() | ast.GeneratorExp() | ast.DictComp():
            return _comprehension(node, scope)
        case ast.Lambda(body=ast.Call(func=ast.expr() as func)) if only_passes_on(node):
            return value(func, scope)  # `lambda x: f(x)` is `f`
        case ast.Lambda():
            inner = _hide(scope, [arg.arg for arg in _arguments(node.args)])
            body = value(node.body, inner)
            return Value(shorten(f"lambda: {body.text}"), ("lambda", *body.spine))
        case ast.JoinedStr():
            return _formatted(node, scope)
        case ast.BinOp(op=ast.Mod(), left=ast.Constant(value=str() as template)):
            return _percent(template, node.right, scope) or _generic(node, scope)
        case ast.BinOp(op=ast.Add()):
            return _joined(node, scope) or _generic(node, scope)
        case ast.Compare(ops=[ast.Eq()], left=ast.Call(func=ast.Name(id="type"))):
            return _generic(ast.Compare(node.left, [ast.Is()], node.comparators), scope)
    return _generic(node, scope)


def _name(name: str, scope: Scope) -> Value:
    binding = scope.env.get(name)
    if binding is not None:
        return binding.deep if scope.deep else binding.shallow
    origin = scope.module.imports.get(name)
    if origin is not None:
        short = f"{origin.split('.')[0]}:{origin.rsplit('.', 1)[-1]}"
        if any(hint in origin.lower() for hint in ("mock", "fake", "stub", "dummy")):
            short = origin
        return Value(origin if scope.deep else short, (short,))
    return Value(name, (name,))


def _attribute(node: ast.Attribute, scope: Scope) -> Value:
    if isinstance(node.value, ast.Name) and node.value.id in {"self", "cls"}:
        binding = scope.env.get(f"self.{node.attr}")
        if binding is not None and scope.deep:
            return binding.deep
        return Value(f"self.{node.attr}", (f"self.{node.attr}",) if binding is None else binding.deep.spine)
    owner = value(node.value, scope)
    if node.attr == "exception" and owner.spine[:1] == ("excinfo",) and ".value" not in owner.spine:
        return Value(f"{owner.text}.value", (*owner.spine, ".value"))  # unittest's name for pytest's excinfo.value
    first, _, last = owner.spine[0].partition(":") if len(owner.spine) == 1 else ("", "", "")
    if last and first == last and isinstance(node.value, ast.Name):  # `import m; m.f` is `from m import f`
        short = f"{first}:{node.attr}"
        return Value(f"{first}.{node.attr}" if scope.deep else short, (short,))
    return Value(shorten(f"{owner.text}.{node.attr}"), (*owner.spine, f".{node.attr}"))


def _call(node: ast.Call, scope: Scope) -> Value:
    name = dotted(node.func)
    if node.args and (name in _TRANSPARENT or last_name(node.func) in _RUNNERS):
        inner = node.args[-1] if name.endswith("cast") else node.args[0]
        if isinstance(inner, ast.Call) or name.endswith("cast"):
            return value(inner, scope)
    if isinstance(node.func, ast.Attribute) and node.func.attr == "format":
        formatted = _format_call(node, node.func.value, scope)
        if formatted is not None:
            return formatted
    node = plain(node)
    helper = definition(node, scope)
    if helper is not None:
        inlined = returned(node, helper, scope)
        if inlined is not None:
            return inlined
    callee = value(node.func, scope)
    args = [value(arg, scope) for arg in node.args]
    texts = [arg.text for arg in args]
    texts += sorted(f"{kw.arg or '**'}={value(kw.value, scope).text}" for kw in node.keywords)
    if name.rsplit(".", 1)[-1] in MOCKS:
        return Value(shorten(f"{callee.text}({', '.join(texts)})"), ("mock",))
    spine = (*callee.spine, "()")
    if isinstance(node.func, ast.Name) and name in _BUILTINS and name not in scope.env:
        spine = (
            name,
            *(_spines(args) if name in {"zip", "enumerate", "map", "filter"} else args[0].spine if args else ()),
        )
    return Value(shorten(f"{callee.text}({', '.join(texts)})"), spine)


def definition(node: ast.Call, scope: Scope) -> Definition | None:
    """The test helper that a call reaches: a nested function, one of the module, of the class, or imported."""
    func = node.func
    if scope.depth > 5:
        return None
    if isinstance(func, ast.Name):
        if func.id in scope.inner:
            return Definition(scope.module, scope.inner[func.id], scope.owner)
        return None if func.id in scope.env else scope.project.function(scope.module, func.id)
    if isinstance(func, ast.Attribute) and isinstance(func.value, ast.Name):
        if func.value.id in {"self", "cls"} and scope.owner is not None:
            return scope.project.method(scope.module, scope.owner, func.attr)
        origin = scope.module.imports.get(func.value.id)
        found = scope.project.find(f"{origin}.{func.attr}", scope.module.path) if origin else None
        if found and found[1] in found[0].functions:
            return Definition(found[0], found[0].functions[found[1]])
    return None


def enter(node: ast.Call, helper: Definition, scope: Scope) -> Scope | None:
    """The scope inside a helper, its parameters bound to the arguments of the call; None if they do not fit."""
    spec = helper.function.args
    names = [arg.arg for arg in (*spec.posonlyargs, *spec.args)]
    method = (helper.owner is not None and helper.function in helper.owner.body) or (
        isinstance(node.func, ast.Attribute) and names[:1] in (["self"], ["cls"])
    )
    if method and names and names[0] in {"self", "cls"}:
        names = names[1:]
    if any(isinstance(arg, ast.Starred) for arg in node.args) or any(kw.arg is None for kw in node.keywords):
        return None
    given: dict[str, ast.expr] = dict(zip(names, node.args, strict=False))
    if len(node.args) > len(names) and spec.vararg is None:
        return None
    given.update({kw.arg: kw.value for kw in node.keywords if kw.arg})
    closure = (
        dict(scope.env)
        if helper.function in scope.inner.values()
        else {name: binding for name, binding in scope.env.items() if name.startswith("self.")}
    )
    inside = Scope(scope.project, helper.module, helper.owner or scope.owner, closure, depth=scope.depth + 1)
    inside.deep = scope.deep
    inside.used = frozenset((*names, *(arg.arg for arg in spec.kwonlyargs)))
    if helper.function in scope.inner.values():
        inside.inner = dict(scope.inner)
    defaults = dict(zip(reversed(names), reversed(spec.defaults), strict=False))
    defaults.update({a.arg: d for a, d in zip(spec.kwonlyargs, spec.kw_defaults, strict=True) if d is not None})
    for name in [*names, *(arg.arg for arg in spec.kwonlyargs)]:
        if name in given:
            bound = bind(given[name], scope)
            inside.env[name] = Binding(bound.deep, bound.shallow)
        elif name in defaults:
            inside.env[name] = bind(defaults[name], Scope(scope.project, helper.module))
    return inside


def bind(node: ast.expr, scope: Scope) -> Binding:
    """Both readings of an expression."""
    return Binding(value(node, scope.at(deep=True)), value(node, scope.at(deep=False)))


def returned(node: ast.Call, helper: Definition, scope: Scope) -> Value | None:
    """What a straight-line helper returns: assignments followed by one return."""
    body = [s for s in helper.function.body if not (isinstance(s, ast.Expr) and isinstance(s.value, ast.Constant))]
    if not body or not isinstance(body[-1], ast.Return) or body[-1].value is None:
        return None
    if helper.function.decorator_list or len(body) > 8:
        return None
    inside = enter(node, helper, scope)
    if inside is None:
        return None
    for statement in body[:-1]:
        if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
            target = statement.targets[0]
            if isinstance(target, ast.Name):
                inside.env[target.id] = bind(statement.value, inside)
            continue  # `writer.colour = False` arranges
        if isinstance(statement, ast.Assert | ast.Expr):
            continue
        return None
    return value(body[-1].value, inside)


def _comprehension(node: ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp, scope: Scope) -> Value:
    inner = _hide(scope, [])
    parts: list[str] = []
    spine: tuple[str, ...] = ("comp",)
    for generator in node.generators:
        source = value(iterated(generator.iter), inner)
        spine += source.spine
        inner = _hide(inner, [n.id for n in ast.walk(generator.target) if isinstance(n, ast.Name)])
        filters = [value(test, inner) for test in generator.ifs]
        spine += ("if", *_spines(filters)) if filters else ()
        tests = "".join(f" if {test.text}" for test in filters)
        parts.append(f"for {_text(generator.target, inner)} in {source.text}{tests}")
    results = [node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]
    values = [value(result, inner) for result in results]
    kind = "ListComp" if isinstance(node, ast.GeneratorExp) else type(node).__name__
    text = f"{kind}({': '.join(v.text for v in values)} {' '.join(parts)})"
    return Value(shorten(text), spine + _spines(values))


def _hide(scope: Scope, names: list[str]) -> Scope:
    """A scope in which names are bound by a comprehension or lambda; they are numbered, not named."""
    inner = scope.at(deep=scope.deep)
    depth = sum(name.startswith("$") for name in inner.env)
    for offset, name in enumerate(dict.fromkeys(names)):
        bound = Value(f"${depth + offset}", ("item",))
        inner.env[f"${depth + offset}"] = inner.env[name] = Binding(bound, bound)
    return inner


def _formatted(node: ast.JoinedStr, scope: Scope) -> Value:
    pieces, values = [""], []
    for part in node.values:
        if isinstance(part, ast.Constant):
            pieces[-1] += str(part.value)
        elif isinstance(part, ast.FormattedValue):
            spec = ""
            if isinstance(part.format_spec, ast.JoinedStr):
                spec = "".join(
                    str(p.value) if isinstance(p, ast.Constant) else _text(p, scope) for p in part.format_spec.values
                )
            values.append(
                _converted(value(part.value, scope), chr(part.conversion) if part.conversion > 0 else "", spec)
            )
            pieces.append("")
    return _pieces(pieces, values)


def _format_call(node: ast.Call, template: ast.expr, scope: Scope) -> Value | None:
    """`"{0!r} and {name}".format(a, name=b)` as the f-string that it is."""
    if not isinstance(template, ast.Constant) or not isinstance(template.value, str):
        return None
    if any(isinstance(arg, ast.Starred) for arg in node.args) or any(kw.arg is None for kw in node.keywords):
        return None
    given = {str(index): arg for index, arg in enumerate(node.args)}
    given.update({kw.arg: kw.value for kw in node.keywords if kw.arg})
    return _filled(braces(template.value), given, scope)


def _percent(template: str, right: ast.expr, scope: Scope) -> Value | None:
    """`"%s and %r" % (a, b)` as the f-string that it is. A name on the right may hold a tuple, and is left alone."""
    if not isinstance(right, ast.Tuple | ast.Call | ast.Constant | ast.JoinedStr):
        return None
    given = right.elts if isinstance(right, ast.Tuple) else [right]
    parts = percent(template)
    if parts is None or len(parts[1]) != len(given) or any(isinstance(item, ast.Starred) for item in given):
        return None
    return _filled(parts, {str(index): item for index, item in enumerate(given)}, scope)


def _joined(node: ast.BinOp, scope: Scope) -> Value | None:
    """`"a " + x + " b"` as the f-string that it is, if x is a string; if it is none, the test could not pass."""
    parts = concatenated(node)
    return _pieces(parts[0], [value(part, scope) for part in parts[1]]) if parts is not None else None


def _filled(parts: Template | None, given: Mapping[str, ast.expr], scope: Scope) -> Value | None:
    if parts is None or any(field.key not in given for field in parts[1]):
        return None
    return _pieces(parts[0], [_converted(value(given[f.key], scope), f.conversion, f.spec) for f in parts[1]])


def _converted(inner: Value, conversion: str, spec: str) -> Value:
    if not conversion and not spec:
        return inner
    return replace(inner, text=f"format({inner.text}, {conversion!r}, {spec!r})", const=None)


def _pieces(pieces: list[str], values: list[Value]) -> Value:
    values = [replace(v, text=without_str(v.text)) for v in values]
    text = "f(" + ", ".join(
        repr(p) + (f", {v.text}" if v else "") for p, v in zip(pieces, [*values, None], strict=True)
    )
    return Value(shorten(text + ")"), ("f-string", *_spines(values)))


def _generic(node: ast.AST, scope: Scope) -> Value:
    texts: list[str] = []
    parts: list[Value] = []
    for name, child in ast.iter_fields(node):
        if name in {"ctx", "type_comment", "kind", "annotation"}:
            continue
        for item in child if isinstance(child, list) else [child]:
            if isinstance(item, ast.expr):
                parts.append(value(item, scope))
                texts.append(parts[-1].text)
            elif isinstance(item, ast.AST):
                texts.append(_text(item, scope))
            else:
                texts.append(repr(item))
    kind = "alternative" if isinstance(node, ast.BoolOp | ast.IfExp) else "op"
    return Value(shorten(f"{type(node).__name__}({', '.join(texts)})"), (kind, *_spines(parts)))


def _text(node: ast.AST, scope: Scope) -> str:
    return value(node, scope).text if isinstance(node, ast.expr) else _generic(node, scope).text


def _spines(values: list[Value] | tuple[Value, ...]) -> tuple[str, ...]:
    return tuple(part for item in values for part in item.spine)[:40]


def _arguments(spec: ast.arguments) -> list[ast.arg]:
    return [*spec.posonlyargs, *spec.args, *spec.kwonlyargs, *filter(None, (spec.vararg, spec.kwarg))]


def names_of(mapping: Mapping[str, Binding]) -> frozenset[str]:
    """The plain locals of an environment."""
    return frozenset(name for name in mapping if not name.startswith(("$", "self.")))
