"""What real trees look like: one small tree for each trap that broke a tool on a large repository.

Each case says what the checks must find, by `check: path:line`, and nothing else but what it leaves out of sight on purpose.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from checks.code import CATALOGUE
from regreen.facts.source import FolderTree, MemoryTree, survey
from regreen.model import Diagnosis
from regreen.policy import Policy

STRICT = "[pytest]\naddopts = --strict-markers\n"
TEST = "def test_a():\n    assert f()\n"


def diagnose(files: dict[str, str]) -> Diagnosis:
    tree = MemoryTree(files)
    return survey(tree, CATALOGUE, Policy.of(tree)).diagnosis


def found(files: dict[str, str], *ids: str) -> list[str]:
    """`check: where` of all findings, without the prefix `code.`; only of some checks, where they are named."""
    verdicts = diagnose(files).verdicts
    assert not [verdict for verdict in verdicts if verdict.error]
    shown = [f"{v.check.removeprefix('code.')}: {f.where}" for v in verdicts for f in v.findings]
    return [line for line in shown if not ids or line.partition(":")[0] in ids]


def test_classes_that_only_the_configuration_makes_tests_are_judged() -> None:
    """Ignoring `python_classes` lost a third of the tests of one repository."""
    code = "class OrderTests:\n    def test_a(self):\n        return 1 == 2\n"
    files = {"pytest.ini": STRICT + "python_classes = Test* *Tests\n", "test_a.py": code}

    assert found(files, "tests-assert-not-return") == ["tests-assert-not-return: test_a.py:3"]
    assert found({**files, "pytest.ini": STRICT}, "tests-assert-not-return") == []


def test_of_several_configuration_files_one_counts() -> None:
    files = {
        "pytest.ini": STRICT,
        "pyproject.toml": '[tool.pytest.ini_options]\nmarkers = ["slow"]\n',
        "test_a.py": "import pytest\n\n\n@pytest.mark.slow\n" + TEST,
    }

    assert found(files, "pytest-config-unique", "markers-registered") == [
        "pytest-config-unique: pyproject.toml:1",
        "markers-registered: test_a.py:4",
    ]


def test_a_sub_table_beside_ini_options_stops_pytest_9() -> None:
    files = {"pyproject.toml": "[tool.pytest.ini_options]\n[tool.pytest.execution]\nworkers = 4\n", "test_a.py": TEST}

    assert any(line.startswith("pytest-config-unique: pyproject.toml") for line in found(files))


def test_a_marker_registered_twice_is_registered() -> None:
    files = {
        "pytest.ini": STRICT + "markers =\n    slow: takes long\n    slow: takes longer\n",
        "test_a.py": "import pytest\n\n\n@pytest.mark.slow\n" + TEST,
    }

    assert found(files, "markers-registered", "markers-spelled") == []


def test_a_nested_ini_file_that_does_not_parse_breaks_no_check() -> None:
    files = {
        "pytest.ini": STRICT,
        "old/pytest.ini": "addopts = -x\n[pytest\n",
        "old/tox.ini": "\x00",
        "test_a.py": TEST,
    }

    assert all(verdict.error == "" for verdict in diagnose(files).verdicts)


def test_unmarked_async_tests_are_fine_in_auto_mode_and_do_nothing_in_strict_mode() -> None:
    code = "async def test_a():\n    assert await f()\n"
    files = {"requirements.txt": "pytest-asyncio\n", "test_a.py": code}

    assert found({**files, "pytest.ini": STRICT + "asyncio_mode = auto\n"}, "tests-can-fail") == []
    assert found({**files, "pytest.ini": STRICT}, "tests-can-fail") == ["tests-can-fail: test_a.py:1"]


def test_damaged_quotes_surface_elsewhere_and_are_one_finding_a_file() -> None:
    files = {"a.py": 'def f():\n    ""Text."\n    return 1\n\n\nX = """3d\n', "b.py": "x = 1\n"}

    assert len(found(files)) == 1
    assert found(files)[0].startswith("source-readable: a.py:")


def test_conflict_markers_in_a_string_are_no_conflict() -> None:
    quoted = 'TEXT = """\n<<<<<<< ours\n=======\n>>>>>>> theirs\n"""\n'

    assert found({"a.py": quoted}) == []
    assert found({"a.py": quoted.strip('TEX ="\n') + "\n"}) == ["source-readable: a.py:1"]


def test_swallowed_assertions_are_found_and_missing_ones_are_not_a_fault() -> None:
    swallowed = "def test_a():\n    try:\n        assert f()\n    except Exception:\n        pass\n"
    running = "from h import check\n\n\ndef test_b():\n    check(1)\n"
    files = {
        "pytest.ini": STRICT,
        "test_a.py": swallowed,
        "test_b.py": running,
        "h.py": "def check(x):\n    assert x\n",
    }

    assert found(files, "tests-can-fail") == ["tests-can-fail: test_a.py:2"]


