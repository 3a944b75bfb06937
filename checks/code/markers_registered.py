"""Every custom mark is registered in the configuration that pytest reads.

An unregistered mark is a warning, and a collection error as soon as marks are strict; a misspelt one silently selects
nothing with `-m`. Registered are the names in `markers =` of the one file that pytest reads, those added by
`config.addinivalue_line("markers", …)`, pytest's own and those of widely used plugins. A name in a configuration file
that loses is not registered. A name that is a misspelling of a registered one is `code.markers-spelled`'s to report.
"""

from __future__ import annotations

from typing import Final

from regreen.facts.source import Index
from regreen.facts.source.markers import INTERESTS as MARKERS
from regreen.facts.source.markers import KNOWN, Markers, selected
from regreen.model import Example, Finding, Severity, Span, Verdict
from regreen.policy import Policy

ID: Final = "code.markers-registered"
VERSION: Final = 3
SEVERITY: Final = Severity.WARNING
SOURCE: Final = "https://docs.pytest.org/en/stable/how-to/mark.html"
INTERESTS: Final = MARKERS

_SLOW: Final = "import pytest\n\n\n@pytest.mark.slow\ndef test_a():\n    assert f()\n"

EXAMPLES: Final = (
    Example("no configuration at all", {"test_a.py": _SLOW}, fires=1),
    Example("registered in the file that loses", {
        "test_a.py": _SLOW, "pytest.ini": "[pytest]\n",
        "pyproject.toml": '[tool.pytest.ini_options]\nmarkers = ["slow: long"]\n',
    }, fires=1),
    Example("pytestmark, pytest.param and a class", {
        "test_a.py": "import pytest as p\n\npytestmark = [p.mark.e2e]\n\n\n@p.mark.tier0\nclass TestA:\n"
        "    @p.mark.parametrize('x', [p.param(1, marks=p.mark.v3)])\n    def test_a(self, x):\n        assert x\n",
    }, fires=3),
    Example("imported from pytest", {"test_a.py": "from pytest import mark\n\n\n@mark.slow()\ndef test_a(): ...\n"}, fires=1),
    Example("selected by addopts only", {
        "test_a.py": "def test_a():\n    assert f()\n",
        "pytest.ini": "[pytest]\naddopts = -m 'not e2e and not slow'\nmarkers =\n    slow: long\n",
    }, fires=1),
    Example("used in two files is one finding", {"test_a.py": _SLOW, "test_b.py": _SLOW}, fires=1),
    Example("registered in pytest.ini", {"test_a.py": _SLOW, "pytest.ini": "[pytest]\nmarkers =\n    slow(why): long\n"}),
    Example("registered natively", {"test_a.py": _SLOW, "pyproject.toml": '[tool.pytest]\nmarkers = ["slow"]\n'}),
    Example("registered by conftest", {
        "test_a.py": _SLOW,
        "conftest.py": "def pytest_configure(config):\n    config.addinivalue_line('markers', 'slow: long')\n",
    }),
    Example("registered in a loop", {
        "test_a.py": _SLOW,
        "conftest.py": "def pytest_configure(config):\n    for line in ('slow: long', 'e2e: all'):\n"
        "        config.addinivalue_line('markers', line)\n",
    }),
    Example("pytest's own and a plugin's", {
        "test_a.py": "import pytest\n\n\n@pytest.mark.asyncio\n@pytest.mark.skip\nasync def test_a(): ...\n",
    }),
    Example("another object called mark", {"test_a.py": "import pytest\n\n\ndef test_a(mark):\n    assert mark.slow\n"}),
    Example("a mark in a string", {"test_a.py": "import pytest\n\nTEXT = 'pytest.mark.slow'\n"}),
    Example("a misspelling is not registered", {
        "test_a.py": "import pytest\n\n\n@pytest.mark.integraton\ndef test_a(): ...\n",
        "pytest.ini": "[pytest]\nmarkers = integration\n",
    }),
    Example("a nested project's own file", {
        "a/test_a.py": _SLOW, "a/pytest.ini": "[pytest]\nmarkers = slow: long\n", "pytest.ini": "[pytest]\n",
    }),
)  # fmt: skip


def judge(index: Index, policy: Policy) -> Verdict:
    """One finding per unregistered name and configuration file."""
    markers = Markers.of(index, ID)
    findings = []
    reported: set[tuple[str, str]] = set()
    for (config, name), uses in markers.unregistered().items():
        reported.add((config, name))
        if markers.misspelt(name, uses):
            continue
        first = uses[0]
        count = sum(use.count for use in uses)
        findings.append(
            Finding(
                ID,
                f"{config or 'pytest.ini'}::{name}",
                index.span(first.file, first.position),
                f"pytest.mark.{name} is used {_times(count)} in {_files(len(uses))} and registered nowhere",
                f"`{name}` in `markers` of {config}" if config else f"`{name}` in `markers` of a pytest configuration",
                SEVERITY,
                f"pytest.mark.{name}",
                (("name", name), ("config", config), ("count", str(count)), ("files", str(len(uses)))),
            )
        )
    for file in markers.configuration.files:
        if file is not markers.configuration.nearest(file.path):
            continue
        for name in selected(file):
            if name in KNOWN or name in markers.names(file.path) or (file.path, name) in reported:
                continue
            findings.append(
                Finding(
                    ID,
                    f"{file.path}::{name}",
                    Span(file.path, file.lines.get("addopts", 0)),
                    f"addopts selects by the mark {name}, which is registered nowhere",
                    f"`{name}` in `markers` of {file.path}",
                    SEVERITY,
                    f"-m {name}",
                    (("name", name), ("config", file.path), ("count", "0"), ("files", "0")),
                )
            )
    return Verdict.of(ID, len(index.files), findings)


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _files(count: int) -> str:
    return "one file" if count == 1 else f"{count} files"
