"""Imports that moved: what git's history proves, what the rewritten program does, and what stays as it was to the byte."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from checks.code import import_paths_consistent, imports_resolve
from regreen.facts.source import CodeRemedy, GitTree, MemoryTree, OverlayTree, survey
from regreen.facts.source.syntax import Unreadable, parse
from regreen.model import Proposal, compose
from regreen.policy import Policy
from remedies.code import bridge_export, canonical_import_path, rewrite_import

PROJECT = {
    "pyproject.toml": '[project]\nname = "app"\nversion = "1"\n',
    "src/app/__init__.py": "",
    "src/app/old/__init__.py": "",
    "src/app/old/clock.py": "import time\n\n\ndef now():\n    return time.time()\n\n\nclass Clock:\n    now = staticmethod(now)\n",
    "src/app/models.py": "class Trade:\n    pass\n\n\ndef digest_of(trade):\n    return 1\n",
    "tests/test_a.py": "from app.old.clock import Clock\n",
}


def git(repo: Path, *arguments: str) -> None:
    subprocess.run(("git", "-C", str(repo), *arguments), check=True, capture_output=True)


def write(root: Path, files: dict[str, str]) -> None:
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    subprocess.run(("git", "init", "-q", str(tmp_path)), check=True)
    git(tmp_path, "config", "user.email", "a@example.org")
    git(tmp_path, "config", "user.name", "A")
    write(tmp_path, PROJECT)
    commit(tmp_path, "start")
    return tmp_path


def commit(repo: Path, subject: str) -> None:
    git(repo, "add", "-A")
    git(repo, "commit", "-qm", subject)


def proposed(remedy: CodeRemedy, tree: GitTree | OverlayTree) -> Proposal:
    result = survey(tree, [imports_resolve], Policy())
    return remedy.propose(result.diagnosis.verdicts[0].findings, result.index, Policy())


def test_a_renamed_package_is_followed_through_two_commits(repo: Path) -> None:
    git(repo, "mv", "src/app/old", "src/app/middle")
    commit(repo, "first move")
    git(repo, "mv", "src/app/middle", "src/app/new")
    commit(repo, "second move")
    write(repo, {"src/app/other.py": "class Clock:\n    pass\n"})  # a second definition: history decides
    commit(repo, "another clock")
    tree = GitTree(repo, "HEAD")

    proposal = proposed(rewrite_import, tree)

    edits, _ = compose(tree, proposal.changes)
    assert edits == {"tests/test_a.py": b"from app.new.clock import Clock\n"}
    assert "second move" in proposal.changes[0].evidence
    assert not proposal.refusals


def test_a_plain_import_of_a_renamed_module_takes_its_uses_and_patches_along(repo: Path) -> None:
    text = "import app.old.clock\nfrom unittest import mock\n\n\ndef test_a():\n    with mock.patch('app.old.clock.now'):\n        assert app.old.clock.now()\n"
    write(repo, {"tests/test_a.py": text})
    git(repo, "mv", "src/app/old/clock.py", "src/app/clock.py")
    commit(repo, "move")
    tree = OverlayTree(GitTree(repo, "HEAD"), {})

    edits, _ = compose(tree, proposed(rewrite_import, tree).changes)

    assert edits == {"tests/test_a.py": text.replace("app.old.clock", "app.clock").encode()}


def test_a_renamed_module_without_the_name_proves_nothing(repo: Path) -> None:
    git(repo, "mv", "src/app/old/clock.py", "src/app/clock.py")
    write(repo, {"src/app/clock.py": PROJECT["src/app/old/clock.py"].replace("Clock", "SystemClock")})
    commit(repo, "move and rename")

    proposal = proposed(rewrite_import, GitTree(repo, "HEAD"))

    assert not proposal.changes
    assert "nothing in the tree defines Clock" in proposal.refusals[0].reason


def test_the_refusal_names_the_commit_that_took_a_name_away(repo: Path) -> None:
    write(
        repo, {"src/app/models.py": "class Trade:\n    pass\n", "tests/test_a.py": "from app.models import digest_of\n"}
    )
    commit(repo, "digest is gone")

    refusal = proposed(rewrite_import, GitTree(repo, "HEAD")).refusals[0]

    assert "(digest is gone) took it out of src/app/models.py" in refusal.reason


def test_a_bridge_warns_and_works(repo: Path) -> None:
    git(repo, "mv", "src/app/old", "src/app/new")
    write(repo, {"src/app/models.py": "class Trade:\n    pass\n", "src/app/digests.py": "def digest_of(trade):\n    return 1\n", "tests/test_a.py": "from app.models import digest_of\nfrom app.old.clock import Clock\n"})  # fmt: skip
    commit(repo, "moves")
    tree = GitTree(repo, "HEAD")

    proposal = proposed(bridge_export, tree)

    edits, _ = compose(tree, proposal.changes)
    assert sorted(edits) == ["src/app/models.py", "src/app/old/clock.py"]
    assert {change.safety for change in proposal.changes} == {bridge_export.SAFETY}
    write(repo, {path: content.decode() for path, content in edits.items()})
    program = (
        "import warnings\n"
        "with warnings.catch_warnings(record=True) as seen:\n"
        "    warnings.simplefilter('always')\n"
        "    from app.models import digest_of\n"
        "    from app.old.clock import Clock, now\n"
        "import app.digests, app.new.clock\n"
        "assert digest_of is app.digests.digest_of and Clock is app.new.clock.Clock\n"
        "for w in seen: print(w.category.__name__, w.message)\n"
    )
    done = subprocess.run(
        (sys.executable, "-B", "-c", program),
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": str(repo / "src")},
    )
    assert done.stdout.splitlines() == [
        "DeprecationWarning app.models.digest_of moved to app.digests",
        "DeprecationWarning app.old.clock moved to app.new.clock",
    ]
    assert not survey(OverlayTree(tree, dict(edits)), [imports_resolve], Policy()).diagnosis.findings


def test_no_bridge_for_what_never_was_there(repo: Path) -> None:
    write(repo, {"tests/test_a.py": "from app.models import now\n", "src/app/n.py": "def now():\n    return 1\n"})
    commit(repo, "a wrong import")

    proposal = proposed(bridge_export, GitTree(repo, "HEAD"))

    assert not proposal.changes
    assert "never had now" in proposal.refusals[0].reason


LINES = st.lists(
    st.sampled_from(["x = 1", "# é – ü", "s = 'from app.gone import Ledger'", "", "def f(a):\n    return a", '"""doc\n  é"""', "y = [\n    1,  # one\n]", "\tz = 1".strip()]),
    max_size=5,
)  # fmt: skip
STATEMENTS = st.sampled_from(
    [
        "from app.gone import Ledger",
        "from app.gone import Ledger, digest_of as d  # why",
        "from app.gone import (\n    Ledger,\n    digest_of,\n)",
        "def g():\n    from app.gone import Ledger\n    return Ledger",
        "from app.a import X, Ledgers",
        "import os; from app.gone import Ledger",
        "from app.gone import \\\n    Ledger",
        "from   app.gone   import   Ledger",
    ]
)
APP = {
    "app/__init__.py": "",
    "app/a.py": "X = 1\n\n\ndef digest_of(x): ...\n\n\nclass Ledger: ...\n",
    "app/b.py": "class Ledgers: ...\n",
}


@settings(max_examples=120, deadline=None)
@given(
    LINES,
    STATEMENTS,
    LINES,
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.sampled_from(["utf-8", "utf-8-sig", "latin-1"]),
    st.booleans(),
)
def test_all_other_lines_survive_to_the_byte(
    above: list[str], statement: str, below: list[str], newline: str, encoding: str, ends: bool
) -> None:
    head = ["# coding: latin-1"] if encoding == "latin-1" else []
    text = "\n".join([*head, *above, statement, *below]) + ("\n" if ends else "")
    if encoding == "latin-1":
        text = text.replace("–", "-")
    source = text.replace("\n", newline).encode(encoding)
    tree = MemoryTree({**APP, "t.py": source})
    result = survey(tree, [imports_resolve], Policy())

    proposal = rewrite_import.propose(result.diagnosis.verdicts[0].findings, result.index, Policy())

    edits, waiting = compose(tree, proposal.changes)
    assert not waiting
    assert len(proposal.changes) == 1
    assert not isinstance(parse(edits["t.py"]), Unreadable)
    prefix = "\n".join([*head, *above]).replace("–" if encoding == "latin-1" else "\0", "-").replace("\n", newline)
    suffix = "\n".join(below).replace("–" if encoding == "latin-1" else "\0", "-").replace("\n", newline)
    assert edits["t.py"].startswith(prefix.encode(encoding))
    assert edits["t.py"].endswith(
        suffix.encode("utf-8" if encoding == "utf-8-sig" else encoding) + (newline.encode() if ends else b"")
    )
    after = survey(OverlayTree(tree, dict(edits)), [imports_resolve], Policy()).diagnosis.findings
    assert not after


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("from src.app.a import (\n    x,  # one\n    y,\n)\n", "from app.a import (\n    x,  # one\n    y,\n)\n"),
        ("def f():\n\tfrom src.app.a import x\n\treturn x\n", "def f():\n\tfrom app.a import x\n\treturn x\n"),
        ("import src.app.a, os\nprint(os, src.app.a.x)\n", "import app.a, os\nprint(os, app.a.x)\n"),
    ],
)
def test_a_canonical_path_keeps_the_layout(before: str, after: str) -> None:
    files = {
        "src/app/__init__.py": "",
        "src/app/a.py": "x = y = 1\n",
        "t.py": "import app.a\n",
        "u.py": "import app.a\n",
        "v.py": before,
    }
    tree = MemoryTree(files)
    result = survey(tree, [import_paths_consistent], Policy())

    proposal = canonical_import_path.propose(result.diagnosis.verdicts[0].findings, result.index, Policy())

    edits, _ = compose(tree, proposal.changes)
    assert edits == {"v.py": after.encode()}


def test_a_folder_of_a_repository_has_its_part_of_the_history(tmp_path: Path) -> None:
    subprocess.run(("git", "init", "-q", str(tmp_path)), check=True)
    git(tmp_path, "config", "user.email", "a@example.org")
    git(tmp_path, "config", "user.name", "A")
    write(tmp_path, {f"api/{path}": text for path, text in PROJECT.items()})
    commit(tmp_path, "start")
    git(tmp_path, "mv", "api/src/app/old", "api/src/app/new")
    commit(tmp_path, "the move")
    write(tmp_path, {"api/src/app/other.py": "class Clock:\n    pass\n"})
    commit(tmp_path, "another clock")
    tree = GitTree(tmp_path, "HEAD", prefix="api/")

    proposal = proposed(rewrite_import, tree)

    edits, _ = compose(tree, proposal.changes)
    assert edits == {"tests/test_a.py": b"from app.new.clock import Clock\n"}
    assert "the move" in proposal.changes[0].evidence
