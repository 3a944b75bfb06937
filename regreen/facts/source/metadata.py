"""Project metadata of a tree: what is declared, in which range, and what is locked.

All declarations of the tree are read once per index, from every metadata file that the tree holds.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterator
from typing import Final

from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from regreen.facts.source import declarations as read
from regreen.facts.source.declarations import OPAQUE, Declared
from regreen.facts.source.index import Index

_REQUIREMENTS: Final = re.compile(
    r"(?:^|/)(?:[\w.-]*requirements[\w.-]*|[\w.-]*-reqs?|reqs?[\w.-]*|pip-deps|test-deps|dev-deps)\.(?:txt|in|pip)$"
    r"|(?:^|/)(?:requirements|reqs|deps)/(?:.*/)?[^/]+\.(?:txt|in|pip)$"
)
_CONSTRAINTS: Final = re.compile(r"(?:^|/)[\w.-]*constraints?[\w.-]*\.txt$")
_SHELL: Final = re.compile(
    r"(?:^|/)(?:[\w.-]*Dockerfile[\w.-]*|Containerfile|Makefile|justfile|\.pre-commit-config\.ya?ml|\.travis\.yml)$"
    r"|^\.(?:github/workflows|circleci|gitlab)/[^/]+\.ya?ml$|^\.gitlab-ci\.yml$"
)
_LOCKS: Final = frozenset({"poetry.lock", "uv.lock", "pdm.lock", "pylock.toml"})
_LARGE: Final = 4_000_000  # bytes; a metadata file of that size is not one


class Metadata:
    """Declarations of a tree. Names are normalised (PEP 503)."""

    def __init__(self, declared: tuple[Declared, ...]) -> None:
        self.all = declared
        self.own = frozenset(d.name for d in declared if d.kind == "self")
        scripts = {posixpath.dirname(d.path) for d in declared if d.path.endswith("setup.py") and d.name != OPAQUE}
        self.opaque = tuple(
            d  # what pyproject.toml calls dynamic, a setup.py beside it may say
            for d in declared
            if d.name == OPAQUE and not (d.path.endswith("pyproject.toml") and posixpath.dirname(d.path) in scripts)
        )
        self.sources = tuple(sorted({d.path for d in declared if d.kind != "install"}))
        self._by_name: dict[str, list[Declared]] = {}
        for item in declared:
            if item.name != OPAQUE and item.kind != "self":
                self._by_name.setdefault(item.name, []).append(item)

    @property
    def names(self) -> frozenset[str]:
        """Every distribution that is declared somehow, locked ones left out."""
        return frozenset(name for name, found in self._by_name.items() if any(d.kind != "lock" for d in found))

    @property
    def required(self) -> frozenset[str]:
        """Every distribution that a project of the tree requires whenever it is installed: no extras, no groups."""
        main = ("dependencies", "install_requires", "packages", "")
        return frozenset(
            name for name, found in self._by_name.items() if any(d.kind == "require" and d.group in main for d in found)
        )

    def of(self, name: str) -> tuple[Declared, ...]:
        """Every declaration of one distribution."""
        return tuple(self._by_name.get(canonicalize_name(name), ()))

    def near(self, name: str, path: str) -> tuple[Declared, ...]:
        """The declarations that hold for a file: those of the closest folder above it that has any.

        Without one above, those of the whole tree.
        """
        found = [d for d in self.of(name) if d.kind in ("require", "constrain", "lock", "build")]
        folder = posixpath.dirname(path)
        while True:
            here = tuple(d for d in found if _home(d.path) == folder)
            if any(d.kind in ("require", "build") for d in here):
                return here
            if not folder:
                return tuple(found)
            folder = posixpath.dirname(folder)


def _home(path: str) -> str:
    folder = posixpath.dirname(path)
    while posixpath.basename(folder) in ("requirements", "reqs", "deps"):
        folder = posixpath.dirname(folder)
    return folder


def metadata(index: Index) -> Metadata:
    """The declarations of the index's tree, read once."""
    return index.derive("metadata", lambda this: Metadata(tuple(_gather(this))))


