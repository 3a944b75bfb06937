"""Files that stopped parsing, with a history: the commit that broke them, and the version before."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from checks.code import source_readable
from regreen.facts.source import FolderTree, GitTree, OverlayTree, Tree, survey
from regreen.model import Proposal, Safety, compose
from regreen.policy import Policy
from remedies.code import restore_source
from remedies.restoring.history import breaks

GOOD = 'def f():\n    """Say."""\n    return "Text."\n'
QUOTES = 'def f():\n    """Say.\n    return ""Text."\n'


class Repository:
    """A repository whose commits are made without hooks, signatures or the user's settings."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.git("init", "-q", "-b", "main")

    def git(self, *arguments: str) -> str:
        settings = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
        settings |= {f"GIT_{role}_DATE": "2024-05-06T12:00:00Z" for role in ("AUTHOR", "COMMITTER")}
        people = {f"GIT_{role}_{part}": "a@b.c" for role in ("AUTHOR", "COMMITTER") for part in ("NAME", "EMAIL")}
        command = ("git", "-C", str(self.root), *arguments)
        return subprocess.run(
            command, check=True, capture_output=True, text=True, env={**os.environ, **settings, **people}
        ).stdout.strip()

    def commit(self, subject: str, **files: str) -> str:
        for name, text in files.items():
            (self.root / f"{name}.py").write_bytes(text.encode())
        self.git("add", "-A")
        self.git("commit", "-q", "-m", subject)
        return self.git("rev-parse", "HEAD")

    def tree(self) -> GitTree:
        return GitTree(self.root, self.git("rev-parse", "HEAD"))


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path)


def proposal(tree: Tree) -> Proposal:
    found = survey(tree, [source_readable], Policy.of(tree))
    verdict = found.diagnosis.verdicts[0]
    return restore_source.propose(verdict.findings, found.index, Policy.of(tree))


def test_lost_quotes_are_put_back(repository: Repository) -> None:
    repository.commit("Start", a=GOOD, b="x = 1\n")
    broke = repository.commit("Tidy strings", a=QUOTES)
    repository.commit("Other work", b="x = 2\n")
    tree = repository.tree()

    found = proposal(tree)

    assert not found.refusals
    (change,) = found.changes
    assert change.safety is Safety.SAFE
    assert broke in change.evidence
    assert '(2024-05-06) "Tidy strings"' in change.evidence
    assert compose(tree, found.changes)[0] == {"a.py": GOOD.encode()}
    assert [item.new for item in change.splices] == [
        b'    """Say."""\n',
        b'    return "Text."\n',
    ]  # and `def f():` stays


def test_work_since_the_damage_is_not_thrown_away(repository: Repository) -> None:
    repository.commit("Start", a=GOOD)
    broke = repository.commit("Tidy strings", a=QUOTES + "\n\ndef new():\n    return 1\n")

    found = proposal(repository.tree())

    assert not found.changes
    (refusal,) = found.refusals
    good = repository.git("rev-parse", "HEAD~:a.py")
    assert f'commit {broke[:12]} (2024-05-06) "Tidy strings" broke it' in refusal.reason
    assert f"`git show {good}`" in refusal.reason
    assert f"git diff {good} {repository.git('rev-parse', 'HEAD:a.py')}" in refusal.decide


def test_versions_that_do_not_compile_are_passed_over(repository: Repository) -> None:
    repository.commit("Start", a="def f(g):\n    return g\n")
    broke = repository.commit("Await", a="def f(g):\n    await g\n")
    repository.commit("Worse", a="def f(g:\n    await g\n")

    (refusal,) = proposal(repository.tree()).refusals

    assert f'commit {broke[:12]} (2024-05-06) "Await" broke it' in refusal.reason


def test_a_renamed_file_is_followed(repository: Repository) -> None:
    long = "".join(f"x{number} = {number}\n" for number in range(40))
    repository.commit("Start", a=long + 'y = "Text."\n')
    repository.git("mv", "a.py", "b.py")
    broke = repository.commit("Move", b=long + 'y = ""Text."\n')

    (change,) = proposal(repository.tree()).changes

    assert broke in change.evidence
    assert change.splices[0].new == b'y = "Text."\n'


def test_the_merge_that_brought_it_is_named(repository: Repository) -> None:
    repository.commit("Start", a=GOOD)
    repository.git("checkout", "-q", "-b", "topic")
    repository.commit("On the branch", a=QUOTES)
    repository.git("checkout", "-q", "main")
    repository.commit("On main", b="x = 1\n")
    repository.git("merge", "-q", "--no-ff", "-m", "Merge topic", "topic")

    (change,) = proposal(repository.tree()).changes

    assert '"Merge topic"' in change.evidence


def test_a_file_that_was_never_readable(repository: Repository) -> None:
    born = repository.commit("Add it broken", a="def f(:\n")

    (refusal,) = proposal(repository.tree()).refusals

    assert refusal.reason.startswith("no version of it was ever readable")
    assert born[:12] in refusal.reason


def test_a_file_that_this_run_edited_has_no_history(repository: Repository) -> None:
    repository.commit("Start", a=GOOD)

    (refusal,) = proposal(OverlayTree(repository.tree(), {"a.py": b"def f(:\n"})).refusals

    assert refusal.reason == "an earlier repair of this run edited the file"


def test_a_folder_has_no_versions(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_bytes(b"def f(:\n")

    (refusal,) = proposal(FolderTree(tmp_path)).refusals

    assert "no git commit" in refusal.reason


def test_both_sides_of_a_conflict_are_named(repository: Repository) -> None:
    repository.commit("Merge", a="<<<<<<< HEAD\nx = 1\n=======\nx = 2\n>>>>>>> origin/topic\n" * 2)

    (refusal,) = proposal(repository.tree()).refusals

    assert refusal.reason == "2 merge conflicts between HEAD and origin/topic, committed unresolved"


def test_a_folder_of_a_repository_has_its_part_of_the_history(repository: Repository) -> None:
    (repository.root / "api").mkdir()
    repository.commit("whole", **{"api/a": GOOD})
    broke = repository.commit("the quotes went", **{"api/a": QUOTES})

    found = breaks(GitTree(repository.root, "HEAD", prefix="api/"), ["a.py"])["a.py"]

    assert (found.commit, found.good) == (broke, GOOD.encode())
