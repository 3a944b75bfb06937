"""Register the marks that a suite uses in the configuration file that pytest reads.

The description says what the mark is used for: the words of a file that loses, where one registers it; a well-known
meaning; else where its tests are. Comments and layout of the file stay. Without any configuration a `pytest.ini` is
made, or a table in `pyproject.toml` where there is one. A misspelt name is never registered: that would keep the error.
"""

from __future__ import annotations

import posixpath
from collections.abc import Sequence
from typing import Final

from regreen.facts.source import Index
from regreen.facts.source.markers import Markers, Use
from regreen.facts.source.pytest_config import ConfigFile, Configuration, marker_name
from regreen.model import Change, Example, Finding, Proposal, Refusal, Risk, Safety, Splice, Undo
from regreen.policy import Policy
from remedies.pytest_config.edit import MARKERS, ConfigText, UneditableError

ID: Final = "code.register-marker"
CHECK: Final = "code.markers-registered"
SAFETY: Final = Safety.SAFE
UNDO: Final = Undo.EXACT
RISK: Final = Risk.LOW

_EVIDENCE: Final = "pytest warns of marks that are not registered (https://docs.pytest.org/en/stable/how-to/mark.html)"
_MEANINGS: Final = {
    "unit": "one part by itself, no services", "integration": "several parts together; needs their services",
    "e2e": "end to end, through the whole system", "slow": "takes long", "fast": "takes milliseconds",
    "smoke": "would a demo work", "mock": "services are replaced by stand-ins", "mocked": "services are replaced by stand-ins",
    "performance": "measures speed", "load": "many requests at once", "stress": "more load than is promised",
    "network": "needs the network", "database": "needs the database", "db": "needs the database", "gpu": "needs a GPU",
    "security": "what an attacker would try", "regression": "a fault that must not come back",
    "acceptance": "what the customer signed", "nightly": "runs at night", "manual": "is started by hand",
}  # fmt: skip


def propose(findings: Sequence[Finding], index: Index, policy: Policy) -> Proposal:
    """One change per name; one for all where a key or a file has to be made."""
    markers = Markers.of(index, CHECK)
    configuration = markers.configuration
    changes: list[Change] = []
    refusals: list[Refusal] = []
    groups: dict[str, list[Finding]] = {}
    for finding in findings:
        groups.setdefault(finding.get("config"), []).append(finding)
    for path, group in groups.items():
        group.sort(key=lambda finding: finding.get("name"))
        config = next((file for file in configuration.files if file.path == path), None)
        lines = {f.fingerprint: _line(f.get("name"), markers.uses.get(f.get("name"), []), configuration) for f in group}
        try:
            if config is None:
                changes.append(_create(group, lines, index))
            elif config.error:
                raise UneditableError(f"{path} cannot be read by pytest: {config.error}")
            else:
                changes += _extend(group, lines, ConfigText(index, config), config)
        except UneditableError as error:
            refusals += [
                Refusal(ID, f.fingerprint, f.subject, f.where, str(error), f"register `{lines[f.fingerprint]}` by hand")
                for f in group
            ]
    return Proposal(tuple(changes), tuple(refusals))


def _extend(group: Sequence[Finding], lines: dict[str, str], text: ConfigText, config: ConfigFile) -> list[Change]:
    if not config.markers:  # a list is made, or its first element: the others would need a comma before them
        splices = text.add_items(MARKERS, list(lines.values()))
        return [_change(group, lines, config.path, tuple(splices))]
    return [
        _change([finding], lines, config.path, tuple(text.add_items(MARKERS, [lines[finding.fingerprint]])))
        for finding in group
    ]


def _change(
    group: Sequence[Finding], lines: dict[str, str], path: str, splices: tuple[Splice, ...],
    creates: tuple[tuple[str, bytes], ...] = (),
) -> Change:  # fmt: skip
    names = ", ".join(finding.get("name") for finding in group)
    subject = group[0].subject if len(group) == 1 else path
    return Change(
        ID, subject, f"{names}: registered in {path}", tuple(finding.fingerprint for finding in group),
        splices, creates, evidence=_EVIDENCE,
    )  # fmt: skip


def _create(group: Sequence[Finding], lines: dict[str, str], index: Index) -> Change:
    if not index.tree.exists("pyproject.toml"):
        body = "[pytest]\nmarkers =\n" + "".join(f"    {line}\n" for line in lines.values())
        return _change(group, lines, "pytest.ini", (), (("pytest.ini", body.encode()),))
    text = ConfigText(index, ConfigFile("pyproject.toml", "[tool.pytest.ini_options]"))
    gap = "\n" if text.text.strip() and not text.text.endswith("\n\n") else ""
    body = "".join(f'    "{line}",\n' for line in lines.values())
    splice = text.insert(len(text.lines) + 1, f"{gap}[tool.pytest.ini_options]\nmarkers = [\n{body}]\n")
    return _change(group, lines, "pyproject.toml", (splice,))


def _line(name: str, uses: Sequence[Use], configuration: Configuration) -> str:
    for file in configuration.files:
        for line in file.text_lines(MARKERS):
            if marker_name(line) == name and line.partition(":")[2].strip():
                return line
    return f"{name}: {_MEANINGS.get(name.lower()) or _places(uses)}"


