"""Say which commit broke a file that cannot be read, and which version of it could; restore it where only quotes were lost.

Broken files come in waves, after a bad mass edit or merge, and git still holds the version before. Each refusal names the
commit that broke the file, and the command that prints the last version that parsed. That version is restored where
it differs from today's in nothing but quote characters: no work since is lost, and a file that does not parse runs nowhere.
Merge conflicts are for people. Sources of a newer Python, templates and notebooks are not broken, and their history is not searched.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from typing import Final

from regreen.facts.source import GitTree, Index, OverlayTree
from regreen.model import Change, Example, Finding, Proposal, Refusal, Risk, Safety, Splice, Undo
from regreen.policy import Policy
from remedies.restoring.history import Break, breaks

ID: Final = "code.restore-source"
CHECK: Final = "code.source-readable"
SAFETY: Final = Safety.SAFE
UNDO: Final = Undo.EXACT
RISK: Final = Risk.MEDIUM

_QUOTES: Final = re.compile(rb"[\"']")
_LINE: Final = re.compile(rb"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")
_SIDES: Final = re.compile(rb"^(<{7}|>{7})(?: ([^\r\n]*))?\r?$", re.M)
#: Kinds of unreadable files that history cannot help with: why, and what a person must decide.
_OTHER: Final = {
    "newer-python": ("the file is valid for a newer Python", "run with that Python, or keep to the grammar of the older one"),
    "template": ("the file is a template, no Python yet", "a name that does not end in .py, or an entry in `exclude`"),
    "notebook": ("the file holds a notebook's magics", "keep it as a notebook, or take the magics out"),
    "too-large": ("the file is too large to be parsed here", "split it, or name it in `exclude`"),
    "io": ("the file cannot be opened", "its permissions, or what became of it"),
}  # fmt: skip


def propose(findings: Sequence[Finding], index: Index, policy: Policy) -> Proposal:
    """A change for each file that lost nothing but quotes; a refusal that tells its history for every other one."""
    changes: list[Change] = []
    refusals: list[Refusal] = []
    wanted = [f.path for f in findings if f.get("kind") not in (*_OTHER, "conflict")]
    tree, edited = _git(index)
    found = breaks(tree, [path for path in dict.fromkeys(wanted) if path not in edited]) if tree else {}
    for finding in findings:
        kind, path = finding.get("kind"), finding.path
        if kind in _OTHER:
            reason, decide = _OTHER[kind]
        elif kind == "conflict":
            reason, decide = _conflict(index.tree.read(path))
        elif tree is None:
            reason, decide = (
                "the tree that was read is no git commit, so it has no earlier versions",
                "repair it by hand",
            )
        elif path in edited:
            reason, decide = "an earlier repair of this run edited the file", "drop that repair"
        else:
            history = found.get(path, Break())
            splices = _only_quotes(path, index.tree.read(path), history.good)
            if splices:
                changes.append(_restored(finding, history, splices))
                continue
            reason, decide = _told(history)
        refusals.append(Refusal(ID, finding.fingerprint, finding.subject, finding.where, reason, decide))
    return Proposal(tuple(changes), tuple(refusals))


def _git(index: Index) -> tuple[GitTree | None, frozenset[str]]:
    """The commit below the tree's edits, if it is one, and the edited files."""
    tree, edited = index.tree, set[str]()
    while isinstance(tree, OverlayTree):
        edited.update(tree.edits)
        tree = tree.base
    return (tree if isinstance(tree, GitTree) else None), frozenset(edited)


def _conflict(source: bytes) -> tuple[str, str]:
    sides = {"<": "", ">": ""}
    conflicts = 0
    for marker, label in _SIDES.findall(source):
        side = marker[:1].decode()
        conflicts += side == "<"
        sides[side] = sides[side] or label.decode("utf-8", "replace")
    ours, theirs = (name or "an unnamed side" for name in sides.values())
    count = "a merge conflict" if conflicts == 1 else f"{conflicts} merge conflicts"
    return (
        f"{count} between {ours} and {theirs}, committed unresolved",
        f"which of {ours} and {theirs} is right, line by line",
    )


def _told(history: Break) -> tuple[str, str]:
    if not history.commit:
        why = history.why or "git knows no version of it"
        return f"{why}, so there is no version to return to", "repair it by hand"
    broke = f'commit {history.commit[:12]} ({history.date}) "{history.subject}"'
    if not history.good_id:
        return f"no version of it was ever readable; it came with {broke}", "repair it by hand, or leave it out"
    return (
        f"{broke} broke it; the version before could be read: `git show {history.good_id}`, and other lines changed since",
        f"what of the changes since is kept: `git diff {history.good_id} {history.bad_id}` shows them all",
    )


def _restored(finding: Finding, history: Break, splices: tuple[Splice, ...]) -> Change:
    lines = len(splices)
    return Change(
        ID,
        finding.subject,
        f"put back the quotes that {history.commit[:12]} took from {lines} place{'s' if lines > 1 else ''}",
        (finding.fingerprint,),
        splices,
        safety=Safety.SAFE,
        evidence=(
            f'commit {history.commit} ({history.date}) "{history.subject}" broke the file; git blob {history.good_id} was'
            " the last that could be read, and it differs in quote characters only"
        ),
    )


def _only_quotes(path: str, now: bytes, good: bytes) -> tuple[Splice, ...]:
    """The splices that restore an earlier version, if quote characters are all that differs; else none."""
    if not good or _bare(now) != _bare(good):
        return ()
    old, new = _LINE.findall(now), _LINE.findall(good)
    if len(old) == len(new):
        runs = [(n, n + 1, n, n + 1) for n, (a, b) in enumerate(zip(old, new, strict=True)) if a != b]
    else:
        matcher = difflib.SequenceMatcher(None, old, new, autojunk=False)
        runs = [(a, b, c, d) for tag, a, b, c, d in matcher.get_opcodes() if tag != "equal"]
    starts = [0]
    for line in old:
        starts.append(starts[-1] + len(line))
    return tuple(
        Splice(path, starts[first], starts[last], b"".join(new[begin:end])) for first, last, begin, end in runs
    )


def _bare(text: bytes) -> list[bytes]:
    """The lines of a file without their quotes; lines that hold nothing else are left out."""
    pairs = ((line, _QUOTES.sub(b"", line)) for line in _LINE.findall(text))
    return [left for line, left in pairs if left.strip() or left == line]


EXAMPLES: Final = (
    Example("no history", {"a.py": 'x = ""Text."\n'}, refuses=True),
    Example("a merge conflict", {"a.py": "<<<<<<< HEAD\nx = 1\n=======\nx = 2\n>>>>>>> topic\n"}, refuses=True),
    Example("a template, a notebook", {
        "a.py": "class {{ name }}:\n    {% if x %}\n    y = 1\n    {% endif %}\n", "b.py": "# In[1]:\n%matplotlib inline\nx = 1\n",
    }, refuses=True),
    Example("readable", {"a.py": 'x = "Text."\n'}, {"a.py": 'x = "Text."\n'}),
)  # fmt: skip
