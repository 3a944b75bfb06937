"""Which pytest a project runs, as its files say."""

from __future__ import annotations

import pytest

from regreen.facts.source import MemoryTree, survey
from regreen.facts.source.pytest_version import RELEASES, PytestVersions
from regreen.policy import Policy

NEWEST = str(RELEASES[-1])


def versions(files: dict[str, str]) -> tuple[str, str]:
    found = PytestVersions.of(survey(MemoryTree(files), [], Policy()).index)
    return str(found.runs), str(found.oldest)


@pytest.mark.parametrize(
    ("files", "runs", "oldest"),
    [
        ({}, NEWEST, "6.2.5"),
        ({"requirements.txt": "pytest\n"}, NEWEST, "6.2.5"),
        ({"requirements.txt": "pytest==8.3.4\n"}, "8.3.4", "8.3.4"),
        ({"requirements-dev.txt": "pytest>=8,<9\n"}, "8.4.2", "8.0.2"),
        ({"requirements.txt": "pytest<9.1\n"}, "9.0.3", "6.2.5"),
        ({"pyproject.toml": '[project]\nname = "x"\n[dependency-groups]\ntest = ["pytest>=9.0.2"]\n'}, NEWEST, "9.0.2"),
        ({"pyproject.toml": '[tool.poetry.group.dev.dependencies]\npytest = "^8.1"\n'}, "8.4.2", "8.1.2"),
        ({"uv.lock": '[[package]]\nname = "pytest"\nversion = "9.0.2"\n'}, "9.0.2", "9.0.2"),
        ({"requirements.txt": "pytest>=7\n", "poetry.lock": '[[package]]\nname = "pytest"\nversion = "8.4.1"\n'}, "8.4.1", "7.0.1"),
        ({"requirements.txt": "pytest-asyncio==1.0\n"}, NEWEST, "6.2.5"),
    ],
)  # fmt: skip
def test_what_runs(files: dict[str, str], runs: str, oldest: str) -> None:
    assert versions(files) == (runs, oldest)