def _places(uses: Sequence[Use]) -> str:
    paths = sorted({use.file.path for use in uses})
    if not paths:
        return "selected by addopts"
    if len(paths) <= 2:
        return f"tests in {' and '.join(paths)}"
    folder = posixpath.commonpath([posixpath.dirname(path) or "." for path in paths])
    return f"tests in {len(paths)} files" + (f" under {folder}" if folder not in ("", ".") else "")


_SLOW: Final = "import pytest\n\n\n@pytest.mark.slow\ndef test_a():\n    assert f()\n"
_TWO: Final = "import pytest\n\npytestmark = [pytest.mark.slow, pytest.mark.v3]\n\n\ndef test_a():\n    assert f()\n"
_INI: Final = "# ours\n[pytest]\naddopts = -q\nmarkers =\n    e2e: all of it\n; more\n"


def _to(title: str, path: str, before: str, after: str, test: str = _SLOW) -> Example:
    return Example(title, {path: before, "test_a.py": test}, {path: after, "test_a.py": test})


EXAMPLES: Final = (
    _to("into the list of pytest.ini", "pytest.ini", _INI, _INI.replace("it\n;", "it\n    slow: takes long\n;")),
    _to(
        "two names", "pytest.ini", _INI,
        _INI.replace("it\n;", "it\n    slow: takes long\n    v3: tests in test_a.py\n;"), _TWO,
    ),
    _to("no list yet", "pytest.ini", "[pytest]\naddopts = -q\n", "[pytest]\naddopts = -q\nmarkers =\n    slow: takes long\n"),
    _to("an empty file", "pytest.ini", "", "[pytest]\nmarkers =\n    slow: takes long\n"),
    _to("no line end", "tox.ini", "[pytest]\nmarkers = a: b", "[pytest]\nmarkers = a: b\n    slow: takes long\n"),
    _to(
        "a section before others", "setup.cfg", "[tool:pytest]\nmarkers =\n  a: b\n\n[metadata]\nname = x\n",
        "[tool:pytest]\nmarkers =\n  a: b\n  slow: takes long\n\n[metadata]\nname = x\n",
    ),
    _to(
        "a TOML list over lines", "pyproject.toml", '[tool.pytest.ini_options]\nmarkers = [\n  "a: b",  # one\n  "c]: d"\n]\n',
        '[tool.pytest.ini_options]\nmarkers = [\n  "a: b",  # one\n  "c]: d",\n  "slow: takes long",\n]\n',
    ),
    _to("a TOML list in a line", "pyproject.toml", '[tool.pytest]\nmarkers = ["a: b"]\n', '[tool.pytest]\nmarkers = ["a: b", "slow: takes long"]\n'),
    _to("an empty TOML list", "pytest.toml", "[pytest]\nmarkers = []\n", '[pytest]\nmarkers = ["slow: takes long"]\n'),
    _to(
        "a table without a list", "pyproject.toml", '[tool.pytest.ini_options]\naddopts = "-q"\n\n[tool.x]\n',
        '[tool.pytest.ini_options]\nmarkers = [\n    "slow: takes long",\n    "v3: tests in test_a.py",\n]\naddopts = "-q"\n\n[tool.x]\n', _TWO,
    ),
    Example(
        "no configuration", {"test_a.py": _SLOW}, {"test_a.py": _SLOW, "pytest.ini": "[pytest]\nmarkers =\n    slow: takes long\n"},
    ),
    _to(
        "a project without pytest's table", "pyproject.toml", '[project]\nname = "x"\n',
        '[project]\nname = "x"\n\n[tool.pytest.ini_options]\nmarkers = [\n    "slow: takes long",\n]\n',
    ),
    Example(
        "the words of the file that loses",
        {"pytest.ini": "[pytest]\nmarkers =\n", "setup.cfg": "[tool:pytest]\nmarkers = slow: a minute\n", "test_a.py": _SLOW},
        {
            "pytest.ini": "[pytest]\nmarkers =\n    slow: a minute\n", "setup.cfg": "[tool:pytest]\nmarkers = slow: a minute\n",
            "test_a.py": _SLOW,
        },
    ),
    Example(
        "a string instead of a list",
        {"pyproject.toml": '[tool.pytest.ini_options]\nmarkers = """\na: b\n"""\n', "test_a.py": _SLOW},
        {"pyproject.toml": '[tool.pytest.ini_options]\nmarkers = """\na: b\n"""\n', "test_a.py": _SLOW}, refuses=True,
    ),
    Example(
        "a file that pytest cannot read", {"pytest.ini": "[pytest]\nx\n", "test_a.py": _SLOW},
        {"pytest.ini": "[pytest]\nx\n", "test_a.py": _SLOW}, refuses=True,
    ),
    _to("registered already", "pytest.ini", "[pytest]\nmarkers = slow\n", "[pytest]\nmarkers = slow\n"),
    _to("misspelt", "pytest.ini", "[pytest]\nmarkers = slows\n", "[pytest]\nmarkers = slows\n"),
)  # fmt: skip
