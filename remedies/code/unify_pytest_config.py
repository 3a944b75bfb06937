"""Leave one file that configures pytest: take out what another file shadows.

What stands in a file that loses has no effect, so taking it out changes no run; but it may be what somebody wanted.
Only what the winner says as well, or what could not matter, goes: equal values, markers (those that the winner lacks
are moved there), strictness (`code.strict-markers-effective` asks for it), `norecursedirs` that match nothing below
`testpaths`. Any other difference is refused and named. A table such as `[tool.pytest.execution]`, which no version of
pytest reads and which keeps 9 from starting, goes unless code of the tree reads it. A marker line that is there twice
goes once.
"""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Final

from regreen.facts.source import Index
from regreen.facts.source.pytest_config import ALWAYS, ConfigFile, Configuration, marker_name
from regreen.model import Change, Example, Finding, Proposal, Refusal, Risk, Safety, Splice, Undo
from regreen.policy import Policy
from remedies.pytest_config.edit import MARKERS, ConfigText, UneditableError

ID: Final = "code.unify-pytest-config"
CHECK: Final = "code.pytest-config-unique"
SAFETY: Final = Safety.SAFE
UNDO: Final = Undo.EXACT
RISK: Final = Risk.LOW

_EVIDENCE: Final = "pytest reads one file: https://docs.pytest.org/en/stable/reference/customize.html"
_STRICT: Final = frozenset({"--strict-markers", "--strict", "--strict-config"})
_DEFAULTS: Final = {
    "python_files": ("test_*.py", "*_test.py"), "python_classes": ("Test",), "python_functions": ("test",),
}  # fmt: skip
_LOADERS: Final = frozenset({"tomllib", "tomli", "toml", "tomlkit", "rtoml"})


def propose(findings: Sequence[Finding], index: Index, policy: Policy) -> Proposal:
    """One change or one refusal for each finding."""
    configuration = Configuration.of(index)
    files = {file.path: file for file in configuration.files}
    changes: list[Change] = []
    refusals: list[Refusal] = []
    for finding in findings:
        file = files[finding.path]
        kind = finding.get("kind")
        decide = "decide what is meant, and keep it in one file"
        try:
            if kind == "loses":
                winner = files[finding.get("winner")]
                splices, summary = _shadowed(index, file, winner)
                decide = f"move what is meant to {winner.path}"
            elif kind in ("stray", "unknown"):
                splices, summary = _stray(index, file, finding.get("key"))
            elif kind == "repeated":
                splices, summary = _repeated(index, file, finding.get("key"))
            else:
                raise UneditableError(finding.observed)
        except UneditableError as error:
            refusals.append(Refusal(ID, finding.fingerprint, finding.subject, finding.where, str(error), decide))
            continue
        changes.append(Change(ID, finding.subject, summary, (finding.fingerprint,), tuple(splices), evidence=_EVIDENCE))
    return Proposal(tuple(changes), tuple(refusals))


def _shadowed(index: Index, loser: ConfigFile, winner: ConfigFile) -> tuple[list[Splice], str]:
    if loser.name in ALWAYS:
        raise UneditableError(f"{loser.name} is read even when it is empty; only deleting it helps")
    if winner.error:
        raise UneditableError(f"{winner.path}, which wins, cannot be read by pytest")
    differences = [text for key in loser.values if (text := _difference(index, key, loser, winner))]
    if differences:
        raise UneditableError(f"{loser.path} says what {winner.path} does not: {'; '.join(differences)}")
    known = set(winner.markers)
    missing = [line for line in loser.text_lines(MARKERS) if marker_name(line) not in known]
    splices = ConfigText(index, winner).add_items(MARKERS, missing) if missing else []
    shadowed = ConfigText(index, loser)
    block = shadowed.block(loser.section)
    if block is None:
        raise UneditableError(f"{loser.section} has no header of its own in {loser.path}")
    moved = f"; {len(missing)} markers moved to {winner.path}" if missing else ""
    return [*splices, shadowed.remove(*block)], f"{loser.section} of {loser.path}, which nothing reads, is gone{moved}"


def _difference(index: Index, key: str, loser: ConfigFile, winner: ConfigFile) -> str:
    """What the loser's key would change, in words; empty where it is said already, or cannot matter."""
    if key in (MARKERS, "strict_markers", "strict", "strict_config"):
        return ""
    mine, theirs = loser.words(key), winner.words(key)
    if key == "addopts":
        more = [word for word in mine if word not in theirs and word not in _STRICT]
        return f"addopts {' '.join(more)}" if more else ""
    if key in winner.values:
        same = mine == theirs or loser.values[key] == winner.values[key]
        return "" if same else f"{key} {' '.join(mine)} (there {' '.join(theirs)})"
    if mine == _DEFAULTS.get(key):
        return ""
    if key == "norecursedirs" and winner.words("testpaths"):
        roots = tuple(f"{path.strip('./')}/" for path in winner.words("testpaths"))
        parts = {part for path in index.files if path.startswith(roots) for part in path.split("/")[1:-1]}
        if not any(fnmatchcase(part, pattern) for part in parts for pattern in mine):
            return ""
    return f"{key} {' '.join(mine) or loser.values[key]}"


