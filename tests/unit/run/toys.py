"""Toy checks and remedies over words, and small repositories: everything real but the catalogue."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from regreen.facts.source import CodeCheck, CodeRemedy, Index, Interests
from regreen.model import (
    Change,
    Example,
    Finding,
    Proposal,
    Refusal,
    Risk,
    Safety,
    Severity,
    Span,
    Splice,
    Undo,
    Verdict,
)
from regreen.plan import Plan, parse_plan
from regreen.policy import Policy
from regreen.ratchet import compare
from regreen.run.options import Catalogue, Options, Ratchet


@dataclass
class NoWord:
    """A word does not occur."""

    word: str
    fails: str = ""
    ID: str = field(init=False)
    VERSION: int = 1
    SEVERITY: Severity = Severity.ERROR
    SOURCE: str = "docs/none"
    INTERESTS: Interests = field(default_factory=Interests)
    EXAMPLES: Sequence[Example] = ()

    def __post_init__(self) -> None:
        self.ID = f"code.no-{self.word}"

    def judge(self, index: Index, policy: Policy, /) -> Verdict:
        """One finding for each line with the word; an error where a file holds the text in `fails`."""
        findings = []
        for path in index.files:
            content = index.tree.read(path)
            if self.fails and self.fails.encode() in content:
                raise RuntimeError(f"{path} holds {self.fails}")
            for number, line in enumerate(content.split(b"\n"), 1):
                if self.word.encode() in line:
                    where = Span(path, number)
                    findings.append(
                        Finding(self.ID, path, where, self.word, "no such word", Severity.ERROR, line.decode())
                    )
        return Verdict.of(self.ID, len(index.files), findings)


@dataclass
class Replace:
    """Replaces a word by another; `unmasks`, `safety` and `refuse` (a path) as the test wants."""

    word: str
    new: str
    refuse: str = ""
    unmasks: tuple[str, ...] = ()
    SAFETY: Safety = Safety.SAFE
    forgets: bool = False
    breaks: str = ""
    ID: str = field(init=False)
    CHECK: str = field(init=False)
    UNDO: Undo = Undo.EXACT
    RISK: Risk = Risk.LOW
    EXAMPLES: Sequence[Example] = ()

    def __post_init__(self) -> None:
        self.ID = f"code.replace-{self.word}"
        self.CHECK = f"code.no-{self.word}"

    def propose(self, findings: Sequence[Finding], index: Index, policy: Policy, /) -> Proposal:
        """One change for each finding."""
        if self.breaks:
            raise KeyError(self.breaks)
        changes: list[Change] = []
        refusals: list[Refusal] = []
        for finding in findings:
            assert isinstance(finding.where, Span)
            path, line = finding.where.path, finding.where.line
            if path == self.refuse:
                refusals.append(
                    Refusal(self.ID, finding.fingerprint, finding.subject, finding.where, "it is odd", "look at it")
                )
                continue
            if self.forgets:
                continue
            lines = index.tree.read(path).split(b"\n")
            start = sum(len(item) + 1 for item in lines[: line - 1]) + lines[line - 1].index(self.word.encode())
            edit = Splice(path, start, start + len(self.word), self.new.encode())
            changes.append(
                Change(
                    self.ID, f"{path}::{line}", f"{self.word} becomes {self.new}", (finding.fingerprint,), (edit,),
                    (), self.SAFETY, "the two words mean the same", self.unmasks,
                )
            )  # fmt: skip
        return Proposal(tuple(changes), tuple(refusals))


FILES: Mapping[str, str] = {
    "a.py": "x = 'alpha'\ny = 'beta'\n",
    "b.py": "z = 'alpha'\n",
    "c.py": "w = 'gamma'\n",
    "README.md": "alpha is fine here\n",
}
REMEDIES: Sequence[CodeRemedy] = (Replace("alpha", "one"), Replace("beta", "two"), Replace("gamma", "three"))
CHECKS: Sequence[CodeCheck] = (NoWord("alpha"), NoWord("beta"), NoWord("gamma"))


def catalogue(
    remedies: Sequence[CodeRemedy] = REMEDIES, checks: Sequence[CodeCheck] = CHECKS, ratchet: Ratchet | None = compare
) -> Catalogue:
    """A catalogue of toys."""
    return Catalogue(checks, remedies, ratchet)


def plan(of: Catalogue, max_changes: int = 100, max_files: int = 100, order: Sequence[str] = ()) -> Plan:
    """One phase with every remedy and every check, and a second one without remedies."""
    remedies = ", ".join(f'"{name}"' for name in (order or of.remedy_ids))
    gate = ", ".join(f'"{name}"' for name in of.check_ids)
    text = f"""
schema = 1
[tests]
suites = [[]]
[[phase]]
number = 1
title = "Words"
risk = "low"
max_changes = {max_changes}
max_files = {max_files}
remedies = [{remedies}]
gate = [{gate}]
[[phase.item]]
id = "1.1"
text = "No word is left"
requirement = "A1"
checks = [{gate}]
[[phase.item]]
id = "1.2"
text = "One command takes each change back"
requirement = "A6"
evidence = ["undo"]
[[phase]]
number = 2
title = "Nothing"
after = [1]
risk = "low"
max_changes = 1
max_files = 1
remedies = []
gate = []
"""
    return parse_plan("plan.toml", text.encode(), of.check_ids, of.remedy_ids)


def git(folder: Path, *arguments: str) -> str:
    """Run git as a user would, and give what it printed."""
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("GIT_")},
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_SYSTEM": os.devnull,
        "GIT_AUTHOR_NAME": "Ann", "GIT_AUTHOR_EMAIL": "ann@example.com", "GIT_AUTHOR_DATE": "1700000000 +0000",
        "GIT_COMMITTER_NAME": "Ann", "GIT_COMMITTER_EMAIL": "ann@example.com",
        "GIT_COMMITTER_DATE": "1700000000 +0000",
    }  # fmt: skip
    done = subprocess.run(("git", *arguments), cwd=folder, env=environment, capture_output=True, check=True)
    return os.fsdecode(done.stdout)


def write(folder: Path, files: Mapping[str, str]) -> None:
    """Write text files below a folder."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def repository(folder: Path, files: Mapping[str, str] = FILES) -> Path:
    """A repository with one commit."""
    folder.mkdir(parents=True)
    git(folder, "init", "-q", "-b", "main", "--template=")
    write(folder, files)
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "--allow-empty", "-m", "as found")
    return folder


def options(
    tmp: Path, *, static_only: bool = True, checkpoint: Callable[[str], None] | None = None, **more: object
) -> Options:
    """Options for a run that accepts that no tests are executed."""
    made = Options(copies=tmp / "copies", static_only=static_only, today=date(2026, 1, 1))
    changes = dict(more)
    if checkpoint is not None:
        changes["checkpoint"] = checkpoint
    for name, value in changes.items():
        object.__setattr__(made, name, value)
    return made


def everything(folder: Path) -> dict[str, bytes]:
    """Every file of a folder outside Regreen's own state, by path."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "regreen" not in path.relative_to(folder).parts
    }
