"""What a change does to the public interface of modules, read from source alone (griffe; nothing is imported)."""

from __future__ import annotations

import ast
import logging
import re
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final

from regreen.run.record import ApiChange

if TYPE_CHECKING:
    from griffe import Module

_TEST: Final = re.compile(r"(^|/)(tests?|testing)/|(^|/)(test_[^/]*|[^/]*_tests?|conftest)\.py$")


def breaking_changes(
    read_before: Callable[[str], bytes], after: Mapping[str, bytes | None], remedy: str
) -> tuple[ApiChange, ...]:
    """Objects removed and signatures narrowed in the edited modules; tests have no public interface.

    A file that does not parse before or after is left to the other checks. An object whose definition was
    replaced by an import under the same name is still there.
    """
    found: list[ApiChange] = []
    for path, content in sorted(after.items()):
        if not path.endswith((".py", ".pyi")) or content is None or _TEST.search(path):
            continue
        try:
            old = read_before(path)
        except FileNotFoundError:
            continue
        if old != content:
            found += _module(path, old, content, remedy)
    return tuple(found)


def _module(path: str, old: bytes, new: bytes, remedy: str) -> list[ApiChange]:
    import griffe  # 150 ms: only for runs that change a module

    # Griffe speaks about what it cannot resolve; here every import is unresolved on purpose.
    logging.getLogger("griffe").setLevel(logging.CRITICAL)
    before, after = _visit(path, old), _visit(path, new)
    if before is None or after is None:
        return []
    changes: list[ApiChange] = []
    for item in griffe.find_breaking_changes(before, after):
        name = item.obj.path.partition(".")[2]
        what = item.kind.value[0].lower() + item.kind.value[1:]
        changes.append(ApiChange(path, name, item.kind.name.lower(), f"{name}: {what}", remedy))
    kept = {*after.members, *(after.exports or ())}
    for name, member in before.members.items():
        # griffe skips imported names; a re-export in an __init__ is interface all the same.
        if member.is_alias and _exported(path, before, name) and name not in kept:
            changes.append(ApiChange(path, name, "export_removed", f"{name}: the re-export was removed", remedy))
    return changes


def _exported(path: str, module: Module, name: str) -> bool:
    if module.exports is not None:
        return name in module.exports
    return PurePosixPath(path).name == "__init__.py" and not name.startswith("_")


def _visit(path: str, content: bytes) -> Module | None:
    import griffe

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # invalid escapes are the target's own affair
            tree = ast.parse(content)  # knows the encoding declaration, which text does not
        return griffe.visit("m", filepath=Path(path), code=ast.unparse(tree))
    except (SyntaxError, ValueError, RecursionError):
        return None
