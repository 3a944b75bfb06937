"""Declare the distribution that an import needs, in the metadata file that governs the importing files.

Only where the name is certain: a distribution is rarely called as its module is, and a guessed name may be somebody else's
package. It is safe where a lock file already holds it (it is installed anyway) and stays valid, else unsafe: poetry.lock,
uv.lock and pdm.lock are checked against pyproject.toml, so after an edit of it `uv sync --locked` and `poetry install` fail until
the lock is made again, which needs an index. Where several distributions bring the module, a person chooses. The entry goes into `[project].dependencies`, Poetry's table, setup.cfg or a requirements
file, or into the test group when only tests import it. Files that a tool makes from others are left alone.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

from regreen.facts.source import Index
from regreen.facts.source.distributions import providers
from regreen.facts.source.metadata import Metadata, metadata
from regreen.model import Change, Example, Finding, Proposal, Refusal, Risk, Safety, Splice, Undo
from regreen.policy import Policy
from regreen.tomlsource import SourceError, load
from remedies.declaring.text import (
    UneditableError,
    compiled,
    decoded,
    in_requirements,
    in_setup_cfg,
    in_toml_list,
    in_toml_table,
    pinned,
)

ID: Final = "code.declare-dependency"
CHECK: Final = "code.dependencies-declared"
SAFETY: Final = Safety.UNSAFE
UNDO: Final = Undo.EXACT
RISK: Final = Risk.MEDIUM

_SOURCE: Final = (
    "https://packaging.python.org/en/latest/specifications/pyproject-toml/#dependencies-optional-dependencies"
)
_TESTS: Final = re.compile(r"(?:^|/)(?:tests?|testing|e2e)/|(?:^|/)(?:conftest|test_[^/]*|[^/]*_tests?)\.py$")
_LOCKS: Final = {"uv.lock": "uv lock", "poetry.lock": "poetry lock", "pdm.lock": "pdm lock"}
_GROUPS: Final = ("test", "tests", "testing", "dev")
_REQUIREMENTS: Final = (
    "requirements",
    "requirements/base",
    "requirements/default",
    "requirements/requirements",
    "requirements/main",
)
_TEST_REQUIREMENTS: Final = (
    "requirements-test", "requirements-tests", "test-requirements", "requirements_test", "requirements-dev",
    "dev-requirements", "requirements_dev", "requirements/test", "requirements/tests", "requirements/dev",
)  # fmt: skip


class _Place(NamedTuple):
    """A list that takes requirements: the file, how it is written, and the keys that lead to it."""

    path: str
    form: str  # list table cfg txt
    keys: tuple[str, ...] = ()


class _UndecidedError(Exception):
    def __init__(self, reason: str, decide: str) -> None:
        super().__init__(reason)
        self.decide = decide


def propose(findings: Sequence[Finding], index: Index, policy: Policy) -> Proposal:
    """One entry for each distribution whose name and place are certain."""
    changes: list[Change] = []
    refusals: list[Refusal] = []
    for finding in findings:
        try:
            changes.append(_declare(finding, index))
        except _UndecidedError as why:
            refusals.append(Refusal(ID, finding.fingerprint, finding.subject, finding.where, str(why), why.decide))
        except UneditableError as why:
            decide = f"add {finding.get('distribution')} by hand"
            refusals.append(Refusal(ID, finding.fingerprint, finding.subject, finding.where, str(why), decide))
    return Proposal(tuple(changes), tuple(refusals))


def _declare(finding: Finding, index: Index) -> Change:
    known = metadata(index)
    name, held = _distribution(finding, known)
    files = finding.get("files").split("\n")
    place = _place(index, known, files)
    splices, line = _entry(index, place, name, held)
    spot = f" ({'.'.join(place.keys)})" if place.keys else ""
    reason = f"{held.path} holds {name}{held.version}" if held else f"`{finding.get('module')}` is brought by {name}"
    stale = _stale(index, place)
    after = f"; {stale[0]} is out of date then: `{stale[1]}`" if stale else ""
    return Change(
        ID,
        finding.subject,
        f"declare {line} in {place.path}{spot}",
        (finding.fingerprint,),
        tuple(splices),
        safety=Safety.SAFE if held and not stale else Safety.UNSAFE,
        evidence=f"{reason}{after}; imported in {files[0]}{' and others' if len(files) > 1 else ''}; {_SOURCE}",
    )


def _stale(index: Index, place: _Place) -> tuple[str, str] | None:
    """The lock file that is checked against the file that changes, and the command that makes it again."""
    if not place.path.endswith("pyproject.toml"):
        return None
    folder = posixpath.dirname(place.path)
    while True:
        for name, command in _LOCKS.items():
            if index.tree.exists(posixpath.join(folder, name)):
                return posixpath.join(folder, name), command
        if not folder:
            return None
        folder = posixpath.dirname(folder)


class _Held(NamedTuple):
    path: str
    version: str  # such as ==3.4


def _distribution(finding: Finding, known: Metadata) -> tuple[str, _Held | None]:
    """The distribution that is meant, and the lock file that holds it. Raises _UndecidedError."""
    module, name = finding.get("module"), finding.get("distribution")
    if finding.get("certain") != "yes":
        raise _UndecidedError(
            f"which distribution brings `{module}` is not known; a guessed name may be somebody else's package",
            "the distribution, or the missing module if it was meant to be the project's own",
        )
    several = providers(module) or (name,)
    held = {
        other: _Held(item.path, item.specifier) for other in several for item in known.of(other) if item.kind == "lock"
    }
    if len(held) == 1:
        return next(iter(held.items()))
    if len(several) > 1:
        raise _UndecidedError(f"several distributions bring `{module}`: {', '.join(several)}", "which of them is meant")
    return name, held.get(name)


def _place(index: Index, known: Metadata, files: Sequence[str]) -> _Place:
    """The one place where the project of some files declares what they need. Raises _UndecidedError."""
    for_tests = all(_TESTS.search(path) for path in files)
    homes = {_home(index, known, path) for path in files}
    if len(homes) > 1:
        listed = ", ".join(home or "the root" for home in sorted(homes))
        raise _UndecidedError(f"files of several projects import it: {listed}", "which of them declare it")
    home = homes.pop()
    found = next(_places(index, home, for_tests), None)
    if found is not None:
        return found
    if any(d.path == posixpath.join(home, "setup.py") for d in known.all):
        raise _UndecidedError("the dependencies are declared in setup.py, which is code", "add it there by hand")
    if for_tests:
        raise _UndecidedError(
            "only tests import it, and no group of dependencies is for tests", "the group that it joins"
        )
    raise _UndecidedError(
        f"no list of dependencies was found in {home or 'the root'}", "where the project declares them"
    )


def _home(index: Index, known: Metadata, path: str) -> str:
    """The closest folder above a file that holds metadata."""
    homes = {posixpath.dirname(source) for source in known.sources}
    homes |= {posixpath.dirname(home) for home in homes if posixpath.basename(home) in ("requirements", "reqs", "deps")}
    folder = posixpath.dirname(path)
    while folder and folder not in homes:
        folder = posixpath.dirname(folder)
    return folder


def _places(index: Index, home: str, for_tests: bool) -> Iterator[_Place]:
    path = posixpath.join(home, "pyproject.toml")
    packaged = False
    if index.tree.exists(path):
        try:
            values: Any = load(path, index.tree.read(path)).values
        except SourceError as error:
            raise _UndecidedError(str(error), "repair that file first") from None
        packaged = isinstance(values.get("project"), dict) and "dependencies" in values["project"]
        yield from _pyproject(path, values, for_tests)
    path = posixpath.join(home, "setup.cfg")
    if index.tree.exists(path):
        yield from _setup_cfg(index, path, for_tests)
    if index.tree.exists(posixpath.join(home, "setup.py")) and any(
        d.path == posixpath.join(home, "setup.py") and d.kind == "require" for d in metadata(index).all
    ):
        return
    stems = _TEST_REQUIREMENTS + (() if packaged else _REQUIREMENTS) if for_tests else _REQUIREMENTS
    for stem in stems:
        for suffix in (".in", ".txt"):
            path = posixpath.join(home, stem + suffix)
            if index.tree.exists(path):
                if compiled(decoded(path, index.tree.read(path))):
                    raise _UndecidedError(
                        f"{path} is made by a tool from another file", "the file that it is made from"
                    )
                yield _Place(path, "txt")


def _pyproject(path: str, values: Any, for_tests: bool) -> Iterator[_Place]:
    def at(*keys: str) -> Any:
        value = values
        for key in keys:
            value = value.get(key) if isinstance(value, dict) else None
        return value

    poetry = ("tool", "poetry")
    if for_tests:
        for group in _GROUPS:
            for keys in (("dependency-groups", group), ("project", "optional-dependencies", group)):
                if isinstance(at(*keys), list):
                    yield _Place(path, "list", keys)
            if isinstance(at(*poetry, "group", group, "dependencies"), dict):
                yield _Place(path, "table", (*poetry, "group", group, "dependencies"))
        if isinstance(at(*poetry, "dev-dependencies"), dict):
            yield _Place(path, "table", (*poetry, "dev-dependencies"))
        return
    if isinstance(at("project", "dependencies"), list):
        yield _Place(path, "list", ("project", "dependencies"))
    elif isinstance(at(*poetry, "dependencies"), dict):
        yield _Place(path, "table", (*poetry, "dependencies"))


def _setup_cfg(index: Index, path: str, for_tests: bool) -> Iterator[_Place]:
    text = decoded(path, index.tree.read(path))
    wanted = (
        [("options.extras_require", group) for group in _GROUPS] if for_tests else [("options", "install_requires")]
    )
    for section, key in wanted:
        body = re.search(rf"(?ms)^\[{re.escape(section)}\](.*?)(?=^\[|\Z)", text)
        if body and re.search(rf"(?m)^{key}\s*=", body[1]):
            yield _Place(path, "cfg", (section, key))


def _entry(index: Index, place: _Place, name: str, held: _Held | None) -> tuple[list[Splice], str]:
    source = index.tree.read(place.path)
    if place.form == "list":
        return in_toml_list(place.path, source, place.keys, name), name
    if place.form == "table":
        return in_toml_table(place.path, source, place.keys, name), name
    if place.form == "cfg":
        return [in_setup_cfg(place.path, source, place.keys[0], place.keys[1], name)], name
    version = held.version if held and pinned(decoded(place.path, source)) else ""
    return [in_requirements(place.path, source, name + version)], name + version


def _pair(path: str, before: str, after: str, **more: str) -> tuple[dict[str, str], dict[str, str]]:
    return {path: before, "a.py": "import yaml\n", **more}, {path: after, "a.py": "import yaml\n", **more}


_PROJECT: Final = '[project]\nname = "x"\n'
_LOCK: Final = '[[package]]\nname = "pyyaml"\nversion = "6.0.1"\n'

EXAMPLES: Final = (
    Example("a sorted requirements file", *_pair("requirements.txt", "httpx>=0.2  # why\n# of ours\nsix\n", "httpx>=0.2  # why\npyyaml\n# of ours\nsix\n")),
    Example("an unsorted one without a last line end", *_pair("requirements.txt", "-c other.txt\nsix\nattrs", "-c other.txt\nsix\nattrs\npyyaml")),
    Example("pinned, and locked", *_pair("requirements.txt", "six==1\r\nattrs==2\r\n", "six==1\r\nattrs==2\r\npyyaml==6.0.1\r\n", **{"uv.lock": _LOCK})),
    Example("a list of lines with a comment at its end", *_pair(
        "pyproject.toml", _PROJECT + 'dependencies = [\n    "six",  # é\n    "attrs[x]>=2"  # last\n]\n\n[tool.x]\ny = [1]\n',
        _PROJECT + 'dependencies = [\n    "six",  # é\n    "attrs[x]>=2",  # last\n    "pyyaml",\n]\n\n[tool.x]\ny = [1]\n',
    )),
    Example("a sorted list of lines", *_pair(
        "pyproject.toml", _PROJECT + 'dependencies = [\n  "attrs",\n  # too [old]\n  "six<2",\n]\n', _PROJECT + 'dependencies = [\n  "attrs",\n  # too [old]\n  "pyyaml",\n  "six<2",\n]\n',
    )),
    Example("lists in one line, empty ones", *_pair("pyproject.toml", _PROJECT + 'dependencies = []  # none\n', _PROJECT + 'dependencies = ["pyyaml"]  # none\n')),
    Example("only tests need it", {
        "pyproject.toml": _PROJECT + 'dependencies = ["six"]\n[dependency-groups]\ntest = ["pytest", {include-group = "x"}]\nx = []\n', "tests/test_a.py": "import yaml\n", "a.py": "import six\n",
    }, {
        "pyproject.toml": _PROJECT + 'dependencies = ["six"]\n[dependency-groups]\ntest = ["pytest", {include-group = "x"}, "pyyaml"]\nx = []\n', "tests/test_a.py": "import yaml\n", "a.py": "import six\n",
    }),
    Example("Poetry", *_pair(
        "pyproject.toml", '[tool.poetry]\nname = "x"\n[tool.poetry.dependencies]\npython = "^3.11"\nsix = { version = "1" }\n\n# more\n[build-system]\nrequires = []\n',
        '[tool.poetry]\nname = "x"\n[tool.poetry.dependencies]\npython = "^3.11"\nsix = { version = "1" }\npyyaml = "*"\n\n# more\n[build-system]\nrequires = []\n',
    )),
    Example("setup.cfg", *_pair(
        "setup.cfg", "[metadata]\nname = x\n[options]\ninstall_requires =\n    six\n    attrs\npackages = find:\n",
        "[metadata]\nname = x\n[options]\ninstall_requires =\n    six\n    attrs\n    pyyaml\npackages = find:\n",
    )),
    Example("two at once", {"requirements.txt": "six\nattrs\n", "a.py": "import yaml\nimport requests\n"}, {
        "requirements.txt": "six\nattrs\npyyaml\nrequests\n", "a.py": "import yaml\nimport requests\n",
    }),
    Example("a name that nobody knows", {"requirements.txt": "six\n", "a.py": "import obscure_thing\n"}, refuses=True),
    Example("several distributions", {"requirements.txt": "six\n", "a.py": "import cv2\n"}, refuses=True),
    Example("made by a tool", {"requirements.txt": "#\n# This file is autogenerated by pip-compile\n#\nsix==1\n", "a.py": "import yaml\n"}, refuses=True),
    Example("hashes", {"requirements.txt": "six==1 --hash=sha256:0\n", "a.py": "import yaml\n"}, refuses=True),
    Example("setup.py", {"setup.py": "from setuptools import setup\nsetup(name='x', install_requires=['six'])\n", "a.py": "import yaml\n"}, refuses=True),
    Example("no group for tests", {"pyproject.toml": _PROJECT + "dependencies = []\n", "tests/test_a.py": "import yaml\n"}, refuses=True),
    Example("two projects", {"a/requirements.txt": "six\n", "b/requirements.txt": "six\n", "a/x.py": "import yaml\n", "b/x.py": "import yaml\n"}, refuses=True),
    Example("declared", *_pair("requirements.txt", "PyYAML\n", "PyYAML\n")),
)  # fmt: skip
