"""Keep the old path of a moved public module or name alive, with a DeprecationWarning.

For importers outside the tree, which no rewrite reaches: where git shows that a public module of the project's own package
was renamed, a bridge of the old name takes its names from the new one; where a public name left its module and is defined
once elsewhere in the package, the old module gets a `__getattr__` (PEP 562) that fetches it. Never a copy (re-use what
exists), never for private or test modules, and unsafe: whether the old path is still a promise is the maintainers' to say.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from typing import Final

from regreen.facts.libraries.editing import Draft, UndecidedError
from regreen.facts.source import Index
from regreen.facts.source.definitions import Home, definers, moved, old_keys, reachable
from regreen.facts.source.history import defined_until
from regreen.facts.source.metadata import metadata
from regreen.facts.source.modules import modules
from regreen.model import Change, Example, Finding, Proposal, Refusal, Risk, Safety, Splice, Undo
from regreen.policy import Policy

ID: Final = "code.bridge-export"
CHECK: Final = "code.imports-resolve"
SAFETY: Final = Safety.UNSAFE
UNDO: Final = Undo.EXACT
RISK: Final = Risk.MEDIUM

_PRIVATE: Final = re.compile(r"(?:^|/)(?:_(?!_init__)|tests?(?:/|$)|test_|conftest|scripts?/|examples?/|docs?/)")
_PEP: Final = "https://peps.python.org/pep-0562/"
_TREE: Final = {
    "pyproject.toml": '[project]\nname = "app"\nversion = "1"\n',
    "app/__init__.py": "",
    "app/b.py": "class Trade: ...\n",
}

EXAMPLES: Final = (
    Example("no history", {**_TREE, "t.py": "from app.gone import Trade\n"}, refuses=True),
    Example("a private module", {**_TREE, "t.py": "from app._gone import Trade\n"}, refuses=True),
    Example("no distribution", {"app/__init__.py": "", "app/b.py": "class Trade: ...\n", "t.py": "from app.gone import Trade\n"}, refuses=True),
    Example("a test helper", {**_TREE, "tests/__init__.py": "", "tests/a.py": "", "t.py": "import tests.a\nfrom tests.gone import x\n"}, refuses=True),
)  # fmt: skip


def propose(findings: Sequence[Finding], index: Index, policy: Policy) -> Proposal:
    """One bridge per module that is gone, one `__getattr__` per module that lost names."""
    changes: list[Change] = []
    refusals: list[Refusal] = []
    groups: dict[tuple[str, str], list[tuple[Finding, list[str]]]] = {}
    for finding in findings:
        try:
            place, names = _asked(index, finding)
            groups.setdefault(place, []).append((finding, names))
        except UndecidedError as why:
            refusals.append(Refusal(ID, finding.fingerprint, finding.subject, finding.where, str(why), why.decide))
    for (kind, where), members in groups.items():
        try:
            changes.append(_module(index, where, members) if kind == "module" else _names(index, where, members))
        except UndecidedError as why:
            refusals += (
                Refusal(ID, finding.fingerprint, finding.subject, finding.where, str(why), why.decide)
                for finding, _ in members
            )
    return Proposal(tuple(changes), tuple(refusals))


def _asked(index: Index, finding: Finding) -> tuple[tuple[str, str], list[str]]:
    """What the bridge would stand for: a module by its path without suffix, or a file; and the names that are asked of it."""
    if not metadata(index).own:
        raise UndecidedError(
            "the tree is no distribution, so nobody outside imports from it", "nothing: rewrite the importer"
        )
    kind, level, module = finding.get("kind"), int(finding.get("level", "0")), finding.get("module").lstrip(".")
    if kind == "name":
        path = finding.get("path")
        _public(path)
        _public(finding.get("name"))
        return ("name", path), [finding.get("name")]
    if kind != "missing":
        raise UndecidedError("nothing moved here", "nothing: this is not about a path that others import")
    for key in old_keys(index, finding.path, max(level, 0), module):
        home = moved(index, finding.path, key, ())
        if home is not None:
            _public(key)
            return ("module", key), _imported(finding)
    raise UndecidedError(f"the history tells of no rename of {module}", "whether a module of that name was ever public")


def _public(path: str) -> None:
    if _PRIVATE.search(path):
        raise UndecidedError(f"{path} is private, or part of the tests", "nothing: rewrite the importer")


def _imported(finding: Finding) -> list[str]:
    _, _, names = finding.snippet.partition(" import ")
    return [name.strip() for name in names.split(",") if name.strip()] if finding.snippet.startswith("from ") else []


def _module(index: Index, key: str, group: Sequence[tuple[Finding, list[str]]]) -> Change:
    found = modules(index)
    if key in found.folders or index.tree.exists(f"{key}.py"):
        raise UndecidedError(f"{key} is still a folder of the tree", "what importers outside get from it")
    names = sorted({name for _, asked in group for name in asked if name != "*"})
    home = moved(index, group[0][0].path, key, names)
    if home is None:
        raise UndecidedError(
            f"the module that {key} became has not all of {', '.join(names)}", "where each of them is now"
        )
    exported = index.files[home.path].all_names or [n for n in index.files[home.path].defs if not n.startswith("_")]
    names = sorted({*names, *(n for n in exported if home.path in found.definitions.get(n, ()))})
    old = found.name_of(f"{key}.py")
    text = (
        f'"""Moved to `{home.module}`. Kept for importers outside this repository."""\n\n'
        "import warnings\n\n"
        + _import(home.module, names)
        + "\n__all__ = [\n"
        + "".join(f'    "{name}",\n' for name in names)
        + "]\n\n"
        + f'warnings.warn("{old} moved to {home.module}", DeprecationWarning, stacklevel=2)\n'
    )
    return Change(
        ID,
        f"{key}.py",
        f"a bridge from {old} to {home.module}",
        tuple(finding.fingerprint for finding, _ in group),
        creates=((f"{key}.py", text.encode()),),
        safety=Safety.UNSAFE,
        evidence=home.evidence,
    )


def _import(module: str, names: Sequence[str]) -> str:
    line = f"from {module} import {', '.join(names)}\n"
    return (
        line if len(line) <= 89 else f"from {module} import (\n" + "".join(f"    {name},\n" for name in names) + ")\n"
    )


def _names(index: Index, path: str, group: Sequence[tuple[Finding, list[str]]]) -> Change:
    found = modules(index)
    draft = Draft.of(index, path)
    if draft is None or any(isinstance(n, ast.FunctionDef) and n.name == "__getattr__" for n in draft.tree.body):
        raise UndecidedError(f"{path} has a `__getattr__` of its own, or does not parse", "what it should answer")
    homes: dict[str, Home] = {}
    for name in dict.fromkeys(name for _, asked in group for name in asked):
        top = path.partition("/")[0]
        where = [p for p in definers(index, path, name) if p.partition("/")[0] == top]
        gone = defined_until(index, path, name)
        if len(where) != 1 or not gone:
            raise UndecidedError(
                f"{name} is defined in {len(where)} places of the package"
                if gone
                else f"{path} never had {name}, as far as git tells",
                f"where {name} is, and whether {path} ever promised it",
            )
        homes[name] = Home(
            where[0], reachable(found, path, where[0]), f"{gone} took {name} out of {path}; {where[0]} has it"
        )
    old = found.name_of(path)
    table = "".join(f'    "{name}": "{home.module}",\n' for name, home in sorted(homes.items()))
    newline = "" if draft.text.source.endswith((b"\n", b"\r")) or not draft.text.source else "\n"
    code = (
        f"{newline}\n\n#: Names that moved, kept for importers outside this repository.\n_MOVED = {{\n{table}}}\n\n\n"
        "def __getattr__(name: str) -> object:\n"
        "    if name in _MOVED:\n"
        "        import importlib\n"
        "        import warnings\n\n"
        f'        warnings.warn(f"{old}.{{name}} moved to {{_MOVED[name]}}", DeprecationWarning, stacklevel=2)\n'
        "        return getattr(importlib.import_module(_MOVED[name]), name)\n"
        '    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")\n'
    )
    end = len(draft.text.source)
    return Change(
        ID,
        path,
        f"{', '.join(homes)} by the old path",
        tuple(finding.fingerprint for finding, _ in group),
        (Splice(path, end, end, draft.text.encode(code)),),
        safety=Safety.UNSAFE,
        evidence="; ".join(home.evidence for home in homes.values()) + f"; {_PEP}",
    )
