"""Edits of pytest's configuration: what pytest reads afterwards, and every other line as it was."""

from __future__ import annotations

import tomllib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from checks.code import markers_registered
from regreen.facts.source import MemoryTree, OverlayTree, survey
from regreen.facts.source.pytest_config import load
from regreen.model import compose
from regreen.policy import Policy
from remedies.code import register_marker

TEST = "import pytest\n\npytestmark = [pytest.mark.alpha, pytest.mark.beta]\n\n\ndef test_a():\n    assert f()\n"
WORDS = st.sampled_from(["a: one", "b(x): it's two; no: three", "c", "d: ü", "e: [not] a list, # nor a comment"])
INI_LINES = st.sampled_from(
    ["; note\n", "# note\n", "\n", "addopts = -q\n", "xfail_strict: true\n", "testpaths =\n    t\n    u\n"]
)


@st.composite
def ini(draw: st.DrawFn) -> str:
    """An ini file with a pytest section, in many layouts."""
    before = list(dict.fromkeys(draw(st.lists(INI_LINES, max_size=2))))
    after = [line for line in dict.fromkeys(draw(st.lists(INI_LINES, max_size=3))) if line not in before]
    words = draw(st.lists(WORDS, unique=True, max_size=3))
    indent = draw(st.sampled_from(["    ", "  ", "\t"]))
    inline = draw(st.booleans()) and bool(words)
    first = f"markers = {words[0]}\n" if inline else "markers =\n"
    rows = [first, *(f"{indent}{word}\n" for word in words[1 if inline else 0 :])] if words else []
    tail = draw(st.sampled_from(["", "\n[other]\nmarkers = no\n"]))
    text = "".join(["[pytest]\n", *before, *rows, *after, tail])
    return text if tail or draw(st.booleans()) else text.rstrip("\n")


@st.composite
def toml(draw: st.DrawFn) -> str:
    """A pyproject with a pytest table, in many layouts."""
    words = [
        f'"{word}"' if draw(st.booleans()) else f"'{word}'" for word in draw(st.lists(WORDS, unique=True, max_size=3))
    ]
    words = [f'"{word[1:-1]}"' if word.count("'") > 2 else word for word in words]
    layout = draw(st.sampled_from(["none", "line", "lines", "comma", "tight"]))
    lists = {
        "none": "",
        "line": f"markers = [{', '.join(words)}]\n",
        "lines": "markers = [\n" + ",\n".join(f"  {word}" for word in words) + ("\n" if words else "") + "]\n",
        "comma": "markers = [  # ours\n" + "".join(f"\t{word},  # ] one\n" for word in words) + "]  # end\n",
        "tight": "markers = [" + ",\n".join(words) + "]\n",
    }
    table = draw(st.sampled_from(["[tool.pytest.ini_options]", "[tool.pytest]"]))
    tail = draw(st.sampled_from(["", '\n[tool.other]\nmarkers = ["no"]\n']))
    return f'[project]\nname = "x"  # é\n\n{table}\nxfail_strict = true\n{lists[layout]}{tail}'


def registered(path: str, text: str) -> tuple[str, tuple[str, ...]]:
    """The file after the remedy, and the names that pytest finds in it."""
    tree = MemoryTree({path: text, "test_a.py": TEST})
    result = survey(tree, [markers_registered], Policy())
    proposal = register_marker.propose(result.diagnosis.verdicts[0].findings, result.index, Policy())
    assert not proposal.refusals
    edits, waiting = compose(tree, proposal.changes)
    assert not waiting
    after = OverlayTree(tree, dict(edits))
    config = load(after, path)
    assert config is not None
    assert config.error == ""
    assert survey(after, [markers_registered], Policy()).diagnosis.verdicts[0].findings == ()
    return after.read(path).decode(), config.markers


def kept(before: str, after: str) -> bool:
    """Whether the new text holds the old one's lines, in order (a comma may have been added to one)."""
    lines = iter(line.replace(",", "") for line in after.splitlines())
    return all(any(line.replace(",", "").rstrip("]") in other for other in lines) for line in before.splitlines())


@settings(max_examples=60, deadline=None)
@given(text=ini())
def test_ini_files_keep_their_lines(text: str) -> None:
    before = load(MemoryTree({"pytest.ini": text}), "pytest.ini")
    assert before is not None
    after, names = registered("pytest.ini", text)

    assert names == (*before.markers, "alpha", "beta")
    assert kept(text, after)
    assert "\n    alpha: tests in test_a.py\n" in after.replace("\t", "    ").replace("\n  alpha", "\n    alpha")


@settings(max_examples=60, deadline=None)
@given(text=toml())
def test_toml_files_keep_their_lines(text: str) -> None:
    before = load(MemoryTree({"pyproject.toml": text}), "pyproject.toml")
    assert before is not None
    after, names = registered("pyproject.toml", text)

    assert names == (*before.markers, "alpha", "beta")
    assert kept(text, after)
    old, new = tomllib.loads(text), tomllib.loads(after)
    for document in (old, new):
        table = document["tool"]["pytest"]
        (table.get("ini_options", table)).pop("markers", None)
    assert old == new


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_line_ends_stay(newline: str) -> None:
    after, _ = registered("pytest.ini", "[pytest]\nmarkers =\n    a: b\n".replace("\n", newline))

    assert after.count("\r\n") == (after.count("\n") if newline == "\r\n" else 0)
    assert after.count("\n") == 5
