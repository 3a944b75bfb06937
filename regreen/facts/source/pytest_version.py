"""Which pytest a project runs: the version that a lock file pins, else the newest that its requirements admit.

Nothing is installed or asked; a project that says nothing gets the newest release known here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from packaging.version import InvalidVersion, Version

from regreen.facts.source.declarations import specifiers
from regreen.facts.source.index import Index
from regreen.facts.source.metadata import metadata

#: One release of every minor series, and those of 9.0 that differ in behaviour, oldest first.
RELEASES: Final = tuple(
    Version(text)
    for text in (
        "6.2.5", "7.0.1", "7.1.3", "7.2.2", "7.3.2", "7.4.4", "8.0.2", "8.1.2", "8.2.2", "8.3.5", "8.4.2",
        "9.0.1", "9.0.2", "9.0.3", "9.1.1", "9.2.0",
    )
)  # fmt: skip
#: `--strict-markers` in `addopts` is silently ignored by these (pytest issue 14442).
STRICT_ADDOPTS_IGNORED: Final = (Version("9.0.2"), Version("9.0.3"))


@dataclass(frozen=True, slots=True)
class PytestVersions:
    """`runs` is the version that a fresh environment gets, `oldest` the oldest one admitted.

    `source` names the file that says so; it is empty where none does.
    """

    runs: Version
    oldest: Version
    source: str = ""

    @classmethod
    def of(cls, index: Index) -> PytestVersions:
        """From every declaration of pytest that the tree holds."""
        declared = [item for item in metadata(index).of("pytest") if item.kind in ("require", "constrain", "lock")]
        ranges = [specifiers(item.specifier) for item in declared if item.specifier and item.kind != "lock"]
        locks = [v for item in declared if item.kind == "lock" and (v := exact(item.specifier))]
        pinned = locks[0] if locks else None
        known = sorted({*RELEASES, *(v for item in declared if (v := exact(item.specifier)))})
        admitted = [v for v in known if all(v in item for item in ranges)]
        if pinned is None and not admitted and ranges:  # contradictory: believe the first
            admitted = [v for v in known if v in ranges[0]]
        source = next((item.path for item in declared if item.kind == "lock" or item.specifier), "")
        if pinned is not None:
            return cls(pinned, min([pinned, *admitted[:1]]) if ranges else pinned, source)
        if not admitted:
            return cls(RELEASES[-1], RELEASES[0])
        return cls(admitted[-1], admitted[0], source)


def exact(text: str) -> Version | None:
    """The version that a range names by `==`, or a bare version as lock files hold it."""
    for item in specifiers(text):
        if item.operator in ("==", "===") and not item.version.endswith(".*"):
            return Version(item.version)
    try:
        return Version(text)
    except InvalidVersion:
        return None
