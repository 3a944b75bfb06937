"""A module is imported by one name throughout the tree.

A module that is reached by two names (`src.app.models` and `app.models`) is loaded twice: two classes of the same name
that are not equal, two registries, two sets of globals, `isinstance` and `except` that do not match, patches of mocks that
hit the other copy. The name that the packaging configuration or pytest's `pythonpath` gives is the right one; without such
a word the one that more files use.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from regreen.facts.source import Index, Interests
from regreen.facts.source.guards import AS_PROGRAM, IMPORT_GUARDED, IMPORT_HANDLER, TYPE_CHECKING_ONLY
from regreen.facts.source.importpass import imports
from regreen.facts.source.modules import FILE, FOLDER, ModuleMap, modules
from regreen.model import Example, Finding, Severity, Verdict
from regreen.policy import Policy

ID: Final = "code.import-paths-consistent"
VERSION: Final = 2
SEVERITY: Final = Severity.WARNING
SOURCE: Final = "https://docs.python.org/3/reference/import.html#the-module-cache"
INTERESTS: Final = Interests()

_EXCUSED: Final = AS_PROGRAM | TYPE_CHECKING_ONLY | IMPORT_GUARDED | IMPORT_HANDLER
_APP: Final = {"src/__init__.py": "", "src/app/__init__.py": "", "src/app/a.py": "x = 1\n", "pyproject.toml": "[tool.pytest.ini_options]\npythonpath = ['src']\n"}  # fmt: skip

EXAMPLES: Final = (
    Example("with and without src", {**_APP, "t.py": "import app.a\n", "u.py": "from app.a import x\n", "v.py": "from src.app.a import x\n"}, fires=1),
    Example("different modules of one package", {**_APP, "src/app/b.py": "", "t.py": "import app.a\n", "u.py": "from app.a import x\n", "v.py": "import src.app.b\n"}, fires=1),
    Example("a tie goes to the source root", {**_APP, "t.py": "import app.a\n", "v.py": "import src.app.a\n"}, fires=1),
    Example("a module as a name of its package", {**_APP, "t.py": "from app import a\n", "u.py": "import app\n", "v.py": "from src.app import a\n"}, fires=1),
    Example("a helper beside the tests", {"tests/helper.py": "x = 1\n", "tests/test_a.py": "from helper import x\n", "tests/test_b.py": "from helper import x\n", "t.py": "from tests.helper import x\n"}, fires=1),
    Example("the configuration is not outvoted", {**_APP, "t.py": "import src.app.a\n", "u.py": "from src.app.a import x\n", "v.py": "import app.a\n"}, fires=2),
    Example("one name", {**_APP, "t.py": "import app.a\n", "u.py": "from app import a\n"}),
    Example("relative imports", {**_APP, "src/app/b.py": "from .a import x\nfrom . import a\n", "t.py": "import app.a\n"}),
    Example("a file that is run as a program finds what is beside it", {"p/__init__.py": "", "p/helper.py": "x = 1\n", "p/tool.py": "if __name__ == '__main__':\n    import helper\n    print(helper.x)\n", "t.py": "from p.helper import x\n", "u.py": "import p.helper\n"}),
    Example("a fallback", {**_APP, "t.py": "try:\n    from app.a import x\nexcept ImportError:\n    from src.app.a import x\n", "u.py": "import app.a\n"}),
    Example("two modules of the same name", {"a/util.py": "", "a/x.py": "import util\n", "b/util.py": "", "b/x.py": "import util\n"}),
    Example("a module named like a dependency", {"requirements.txt": "pyzmq\n", "app/__init__.py": "", "app/zmq.py": "", "app/run.py": "import zmq\n", "t.py": "import app.zmq\n"}),
    Example("a test package and the package it tests", {"app/__init__.py": "", "tests/app/__init__.py": "", "tests/app/test_a.py": "import app\n"}),
)  # fmt: skip


class Use(NamedTuple):
    """One import of a module of the tree: where, the dotted name, the root it was found from, the module's key."""

    path: str
    item: tuple[Any, ...]
    name: str
    root: str
    key: str


def judge(index: Index, policy: Policy) -> Verdict:
    """One finding per import statement that uses the rarer name of a module that has two."""
    found = modules(index)
    uses = _uses(index, found)
    tops = {f"{use.root}/{use.name.partition('.')[0]}": use.root for use in uses if use.root}
    short: dict[str, list[Use]] = {}
    long: dict[str, list[Use]] = {}
    for use in uses:
        key = use.key
        while key:
            if key in tops:
                (short if tops[key] == use.root else long).setdefault(key, []).append(use)
            key = key.rpartition("/")[0]
    findings: dict[tuple[str, int, str], Finding] = {}
    for top in sorted(long):
        longer = [use for use in long[top] if len(use.root) < len(tops[top])]
        if longer and top in short:
            for use, other in _rarer(found, short[top], longer):
                findings.setdefault((use.path, use.item[0], use.name), _finding(index, use, other))
    return Verdict.of(ID, len(index.files), findings.values())


def _uses(index: Index, found: ModuleMap) -> list[Use]:
    uses: list[Use] = []
    sources, folders = found.sources, found.folders
    for path, own in imports(index).own.items():
        for item, name, target in own:
            level = item[4]
            if level > 0 or item[7] & _EXCUSED or target.state not in (FILE, FOLDER):
                continue
            tail = name.replace(".", "/")
            if not target.key.endswith(tail) or found.is_external(name):
                continue  # the latter: a module of the tree that is named like a dependency
            root = target.key[: -len(tail)].rstrip("/")
            if level == 0 and (target.state == FOLDER or target.path.endswith("__init__.py")):
                for inner, _ in item[6]:  # `from package import module`
                    key = f"{target.key}/{inner}"
                    if key in sources or (key in folders and target.state == FOLDER):
                        uses.append(Use(path, item, f"{name}.{inner}", root, key))
                        break
                else:
                    if target.state == FILE:
                        uses.append(Use(path, item, name, root, target.key))
            elif target.state == FILE:
                uses.append(Use(path, item, name, root, target.key))
    return uses


def _rarer(found: ModuleMap, short: list[Use], long: list[Use]) -> list[tuple[Use, str]]:
    """The uses of the name to leave, each with the name to take."""
    short_files, long_files = len({use.path for use in short}), len({use.path for use in long})
    deep = short[0].root
    if (deep in found.roots.configured) != (long[0].root in found.roots.configured):
        short_wins = deep in found.roots.configured  # what the configuration says, importers do not outvote
    elif short_files == long_files:
        path = found.sources.get(short[0].key, "")
        short_wins = found.name_of(path) == short[0].name if path else True
    else:
        short_wins = short_files > long_files
    losers = long if short_wins else short
    root = (short if short_wins else long)[0].root
    return [(use, (use.key[len(root) + 1 :] if root else use.key).replace("/", ".")) for use in losers]


def _finding(index: Index, use: Use, other: str) -> Finding:
    level, module, names = use.item[4], use.item[5], use.item[6]
    listed = ", ".join(name for name, _ in names)
    statement = f"import {listed}" if level < 0 else f"from {module} import {listed}"
    return index.finding(
        ID,
        SEVERITY,
        index.files[use.path],
        use.item[:4],
        scope=use.item[8],
        observed=f"`{statement}` loads {use.key} as {use.name}; elsewhere it is {other}",
        expected=f"one name for it: {other}",
        snippet=statement,
        data={"name": use.name, "canonical": other, "key": use.key},
    )
