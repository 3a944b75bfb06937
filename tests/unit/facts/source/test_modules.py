"""Which file an import means, and what a name in a module is: the shapes that real trees have."""

from __future__ import annotations

import pytest

from regreen.facts.source import Index, MemoryTree, survey
from regreen.facts.source.modules import (
    ABSENT,
    BEYOND,
    DEFINED,
    EXTERNAL,
    FILE,
    FOLDER,
    MAYBE,
    MISSING,
    MODULE,
    OPAQUE,
    ModuleMap,
    modules,
)
from regreen.facts.source.structure import CLASS, COROUTINE, KIND
from regreen.policy import Policy


def index(files: dict[str, str]) -> Index:
    return survey(MemoryTree(files), [], Policy()).index


def found(files: dict[str, str]) -> ModuleMap:
    return modules(index(files))


def test_a_package_wins_over_a_module_and_a_source_over_its_stub() -> None:
    tree = found(
        {
            "a/__init__.py": "x = 1\n",
            "a.py": "",
            "b.py": "y = 1\n",
            "b.pyi": "",
            "c/__init__.py": "",
            "c/__init__.pyi": "",
        }
    )

    assert tree.resolve("t.py", 0, "a").path == "a/__init__.py"
    assert tree.resolve("t.py", 0, "b").path == "b.py"
    assert tree.resolve("t.py", 0, "c").path == "c/__init__.py"


@pytest.mark.parametrize(
    ("level", "module", "state", "path"),
    [
        (1, "b", FILE, "p/q/b.py"),
        (2, "c", FILE, "p/c.py"),
        (1, "", FILE, "p/q/__init__.py"),
        (1, "gone", MISSING, ""),
        (2, "gone.x", MISSING, ""),
        (3, "x", BEYOND, ""),
        (9, "", BEYOND, ""),
        (0, "p.q.b", FILE, "p/q/b.py"),
        (0, "p.q.__init__", FILE, "p/q/__init__.py"),
        (0, "p.gone", MISSING, ""),
        (0, "os.path", EXTERNAL, ""),
        (0, "nobody.knows", EXTERNAL, ""),
    ],
)
def test_levels_and_states(level: int, module: str, state: str, path: str) -> None:
    tree = found({"p/__init__.py": "", "p/c.py": "", "p/q/__init__.py": "", "p/q/a.py": "", "p/q/b.py": ""})

    target = tree.resolve("p/q/a.py", level, module)

    assert (target.state, target.path) == (state, path)


@pytest.mark.parametrize(
    "extra",
    [
        {"pytest.ini": "[pytest]\npythonpath = deep/code\n"},
        {"pyproject.toml": '[tool.pytest.ini_options]\npythonpath = ["deep/code"]\n'},
        {"pyproject.toml": '[tool.setuptools.packages.find]\nwhere = ["deep/code"]\n'},
        {"pyproject.toml": '[tool.poetry]\npackages = [{include = "app", from = "deep/code"}]\n'},
        {"pyproject.toml": '[tool.hatch.build.targets.wheel]\npackages = ["deep/code/app"]\n'},
        {"setup.cfg": "[options]\npackage_dir =\n    = deep/code\n"},
        {"tests/conftest.py": "import sys, os\nsys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'deep', 'code'))\n"},
        {"tests/conftest.py": "import sys\nfrom pathlib import Path\nROOT = Path(__file__).resolve().parent.parent\nsys.path.append(str(ROOT / 'deep/code'))\n"},
        {"Dockerfile": "ENV PYTHONPATH=/app/deep/code\n"},
        {"Makefile": "test:\n\tPYTHONPATH=deep/code:. pytest\n"},
        {"deep/code/setup.py": "from setuptools import setup\nsetup()\n"},
        {"deep/code/main.py": "from app.core import x\n"},
    ],
)  # fmt: skip
def test_a_source_root_is_found_wherever_it_is_said(extra: dict[str, str]) -> None:
    files = {"deep/code/app/__init__.py": "", "deep/code/app/core.py": "x = 1\n", "tests/test_a.py": ""}

    target = found({**files, **extra}).resolve("tests/test_a.py", 0, "app.core")

    assert (target.state, target.path) == (FILE, "deep/code/app/core.py")


def test_without_a_reason_a_deep_folder_is_no_source_root() -> None:
    files = {
        "deep/code/app/__init__.py": "",
        "deep/code/app/core.py": "x = 1\n",
        "tests/test_a.py": "from app.core import x\n",
    }

    assert found(files).resolve("tests/test_a.py", 0, "app.core").state == MISSING


def test_two_services_with_one_package_name_stay_apart() -> None:
    files = {
        "a/pyproject.toml": "", "a/app/__init__.py": "", "a/app/x.py": "", "a/t.py": "",
        "b/pyproject.toml": "", "b/app/__init__.py": "", "b/app/y.py": "", "b/t.py": "",
    }  # fmt: skip
    tree = found(files)

    assert tree.resolve("a/t.py", 0, "app.x").path == "a/app/x.py"
    assert tree.resolve("b/t.py", 0, "app.y").path == "b/app/y.py"
    assert tree.resolve("b/t.py", 0, "app.x").state == MISSING


