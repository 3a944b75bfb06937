"""Which side of a release the version of a library is on, by what a tree declares and locks."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from packaging.specifiers import SpecifierSet
from packaging.version import InvalidVersion, Version

from regreen.facts.source import Index
from regreen.facts.source.metadata import locked, requirement


class Side(StrEnum):
    """Where the version that is used stands to a release."""

    BEFORE = "before"
    SINCE = "since"
    EITHER = "either"  # the declared range holds versions of both sides, and no lock chooses
    OPEN = "open"  # nothing is declared, or any version will do: a fresh installation has the current release


_NEWEST: Final = Version("99999")


def side(index: Index, library: str, release: str, path: str = "") -> Side:
    """The side of `release` on which a file's version of a library is."""
    key = f"side {library} {release} {path.rpartition('/')[0]}"
    return index.derive(key, lambda this: _side(this, library, Version(release), path))


def allowed(index: Index, library: str, release: str, path: str = "") -> Side:
    """The side of `release` on which the declared range is, whatever a lock chooses: what a library's users may have."""
    wanted = requirement(index, library, path)
    return _within(wanted, Version(release)) if wanted is not None and len(wanted) else Side.OPEN


def declared(index: Index, library: str, path: str = "") -> str:
    """What the tree says of a library's version, for people: `>=10`, `==12.0 (locked)`, `any version`."""
    exact = locked(index, library, path)
    if exact is not None:
        return f"{library} {exact}"
    wanted = requirement(index, library, path)
    if wanted is None:
        return f"no declared version of {library}"
    return f"{library} {wanted}" if len(wanted) else f"any version of {library}"


def _side(index: Index, library: str, release: Version, path: str) -> Side:
    exact = locked(index, library, path)
    if exact is not None:
        return Side.SINCE if exact >= release else Side.BEFORE
    wanted = requirement(index, library, path)
    if wanted is None or not len(wanted):
        return Side.OPEN
    return _within(wanted, release)


def _within(wanted: SpecifierSet, release: Version) -> Side:
    probes = _probes(wanted, release)
    before = any(wanted.contains(probe, prereleases=True) for probe in probes if probe < release)
    since = any(wanted.contains(probe, prereleases=True) for probe in probes if probe >= release)
    if before and since:
        return Side.EITHER
    return Side.BEFORE if before else Side.SINCE


def _probes(wanted: SpecifierSet, release: Version) -> list[Version]:
    """The versions at and around every bound of a range: if none of them tells two sides apart, no version does."""
    anchors = {release, Version("0"), _NEWEST}
    for part in wanted:
        try:
            anchors.add(Version(part.version.removesuffix(".*")))
        except InvalidVersion:
            continue
    found = set(anchors)
    for anchor in anchors:
        numbers = list(anchor.release)
        found.add(Version(".".join(map(str, [*numbers, 1]))))
        while numbers:
            if numbers[-1]:
                found.add(Version(".".join(map(str, [*numbers[:-1], numbers[-1] - 1, 9999]))))
            numbers.pop()
    return sorted(found)
