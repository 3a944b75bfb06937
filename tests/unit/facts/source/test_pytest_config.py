"""Which configuration pytest reads: judged by pytest itself, file by file."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import pytest
from _pytest.config.exceptions import UsageError
from _pytest.config.findpaths import determine_setup

from regreen.facts.source import MemoryTree, survey
from regreen.facts.source.inifile import IniError, parse
from regreen.facts.source.pytest_config import NAMES, Configuration, load, marker_name
from regreen.policy import Policy

NINE = int(pytest.__version__.split(".")[0]) >= 9

#: Contents of each file: none of pytest's, some of it, and what stops pytest.
CONTENTS: dict[str, tuple[str, ...]] = {
    "pytest.toml": ('[pytest]\naddopts = ["-q"]\n', ""),
    ".pytest.toml": ('[pytest]\nmarkers = ["a: b"]\n',),
    "pytest.ini": ("", "[pytest]\naddopts = -q\nmarkers =\n    a: b\n    c\n", "[pytest]\nx = 1\nx = 2\n", "[pytest]\nx\n"),
    ".pytest.ini": ("[pytest]\ntestpaths = t\n",),
    "pyproject.toml": (
        "[project]\nname = 'x'\n",
        '[tool.pytest.ini_options]\naddopts = "-q -x"\nxfail_strict = true\n',
        '[tool.pytest]\naddopts = ["-q"]\n',
        '[tool.pytest.execution]\nretries = 2\n',
    ),
    "tox.ini": ("[tox]\nenvlist = py\n", "[pytest]\naddopts = -v\n"),
    "setup.cfg": ("[metadata]\nname = x\n", "[tool:pytest]\naddopts = -s\n"),
}  # fmt: skip
TREES = [
    pytest.param({first: one, second: two}, id=f"{first} {a}, {second} {b}")
    for first, second in combinations(NAMES, 2)
    for a, one in enumerate(CONTENTS[first])
    for b, two in enumerate(CONTENTS[second])
]


def configuration(files: dict[str, str]) -> Configuration:
    tree = MemoryTree(files)
    return Configuration.of(survey(tree, [], Policy()).index)


@pytest.mark.skipif(not NINE, reason="pytest 8 knows neither native TOML nor pytest.toml")
@pytest.mark.parametrize("files", TREES)
def test_the_file_that_pytest_chooses(files: dict[str, str], tmp_path: Path) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    root = configuration(files).root

    try:
        _, chosen, values, *_ = determine_setup(
            inifile=None, override_ini=None, args=[str(tmp_path)], rootdir_cmd_arg=None, invocation_dir=tmp_path
        )
    except UsageError:
        assert any(load(MemoryTree(files), name) and load(MemoryTree(files), name).error for name in files)  # type: ignore[union-attr]
        return

    said = {key: getattr(value, "value", value) for key, value in values.items()}
    if root is None:
        assert said == {}
    else:
        assert chosen is not None
        assert root.path == chosen.name
        assert dict(root.values) == said


@pytest.mark.parametrize(
    ("name", "text", "error"),
    [
        ("pytest.ini", "[pytest]\nx = 1\nx = 2\n", "duplicate key 'x' (first on line 2)"),
        ("pytest.ini", "[pytest]\n[pytest]\n", "duplicate section 'pytest'"),
        ("pytest.ini", "x = 1\n", "a key before any section"),
        (
            "setup.cfg",
            "[pytest]\nx = 1\n",
            "[pytest] in setup.cfg is an error since pytest 4: the section is [tool:pytest]",
        ),
        ("pytest.toml", 'addopts = "-q"\n', "options outside of the [pytest] table: addopts"),
        ("pytest.ini", b"[pytest]\n\xff\n", "not UTF-8 text"),
    ],
)
def test_files_that_stop_pytest(name: str, text: str | bytes, error: str) -> None:
    file = load(MemoryTree({name: text}), name)

    assert file is not None
    assert file.error == error


def test_invalid_toml_names_its_line() -> None:
    file = load(MemoryTree({"pyproject.toml": "[tool.pytest.ini_options]\naddopts = \n"}), "pyproject.toml")

    assert file is not None
    assert file.error_line == 2


def test_nested_files_govern_where_the_root_has_none() -> None:
    files = {
        "a/pytest.ini": "[pytest]\npython_files = check_*.py\n",
        "a/b/check_x.py": "",
        "c/check_x.py": "",
        "c/test_x.py": "",
    }
    known = configuration(files)

    assert known.root is None
    assert [known.matches_file(path) for path in ("a/b/check_x.py", "c/check_x.py", "c/test_x.py")] == [
        True,
        False,
        True,
    ]


def test_patterns_are_prefixes_or_globs() -> None:
    known = configuration(
        {"pytest.ini": "[pytest]\npython_classes = Test* *Tests Check\npython_functions = it_* *_spec\n"}
    )

    classes = {name: known.matches_class("test_a.py", name) for name in ("TestA", "ATests", "CheckA", "A", "MyCheck")}
    functions = {name: known.matches_function("test_a.py", name) for name in ("it_works", "a_spec", "test_a", "it")}
    assert classes == {"TestA": True, "ATests": True, "CheckA": True, "A": False, "MyCheck": False}
    assert functions == {"it_works": True, "a_spec": True, "test_a": False, "it": False}


@pytest.mark.parametrize(
    ("pattern", "path", "expected"),
    [
        ("tests/*.py", "tests/x.py", True),
        ("tests/*.py", "sub/tests/x.py", True),
        ("tests/*.py", "mytests/x.py", False),
        ("*.txt", "a.txt", False),
        ("[ab]*.py", "src/bee.py", True),
    ],
)
def test_file_patterns(pattern: str, path: str, expected: bool) -> None:
    assert configuration({"pytest.ini": f"[pytest]\npython_files = {pattern}\n"}).matches_file(path) is expected


@pytest.mark.parametrize(
    ("line", "name"), [("slow: long", "slow"), ("slow(why): long", "slow"), ("slow", "slow"), ("a : b", "a")]
)
def test_the_name_in_a_marker_line(line: str, name: str) -> None:
    assert marker_name(line) == name


def test_ini_values_keep_their_lines() -> None:
    key = parse("# head\n[pytest]\nmarkers =\n    a: b\n; no\n\n    c: d\naddopts: -q\n")["pytest"].keys["markers"]

    assert (key.parts, key.lines, key.line, key.last_line) == (("a: b", "c: d"), (4, 7), 3, 7)


def test_an_ini_line_that_is_nothing() -> None:
    with pytest.raises(IniError, match="neither a section nor a key") as caught:
        parse("[pytest]\nnothing\n")
    assert caught.value.line == 2
