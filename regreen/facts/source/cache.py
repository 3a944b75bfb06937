"""What earlier runs already know: records by content, a manifest by stat, verdicts by the whole tree.

Three files in one folder, replaced atomically; a damaged or foreign one is ignored. Records are keyed by git blob
id, so that a folder and its commits share them. The manifest trusts a stat by git's racy rule: a file that changed
so late that its time stamp could hide a later change is read again
(https://git-scm.com/docs/racy-git). Everything is `marshal`, which executes nothing when it is read.
"""

from __future__ import annotations

import hashlib
import marshal
import os
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from regreen.facts.source import extract
from regreen.facts.source.contract import CodeCheck
from regreen.facts.source.trees import Entry
from regreen.model import Diagnosis, Finding, Resource, Severity, Span, Suppressed, Verdict

_FINE: Final = 20_000_000  # ns: kernels stamp files by a clock that ticks every few milliseconds
_COARSE: Final = 2_000_000_000  # ns: file systems that keep whole seconds only
_VERDICTS: Final = 8


def tool_key(checks: Sequence[CodeCheck]) -> str:
    """Changes whenever records would: the checks and their versions, the extractor's, the running Python's."""
    parts = [sys.version, sys.platform, str(extract.VERSION), *(f"{c.ID}={c.VERSION}" for c in checks)]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:24]


class Cache:
    """A folder of one target's cache for one set of checks. `folder` None keeps nothing."""

    def __init__(self, folder: Path | None, checks: Sequence[CodeCheck]) -> None:
        self._folder = folder / tool_key(checks) if folder is not None else None
        self.started = time.time_ns()
        self._records: dict[str, bytes] | None = None

    def _load(self, name: str) -> Any:
        if self._folder is None:
            return None
        try:
            return marshal.loads((self._folder / name).read_bytes())  # noqa: S302 - data only; wrong data fails below
        except (OSError, ValueError, EOFError, TypeError):
            return None

    def _save(self, name: str, value: Any) -> None:
        if self._folder is None:
            return
        with suppress(OSError):  # a full or read-only disk costs speed, never a result
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            handle, temporary = tempfile.mkstemp(dir=self._folder, prefix=name)
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(marshal.dumps(value))
                Path(temporary).replace(self._folder / name)
            except BaseException:
                Path(temporary).unlink(missing_ok=True)
                raise

    @property
    def records(self) -> dict[str, bytes]:
        """Marshalled records by `blob id` (+ "i" for stubs, "t" for test code: they are looked at differently)."""
        if self._records is None:
            loaded = self._load("records")
            self._records = loaded if isinstance(loaded, dict) else {}
        return self._records

    def known(self, entries: Sequence[Entry]) -> dict[str, str]:
        """Blob ids of the files whose stat proves that they are as they were when last read."""
        manifest = self._load("manifest")
        if not isinstance(manifest, tuple) or len(manifest) != 2 or not isinstance(manifest[1], dict):
            return {}
        saved, table = manifest
        result: dict[str, str] = {}
        for path, digest, stamp in entries:
            if stamp is None:
                result[path] = digest
                continue
            held = table.get(path)
            if held is not None and held[0] == stamp and settled(stamp, saved):
                result[path] = held[1]
        return result

    def store(self, entries: Sequence[Entry], digests: Mapping[str, str], records: dict[str, bytes]) -> None:
        """Keep what this run learned, and only that: the cache does not grow beyond the tree."""
        table = {path: (stamp, digests[path]) for path, _, stamp in entries if stamp is not None and path in digests}
        self._save("records", records)
        if table:
            self._save("manifest", (self.started, table))

    def verdicts(self, key: str) -> Diagnosis | None:
        """The verdicts over exactly this tree, if they are known."""
        held = self._load("verdicts")
        for item in held if isinstance(held, list) else ():
            if isinstance(item, tuple) and len(item) == 2 and item[0] == key:
                return thaw(item[1])
        return None

    def keep_verdicts(self, key: str, diagnosis: Diagnosis, entries: Sequence[Entry]) -> None:
        """Remember the verdicts over a tree; the oldest of a few are forgotten.

        Not while a file outside the manifest (a configuration file) is so young that its stat could hide a change.
        """
        if not all(
            settled(entry.stamp, self.started)
            for entry in entries
            if entry.stamp is not None and not entry.path.endswith((".py", ".pyi"))
        ):
            return
        held = self._load("verdicts")
        pairs = held if isinstance(held, list) else []
        others = [item for item in pairs if isinstance(item, tuple) and len(item) == 2 and item[0] != key]
        self._save("verdicts", [*others[-(_VERDICTS - 1) :], (key, freeze(diagnosis))])


