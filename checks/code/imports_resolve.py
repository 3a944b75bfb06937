"""Every import of the tree's own modules finds its module and the name in it, and `__all__` promises what is there.

`py_compile` says nothing about imports: a module whose imports cannot be resolved compiles. So they are resolved here,
over the whole tree, without running anything: source roots, namespace packages, re-exports, star imports and
`__getattr__` included. One missing module keeps a whole test module from being collected.

Not reported: imports under `try … except ImportError`, `TYPE_CHECKING` or a test of the Python version; modules that are
generated, compiled, ignored by git or reached over a computed `sys.path`; names of modules that fill their own namespace.
A third-party module that is not declared is the business of `code.dependencies-declared`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, Final

from regreen.facts.source import FileFacts, Index, Interests
from regreen.facts.source.distributions import PYTHON_2, declared
from regreen.facts.source.guards import (
    CONDITIONAL,
    IMPORT_GUARDED,
    IMPORT_HANDLER,
    IN_TRY,
    TYPE_CHECKING_ONLY,
    VERSION_GUARDED,
)
from regreen.facts.source.importpass import Own, imports
from regreen.facts.source.metadata import metadata
from regreen.facts.source.modules import ABSENT, BEYOND, FILE, FOLDER, MISSING, ModuleMap, Target, modules
from regreen.facts.source.unseen import module_may_exist, name_may_exist
from regreen.model import Example, Finding, Severity, Verdict
from regreen.policy import Policy

ID: Final = "code.imports-resolve"
VERSION: Final = 3
SEVERITY: Final = Severity.ERROR
SOURCE: Final = "https://docs.python.org/3/reference/import.html"
INTERESTS: Final = Interests()

_EXCUSED: Final = TYPE_CHECKING_ONLY | IMPORT_GUARDED | IMPORT_HANDLER | VERSION_GUARDED
#: Files that tests read as data: their imports are not meant to run.
_DATA: Final = re.compile(r"(?:^|/)(?:test_?data|test-data|tests?/(?:.*/)?data|snippets|corpus)/|\{\{")
#: Examples are run by their readers, elsewhere: what they import from a place that is on no path is no fault of the tree.
_SHOWN: Final = re.compile(r"(?:^|/)(?:docs?|examples?|tutorials?|samples?|cookbook)/")

EXAMPLES: Final = (
    Example("a module that is gone", {"app/__init__.py": "", "t.py": "import app.gone\n"}, fires=1),
    Example("a from-import of a module that is gone", {"app/__init__.py": "", "t.py": "from app.gone import x, y\n"}, fires=1),
    Example("a name that is gone", {"app/__init__.py": "", "app/a.py": "y = 1\n", "t.py": "from app.a import x, y\n"}, fires=1),
    Example("a relative module that is gone", {"app/__init__.py": "", "app/a.py": "from .gone import x\n"}, fires=1),
    Example("a relative sibling that is gone", {"app/__init__.py": "", "app/a.py": "from . import gone\n"}, fires=1),
    Example("beyond the top", {"app/__init__.py": "", "app/a.py": "from ..other import x\n"}, fires=1),
    Example("inside a function", {"app/__init__.py": "", "t.py": "def f():\n    from app import gone\n"}, fires=1),
    Example("a name behind a star import that has it not", {"m.py": "a = 1\n", "n.py": "from m import *\n", "t.py": "from n import b\n"}, fires=1),
    Example("a private name behind a star import", {"m.py": "_a = 1\n", "n.py": "from m import *\n", "t.py": "from n import _a\n"}, fires=1),
    Example(
        "a package that moved below another",
        {"tools/__init__.py": "", "tools/support/__init__.py": "", "tools/support/wait.py": "def until(): ...\n", "tests/test_a.py": "from support.wait import until\n"},
        fires=1,
    ),
    Example(
        "an absolute import of a sibling inside a package",
        {"app/__init__.py": "", "app/feed/__init__.py": "", "app/feed/models.py": "class Tick: ...\n", "app/feed/client.py": "from models import Tick\n", "tests/test_a.py": "from app.feed import client\n"},
        fires=1,
    ),
    Example("the case of the name differs", {"app/__init__.py": "", "app/Models.py": "x = 1\n", "t.py": "import app.models\n"}, fires=1),
    Example("in a namespace package of the tree", {"tests/helpers/a.py": "x = 1\n", "tests/test_a.py": "from tests.helpers.a import x\nfrom tests.helpers.b import x\n"}, fires=1),
    Example("__all__ promises what is not there", {"m.py": "__all__ = [\n    'a',\n    'b',\n]\na = 1\n"}, fires=1),
    Example("__all__ of a package names its modules", {"p/__init__.py": "__all__ = ['a', 'b']\n", "p/a.py": "", "p/b.pyx": ""}),
    Example("__all__ with a star import from outside", {"m.py": "from os.path import *\n__all__ = ['join']\n"}),
    Example("__all__ with a lazy loader", {"m.py": "__all__ = ['a']\ndef __getattr__(name): ...\n"}),
    Example("modules of Python 2", {"t.py": "import urlparse\nfrom Queue import Queue\n"}, fires=2),
    Example("modules of Python 2 where they may be missing", {"t.py": "import sys\ntry:\n    import urllib2\nexcept ImportError:\n    import urllib.request as urllib2\nif sys.version_info < (3,):\n    import httplib\n"}),
    Example("a module of that name in the tree", {"Queue.py": "Queue = 1\n", "t.py": "from Queue import Queue\n"}),
    Example("everything is there", {"app/__init__.py": "from .a import x\n", "app/a.py": "x = 1\n", "t.py": "from app import x\nimport app.a\n"}),
    Example("guarded", {"app/__init__.py": "", "t.py": "try:\n    from app import gone\nexcept ImportError:\n    gone = None\n"}),
    Example("for type checkers only", {"app/__init__.py": "", "t.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from app import gone\n"}),
    Example("a folder named like what it imports", {"maint/redbot/run.py": "from redbot.resource import x\n"}),
    Example("a name set from the package", {"app/__init__.py": "from . import base\nbase.dialect = 1\n", "app/base.py": "", "t.py": "from app.base import dialect\n"}),
    Example("a path that a fixture prepends", {"tests/apps/shop/__init__.py": "app = 1\n", "tests/conftest.py": "def fix(monkeypatch):\n    monkeypatch.syspath_prepend(find())\n", "tests/test_a.py": "def test_a(fix):\n    from shop import app\n"}),
    Example("another's package", {"requirements.txt": "requests\n", "t.py": "import requests.nothing\nfrom requests import anything\n"}),
    Example("a folder named like a dependency", {"requirements.txt": "docker\n", "docker/build.py": "", "t.py": "from docker.errors import NotFound\n"}),
    Example("a folder somewhere, named like a package that nobody declares", {
        "setup.cfg": "", "examples/guides/voice_agents/a.py": "from voice_agents import say\n", "examples/voices.py": "from voice_agents import say\n",
    }),
    Example("a folder named like a well-known package", {"alembic/env.py": "", "t.py": "from alembic import op\n"}),
    Example("a src folder", {"src/app/__init__.py": "x = 1\n", "tests/test_a.py": "from app import x\n"}),
    Example("a src folder that is a package too", {"src/__init__.py": "", "src/app/__init__.py": "x = 1\n", "src/main.py": "from app import x\n", "tests/test_a.py": "from src.app import x\n"}),
    Example("a root that a sys.path edit adds", {"code/app.py": "x = 1\n", "tests/conftest.py": "import sys\nsys.path.insert(0, 'code')\n", "tests/test_a.py": "from app import x\n"}),
    Example("a sys.path edit that cannot be told", {"code/deep/app.py": "x = 1\n", "tests/test_a.py": "import sys\nsys.path.insert(0, where())\nfrom app import x\n"}),
    Example("a root from pytest's pythonpath", {"pytest.ini": "[pytest]\npythonpath = code/deep\n", "code/deep/app.py": "x = 1\n", "tests/test_a.py": "from app import x\n"}),
    Example("a module-level __getattr__", {"m.py": "def __getattr__(name): return 1\n", "t.py": "from m import anything\n"}),
    Example("a star import from outside", {"m.py": "from os.path import *\n", "t.py": "from m import join\n"}),
    Example("a star import with __all__", {"m.py": "__all__ = ['_a']\n_a = 1\n", "n.py": "from m import *\n", "t.py": "from n import _a\n"}),
    Example("a name that a loop, a with and an except bind", {"m.py": "for a in []: ...\nwith open('x') as b: ...\n", "t.py": "from m import a, b\n"}),
    Example("a compiled module", {"app/__init__.py": "", "app/_fast.pyx": "", "t.py": "from app._fast import run\n"}),
    Example("a generated version", {"app/__init__.py": "from ._version import version\n"}),
    Example("a generated file that git ignores", {".gitignore": "app/gen/\n", "app/__init__.py": "", "t.py": "from app.gen.thing import x\n"}),
    Example("a module that cannot be parsed", {"m.py": "x = = 1\n", "t.py": "from m import y\n"}),
    Example("a vendored module", {"app/__init__.py": "", "app/_vendor/six.py": "", "t.py": "from app._vendor.six import moves\n"}),
    Example("a name that walrus binds", {"m.py": "print(a := 1)\n", "t.py": "from m import a\n"}),
    Example("a namespace package across folders", {"a/ns/x.py": "X = 1\n", "b/ns/y.py": "Y = 1\n", "a/t.py": "from ns.x import X\n", "b/t.py": "from ns.y import Y\n"}),
    Example("a sibling of a test", {"tests/unit/helper.py": "x = 1\n", "tests/unit/test_a.py": "from helper import x\n"}),
    Example("a conftest above", {"tests/conftest.py": "x = 1\n", "tests/unit/test_a.py": "from conftest import x\n"}),
    Example("a dependency with a module of its name", {"requirements.txt": "gwosc\n", "app/__init__.py": "", "app/io/__init__.py": "", "app/io/gwosc.py": "from gwosc import timeline\n", "app/flag.py": "from gwosc import timeline\nfrom .io import gwosc\n"}),
    Example("a step of a tutorial", {"example/step0/connect4.py": "class Game: ...\n", "example/step1/app.py": "from connect4 import Game\n"}),
    Example("a stub beside", {"m.pyi": "x: int\n", "t.py": "from m import x\n"}),
)  # fmt: skip


def judge(index: Index, policy: Policy) -> Verdict:
    """One finding per statement whose module is missing, one per name that is missing in a module that is there."""
    found = modules(index)
    own = imports(index).own
    findings: list[Finding] = []
    excused = 0
    for file in index.files.values():
        if file.path.endswith(".pyi"):
            continue
        for finding in _file(index, found, file, own.get(file.path, ())):
            if finding is None:
                excused += 1
            else:
                findings.append(finding)
        if file.all_names and not _DATA.search(file.path):
            findings += _promised(index, found, file)
    findings += _old(index)
    note = f"{excused} imports were not judged: generated, compiled, ignored by git, or test data" if excused else ""
    return Verdict.of(ID, len(index.files), findings, note)


def _old(index: Index) -> Iterator[Finding]:
    """Modules that only Python 2 has, imported where nothing catches that they are missing."""
    names = metadata(index).names
    for path, item, name in imports(index).external:
        top = name.partition(".")[0]
        if (
            top not in PYTHON_2
            or item[7] & (_EXCUSED | CONDITIONAL | IN_TRY)
            or _DATA.search(path)
            or declared(top, names)
        ):
            continue
        listed = ", ".join(inner for inner, _ in item[6])
        snippet = f"import {name}" if item[4] < 0 else f"from {name} import {listed}"
        yield _finding(
            index, index.files[path], item, f"`{snippet}`: {top} is a module of Python 2",
            f"what Python 3 has in its place: {PYTHON_2[top]}", snippet,
            {"kind": MISSING, "module": name, "missing": name},
        )  # fmt: skip


def _promised(index: Index, found: ModuleMap, file: FileFacts) -> Iterator[Finding]:
    """Names of `__all__` that the module does not have: a star import of it raises AttributeError."""
    for name in file.all_names or ():
        if found.symbol(file.path, name).state != ABSENT or name_may_exist(index, file.path, name):
            continue
        folder = file.path.rpartition("/")[0]
        if file.path.endswith("__init__.py") and module_may_exist(index, f"{folder}/{name}".lstrip("/"), file.path):
            continue
        source = index.text(file.path).source
        quoted = re.search(rb"__all__(?:.|\n|\r)*?([\"'])%b\1" % re.escape(name.encode()), source)
        line = source.count(b"\n", 0, quoted.end()) + 1 if quoted else 0
        yield index.finding(
            ID,
            SEVERITY,
            file,
            (line, 0, line, 0) if line else (),
            observed=f"__all__ promises {name}, which {file.path} does not have",
            expected="a name that the module defines or imports",
            snippet=f"__all__: {name}",
            data={"kind": "promise", "name": name, "path": file.path, "level": "0"},
        )


def _file(index: Index, found: ModuleMap, file: FileFacts, own: Sequence[Own]) -> Iterator[Finding | None]:
    for item, module, target in own:
        if item[7] & _EXCUSED:
            continue
        state = target.state
        if state in (MISSING, BEYOND):
            if item[4] < 0:
                yield _missing(index, found, file, item, target, f"import {module}", module)
            else:
                shown = "." * item[4] + module
                listed = ", ".join(name for name, _ in item[6])
                yield _missing(index, found, file, item, target, f"from {shown} import {listed}", shown)
        elif item[4] >= 0 and state in (FILE, FOLDER):
            defs = index.files[target.path].defs if state == FILE else {}
            for name, _ in item[6]:
                if name not in defs and name != "*" and found.member(target, name).state == ABSENT:
                    yield _absent(index, found, file, item, target, "." * item[4] + module, name)


def _missing(
    index: Index, found: ModuleMap, file: FileFacts, item: tuple[Any, ...], target: Target, snippet: str, module: str
) -> Finding | None:
    if _DATA.search(file.path):
        return None
    if target.weak and not target.key and (_SHOWN.search(file.path) or not _fits(found, file.path, item, module)):
        return None
    leaf = target.missing.rpartition(".")[2]
    key = f"{target.key}/{leaf}" if target.key else leaf
    if target.state == MISSING and module_may_exist(index, key, file.path):
        return None
    if target.state == BEYOND:
        observed = f"`{snippet}` goes beyond the top of the tree"
        expected = "a relative import that stays inside its package"
    else:
        observed = f"`{snippet}`: there is no module {target.missing}"
        alike = [k for k in found.sources if k.lower() == key.lower()]
        expected = "a module that exists" + (
            f"; the tree has {found.sources[alike[0]]}: the case differs" if alike else ""
        )
    return _finding(
        index,
        file,
        item,
        observed,
        expected,
        snippet,
        {"kind": target.state, "module": module, "missing": target.missing},
    )


def _fits(found: ModuleMap, importer: str, item: tuple[Any, ...], module: str) -> bool:
    """Whether a module elsewhere in the tree is what an import from an unknown place means: it has the names."""
    names = [name for name, _ in item[6]]
    if item[4] < 0:
        return "." in module
    tail = module.replace(".", "/")
    for key in found.by_name.get(module.rpartition(".")[2], ()):
        path = found.sources.get(key)
        if path and path != importer and f"/{key}".endswith(f"/{tail}"):
            return all(name == "*" or found.symbol(path, name).state != ABSENT for name in names)
    return False


def _absent(
    index: Index, found: ModuleMap, file: FileFacts, item: tuple[Any, ...], target: Target, module: str, name: str
) -> Finding | None:
    if _DATA.search(file.path):
        return None
    key = f"{target.key}/{name}" if target.key else name
    if target.state == FILE:
        if item[4] == 0 and found.is_external(module):
            return None  # a folder named like a dependency
        if name_may_exist(index, target.path, name):
            return None
        if target.path.endswith("__init__.py") and module_may_exist(index, key, file.path):
            return None
        where = target.path
    else:
        if found.is_external(module.lstrip(".")) or module_may_exist(index, key, file.path):
            return None
        root = target.key.removesuffix(module.replace(".", "/")).rstrip("/")
        if item[4] == 0 and root not in ("", *found.roots.explicit, *found.roots.sources):
            return None  # a folder without `__init__.py`, somewhere in the tree: a name can be another's
        where = f"the folder {target.key or '.'}"
    snippet = f"from {module} import {name}"
    return _finding(
        index,
        file,
        item,
        f"`{snippet}`: {where} has no {name}",
        "a name that the module defines",
        snippet,
        {"kind": "name", "module": module, "name": name, "path": target.path},
    )


def _finding(
    index: Index,
    file: FileFacts,
    item: tuple[Any, ...],
    observed: str,
    expected: str,
    snippet: str,
    data: dict[str, str],
) -> Finding:
    level, flags, scope = item[4], item[7], item[8]
    return index.finding(
        ID,
        Severity.WARNING if flags & CONDITIONAL else SEVERITY,
        file,
        item[:4],
        scope=scope,
        observed=observed,
        expected=expected,
        snippet=snippet,
        data={**data, "level": str(level)},
    )
