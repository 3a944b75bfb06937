"""One file configures pytest, and pytest can read it.

The first file with pytest configuration wins (`pytest.toml`, `.pytest.toml`, `pytest.ini`, `.pytest.ini`,
`pyproject.toml`, `tox.ini`, `setup.cfg`); what stands in the others does nothing, although it looks as if it did.
A table such as `[tool.pytest.execution]` next to `[tool.pytest.ini_options]` keeps pytest 9 from starting at all, even
where another file wins: `[tool.pytest]` is native configuration there. An ini file with a duplicate key stops every
version. A file in a folder of tests is read instead of the root's when only that folder is run.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from regreen.facts.source import Index, Interests
from regreen.facts.source.pytest_config import ConfigFile, Configuration
from regreen.facts.source.testcode import SAMPLES
from regreen.model import Example, Finding, Severity, Span, Verdict
from regreen.policy import Policy

ID: Final = "code.pytest-config-unique"
VERSION: Final = 1
SEVERITY: Final = Severity.ERROR
SOURCE: Final = "https://docs.pytest.org/en/stable/reference/customize.html#configuration-file-formats"
INTERESTS: Final = Interests()

_TEST: Final = {"tests/test_a.py": "def test_a():\n    assert f()\n"}
_OPTIONS: Final = '[tool.pytest.ini_options]\naddopts = "-q"\n'

EXAMPLES: Final = (
    Example("pytest.ini beats pyproject", {"pytest.ini": "[pytest]\n", "pyproject.toml": _OPTIONS, **_TEST}, fires=1),
    Example("an empty pytest.ini wins", {"pytest.ini": "", "setup.cfg": "[tool:pytest]\naddopts = -q\n", **_TEST}, fires=1),
    Example("three files", {
        ".pytest.ini": "[pytest]\n", "tox.ini": "[pytest]\naddopts = -q\n", "pyproject.toml": _OPTIONS, **_TEST,
    }, fires=2),
    Example("a stray table", {"pyproject.toml": _OPTIONS + "[tool.pytest.execution]\nparallel = true\n", **_TEST}, fires=1),
    Example("a stray table alone", {"pyproject.toml": "[tool.pytest.execution]\nparallel = true\n", **_TEST}, fires=1),
    Example("both tables", {"pyproject.toml": _OPTIONS + '[tool.pytest]\naddopts = ["-q"]\n', **_TEST}, fires=1),
    Example("a duplicate key", {"pytest.ini": "[pytest]\naddopts = -q\naddopts = -v\n", **_TEST}, fires=1),
    Example("not valid TOML", {"pyproject.toml": "[tool.pytest.ini_options\n", **_TEST}, fires=1),
    Example("[pytest] in setup.cfg", {"setup.cfg": "[pytest]\naddopts = -q\n", **_TEST}, fires=1),
    Example("a marker twice", {"pytest.ini": "[pytest]\nmarkers =\n    slow: long\n    slow: longer\n", **_TEST}, fires=1),
    Example("a file among the tests", {
        "pytest.ini": "[pytest]\n", "tests/pytest.ini": "[pytest]\naddopts = -x\n", **_TEST,
    }, fires=1),
    Example("one file", {"pyproject.toml": _OPTIONS, "setup.cfg": "[metadata]\nname = a\n", "tox.ini": "[tox]\n", **_TEST}),
    Example("native tables", {"pyproject.toml": '[tool.pytest]\naddopts = ["-q"]\n', **_TEST}),
    Example("no file", _TEST),
    Example("a project of its own below", {
        "pytest.ini": "[pytest]\n", "sub/pyproject.toml": "[project]\nname = 'sub'\n" + _OPTIONS,
        "sub/tests/test_a.py": _TEST["tests/test_a.py"],
    }),
    Example("nested files without one in the root", {
        "a/pytest.ini": "[pytest]\n", "b/pytest.ini": "[pytest]\n", "a/test_a.py": _TEST["tests/test_a.py"],
    }),
    Example("a broken tox.ini without [pytest]", {"tox.ini": "[tox]\nx\n", "pytest.ini": "[pytest]\n", **_TEST}),
    Example("sample files of other tests", {
        "pytest.ini": "[pytest]\n", "tests/data/pytest.ini": "[pytest]\nx\n", "tests/data/test_a.py": "", **_TEST,
    }),
)  # fmt: skip


def judge(index: Index, policy: Policy) -> Verdict:
    """One finding per file that loses, that pytest cannot read, or that says something twice."""
    configuration = Configuration.of(index)
    tested = _tested(index, configuration)
    findings: list[Finding] = []
    for file in configuration.files:
        if not SAMPLES.isdisjoint(file.folder.split("/")) or (file.folder and file.folder not in tested):
            continue
        if file.error:
            findings.append(_finding(file, "error", file.error_line, file.error, "a file that pytest can read"))
            continue
        winner = configuration.beside(file.folder)[0]
        findings += _tables(file)
        if winner is not file:
            findings.append(
                _finding(
                    file,
                    "loses",
                    file.lines.get("", 0),
                    f"pytest reads {winner.path}; {file.section} of {file.path} does nothing",
                    f"pytest configuration in {winner.path} alone",
                    Severity.WARNING,
                    winner.path,
                )
            )
        else:
            findings += _repeated(file)
            if (
                file.folder
                and not _DOCS & set(file.folder.split("/"))
                and configuration.root is not None
                and _no_project(file, index)
            ):
                findings.append(
                    _finding(
                        file,
                        "nested",
                        file.lines.get("", 0),
                        f"read instead of {configuration.root.path} when only {file.folder}/ is run",
                        f"pytest configuration in {configuration.root.path} alone",
                        Severity.WARNING,
                        configuration.root.path,
                    )
                )
    return Verdict.of(ID, len(configuration.files) + len(index.files), findings)


def _finding(
    file: ConfigFile, kind: str, line: int, observed: str, expected: str,
    severity: Severity = SEVERITY, other: str = "", key: str = "",
) -> Finding:  # fmt: skip
    data = (("kind", kind), ("winner", other), ("key", key))
    subject = f"{file.path}::{key or file.section}" if key or file.section else file.path
    return Finding(
        ID, subject, Span(file.path, line), observed, expected, severity, f"{kind} {file.section} {key}", data
    )


def _tables(file: ConfigFile) -> Iterator[Finding]:
    """What stands under `[tool.pytest]` and is no option of pytest there."""
    for key in file.stray:
        yield _finding(
            file, "stray", file.lines.get("", 0),
            f"[tool.pytest] holds {key!r} next to [tool.pytest.ini_options]: pytest 9 does not start",
            "one of the two tables", key=key,
        )  # fmt: skip
    if file.mode == "toml":
        for key, value in file.values.items():
            if isinstance(value, dict):
                yield _finding(
                    file, "unknown", file.lines.get("", 0),
                    f"{key!r} is a table under {file.section}; pytest has no such option",
                    "options of pytest only", Severity.WARNING, key=key,
                )  # fmt: skip


def _repeated(file: ConfigFile) -> Iterator[Finding]:
    seen: set[str] = set()
    for name in file.markers:
        if name in seen:
            yield _finding(
                file, "repeated", file.lines.get("markers", 0),
                f"the marker {name} is registered more than once", "one line for each marker",
                Severity.WARNING, key=name,
            )  # fmt: skip
        seen.add(name)


_DOCS: Final = {"doc", "docs"}  # kept apart on purpose: examples that are run by another configuration
_METADATA: Final = ("setup.py", "setup.cfg", "pyproject.toml", "tox.ini")


def _no_project(file: ConfigFile, index: Index) -> bool:
    """Whether a nested file stands in a folder that is no project of its own, nor inside of one."""
    folder = file.folder
    while folder:
        if any(index.tree.exists(f"{folder}/{name}") for name in _METADATA):
            return False
        folder = folder.rpartition("/")[0]
    return True


def _tested(index: Index, configuration: Configuration) -> set[str]:
    """Every folder with test modules in or below it."""
    folders: set[str] = set()
    for path, facts in index.files.items():
        folder = path.rpartition("/")[0]
        if facts.tests and folder not in folders and configuration.matches_file(path):
            while folder and folder not in folders:
                folders.add(folder)
                folder = folder.rpartition("/")[0]
    return folders
