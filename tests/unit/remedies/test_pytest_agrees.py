"""Rules about pytest, put to pytest itself: what it collects, refuses and warns of. One process for each question."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from checks.code import markers_registered as registered
from checks.code import strict_markers_effective, test_classes_collectable
from regreen.facts.source import FolderTree, Index, survey
from regreen.facts.source.contract import CodeCheck, CodeRemedy
from regreen.facts.source.testcode import Suite
from regreen.model import compose
from regreen.policy import Policy
from remedies.code import enable_strict_markers, register_marker
from remedies.code import test_class_not_collected as not_collected


def run(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Pytest on a folder, without plugins."""
    command = (
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:asyncio",
        *options,
    )
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=60)


def write(folder: Path, files: dict[str, str]) -> Index:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return survey(FolderTree(folder), [], Policy()).index


def remedy(folder: Path, check: CodeCheck, cure: CodeRemedy) -> list[str]:
    """Apply a remedy to a folder; the reasons of its refusals."""
    tree = FolderTree(folder)
    result = survey(tree, [check], Policy())
    proposal = cure.propose(result.diagnosis.verdicts[0].findings, result.index, Policy())
    edits, _ = compose(tree, proposal.changes)
    for name, content in edits.items():
        (folder / name).write_bytes(content)
    return [refusal.reason for refusal in proposal.refusals]


SUITE = {
    "pytest.ini": "[pytest]\npython_files = test_*.py check_*.py\npython_classes = Test* *Tests\npython_functions = test* it_*\n",
    "check_a.py": (
        "import unittest\n\nimport pytest\n\n\ndef test_plain():\n    pass\n\n\ndef it_works():\n    pass\n\n\ndef helper_test():\n    pass\n\n\n"
        "class TestA:\n    def test_in(self):\n        pass\n\n    class TestInner:\n        def test_deep(self):\n            pass\n\n    class Other:\n"
        "        def test_not(self):\n            pass\n\n\nclass MoreTests:\n    def it_counts(self):\n        pass\n\n\nclass Helper:\n"
        "    def test_never(self):\n        pass\n\n\nclass TestMade:\n    def __init__(self):\n        pass\n\n    def test_lost(self):\n        pass\n\n\n"
        "class Cases(unittest.TestCase):\n    def test_unit(self):\n        pass\n\n    def it_is_none(self):\n        pass\n\n\n"
        "class Base(unittest.TestCase):\n    pass\n\n\nclass Derived(Base):\n    def test_far(self):\n        pass\n"
    ),
    "other.py": "def test_elsewhere():\n    pass\n",
}  # fmt: skip
NAMES = {
    "test_plain", "it_works", "helper_test", "TestA.test_in", "TestA.TestInner.test_deep", "TestA.Other.test_not",
    "MoreTests.it_counts", "Helper.test_never", "TestMade.test_lost", "Cases.test_unit", "Cases.it_is_none", "Derived.test_far",
}  # fmt: skip


def test_what_is_a_test(tmp_path: Path) -> None:
    index = write(tmp_path, SUITE)
    suite = Suite.of(index)

    said = {name for name in NAMES if suite.is_test(index.files["check_a.py"], name)}

    shown = run(tmp_path, "--collect-only").stdout
    collected = {
        line.partition("::")[2].replace("::", ".") for line in shown.splitlines() if line.startswith("check_a.py::")
    }
    assert said == collected
    assert not suite.is_test(index.files["other.py"], "test_elsewhere")


def test_marks_are_registered_and_then_strict(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "pytest.ini": "[pytest]\nmarkers =\n    slow: takes long\n",
            "test_a.py": "import pytest\n\n\n@pytest.mark.slow\n@pytest.mark.v3\ndef test_a():\n    assert 1 + 1 == 2\n",
        },
    )

    assert remedy(tmp_path, strict_markers_effective, enable_strict_markers) == [
        "marks are used that are not registered: v3"
    ]
    assert remedy(tmp_path, registered, register_marker) == []
    assert remedy(tmp_path, strict_markers_effective, enable_strict_markers) == []

    done = run(tmp_path, "-W", "error::pytest.PytestWarning")
    assert (done.returncode, done.stdout.splitlines()[-1].split(" in ")[0]) == (0, "1 passed")
    (tmp_path / "test_b.py").write_text("import pytest\n\n\n@pytest.mark.v4\ndef test_b():\n    assert True\n")
    assert "'v4' not found in `markers` configuration option" in run(tmp_path).stdout


CLASSES = (
    "import dataclasses\nimport enum\nfrom typing import NamedTuple\n\nimport pytest\n\n\n"
    "class TestKind(enum.Enum):\n    A = 1\n    B = 2\n\n\nclass TestLevel(enum.IntFlag):\n    LOW = 1\n\n\n"
    "@dataclasses.dataclass\nclass TestOrder:\n    count: int\n\n\nclass TestRow(NamedTuple):\n    count: int\n\n\n"
    "class TestError(Exception):\n    pass\n\n\n"
    "def test_they_are_what_they_were():\n    assert [kind.name for kind in TestKind] == ['A', 'B']\n"
    "    assert [level.name for level in TestLevel] == ['LOW']\n"
    "    assert [field.name for field in dataclasses.fields(TestOrder)] == ['count']\n"
    "    assert TestRow._fields == ('count',)\n    assert TestOrder(2) == TestOrder(2)\n"
    "    with pytest.raises(TestError):\n        raise TestError\n"
)


def test_classes_that_are_no_tests(tmp_path: Path) -> None:
    write(tmp_path, {"test_a.py": CLASSES})
    before = run(tmp_path)
    assert before.stdout.count("PytestCollectionWarning: cannot collect test class") == 5

    assert remedy(tmp_path, test_classes_collectable, not_collected) == []

    after = run(tmp_path, "-W", "error::pytest.PytestCollectionWarning")
    assert (after.returncode, after.stdout.splitlines()[-1].split(" in ")[0]) == (0, "1 passed")


@pytest.mark.skipif(int(pytest.__version__.split(".")[0]) < 9, reason="pytest 8 ignores [tool.pytest]")
def test_a_stray_table_stops_pytest_even_where_another_file_wins(tmp_path: Path) -> None:
    stray = '[tool.pytest.ini_options]\naddopts = "-q"\n\n[tool.pytest.execution]\nretries = 2\n'
    write(tmp_path, {"pytest.ini": "[pytest]\n", "pyproject.toml": stray, "test_a.py": "def test_a(): ...\n"})

    assert "Cannot use both [tool.pytest]" in run(tmp_path).stderr
