"""What the findings about imports, cycles, coroutines and helpers say, beyond that they fire."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from checks.code import (
    coroutines_awaited,
    dependencies_declared,
    helpers_annotated,
    import_paths_consistent,
    imports_acyclic,
    imports_resolve,
    optional_imports_guarded,
)
from regreen.facts.source import CodeCheck, FolderTree, MemoryTree, Tree, survey
from regreen.model import Severity, Status, Verdict
from regreen.policy import Policy


def verdict(check: CodeCheck, tree: Tree | dict[str, str]) -> Verdict:
    where = MemoryTree(tree) if isinstance(tree, dict) else tree
    return survey(where, [check], Policy()).diagnosis.verdicts[0]


TRY = "try:\n    import redis\nexcept ImportError:\n    redis = None\n"


def test_the_cascade_of_an_optional_import_is_told_apart_from_its_root() -> None:
    files = {
        "app/__init__.py": "", "app/cache.py": TRY + "CLIENT = redis.Redis()\n", "app/b.py": "from app import cache\n",
        "tests/test_b.py": "import app.b\n", "tests/test_c.py": "def test_c():\n    import app.b\n",
        "tests/test_d.py": "try:\n    import app.b\nexcept ImportError:\n    pass\n", "tests/test_e.py": "import os\n",
    }  # fmt: skip

    (finding,) = verdict(optional_imports_guarded, files).findings

    assert finding.path == "app/cache.py"
    assert finding.get("cascade").split() == ["app/b.py", "tests/test_b.py"]
    assert (
        finding.observed
        == "`redis.Redis` runs at import, where redis is None if redis is not installed; 2 files fail with it"
    )


def test_a_cycle_is_printed_as_a_path() -> None:
    files = {
        "p/__init__.py": "", "p/a.py": "from p.b import B\n\nclass A: ...\n", "p/b.py": "from p.c import C\n\nclass B: ...\n",
        "p/c.py": "from p.a import A\n\nclass C: ...\n", "t.py": "import p.a\n",
    }  # fmt: skip

    by_path = {finding.path: finding for finding in verdict(imports_acyclic, files).findings}

    assert by_path["p/c.py"].get("cycle") == "p.a → p.b → p.c → p.a"
    assert by_path["p/c.py"].severity is Severity.ERROR  # t.py runs into it
    assert by_path["p/b.py"].severity is Severity.WARNING  # only if p.c is imported first


def test_a_missing_name_says_where_it_was_looked_for() -> None:
    (finding,) = verdict(imports_resolve, {"m.py": "a = 1\n", "t.py": "from m import a, b\n"}).findings

    assert finding.observed == "`from m import b`: m.py has no b"
    assert (finding.get("kind"), finding.get("name"), finding.get("path")) == ("name", "b", "m.py")


def test_an_import_that_may_not_run_is_a_warning() -> None:
    files = {"p/__init__.py": "", "t.py": "import os\nif os.sep:\n    import p.gone\n"}

    assert [finding.severity for finding in verdict(imports_resolve, files).findings] == [Severity.WARNING]


def test_the_case_of_a_file_name_is_named() -> None:
    (finding,) = verdict(
        imports_resolve, {"app/__init__.py": "", "app/Models.py": "", "t.py": "import app.models\n"}
    ).findings

    assert finding.expected == "a module that exists; the tree has app/Models.py: the case differs"


def test_what_is_on_the_disk_though_git_ignores_it_is_not_missing(tmp_path: Path) -> None:
    for path, text in {
        "app/__init__.py": "",
        "t.py": "import app.link\nimport app.there\nimport app.gone\n",
        "app/real.py": "",
    }.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(text)
    os.symlink("real.py", tmp_path / "app/link.py")
    (tmp_path / ".gitignore").write_text("there.py\n")
    (tmp_path / "app/there.py").write_text("")

    found = verdict(imports_resolve, FolderTree(tmp_path)).findings

    assert [finding.get("missing") for finding in found] == ["app.gone"]


def test_a_module_that_many_files_miss_is_one_finding_for_each_statement() -> None:
    files = {"p/__init__.py": "", **{f"tests/test_{n}.py": "from p.gone import x\n" for n in range(5)}}

    assert len(verdict(imports_resolve, files).findings) == 5


def test_a_dependency_is_one_finding_with_all_its_importers() -> None:
    files = {"requirements.txt": "six\n", "a.py": "import yaml\n", "b.py": "import os\nfrom yaml import load\n"}

    (finding,) = verdict(dependencies_declared, files).findings

    assert (finding.subject, str(finding.where)) == ("yaml", "a.py:1")
    assert finding.get("distribution") == "pyyaml"
    assert finding.get("files").split() == ["a.py", "b.py"]


@pytest.mark.parametrize(
    "files",
    [
        {"a.py": "import yaml\n"},
        {"setup.py": "from setuptools import setup\nsetup(install_requires=make())\n", "a.py": "import yaml\n"},
        {"pyproject.toml": "[project]\nname = 'x'\ndynamic = ['dependencies']\n", "a.py": "import yaml\n"},
    ],
)
def test_without_readable_metadata_nothing_is_known(files: dict[str, str]) -> None:
    result = verdict(dependencies_declared, files)

    assert result.status is Status.UNKNOWN
    assert result.note


def test_missing_annotations_are_counted() -> None:
    result = verdict(
        helpers_annotated,
        {"tests/h.py": "def a(x, y: int): ...\ndef b() -> None: ...\nclass C:\n    def d(self): ...\n"},
    )

    assert [finding.observed for finding in result.findings] == [
        "a lacks 2 of 3 annotations: 1 argument and the return value",
        "C.d lacks 1 of 1 annotations: the return value",
    ]
    assert result.note == "3 annotations are missing in 2 helpers"


def test_a_tree_without_tests_has_no_helpers_to_examine() -> None:
    assert verdict(helpers_annotated, {"app.py": "def f(x): ...\n"}).status is Status.UNKNOWN


def test_where_await_can_stand_is_told() -> None:
    text = (
        "async def load(): ...\n"
        "async def a():\n    load()\n"
        "def b():\n    load()\n"
        "async def c():\n    return [x for x in load()]\n"
        "async def d():\n    return list(y for y in load()['a'])\n"
    )

    found = verdict(coroutines_awaited, {"a.py": text}).findings

    assert [(f.subject.partition("::")[2], bool(f.get("can-await"))) for f in found] == [
        ("a", True),
        ("b", False),
        ("c", True),
        ("d", False),
    ]
    assert {f.get("callee") for f in found} == {"a.py::load"}


def test_the_name_that_more_files_use_is_the_one_to_take() -> None:
    files = {
        "src/app/__init__.py": "",
        "src/app/a.py": "",
        "t.py": "import src.app.a\n",
        "u.py": "import src.app.a\n",
        "v.py": "import app.a\n",
    }

    (finding,) = verdict(import_paths_consistent, files).findings

    assert (finding.path, finding.get("canonical")) == ("v.py", "src.app.a")


def test_fingerprints_do_not_depend_on_lines() -> None:
    files = {"p/__init__.py": "", "t.py": "import p.gone\n"}

    before = verdict(imports_resolve, files).findings[0]
    after = verdict(imports_resolve, {**files, "t.py": "# one more\n\n" + files["t.py"]}).findings[0]

    assert before.fingerprint == after.fingerprint
