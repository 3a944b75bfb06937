"""Import a module by the one name that the rest of the tree uses for it.

`from src.app.models import User` becomes `from app.models import User`, with the patch targets of the old name, so that the
module is loaded once. Safe where a file of the same folder reaches the package by the name taken, or the package lies above
the importer: then its search path is known to be right; elsewhere unsafe, as a script may run where nothing is installed.
Refused where the name is not reached at all, or a statement also takes names that are no modules of the package.
"""

from __future__ import annotations

import ast
import posixpath
from collections.abc import Sequence
from typing import Final

from regreen.facts.libraries.editing import Draft, Edit, UndecidedError, one_by_one
from regreen.facts.libraries.import_statements import other_import, other_module, statement_at, strings
from regreen.facts.source import Index
from regreen.facts.source.importpass import imports
from regreen.facts.source.modules import FILE, FOLDER, modules
from regreen.model import Example, Finding, Proposal, Risk, Safety, Splice, Undo
from regreen.policy import Policy

ID: Final = "code.canonical-import-path"
CHECK: Final = "code.import-paths-consistent"
SAFETY: Final = Safety.SAFE
UNDO: Final = Undo.EXACT
RISK: Final = Risk.MEDIUM

_WHY: Final = (
    "a module that is imported by two names is loaded twice: "
    "https://docs.python.org/3/reference/import.html#the-module-cache"
)
_APP: Final = {
    "src/app/__init__.py": "", "src/app/a.py": "x = 1\n", "t.py": "import app.a\n", "u.py": "from app.a import x\n",
}  # fmt: skip


def _pair(before: str, after: str) -> tuple[dict[str, str], dict[str, str]]:
    return {**_APP, "v.py": before}, {**_APP, "v.py": after}


EXAMPLES: Final = (
    Example("a from-import", *_pair("from src.app.a import x  # why\n", "from app.a import x  # why\n")),
    Example("a module of the package", *_pair("from src.app import a\n", "from app import a\n")),
    Example("an import with its uses", *_pair("import src.app.a\n\nprint(src.app.a.x)\n", "import app.a\n\nprint(app.a.x)\n")),
    Example("an import under another name", *_pair("import src.app.a as m\n\nprint(m.x)\n", "import app.a as m\n\nprint(m.x)\n")),
    Example("the package itself", *_pair("from src import app\n\nprint(app)\n", "import app\n\nprint(app)\n")),
    Example("a patch target follows", *_pair(
        "from src.app.a import x\n\n\ndef test_a(monkeypatch):\n    monkeypatch.setattr('src.app.a.x', 2)\n    print(x)\n",
        "from app.a import x\n\n\ndef test_a(monkeypatch):\n    monkeypatch.setattr('app.a.x', 2)\n    print(x)\n",
    )),
    Example("one name is used", *_pair("from app.a import x\n", "from app.a import x\n")),
    Example("a name that is no module stands beside it", {**_APP, "src/__init__.py": "X = 1\n", "v.py": "from src import app, X\n", "pyproject.toml": "[tool.pytest.ini_options]\npythonpath = ['src']\n"}, refuses=True),
    Example("used inside an f-string", {**_APP, "v.py": "import src.app.a\n\nprint(f'{src.app.a.x}')\n"}, refuses=True),
)  # fmt: skip


def propose(findings: Sequence[Finding], index: Index, policy: Policy) -> Proposal:
    """One change per import statement."""

    def edit(finding: Finding, draft: Draft) -> Edit:
        node = statement_at(draft, finding)
        name, canonical = finding.get("name"), finding.get("canonical")
        target = modules(index).resolve(draft.path, 0, canonical)
        if target.state not in (FILE, FOLDER) or target.key != finding.get("key"):
            raise UndecidedError(
                f"{canonical} is not on the search path of {draft.path}",
                "which source root the tests of this folder use",
            )
        if isinstance(node, ast.Import):
            splices = other_import(draft, node, name, canonical)
        else:
            splices = [_from(draft, node, name, canonical)]
        splices += strings(draft, name, canonical)
        safety = Safety.SAFE if _reaches(index, draft.path, canonical) else Safety.UNSAFE
        return Edit(splices, f"{name} → {canonical}", f"elsewhere in the tree it is {canonical}; {_WHY}", safety)

    return one_by_one(ID, findings, index, edit)


def _reaches(index: Index, path: str, canonical: str) -> bool:
    """Whether the package of a module is surely on the path of a file: it lies beside or above it, or its neighbours use it."""
    found = modules(index)
    folder, top = posixpath.dirname(path), canonical.partition(".")[0]
    target = found.resolve(path, 0, canonical)
    root = target.key[: -len(canonical)].rstrip("/")
    if not root or f"{folder}/".startswith(f"{root}/"):
        return True
    neighbours = index.derive("importers by folder and package", _neighbours).get((folder, top), set())
    return bool(neighbours - {path})


def _neighbours(index: Index) -> dict[tuple[str, str], set[str]]:
    """The files of each folder that import each top-level name of the tree absolutely."""
    table: dict[tuple[str, str], set[str]] = {}
    for path, every in imports(index).own.items():
        for own in every:
            if own.item[4] <= 0:
                table.setdefault((posixpath.dirname(path), own.name.partition(".")[0]), set()).add(path)
    return table


def _from(draft: Draft, node: ast.ImportFrom, name: str, canonical: str) -> Splice:
    """`from old import …`, where the module is the statement's own or one of the names that it takes."""
    own = node.module or ""
    if own == name:
        return other_module(draft, node, canonical)
    inner = name[len(own) + 1 :]
    package = canonical[: -len(inner) - 1] if canonical != inner else ""
    if len(node.names) > 1:
        raise UndecidedError(
            f"the statement takes more than {inner} from {own}", f"which of its names belong to {package or canonical}"
        )
    if package:
        return other_module(draft, node, package)
    alias = node.names[0].asname
    return draft.replace(node, f"import {canonical}" + (f" as {alias}" if alias else ""))
