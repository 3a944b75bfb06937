"""Make an unknown mark stop the collection, by the setting that the project's pytest obeys.

`addopts = --strict-markers` up to pytest 8.4 and from 9.1; `strict_markers = true` where only 9 is admitted, where
9.0.2 or 9.0.3 runs (they ignore the option in addopts), and in native TOML tables, which only 9 reads. Never both:
8.4 warns of it. Refused while marks are used unregistered at import, as the collection would stop at them, and where
`strict_markers = false` was somebody's decision.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from regreen.facts.source import Index
from regreen.facts.source.markers import Markers
from regreen.facts.source.pytest_config import ConfigFile
from regreen.model import Change, Example, Finding, Proposal, Refusal, Risk, Safety, Splice, Undo
from regreen.policy import Policy
from remedies.pytest_config.edit import ConfigText, UneditableError

ID: Final = "code.enable-strict-markers"
CHECK: Final = "code.strict-markers-effective"
SAFETY: Final = Safety.SAFE
UNDO: Final = Undo.EXACT
RISK: Final = Risk.LOW

_EVIDENCE: Final = "tried with pytest 7.4 to 9.2; https://github.com/pytest-dev/pytest/issues/14442"
_OPTION: Final = "--strict-markers"
_FLAG: Final = re.compile(r"\s*(?<![\w-])--strict(?:-markers)?(?![\w-])")


def propose(findings: Sequence[Finding], index: Index, policy: Policy) -> Proposal:
    """One change per configuration file."""
    markers = Markers.of(index, CHECK)
    changes: list[Change] = []
    refusals: list[Refusal] = []
    for finding in findings:
        path, setting = finding.get("config"), finding.get("setting")
        config = next((file for file in markers.configuration.files if file.path == path), None)
        open_names = [
            name
            for (file, name), uses in markers.unregistered().items()
            if file == path and any(use.early for use in uses)
        ]
        try:
            if open_names:
                raise UneditableError(f"marks are used that are not registered: {', '.join(open_names)}")
            splices: tuple[Splice, ...] = ()
            creates: tuple[tuple[str, bytes], ...] = ()
            if config is None:
                creates = (("pytest.ini", b"[pytest]\naddopts = --strict-markers\n"),)
                if index.tree.exists("pyproject.toml"):
                    raise UneditableError("the project has no pytest configuration yet")
            else:
                splices = tuple(_edit(ConfigText(index, config), config, setting))
        except UneditableError as error:
            decide = f"register or correct what is open, then set `{setting}` in {path or 'a pytest.ini'}"
            refusals.append(Refusal(ID, finding.fingerprint, finding.subject, finding.where, str(error), decide))
            continue
        changes.append(
            Change(
                ID, finding.subject, f"{path or 'pytest.ini'}: {setting}", (finding.fingerprint,), splices, creates,
                evidence=_EVIDENCE,
            )
        )  # fmt: skip
    return Proposal(tuple(changes), tuple(refusals))


def _edit(text: ConfigText, config: ConfigFile, setting: str) -> list[Splice]:
    if config.error:
        raise UneditableError(f"pytest cannot read the file: {config.error}")
    if config.flag("strict_markers") is False or config.flag("strict") is False:
        raise UneditableError("`strict_markers` is switched off on purpose")
    if setting.startswith("addopts"):
        return [*_drop(text, config, "strict_markers"), *_option(text, config)]
    return [*_without_option(text, config), text.add_key("strict_markers = true\n")]


def _option(text: ConfigText, config: ConfigFile) -> list[Splice]:
    if "addopts" not in config.values:
        return [text.add_key(f'addopts = "{_OPTION}"\n' if text.is_toml else f"addopts = {_OPTION}\n")]
    if not text.is_toml:
        key = text.key("addopts")
        assert key is not None
        line = text.lines[key.last_line - 1].rstrip("\r\n")
        place = len(line.rstrip())
        gap = "" if line.rstrip().endswith("=") and not key.parts else " "
        return [text.replace(key.last_line, place, place, f"{gap or ' '}{_OPTION}")]
    if isinstance(config.values["addopts"], list):
        return text.add_items("addopts", [_OPTION])
    number = text.toml_line("addopts")
    line = text.lines[number - 1].rstrip() if number else ""
    match = re.match(r"(\s*addopts\s*=\s*)(\"[^\"\\]*\"|'[^']*')", line)
    if number is None or match is None:
        raise UneditableError("`addopts` is written over several lines")
    gap = "" if not match[2][1:-1].strip() else " "
    return [text.replace(number, match.end() - 1, match.end() - 1, f"{gap}{_OPTION}")]


def _without_option(text: ConfigText, config: ConfigFile) -> list[Splice]:
    """Take `--strict-markers` out of addopts, and addopts with it when nothing is left."""
    if _OPTION not in config.words("addopts") and "--strict" not in config.words("addopts"):
        return []
    if len(config.words("addopts")) == 1:
        return _drop(text, config, "addopts")
    if text.is_toml:
        number = text.toml_line("addopts") or 1
        lines = [number]
    else:
        key = text.key("addopts")
        lines = [key.line, *key.lines] if key else []
    for number in lines:
        line = text.lines[number - 1]
        match = _FLAG.search(line)
        if match:
            space = match.start()
            if line[:space].rstrip().endswith(("=", '"', "'")):  # first of several: keep the gap before, not after
                start = match.end() - len(match[0].lstrip())
                end = match.end() + (len(line[match.end() :]) - len(line[match.end() :].lstrip(" ")))
                return [text.replace(number, start, end, "")]
            return [text.replace(number, match.start(), match.end(), "")]
    raise UneditableError("`--strict-markers` was not found in addopts")


def _drop(text: ConfigText, config: ConfigFile, name: str) -> list[Splice]:
    if name not in config.values:
        return []
    if text.is_toml:
        line = text.toml_line(name)
        if line is None or ("[" in text.lines[line - 1].partition("=")[2] and "]" not in text.lines[line - 1]):
            raise UneditableError(f"`{name}` is written over several lines")
        return [text.remove(line, line + 1)]
    key = text.key(name)
    return [text.remove(key.line, key.last_line + 1)] if key else []


_TEST: Final = "import pytest\n\n\n@pytest.mark.slow\ndef test_a():\n    assert f()\n"
_M: Final = "markers = slow\n"


def _to(title: str, path: str, before: str, after: str, requires: str = "", refuses: bool = False) -> Example:
    more = {"test_a.py": _TEST, **({"requirements.txt": requires} if requires else {})}
    return Example(title, {path: before, **more}, {path: after, **more}, refuses)


EXAMPLES: Final = (
    _to("no addopts", "pytest.ini", f"[pytest]\n{_M}", f"[pytest]\n{_M}addopts = --strict-markers\n"),
    _to("after the other options", "pytest.ini", f"[pytest]\naddopts = -ra -q\n{_M}", f"[pytest]\naddopts = -ra -q --strict-markers\n{_M}"),
    _to(
        "options over lines", "tox.ini", f"[pytest]\naddopts =\n    -ra\n    -q\n{_M}",
        f"[pytest]\naddopts =\n    -ra\n    -q --strict-markers\n{_M}",
    ),
    _to(
        "a TOML string", "pyproject.toml", '[tool.pytest.ini_options]\naddopts = "-ra"  # all\nmarkers = ["slow"]\n',
        '[tool.pytest.ini_options]\naddopts = "-ra --strict-markers"  # all\nmarkers = ["slow"]\n',
    ),
    _to(
        "a TOML list", "pyproject.toml", '[tool.pytest.ini_options]\naddopts = ["-ra"]\nmarkers = ["slow"]\n',
        '[tool.pytest.ini_options]\naddopts = ["-ra", "--strict-markers"]\nmarkers = ["slow"]\n',
    ),
    _to(
        "native TOML", "pyproject.toml", '[tool.pytest]\nmarkers = ["slow"]\n', '[tool.pytest]\nstrict_markers = true\nmarkers = ["slow"]\n',
    ),
    _to(
        "9.0.2 ignores the option", "pytest.ini", f"[pytest]\naddopts = -q --strict-markers -x\n{_M}",
        f"[pytest]\naddopts = -q -x\n{_M}strict_markers = true\n", "pytest==9.0.2\n",
    ),
    _to(
        "the option was all of addopts", "pytest.ini", f"[pytest]\naddopts = --strict-markers\n{_M}",
        f"[pytest]\n{_M}strict_markers = true\n", "pytest==9.0.3\n",
    ),
    _to(
        "8.4 does not know the key", "pytest.ini", f"[pytest]\nstrict_markers = true\n{_M}",
        f"[pytest]\n{_M}addopts = --strict-markers\n", "pytest<9\n",
    ),
    _to("only 9 is admitted", "pytest.ini", f"[pytest]\n{_M}", f"[pytest]\n{_M}strict_markers = true\n", "pytest>=9\n"),
    _to("switched off", "pytest.ini", f"[pytest]\nstrict_markers = false\n{_M}", f"[pytest]\nstrict_markers = false\n{_M}", refuses=True),
    _to("an unregistered mark", "pytest.ini", "[pytest]\nmarkers = v3\n", "[pytest]\nmarkers = v3\n", refuses=True),
    _to("strict already", "pytest.ini", f"[pytest]\n{_M}addopts = --strict-markers\n", f"[pytest]\n{_M}addopts = --strict-markers\n"),
)  # fmt: skip