def requirement(index: Index, name: str, path: str = "") -> SpecifierSet | None:
    """The range in which a distribution is required, as it holds for a file (by default for the root).

    None where nothing requires it; an empty set where any version will do, or where declarations of equal rank
    contradict each other, so that nothing is certain. A lock file does not narrow the range (see `locked`).
    """
    found = [d for d in metadata(index).near(name, path) if d.kind != "lock"]
    if not any(d.kind != "constrain" for d in found):
        return None
    required = [d for d in found if d.kind != "constrain"]
    joined = SpecifierSet()
    if len({_home(d.path) for d in required}) > 1 and len({d.specifier for d in required}) > 1:
        return joined  # several projects, each with its own range
    for item in found:
        joined &= read.specifiers(item.specifier)
    return joined if _satisfiable(joined) else SpecifierSet()


def locked(index: Index, name: str, path: str = "") -> Version | None:
    """The exact version that a lock file, or a pin, gives for a file. None where there is none, or several."""
    versions: set[Version] = set()
    for item in metadata(index).near(name, path):
        match = re.fullmatch(r"===?([^*]+)", item.specifier)
        if match:
            try:
                versions.add(Version(match[1]))
            except InvalidVersion:
                continue
    return versions.pop() if len(versions) == 1 else None


def _satisfiable(wanted: SpecifierSet) -> bool:
    probes: set[Version] = {Version("0"), Version("99999")}
    for part in wanted:
        try:
            version = Version(part.version.removesuffix(".*"))
        except InvalidVersion:
            return True
        probes.add(version)
        last = (*version.release[:-1], version.release[-1] + 1)
        probes.add(Version(".".join(map(str, last))))
        probes.add(Version(".".join(map(str, (*version.release, 1)))))
        if version.release[-1]:
            lower = (*version.release[:-1], version.release[-1] - 1, 999)
            probes.add(Version(".".join(map(str, lower))))
    return any(wanted.contains(probe, prereleases=True) for probe in probes)


_READERS: Final[dict[str, Callable[[str, str], Iterator[Declared]]]] = {
    "pyproject.toml": read.pyproject,
    "setup.cfg": read.setup_cfg,
    "tox.ini": read.setup_cfg,
    "setup.py": read.setup_py,
    "Pipfile": read.pipfile,
    "noxfile.py": read.session_installs,
    "environment.yml": read.environment_yml,
    "environment.yaml": read.environment_yml,
    **dict.fromkeys(_LOCKS, read.lock_toml),
}


def _gather(index: Index) -> Iterator[Declared]:
    wanted: dict[str, Callable[[str, str], Iterator[Declared]]] = {}
    left_out = set(index.left_out)
    for path in index.tree.paths():
        name = path.rpartition("/")[2]
        reader = _READERS.get(name)
        if reader is None:
            if name.endswith((".txt", ".in", ".pip")):
                if _CONSTRAINTS.search(path):
                    reader = _constraints
                elif _REQUIREMENTS.search(path):
                    reader = read.requirements_txt
            elif name.startswith("environment") and name.endswith((".yml", ".yaml")):
                reader = read.environment_yml
            elif ("file" in name or name[:1] == "." or path[:1] == ".") and _SHELL.search(path):
                reader = read.shell_lines
        if reader is not None and path not in left_out:
            wanted[path] = reader
    waiting = list(wanted.items())
    while waiting:
        path, reader = waiting.pop(0)
        try:
            source = index.tree.read(path)
        except OSError:
            yield Declared(OPAQUE, "", path, "cannot be read")
            continue
        if len(source) > _LARGE:
            continue
        text = source.decode("utf-8-sig", "replace")
        yield from reader(text, path)
        if reader is read.requirements_txt:
            for name in read.includes(text):
                other = posixpath.normpath(posixpath.join(posixpath.dirname(path), name))
                if other not in wanted and index.tree.exists(other):
                    wanted[other] = read.requirements_txt
                    waiting.append((other, read.requirements_txt))


def _constraints(text: str, path: str) -> Iterator[Declared]:
    return read.requirements_txt(text, path, "constrain")