def test_the_callee_is_resolved_before_its_keywords_are_judged() -> None:
    code = (
        "import aiohttp\nimport websocket\nimport websockets\n\n\nasync def f(u, s: aiohttp.ClientSession, **o):\n"
        "    await s.ws_connect(u, timeout=1)\n    websocket.create_connection(u, timeout=1)\n"
        "    await websockets.connect(u, **o)\n    await websockets.connect(u, timeout=1)\n"
    )

    assert found({"a.py": code}, "websocket-has-open-timeout") == ["websocket-has-open-timeout: a.py:10"]


@pytest.mark.parametrize("folder", ["docker", "alembic", "redis"])
def test_a_folder_named_like_a_dependency_hides_nothing(folder: str) -> None:
    files = {
        "requirements.txt": f"{folder}\n",
        f"{folder}/build.py": "x = 1\n",
        "app.py": f"import {folder}\nfrom {folder}.errors import NotThere\n",
    }

    assert found(files) == []


def test_a_src_folder_that_is_a_package_hides_no_root() -> None:
    files = {
        "pyproject.toml": '[project]\nname = "app"\n\n[tool.setuptools.packages.find]\nwhere = ["src"]\n',
        "src/__init__.py": "",
        "src/app/__init__.py": "x = 1\n",
        "tests/test_a.py": f"from app import x\n\n\n{TEST}",
        "tests/test_b.py": f"from src.app import x\n\n\n{TEST}",
    }

    assert found(files, "imports-resolve", "dependencies-declared") == []


def test_the_project_in_its_own_lock_file_is_no_dependency() -> None:
    files = {
        "pyproject.toml": '[project]\nname = "app"\ndependencies = []\n',
        "uv.lock": '[[package]]\nname = "app"\nversion = "1"\nsource = { editable = "." }\n',
        "app/__init__.py": "",
        "tests/test_a.py": f"from app import gone\n\n\n{TEST}",
    }

    assert found(files, "imports-resolve") == ["imports-resolve: tests/test_a.py:1"]


def test_a_cascade_is_one_finding_at_its_root() -> None:
    root = "try:\n    import redis\nexcept ImportError:\n    redis = None\n\nPOOL = redis.ConnectionPool()\n"
    files = {"app.py": root, **{f"tests/test_{n}.py": f"import app\n\n\n{TEST}" for n in range(11)}}

    assert found(files, "optional-imports-guarded") == ["optional-imports-guarded: app.py:6"]


def test_snapshots_and_environments_are_left_out_and_said() -> None:
    bad = "x = = 1\n"
    files = {
        "app.py": "x = 1\n",
        "backups/app.py": bad,
        "_archive/app.py": bad,
        "env311/pyvenv.cfg": "home = /usr\n",
        "env311/lib/a.py": bad,
        "app.backup.20250914/app.py": bad,
    }
    tree = MemoryTree(files)
    result = survey(tree, CATALOGUE, Policy.of(tree))

    assert [str(f.where) for v in result.diagnosis.verdicts for f in v.findings] == []
    assert sorted(result.index.left_out) == [
        "_archive/app.py",
        "app.backup.20250914/app.py",
        "backups/app.py",
        "env311/lib/a.py",
    ]


def test_a_linked_source_is_counted_once(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "a.py").write_text("x = = 1\n")
    (tmp_path / "linked").symlink_to("real")
    (tmp_path / "b.py").symlink_to("real/a.py")
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)

    tree = FolderTree(tmp_path)
    diagnosis = survey(tree, CATALOGUE, Policy.of(tree)).diagnosis

    assert (diagnosis.files, diagnosis.unreadable) == (1, 1)


def test_odd_names_and_odd_texts_are_files_like_others() -> None:
    files = {
        "a b.py": "x = 1",
        "\ue000c.py": "y = 2",
        "long.py": f"z = '{'a' * 2_500}'\n",
        "bidi.py": "# \u202e\u200b\nw = 1\n",
        "empty.py": "",
    }

    assert found(files) == []


def test_a_name_alone_proves_no_missing_await() -> None:
    files = {
        "m.py": "async def load(k): ...\n",
        "sync.py": "def load(k): ...\n\n\ndef main():\n    load(1)\n",
        "run.py": "from lib import runs\n\n\n@runs\nasync def load(k): ...\n\n\ndef main():\n    load(1)\n",
        "test_a.py": "from unittest.mock import patch\n\nimport m\n\n\ndef test_a():\n    with patch('m.load') as p:\n        m.load(1)\n    p.assert_called()\n",
    }

    assert found(files, "coroutines-awaited") == []


def test_hex_strings_are_no_secrets() -> None:
    code = 'DIGEST = "9e107d9d372bb6826bd81d3542a419d6"\nCOMMIT = "da39a3ee5e6b4b0d3255bfef95601890afd80709"\nCOLORS = ["#ffffff", "deadbeef"]\n'

    assert found({"a.py": code}) == []
