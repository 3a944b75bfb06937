"""One more requirement in lists of every layout: nothing else changes."""

from __future__ import annotations

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checks.code import dependencies_declared
from regreen.facts.source import MemoryTree, survey
from regreen.model import Safety, splice
from regreen.policy import Policy
from remedies.code import declare_dependency
from remedies.declaring.text import UneditableError, in_requirements, in_setup_cfg, in_toml_list, in_toml_table

LOCK = '[[package]]\nname = "pyyaml"\nversion = "6.0.1"\n'
NAMES = st.lists(st.sampled_from(["attrs", "b[x]>=2", "é; x=='#'", "six<2", "zope.x"]), max_size=4, unique=True)
COMMENTS = st.sampled_from(["", '  # why, ] "or" not', "#"])


@given(
    NAMES,
    st.sampled_from(["", "  ", "\t"]),
    COMMENTS,
    st.booleans(),
    st.booleans(),
    st.sampled_from(["\n", "\r\n"]),
    COMMENTS,
)
def test_a_toml_list_gains_one_element_and_loses_nothing(
    names: list[str], indent: str, comment: str, lines: bool, comma: bool, newline: str, tail: str
) -> None:
    quoted = [f'"{name}"' for name in names]
    if lines:
        inner = [f"{indent}{item}{',' if comma or item != quoted[-1] else ''}{comment}\n" for item in quoted]
        array = "[\n" + "".join(inner) + "]"
    else:
        array = f"[{', '.join(quoted)}{', ' if comma and quoted else ''}]"
    text = f'[project]\nname = "x"\ndependencies = {array}{tail}\n[tool.x]\ny = ["pyyaml"]\n'.replace("\n", newline)
    before = text.encode()

    after = splice(before, in_toml_list("pyproject.toml", before, ("project", "dependencies"), "pyyaml"))

    old, new = (tomllib.loads(source.decode().replace("\r\n", "\n")) for source in (before, after))
    assert sorted(new["project"]["dependencies"]) == sorted([*names, "pyyaml"])
    new["project"]["dependencies"].remove("pyyaml")
    assert new == old
    assert _kept(before.decode(), after.decode())


def _kept(before: str, after: str) -> bool:
    """Whether every character of the first text stands in the second, in order. The blanks of an empty list may go."""
    rest = iter(after)
    return all(char in rest for char in before if not char.isspace())


def test_comments_in_an_empty_list_stay() -> None:
    source = b"[project]\ndependencies = [\n  # none [yet]\n]\n"
    assert splice(source, in_toml_list("p.toml", source, ("project", "dependencies"), "pyyaml")) == (
        b'[project]\ndependencies = ["pyyaml",\n  # none [yet]\n]\n'
    )


def test_a_table_in_place_of_the_list_is_refused() -> None:
    source = b'[project]\ndependencies.x = ["a"]\n'
    with pytest.raises(UneditableError, match="unusual"):
        in_toml_list("pyproject.toml", source, ("project", "dependencies"), "pyyaml")


def test_the_place_in_a_sorted_requirements_file_keeps_comments_with_their_line() -> None:
    source = b"# head\r\nattrs\r\n# of six\r\nsix\r\n"
    assert splice(source, [in_requirements("r.txt", source, "pyyaml")]) == (
        b"# head\r\nattrs\r\npyyaml\r\n# of six\r\nsix\r\n"
    )


def test_an_empty_requirements_file() -> None:
    assert splice(b"", [in_requirements("r.txt", b"", "pyyaml")]) == b"pyyaml\n"


def test_a_requirements_file_in_another_encoding_is_refused() -> None:
    with pytest.raises(UneditableError, match="not UTF-8"):
        in_requirements("r.txt", "six\n".encode("utf-16"), "pyyaml")


def test_a_setup_cfg_list_in_one_line_is_refused() -> None:
    with pytest.raises(UneditableError, match="no list of lines"):
        in_setup_cfg("setup.cfg", b"[options]\ninstall_requires = six\n", "options", "install_requires", "pyyaml")


def test_a_dotted_poetry_table_is_refused() -> None:
    source = b'[tool.poetry]\ndependencies.six = "1"\n'
    with pytest.raises(UneditableError, match="no table of its own"):
        in_toml_table("pyproject.toml", source, ("tool", "poetry", "dependencies"), "pyyaml")


@pytest.mark.parametrize(
    ("files", "safety"),
    [
        ({"pyproject.toml": '[project]\nname = "x"\ndependencies = ["six"]\n', "uv.lock": LOCK}, Safety.UNSAFE),
        ({"requirements.txt": "six\n", "uv.lock": LOCK}, Safety.SAFE),
        ({"requirements.txt": "six\n"}, Safety.UNSAFE),
    ],
)
def test_an_edit_that_makes_a_lock_stale_is_unsafe_and_says_how_to_renew_it(
    files: dict[str, str], safety: Safety
) -> None:
    tree = MemoryTree({**files, "a.py": "import yaml\n"})
    known = survey(tree, [dependencies_declared], Policy())

    (change,) = declare_dependency.propose(known.diagnosis.verdicts[0].findings, known.index, Policy()).changes

    assert change.safety is safety
    assert ("`uv lock`" in change.evidence) == ("pyproject.toml" in files)
