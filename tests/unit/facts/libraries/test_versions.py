"""On which side of a release the declared version is."""

from __future__ import annotations

import pytest

from regreen.facts.libraries.versions import Side, declared, side
from regreen.facts.source import Index, MemoryTree, survey
from regreen.policy import Policy


def index(**files: str) -> Index:
    tree = MemoryTree({"a.py": "", **{name.replace("_", "."): text for name, text in files.items()}})
    return survey(tree, [], Policy()).index


@pytest.mark.parametrize(
    ("requirement", "expected"),
    [
        ("websockets>=14", Side.SINCE),
        ("websockets>=14.0,<16", Side.SINCE),
        ("websockets==14.*", Side.SINCE),
        ("websockets~=14.1", Side.SINCE),
        ("websockets==13.1", Side.BEFORE),
        ("websockets<14", Side.BEFORE),
        ("websockets~=13.0", Side.BEFORE),
        ("websockets>=10,!=11.0,<14", Side.BEFORE),
        ("websockets>=13", Side.EITHER),
        ("websockets<=14", Side.EITHER),
        ("websockets!=14", Side.EITHER),
        ("websockets>=13.1,<14.1", Side.EITHER),
        ("websockets", Side.OPEN),
        ("other", Side.OPEN),
    ],
)
def test_side(requirement: str, expected: Side) -> None:
    assert side(index(requirements_txt=requirement), "websockets", "14") is expected


def test_a_lock_chooses() -> None:
    lock = '[[package]]\nname = "websockets"\nversion = "13.1"\n'
    found = index(requirements_txt="websockets>=10\n", uv_lock=lock)

    assert side(found, "websockets", "14") is Side.BEFORE
    assert declared(found, "websockets") == "websockets 13.1"


def test_words_for_people() -> None:
    assert declared(index(requirements_txt="websockets>=10"), "websockets") == "websockets >=10"
    assert declared(index(requirements_txt="websockets"), "websockets") == "any version of websockets"
    assert declared(index(), "websockets") == "no declared version of websockets"