def _stray(index: Index, file: ConfigFile, key: str) -> tuple[list[Splice], str]:
    text = ConfigText(index, file)
    prefix = "pytest" if file.name in ALWAYS else "tool.pytest"
    block = text.block(f"[{prefix}.{key}]")
    if block is None:
        raise UneditableError(f"{key!r} is an option of its own under [{prefix}], beside [{prefix}.ini_options]")
    for path, facts in index.files.items():
        if any((item.module or item.names[0][0]).split(".")[0] in _LOADERS for item in facts.imports):
            try:
                source = index.tree.read(path)
            except OSError:
                continue
            if key.encode() in source and b"pytest" in source:
                raise UneditableError(f"{path} may read [{prefix}.{key}]")
    return [text.remove(*block)], f"[{prefix}.{key}], which pytest never read, is gone"


def _repeated(index: Index, file: ConfigFile, name: str) -> tuple[list[Splice], str]:
    lines = [line for line in file.text_lines(MARKERS) if marker_name(line) == name]
    if len(set(lines)) > 1:
        raise UneditableError(f"the lines differ: {' / '.join(lines)}")
    text = ConfigText(index, file)
    if text.is_toml:
        raise UneditableError("the list is TOML, which is not edited here")
    key = text.key(MARKERS)
    assert key is not None
    places = [n for part, n in zip(key.parts, key.lines, strict=True) if marker_name(part) == name]
    return [text.remove(n, n + 1) for n in places[1:]], f"the marker {name} is registered once"


_TEST: Final = {"tests/test_a.py": "def test_a():\n    assert f()\n"}
_PLAIN: Final = "[pytest]\naddopts = -q\ntestpaths = tests\nmarkers =\n    slow: long\n"
_PROJECT: Final = '[project]\nname = "x"\n\n'


def _to(title: str, before: dict[str, str], after: dict[str, str], refuses: bool = False) -> Example:
    return Example(title, {**before, **_TEST}, {**before, **after, **_TEST}, refuses)


EXAMPLES: Final = (
    _to(
        "said already", {"pytest.ini": _PLAIN, "setup.cfg": "[metadata]\nname = x\n\n[tool:pytest]\ntestpaths = tests\n\n[flake8]\n"},
        {"setup.cfg": "[metadata]\nname = x\n\n[flake8]\n"},
    ),
    _to(
        "markers move, strictness goes",
        {
            "pytest.ini": _PLAIN,
            "pyproject.toml": _PROJECT + '[tool.pytest.ini_options]\naddopts = "-q --strict-markers"\nmarkers = [\n    "e2e: all",\n]\n\n[tool.x]\n',
        },
        {"pytest.ini": _PLAIN + "    e2e: all\n", "pyproject.toml": _PROJECT + "[tool.x]\n"},
    ),
    _to(
        "a folder that is not below testpaths", {"pytest.ini": _PLAIN, "setup.cfg": "[tool:pytest]\nnorecursedirs = web\n"}, {"setup.cfg": ""},
    ),
    _to(
        "a stray table", {"pyproject.toml": '[tool.pytest.ini_options]\naddopts = "-q"\n\n[tool.pytest.execution]\nretries = 2\n\n[tool.x]\n'},
        {"pyproject.toml": '[tool.pytest.ini_options]\naddopts = "-q"\n\n[tool.x]\n'},
    ),
    _to(
        "a marker twice", {"pytest.ini": "[pytest]\nmarkers =\n    a: b\n    slow: long\n    a: b\n"},
        {"pytest.ini": "[pytest]\nmarkers =\n    a: b\n    slow: long\n"},
    ),
    _to("another option", {"pytest.ini": _PLAIN, "tox.ini": "[pytest]\naddopts = -x\n"}, {}, refuses=True),
    _to("another value", {"pytest.ini": _PLAIN, "tox.ini": "[pytest]\ntestpaths = t\n"}, {}, refuses=True),
    _to("the empty file wins", {"pytest.ini": "", "tox.ini": "[pytest]\nasyncio_mode = auto\n"}, {}, refuses=True),
    _to("a file that is read even when empty", {"pytest.ini": "[pytest]\n", ".pytest.ini": "[pytest]\n"}, {}, refuses=True),
    _to(
        "code reads the table",
        {
            "pyproject.toml": '[tool.pytest.ini_options]\naddopts = "-q"\n\n[tool.pytest.execution]\nretries = 2\n',
            "run.py": "import tomllib\n\nprint(tomllib.load(f)['tool']['pytest']['execution'])\n",
        },
        {}, refuses=True,
    ),
    _to("a marker twice with two meanings", {"pytest.ini": "[pytest]\nmarkers =\n    a: b\n    a: c\n"}, {}, refuses=True),
    _to("a file that cannot be read", {"pytest.ini": "[pytest]\nx\n"}, {}, refuses=True),
    _to("one file", {"pytest.ini": _PLAIN}, {}),
)  # fmt: skip
