"""What is put on `sys.path`, evaluated without running anything."""

from __future__ import annotations

import ast

import pytest

from regreen.facts.source.pathedits import UNKNOWN, edits, place

FILE = "tests/unit/conftest.py"


@pytest.mark.parametrize(
    ("text", "folder"),
    [
        ("import sys, os\nsys.path.insert(0, os.path.dirname(__file__))", "tests/unit"),
        ("sys.path.insert(0, os.path.abspath(os.path.join(os.path.dirname(__file__), '..', 'src')))", "tests/src"),
        ("sys.path.append(str(Path(__file__).resolve().parent.parent.parent / 'src'))", "src"),
        ("sys.path.append(str(Path(__file__).parents[2]))", ""),
        ("ROOT = Path(__file__).parent.parent\nsys.path.insert(0, f'{ROOT}/lib')", "tests/lib"),
        ("sys.path.insert(0, os.getcwd())", ""),
        ("sys.path.insert(0, 'lib')", "lib"),
        ("sys.path[:0] = ['lib']", "lib"),
        ("sys.path += ['lib']", "lib"),
        ("sys.path = [os.path.dirname(__file__)] + sys.path", "tests/unit"),
        ("sys.path.extend(['lib'])", "lib"),
        ("import site\nsite.addsitedir('lib')", "lib"),
        ("def f(monkeypatch):\n    monkeypatch.syspath_prepend('lib')", "lib"),
        ("sys.path.insert(0, Path.cwd().joinpath('a', 'b').as_posix())", "a/b"),
    ],
)
def test_a_folder_of_the_tree(text: str, folder: str) -> None:
    assert [place(edit, FILE) for edit in edits(ast.parse(text), text.encode())] == [folder]


@pytest.mark.parametrize(
    "text",
    [
        "sys.path.insert(0, where())",
        "sys.path.insert(0, os.environ['HOME'])",
        "sys.path.append(sys.argv[1])",
        "sys.path.insert(0, '/opt/app')",
        "sys.path.append('../../..')",
        "for p in paths:\n    sys.path.append(p)",
    ],
)
def test_a_folder_that_cannot_be_told_or_is_outside(text: str) -> None:
    assert [place(edit, FILE) for edit in edits(ast.parse(text), text.encode())] == [None]


@pytest.mark.parametrize(
    "text", ["print(sys.path)", "x.path.append('a')", "os.path.join('a')", "items.append('a')", "sys.path.remove('a')"]
)
def test_no_edit(text: str) -> None:
    assert edits(ast.parse(text), text.encode()) == []


def test_a_computed_folder_is_unknown() -> None:
    assert edits(ast.parse("sys.path.insert(0, f(x))"), b"sys.path.insert(0, f(x))") == [UNKNOWN]
