"""Where a file uses the names that it imports: in annotations, in functions, or while it runs."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from typing import Final

from regreen.facts.libraries.editing import Draft, UndecidedError
from regreen.facts.libraries.names import FunctionNode
from regreen.facts.source import last_name

LEAF: Final = "extract what both modules need into a third one, or import the module and use its names at call time"
#: Words of a file whose annotations may be evaluated while it runs.
READERS: Final = re.compile(
    rb"\b(?:get_type_hints|get_annotations|__annotations__|pydantic|fastapi|typer|sqlalchemy|sqlmodel|msgspec|cattrs|injector"
    rb"|strawberry|beartype|typeguard|singledispatch)\b"
)
QUIET: Final = frozenset(
    {"abstractmethod", "classmethod", "contextmanager", "asynccontextmanager", "overload", "override", "property", "setter", "staticmethod"}
)  # fmt: skip
Function = ast.FunctionDef | ast.AsyncFunctionDef


def exported(draft: Draft) -> set[str]:
    return {
        part.value
        for node in draft.tree.body
        if isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign)
        and "__all__" in ast.dump(node.targets[0] if isinstance(node, ast.Assign) else node.target)
        for part in ast.walk(node)
        if isinstance(part, ast.Constant) and isinstance(part.value, str)
    }


def rebound(draft: Draft, local: str) -> bool:
    return any(
        (isinstance(node, ast.Global) and local in node.names)
        or (isinstance(node, ast.Name) and node.id == local and isinstance(node.ctx, ast.Del))
        for node in ast.walk(draft.tree)
    )


def quoted(local: str, draft: Draft) -> bool:
    """Whether an annotation names something in quotes. Raises UndecidedError where somebody may evaluate it."""
    word = re.compile(rf"\b{local}\b")
    found = [
        in_annotation(node, draft, quoted=True)
        for node in draft.names.parents
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and word.search(node.value)
    ]
    return any(found)


def in_annotation(load: ast.AST, draft: Draft, quoted: bool = False) -> bool:
    """Whether a name stands in an annotation that is never evaluated. Raises UndecidedError where it may be."""
    inner: ast.AST = load
    for above in draft.names.above(load):
        annotation = (
            (isinstance(above, ast.arg | ast.AnnAssign) and above.annotation is inner)
            or (isinstance(above, FunctionNode) and above.returns is inner)
        )  # fmt: skip
        if annotation:
            if not quoted and not _postponed(draft.tree):
                raise UndecidedError(
                    "annotations use the names and are evaluated when the module runs",
                    "`from __future__ import annotations` in this file, if nothing in it reads annotations at run time",
                )
            owners = [above, *draft.names.above(above)]
            function = next((node for node in owners if isinstance(node, FunctionNode)), None)
            if function is not None and not QUIET.issuperset(_decorators(function)):
                raise UndecidedError(f"a decorator of {function.name} may read its annotations", LEAF)
            owner = draft.names.parents.get(above) if isinstance(above, ast.AnnAssign) else None
            if isinstance(owner, ast.ClassDef) and (owner.bases or owner.decorator_list or owner.keywords):
                raise UndecidedError(f"the bases or decorators of {owner.name} may read its annotations", LEAF)
            return True
        inner = above
    return False


def _decorators(node: Function) -> Iterator[str]:
    return (last_name(item.func if isinstance(item, ast.Call) else item) for item in node.decorator_list)


def _postponed(tree: ast.Module) -> bool:
    return any(
        isinstance(node, ast.ImportFrom)
        and node.module == "__future__"
        and any(a.name == "annotations" for a in node.names)
        for node in tree.body
    )


def later(load: ast.Name, draft: Draft) -> Function:
    """The outermost function whose body uses a name. Raises UndecidedError where the module itself does."""
    outer: Function | None = None
    inner: ast.AST = load
    for above in draft.names.above(load):
        if isinstance(above, FunctionNode) and any(part is inner for part in above.body):
            outer = above
        inner = above
    if outer is None:
        raise UndecidedError(f"`{load.id}` is used on line {load.lineno} while the module runs", LEAF)
    return outer


def not_called_early(functions: Iterable[Function], draft: Draft) -> None:
    """Raises UndecidedError where the module itself may call a function, or make an instance of its class."""
    wanted: set[str] = set()
    for function in functions:
        above = [n.name for n in draft.names.above(function) if isinstance(n, ast.ClassDef)]
        wanted.add(above[-1] if above else function.name)
        if not QUIET.issuperset(_decorators(function)):
            raise UndecidedError(f"a decorator of {function.name} may call it while the module runs", LEAF)
    for load in draft.names.loads:
        if load.id not in wanted:
            continue
        around = list(draft.names.above(load))
        inside = any(isinstance(node, FunctionNode | ast.Lambda) for node in around)
        script = any(isinstance(node, ast.If) and "__name__" in ast.dump(node.test) for node in around)
        if not inside and not script and not isinstance(around[0], ast.ClassDef):
            raise UndecidedError(
                f"{load.id}, which needs the names, is used on line {load.lineno} while the module runs", LEAF
            )
