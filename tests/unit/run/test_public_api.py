"""Changes of the public interface are said, read from source alone."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from regreen.public_api import breaking_changes

BEFORE = "import os\nfrom a import b\n\nLIMIT = 1\n\n\ndef f(x, y=1):\n    return x\n\n\nclass C:\n    def m(self):\n        pass\n\n\ndef _p():\n    pass\n"


def reader(text: str) -> Callable[[str], bytes]:
    return lambda _: text.encode()


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("LIMIT = 1\n", "", ["LIMIT: public object was removed"]),
        ("def f(x, y=1)", "def f(x, y)", ["f: parameter is now required"]),
        ("def f(x, y=1)", "def f(x, z=1)", ["f: parameter was removed"]),
        ("    def m(self):\n        pass\n", "    pass\n", ["C.m: public object was removed"]),
        ("def f(x, y=1)", "def f(x: int, y: int = 1) -> int", []),
        ("def f(x, y=1)", "def f(x, y=1, z=2)", []),
        ("from a import b", "from c import b", []),
        ("def _p():", "def _q():", []),
        ("import os\n", "", []),
        ("    return x\n", "    return x + 1\n", []),
    ],
)
def test_what_is_said(old: str, new: str, said: list[str]) -> None:
    assert old in BEFORE

    found = breaking_changes(reader(BEFORE), {"pkg/mod.py": BEFORE.replace(old, new).encode()}, "code.cure")

    assert [change.text for change in found] == said
    assert all((change.path, change.remedy) == ("pkg/mod.py", "code.cure") for change in found)


@pytest.mark.parametrize(("path", "said"), [("pkg/__init__.py", ["b: the re-export was removed"]), ("pkg/mod.py", [])])
def test_a_re_export_of_a_package_is_interface(path: str, said: list[str]) -> None:
    found = breaking_changes(reader(BEFORE), {path: BEFORE.replace("from a import b\n", "").encode()}, "code.cure")

    assert [change.text for change in found] == said


def test_a_definition_that_became_an_import_is_still_there() -> None:
    after = BEFORE.replace("LIMIT = 1\n", "from settings import LIMIT\n")

    assert breaking_changes(reader(BEFORE), {"pkg/mod.py": after.encode()}, "code.cure") == ()


@pytest.mark.parametrize("path", ["tests/helper.py", "pkg/test_x.py", "conftest.py", "pkg/README.md"])
def test_tests_and_other_files_have_no_interface(path: str) -> None:
    assert breaking_changes(reader(BEFORE), {path: b""}, "code.cure") == ()


def test_what_does_not_parse_is_left_to_others() -> None:
    assert breaking_changes(reader("def f(:\n"), {"a.py": b"x = 1\n"}, "code.cure") == ()
    assert breaking_changes(reader(BEFORE), {"a.py": b"def f(:\n"}, "code.cure") == ()


def test_an_encoding_is_honoured() -> None:
    latin = "# -*- coding: latin-1 -*-\nNAME = 'é'\n".encode("latin-1")

    found = breaking_changes(lambda _: latin, {"a.py": latin.replace(b"NAME", b"OTHER")}, "code.cure")

    assert [change.name for change in found] == ["NAME"]