def test_a_namespace_package_over_two_roots() -> None:
    tree = found({"src/ns/a.py": "", "lib/ns/b.py": "", "t.py": ""})

    assert tree.resolve("t.py", 0, "ns.a").path == "src/ns/a.py"
    assert tree.resolve("t.py", 0, "ns.b").path == "lib/ns/b.py"
    assert tree.resolve("t.py", 0, "ns").state == FOLDER


def test_a_folder_named_like_a_dependency_claims_nothing() -> None:
    tree = found({"requirements.txt": "docker\n", "docker/compose.py": "", "redis/dump.py": "", "t.py": ""})

    assert tree.resolve("t.py", 0, "docker.errors").state == EXTERNAL
    assert tree.resolve("t.py", 0, "redis.asyncio").state == EXTERNAL


def test_a_plugin_named_like_the_library_it_wraps_asks_for_the_library() -> None:
    files = {
        "pyproject.toml": '[project]\nname = "p"\ndependencies = ["lib"]\n',
        "ns/plugins/lib/__init__.py": "",
        "ns/plugins/lib/a.py": "",
        "ns/plugins/own/a.py": "",
        "t.py": "from ns.plugins.lib import a\n",
    }

    tree = found(files)

    assert tree.resolve("ns/plugins/lib/a.py", 0, "lib").state == EXTERNAL
    assert tree.resolve("ns/plugins/own/a.py", 0, "ns.plugins.lib").state == FILE
    undeclared = found({**files, "pyproject.toml": '[project]\nname = "p"\n'})
    assert undeclared.resolve("ns/plugins/lib/a.py", 0, "lib").state == FILE


def test_the_projects_own_name_in_its_lock_file_is_no_dependency() -> None:
    files = {
        "pyproject.toml": '[project]\nname = "redis"\n',
        "uv.lock": '[[package]]\nname = "redis"\nversion = "1"\n',
        "redis/__init__.py": "",
        "t.py": "",
    }

    assert found(files).resolve("t.py", 0, "redis.gone").state == MISSING


def test_vendored_and_compiled_modules_exist() -> None:
    tree = found(
        {"p/__init__.py": "", "p/_vendor/six.py": "", "p/fast.cpython-311-x86_64-linux-gnu.so": "", "t.py": ""}
    )

    assert tree.resolve("t.py", 0, "p._vendor.six").state == OPAQUE
    assert tree.resolve("t.py", 0, "p.fast").state == OPAQUE


@pytest.mark.parametrize(
    ("name", "state", "path"),
    [
        ("here", DEFINED, "p/__init__.py"),
        ("Deep", DEFINED, "p/m.py"),
        ("Renamed", DEFINED, "p/m.py"),
        ("starred", DEFINED, "p/s.py"),
        ("_hidden", ABSENT, ""),
        ("m", MODULE, "p/m.py"),
        ("alias", DEFINED, "p/m.py"),
        ("join", MAYBE, ""),
        ("__file__", MAYBE, ""),
        ("gone", ABSENT, ""),
    ],
)
def test_names_are_followed(name: str, state: str, path: str) -> None:
    tree = found(
        {
            "p/__init__.py": "from .m import Deep\nfrom .m import Deep as Renamed\nfrom .s import *\nfrom . import m\n"
            "from os.path import join\nhere = 1\nalias = m.Deep\n",
            "p/m.py": "class Deep: ...\n",
            "p/s.py": "starred = 1\n_hidden = 2\n",
        }
    )

    symbol = tree.symbol("p/__init__.py", name)

    assert (symbol.state, symbol.path) == (state, path)


def test_all_names_limit_a_star_import_and_circles_end() -> None:
    tree = found({"a.py": "from b import *\n", "b.py": "from a import *\n__all__ = ['x']\nx = y = 1\n"})

    assert tree.symbol("a.py", "x").path == "b.py"
    assert tree.symbol("a.py", "y").state == ABSENT


@pytest.mark.parametrize(
    "text", ["def __getattr__(name): ...\n", "globals()['x'] = 1\n", "x = = 1\n", "from nowhere import *\n"]
)
def test_a_module_that_may_have_any_name(text: str) -> None:
    assert found({"m.py": text}).symbol("m.py", "anything").state == MAYBE


def test_origins_as_a_handler_gives_them() -> None:
    tree = found(
        {
            "p/__init__.py": "from .m import A\n",
            "p/m.py": "class A:\n    async def f(self): ...\nasync def g(): ...\n",
            "p/t.py": "",
        }
    )

    assert tree.origin("p/t.py", "p.m.g").bits & KIND == COROUTINE
    assert tree.origin("p/t.py", ".m.g").path == "p/m.py"
    assert tree.origin("p/t.py", "p.A.f").name == "A.f"
    assert tree.origin("p/t.py", "p.A").bits & KIND == CLASS
    assert tree.origin("p/t.py", "os.path.join").state == MAYBE


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("src/app/m.py", "app.m"),
        ("src/app/__init__.py", "app"),
        ("tests/unit/test_a.py", "tests.unit.test_a"),
        ("t.py", "t"),
    ],
)
def test_the_name_of_a_file(path: str, name: str) -> None:
    tree = found({"src/app/__init__.py": "", "src/app/m.py": "", "tests/unit/test_a.py": "", "t.py": ""})

    assert tree.name_of(path) == name
