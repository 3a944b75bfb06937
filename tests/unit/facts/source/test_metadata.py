"""What the metadata files of a tree declare, in which range, and what is locked."""

from __future__ import annotations

import pytest
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from regreen.facts.source import Index, MemoryTree, survey
from regreen.facts.source.declarations import poetry_range
from regreen.facts.source.distributions import declared, providers
from regreen.facts.source.metadata import locked, metadata, requirement
from regreen.policy import Policy


def tree(files: dict[str, str]) -> Index:
    return survey(MemoryTree(files), [], Policy()).index


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (
            "pyproject.toml",
            '[project]\nname = "x"\ndependencies = ["Websockets[a]>=10,<14 ; python_version > \'3\'"]\n',
        ),
        ("pyproject.toml", '[project]\nname = "x"\n[project.optional-dependencies]\nws = ["websockets>=10,<14"]\n'),
        ("pyproject.toml", '[dependency-groups]\nws = ["websockets>=10,<14", {include-group = "b"}]\nb = []\n'),
        ("pyproject.toml", '[tool.poetry.dependencies]\nwebsockets = ">=10,<14"\n'),
        (
            "pyproject.toml",
            '[tool.poetry.group.dev.dependencies]\nwebsockets = {version = ">=10,<14", optional = true}\n',
        ),
        ("pyproject.toml", '[tool.pdm.dev-dependencies]\na = ["websockets>=10,<14"]\n'),
        ("pyproject.toml", '[tool.hatch.envs.default]\ndependencies = ["websockets>=10,<14"]\n'),
        ("pyproject.toml", '[tool.uv]\ndev-dependencies = ["websockets>=10,<14"]\n'),
        ("setup.cfg", "[options]\ninstall_requires =\n    websockets>=10,<14\n"),
        ("setup.cfg", "[options.extras_require]\nws = websockets>=10,<14\n"),
        ("setup.py", "from setuptools import setup\nWS = ['websockets>=10,<14']\nsetup(install_requires=['a'] + WS)\n"),
        (
            "setup.py",
            "import setuptools\nE = {}\nE['ws'] = ['websockets>=10,<14']\nsetuptools.setup(extras_require=E)\n",
        ),
        ("requirements.txt", "websockets>=10,<14  # why\n"),
        ("requirements-dev.txt", "websockets >=10, <14 --hash=sha256:0\n"),
        ("requirements/base.in", "websockets>=10,\\\n<14\n"),
        ("environment.yml", "name: x\ndependencies:\n  - python=3.11\n  - pip:\n    - websockets>=10,<14\n"),
        ("Pipfile", '[dev-packages]\nwebsockets = ">=10,<14"\n'),
        ("tox.ini", "[testenv:py]\ndeps =\n    py311: websockets>=10,<14\n    -rx.txt\n"),
    ],
)
def test_a_range_is_found_wherever_it_is_declared(path: str, text: str) -> None:
    assert requirement(tree({path: text}), "websockets") == SpecifierSet(">=10,<14")


def test_includes_are_followed_and_constraints_narrow_without_declaring() -> None:
    files = {"requirements.txt": "-r more/ws.lst\n-c constraints.txt\n", "more/ws.lst": "websockets\n"}
    both = tree({**files, "constraints.txt": "websockets<14\nredis<5\n"})

    assert requirement(tree(files), "websockets") == SpecifierSet()
    assert requirement(both, "websockets") == SpecifierSet("<14")
    assert requirement(both, "redis") is None


def test_the_closest_project_decides_and_contradictions_say_nothing() -> None:
    found = tree(
        {
            "a/requirements.txt": "websockets==12.0\n",
            "b/requirements.txt": "websockets>=14\n",
            "requirements.txt": "redis>=5\n",
            "requirements-old.txt": "redis<4\n",
        }
    )

    assert requirement(found, "websockets", "a/x/y.py") == SpecifierSet("==12.0")
    assert requirement(found, "websockets", "b/y.py") == SpecifierSet(">=14")
    assert requirement(found, "websockets") == SpecifierSet()
    assert requirement(found, "redis", "a/x.py") == SpecifierSet()
    assert requirement(found, "httpx") is None


def test_a_lock_gives_the_version_but_not_the_range() -> None:
    found = tree(
        {
            "pyproject.toml": '[project]\nname = "x"\ndependencies = ["websockets>=10"]\n',
            "uv.lock": '[[package]]\nname = "websockets"\nversion = "15.0.1"\n[[package]]\nname = "idna"\nversion = "3"\n',
        }
    )

    assert requirement(found, "websockets") == SpecifierSet(">=10")
    assert locked(found, "websockets") == Version("15.0.1")
    assert requirement(found, "idna") is None
    assert "idna" not in metadata(found).names


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("from setuptools import setup\nsetup(install_requires=read())\n", "computed"),
        ("from setuptools import setup\nsetup(**values)\n", "computed"),
        ("setup(\n", "cannot be parsed"),
    ],
)
def test_metadata_that_is_computed_is_opaque(text: str, reason: str) -> None:
    assert [item.group for item in metadata(tree({"setup.py": text})).opaque] == [reason]


def test_metadata_that_is_read_from_a_requirements_file_is_not_opaque() -> None:
    text = "from setuptools import setup\nsetup(install_requires=open('requirements.txt').read().split())\n"

    found = metadata(tree({"setup.py": text, "requirements.txt": "redis\n"}))

    assert found.opaque == ()
    assert found.names == {"redis"}


def test_a_project_is_known_by_its_own_name() -> None:
    found = metadata(
        tree({"pyproject.toml": '[project]\nname = "My.App"\n', "a/setup.cfg": "[metadata]\nname = other_app\n"})
    )

    assert found.own == {"my-app", "other-app"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("^1.2.3", ">=1.2.3,<2"),
        ("^0.2.3", ">=0.2.3,<0.3"),
        ("^0.0.3", ">=0.0.3,<0.0.4"),
        ("^1", ">=1,<2"),
        ("~1.2.3", ">=1.2.3,<1.3"),
        ("~1", ">=1,<2"),
        ("*", ""),
        ("1.2", "==1.2"),
        (">=1,<2", ">=1,<2"),
        ("~=1.2", "~=1.2"),
        ("^1 || ^2", ""),
    ],
)
def test_poetry_ranges(text: str, expected: str) -> None:
    assert SpecifierSet(poetry_range(text)) == SpecifierSet(expected)


@pytest.mark.parametrize(
    ("name", "names", "expected"),
    [
        ("yaml", {"pyyaml"}, "pyyaml"),
        ("cv2", {"opencv-python-headless"}, "opencv-python-headless"),
        ("sklearn.svm", {"scikit-learn"}, "scikit-learn"),
        ("google.cloud.bigquery", {"google-cloud-bigquery"}, "google-cloud-bigquery"),
        ("google.cloud.bigquery", {"google-cloud-storage"}, ""),
        ("foo_bar.baz", {"foo-bar"}, "foo-bar"),
        ("slugify", {"python-slugify"}, "python-slugify"),
        ("redis", {"redis-om"}, ""),
        ("yaml", {"ruamel-yaml"}, ""),
    ],
)
def test_the_distribution_behind_an_import(name: str, names: set[str], expected: str) -> None:
    assert declared(name, names) == expected


def test_the_usual_distribution_comes_first() -> None:
    assert providers("PIL.Image") == ("pillow",)
    assert providers("google.protobuf.message") == ("protobuf",)
    assert providers("nobody_knows") == ()
