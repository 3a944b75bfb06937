"""What the command line does, apart from how it is typed: each function returns an exit code.

0: nothing to do, or all verified and every open question answered by a decision on file. 1: findings, or something
could not be verified. 2: the plan, the configuration or an argument is wrong. 3: a bug of Regreen's own.
"""

from __future__ import annotations

import difflib
import hashlib
import os
import sys
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Final

from rich.console import Console

from regreen.decisions import read_decisions
from regreen.facts.source import FolderTree, survey
from regreen.model import Diagnosis, Status
from regreen.policy import Policy
from regreen.progress import progress
from regreen.render import diagnosis_json, diagnosis_sarif, diagnosis_table
from regreen.suppress import baseline_text, read_baseline, set_aside

if TYPE_CHECKING:
    from regreen.facts.source import CodeCheck

OK: Final = 0
FINDINGS: Final = 1
USAGE: Final = 2
BUG: Final = 3


class UsageError(Exception):
    """An argument is wrong; the message says what, and what would be right."""


def cache_root() -> Path:
    """The folder for everything that may be thrown away: REGREEN_CACHE, else `regreen` in the user's cache folder."""
    named = os.environ.get("REGREEN_CACHE")
    if named:
        return Path(named)
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "regreen"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "regreen"


def source_cache(target: Path) -> Path:
    """A target's own folder for what the source engine remembers."""
    name = hashlib.sha256(os.fsencode(target.resolve())).hexdigest()[:16]
    return cache_root() / "source" / f"{target.name[:40]}-{name}"


def folder(target: str) -> Path:
    """A target given by path. Raises UsageError."""
    path = Path(target).expanduser()
    if not path.is_dir():
        what = "is not a folder" if path.exists() else "does not exist"
        raise UsageError(f"--target {target}: {what}; give the path of a repository or of a folder of sources")
    return path.resolve()


def selected(checks: Sequence[CodeCheck], only: str) -> tuple[CodeCheck, ...]:
    """The checks that a comma-separated list names; all for an empty one. Raises UsageError."""
    if not only:
        return tuple(checks)
    known = {check.ID: check for check in checks}
    wanted = [name.strip() for name in only.split(",") if name.strip()]
    for name in wanted:
        if name not in known:
            close = difflib.get_close_matches(name, known, 1)
            hint = f"; did you mean {close[0]}?" if close else f"; known are {', '.join(sorted(known))}"
            raise UsageError(f"--only: there is no check {name!r}{hint}")
    return tuple(check for check in checks if check.ID in wanted)


def verdict_code(diagnosis: Diagnosis) -> int:
    """0 if every check passed; 1 for findings, and for whatever could not be verified."""
    return OK if all(verdict.status is Status.PASS for verdict in diagnosis.verdicts) else FINDINGS


def diagnose(
    target: Path, checks: Sequence[CodeCheck], form: str = "table", cache: Path | None = None, baseline: str = ""
) -> int:
    """Judge a folder as it is now, uncommitted work included, and print the verdicts; change nothing.

    `form` is `table`, `json` or `sarif`. With `baseline` (a reason) every finding is written to the baseline file
    instead: the one thing that this command ever writes to a target. Raises UsageError, PolicyError, SourceError.
    """
    if form not in ("table", "json", "sarif"):
        raise UsageError(f"--format {form}: choose table, json or sarif")
    tree = FolderTree(target)
    policy = Policy.of(tree)
    known, decisions = read_baseline(tree), read_decisions(tree, date.today())
    if policy.exclude:
        tree = FolderTree(target, policy.exclude)
    with progress() as bars:
        found = survey(tree, checks, policy, source_cache(target) if cache is None else cache, bars)
    if baseline:
        findings = list(found.diagnosis.findings.values())
        (target / "regreen-baseline.json").write_text(baseline_text(findings, baseline))
        print(f"regreen-baseline.json: {len(findings)} findings set aside: {baseline}", file=sys.stderr)
        return OK
    diagnosis = set_aside(found.diagnosis, known, decisions)
    if form == "json":
        sys.stdout.write(diagnosis_json(diagnosis).rstrip("\n") + "\n")
    elif form == "sarif":
        sys.stdout.write(diagnosis_sarif(diagnosis, checks, read=tree.read).rstrip("\n") + "\n")
    else:
        diagnosis_table(diagnosis, Console())
    return verdict_code(diagnosis)
