"""A loosened assertion lets a break through that the old one noticed."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from regreen.mutants import mutants
from regreen.mutants.command import run
from tests.unit.run.toys import everything, git, repository, write

FILES = {
    "shop.py": "def total(prices):\n    result = 0\n    for price in prices:\n        result = result + price\n    return result\n",
    "tests/test_shop.py": "from shop import total\n\n\ndef test_total():\n    assert total([1, 2]) == 3\n",
    "conftest.py": "",
}


def changed(folder: Path, assertion: str) -> Path:
    target = repository(folder, FILES)
    write(target, {"tests/test_shop.py": FILES["tests/test_shop.py"].replace("total([1, 2]) == 3", assertion)})
    git(target, "commit", "-qam", "change")
    return target


def test_a_break_that_only_the_old_test_noticed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = changed(tmp_path / "t", "total([1, 2]) is not None")
    found = everything(target)

    assert run(target, "HEAD~1", "HEAD", Path(sys.executable)) == 1

    said = capsys.readouterr().out
    assert "survives  shop.py:4: `result + price` became `(result) - (price)`" in said
    assert "noticed before by tests/test_shop.py::test_total" in said
    assert "3 breaks on the lines of 1 changed tests: 3 noticed before, 1 now, 2 new survivors" in said
    assert everything(target) == found


def test_a_stronger_test_passes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = changed(tmp_path / "t", "(total([1, 2]), total([])) == (3, 0)")

    assert run(target, "HEAD~1", "HEAD", Path(sys.executable)) == 0
    assert "3 noticed before, 3 now, 0 new survivors" in capsys.readouterr().out


def test_nothing_changed_and_nothing_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = repository(tmp_path / "t", FILES)

    assert run(target, "HEAD", "HEAD", Path(sys.executable)) == 0
    assert "no test that is on both sides was changed" in capsys.readouterr().out
    assert run(target, "none", "HEAD", Path(sys.executable)) == 2
    assert "none: there is no such revision" in capsys.readouterr().err


def test_every_mutant_parses_and_differs() -> None:
    source = b"def f(a, b):\n    if a < b and not a:\n        return a * 2\n    return True\n"
    found = list(mutants("a.py", source, range(1, 10)))

    assert {(item.line, item.new) for item in found} == {
        (2, "(a < b) or (not a)"), (2, "(a) <= (b)"), (2, "bool(a)"), (3, "None"), (3, "(a) / (2)"), (3, "(2 + 1)"),
        (4, "None"), (4, "False"),
    }  # fmt: skip
    assert all(item.content != source for item in found)
    for item in found:
        compile(item.content, "a.py", "exec")
    assert list(mutants("a.py", b"def (", [1])) == []
