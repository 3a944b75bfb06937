"""Strict marks are switched on in a way that the project's pytest obeys.

`addopts = --strict-markers` works in pytest 6.2 to 8.4 and from 9.1, and is silently ignored by 9.0.2 and 9.0.3
(pytest issue 14442); `strict_markers = true` works from 9.0 and means nothing before; both together warn on 8.4.
`filterwarnings = error` turns an unknown mark into an error as well. What stands in a file that loses has no effect.
Only suites that use marks of their own are judged. A command line elsewhere in the tree that passes the option
(`tox.ini`, a workflow, a Makefile) counts, as the team evidently runs it.
"""

from __future__ import annotations

import re
from typing import Final

from packaging.version import Version

from regreen.facts.source import Index
from regreen.facts.source.markers import INTERESTS as MARKERS
from regreen.facts.source.markers import Markers
from regreen.facts.source.pytest_config import ConfigFile
from regreen.facts.source.pytest_version import STRICT_ADDOPTS_IGNORED, PytestVersions
from regreen.facts.source.testcode import SAMPLES, Suite
from regreen.model import Example, Finding, Severity, Span, Verdict
from regreen.policy import Policy

ID: Final = "code.strict-markers-effective"
VERSION: Final = 2
SEVERITY: Final = Severity.WARNING
SOURCE: Final = "https://github.com/pytest-dev/pytest/issues/14442"
INTERESTS: Final = MARKERS

_NINE: Final = Version("9.0.0")
_COMMANDS: Final = frozenset(
    {
        "tox.ini", "noxfile.py", "Makefile", "makefile", "justfile", "tasks.py", "Taskfile.yml", "Taskfile.yaml",
        ".gitlab-ci.yml",
    }
)  # fmt: skip
_FLAG: Final = re.compile(r"(?<![\w-])--strict(?:-markers)?(?![\w-])")

_TEST: Final = {"test_a.py": "import pytest\n\n\n@pytest.mark.slow\ndef test_a():\n    assert f()\n"}
_MARKERS: Final = "[pytest]\nmarkers = slow\n"

EXAMPLES: Final = (
    Example("not strict", {"pytest.ini": _MARKERS, **_TEST}, fires=1),
    Example("no configuration", _TEST, fires=1),
    Example("ignored by 9.0.2", {
        "pytest.ini": _MARKERS + "addopts = --strict-markers\n", "requirements.txt": "pytest==9.0.2\n", **_TEST,
    }, fires=1),
    Example("at most 9.0", {
        "pytest.ini": _MARKERS + "addopts = --strict-markers\n", "requirements.txt": "pytest>=8,<9.1\n", **_TEST,
    }, fires=1),
    Example("not yet known to 8.4", {
        "pytest.ini": _MARKERS + "strict_markers = true\n", "requirements.txt": "pytest<9  # later\n", **_TEST,
    }, fires=1),
    Example("in the file that loses", {
        "pytest.ini": _MARKERS, "setup.cfg": "[tool:pytest]\naddopts = --strict-markers\n", **_TEST,
    }, fires=1),
    Example("switched off", {"pytest.ini": _MARKERS + "strict_markers = false\naddopts = --strict-markers\n", **_TEST}, fires=1),
    Example("addopts", {"pytest.ini": _MARKERS + "addopts = -q --strict-markers\n", **_TEST}),
    Example("addopts with 8.4", {
        "pytest.ini": _MARKERS + "addopts = --strict-markers\n", "requirements.txt": "pytest==8.4.2\n", **_TEST,
    }),
    Example("native", {"pyproject.toml": '[tool.pytest]\nstrict_markers = true\nmarkers = ["slow"]\n', **_TEST}),
    Example("strict of 9", {"pytest.ini": _MARKERS + "strict = true\n", **_TEST}),
    Example("warnings are errors", {"pytest.ini": _MARKERS + "filterwarnings = error\n", **_TEST}),
    Example("on a command line", {"pytest.ini": _MARKERS, "tox.ini": "[testenv]\ncommands = pytest --strict-markers\n", **_TEST}),
    Example("no marks of its own", {"test_a.py": "import pytest\n\n\n@pytest.mark.skip\ndef test_a():\n    assert f()\n"}),
)  # fmt: skip


def judge(index: Index, policy: Policy) -> Verdict:
    """One finding per configuration under which an unknown mark passes."""
    markers = Markers.of(index, ID)
    if not Suite.of(index).functions:
        return Verdict.of(ID, 0, ())
    used = {use.file.path for uses in markers.uses.values() for use in uses}
    configs: dict[str, ConfigFile | None] = {}
    for path in sorted(used):
        if SAMPLES.isdisjoint(path.split("/")):
            config = markers.configuration.governing(path)
            configs[config.path if config else ""] = config
    if not configs:
        return Verdict.of(ID, len(index.files), (), "the suite uses no marks of its own")
    versions = PytestVersions.of(index)
    note = f"judged for pytest {versions.runs}" + (f" ({versions.source})" if versions.source else "")
    findings = []
    for path, config in configs.items():
        fault, line = _fault(config, versions)
        if not fault or (fault == _ABSENT and _commanded(index)):
            continue
        setting = wanted(config, versions)
        findings.append(
            Finding(
                ID,
                f"{path}::markers" if path else "pytest.ini",
                Span(path or "pytest.ini", line),
                fault,
                f"`{setting}`, so that an unknown mark stops the collection",
                SEVERITY,
                fault,
                (("config", path), ("setting", setting)),
            )
        )
    return Verdict.of(ID, len(index.files), findings, note)


_ABSENT: Final = "an unknown mark is a warning among warnings: nothing makes marks strict"


def _fault(config: ConfigFile | None, versions: PytestVersions) -> tuple[str, int]:
    """Why unknown marks pass under a configuration, and the line to look at; an empty text where they do not."""
    if config is None:
        return _ABSENT, 0
    for line in config.text_lines("filterwarnings"):
        action, _, rest = line.strip().partition(":")
        if action == "error" and (not rest.strip(":") or "UnknownMark" in rest):
            return "", 0
    ini = config.flag("strict_markers")
    if ini is None:
        ini = config.flag("strict")
    option = any(word in ("--strict-markers", "--strict") for word in config.words("addopts"))
    if ini is False:
        return "`strict_markers` is switched off", config.lines.get("strict_markers", 0)
    if ini:
        if versions.runs < _NINE and not option:
            return f"pytest {versions.runs} does not know `strict_markers`", config.lines.get("strict_markers", 0)
        return "", 0
    if option:
        if versions.runs in STRICT_ADDOPTS_IGNORED:
            text = f"pytest {versions.runs} silently ignores `--strict-markers` in addopts"
            return text, config.lines.get("addopts", 0)
        return "", 0
    return _ABSENT, config.lines.get("", 0)


def wanted(config: ConfigFile | None, versions: PytestVersions) -> str:
    """The setting that the project's pytest obeys: only one of the two, as both together warn on 8.4."""
    if config is not None and config.mode == "toml":
        return "strict_markers = true"
    if versions.oldest >= _NINE or versions.runs in STRICT_ADDOPTS_IGNORED:
        return "strict_markers = true"
    return "addopts = --strict-markers"


def _commanded(index: Index) -> bool:
    for path in index.tree.paths():
        if path.rpartition("/")[2] in _COMMANDS or path.startswith(".github/workflows/"):
            try:
                text = index.tree.read(path).decode("utf-8", "replace")
            except OSError:
                continue
            if any("pytest" in line and _FLAG.search(line) for line in text.splitlines()):
                return True
    return False