def settled(stamp: tuple[int, int, int, int], saved: int) -> bool:
    """Whether a file last changed long enough before `saved` for its stat to be believed. Times in ns."""
    _, modified, _, changed = stamp
    latest = max(modified, changed)
    return latest < saved - (_COARSE if modified % 1_000_000_000 == 0 else _FINE)


def fingerprint(entries: Sequence[Entry], digests: Mapping[str, str], policy: object) -> str:
    """A name for exactly this state of a tree: contents of Python files, stats of all others, the policy."""
    state = [(path, digests.get(path) or (digest, stamp)) for path, digest, stamp in entries]
    return hashlib.sha256(marshal.dumps(state) + repr(policy).encode()).hexdigest()


def freeze(diagnosis: Diagnosis) -> tuple[Any, ...]:
    """A diagnosis as plain values."""
    return (
        diagnosis.tree,
        [freeze_verdict(verdict) for verdict in diagnosis.verdicts],
        (diagnosis.files, diagnosis.parsed, diagnosis.unreadable, diagnosis.functions, diagnosis.modules),
        diagnosis.seconds,
    )


def freeze_verdict(verdict: Verdict) -> tuple[Any, ...]:
    """A verdict as plain values."""
    return (
        verdict.check,
        verdict.examined,
        [_plain(finding) for finding in verdict.findings],
        verdict.error,
        [(_plain(item.finding), item.by, item.reason) for item in verdict.suppressed],
        verdict.note,
    )


def thaw_verdict(plain: tuple[Any, ...]) -> Verdict:
    """The other half of `freeze_verdict`. Raises TypeError or ValueError for values that are not a verdict."""
    check, examined, findings, error, suppressed, note = plain
    return Verdict(
        check,
        examined,
        tuple(_finding(finding) for finding in findings),
        error,
        tuple(Suppressed(_finding(finding), by, reason) for finding, by, reason in suppressed),
        note,
    )


def thaw(plain: tuple[Any, ...]) -> Diagnosis | None:
    """The other half of `freeze`; None for values that are not a diagnosis."""
    try:
        tree, verdicts, (files, parsed, unreadable, functions, modules), seconds = plain
        judged = tuple(thaw_verdict(verdict) for verdict in verdicts)
        return Diagnosis(tree, judged, files, parsed, unreadable, functions, modules, seconds)
    except (TypeError, ValueError):
        return None


def _plain(finding: Finding) -> tuple[Any, ...]:
    where = finding.where
    if isinstance(where, Span):
        place: tuple[Any, ...] = (where.path, where.line, where.column, where.end_line, where.end_column, where.digest)
    else:
        place = (where.kind, where.name, where.pointer)
    return (
        finding.check,
        finding.subject,
        place,
        finding.observed,
        finding.expected,
        str(finding.severity),
        finding.snippet,
        finding.data,
        finding.ordinal,
    )


def _finding(plain: tuple[Any, ...]) -> Finding:
    check, subject, place, observed, expected, severity, snippet, data, ordinal = plain
    where = Span(*place) if len(place) == 6 else Resource(*place)
    return Finding(check, subject, where, observed, expected, Severity(severity), snippet, data, ordinal)
