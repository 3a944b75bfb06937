"""Old tests against new ones on a broken product: no break that the old ones noticed may pass the new ones.

The product is that of the newer revision, in a checkout of its own that is removed; the test files that changed are laid
over it as they were, and as they are. Only lines that the changed tests execute are broken. Bounded in mutants and time.
"""

from __future__ import annotations

import json
import random
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from regreen.apply import Commits, Repository, open_repository
from regreen.facts.source import GitTree
from regreen.facts.testrun import Interpreter, Limits, Outcome, TestRun, check_out, run_tests
from regreen.ratchet import from_git
from regreen.ratchet.source import is_test_support

from .mutate import Mutant, mutants

MOST: Final = 40
SECONDS: Final = 600.0
ONE: Final = 60.0
"""Seconds for one run of the changed tests; a mutant that takes longer counts as noticed."""


class MutantError(Exception):
    """The gate cannot be judged; the text says why."""


@dataclass(frozen=True, slots=True)
class Survivor:
    """A break that these old tests noticed and no new one does."""

    mutant: Mutant
    noticed_by: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class MutantReport:
    """How many breaks were tried, how many each side noticed, and which only the old one did."""

    tried: int
    of: int
    noticed_before: int
    noticed_after: int
    survivors: tuple[Survivor, ...]
    tests: tuple[str, ...]
    note: str


def compare_mutants(target: Path, base: str, head: str, python: Interpreter, most: int = MOST) -> MutantReport:
    """Compare the changed tests of two revisions. Raises MutantError, GitError, HistoryError."""
    repository = open_repository(target)
    if repository is None:
        raise MutantError(f"{target} is in no git repository")
    old, new = repository.commit(base), repository.commit(head or "HEAD")
    if not old or not new:
        raise MutantError(f"{base if not old else head}: there is no such revision in {repository.folder}")
    old = repository.ask("merge-base", old, new) or old
    changed = [item for item in from_git(repository.folder, old, new).tests if item.reason != "unchanged"]
    both = tuple(item.test for item in changed if item.line_before and item.line_after)
    if not both:
        return MutantReport(0, 0, 0, 0, (), (), "no test that is on both sides was changed")
    paths = sorted({test.partition("::")[0] for test in both})
    until = time.monotonic() + SECONDS
    with tempfile.TemporaryDirectory(prefix="regreen-mutants-") as name:
        before = _Side(repository, new, old, Path(name) / "before", python, target)
        after = _Side(repository, new, new, Path(name) / "after", python, target)
        green = [side.passing(paths, both, Path(name) / f"lines-{n}.json") for n, side in enumerate((before, after))]
        common = sorted(green[0] & green[1])
        if not common:
            raise MutantError("no changed test passes on the newer product both as it was and as it is")
        found = _breaks(after, before.lines, after.lines)
        chosen = random.Random(0).sample(found, min(most, len(found)))  # noqa: S311 - the same sample each time
        survivors: list[Survivor] = []
        counts = [0, 0]
        tried = 0
        for mutant in chosen:
            if time.monotonic() > until:
                break
            tried += 1
            was = before.noticed(mutant, common)
            now = after.noticed(mutant, common)
            counts[0] += bool(was)
            counts[1] += bool(now)
            if was and not now:
                survivors.append(Survivor(mutant, tuple(sorted(was))))
    note = "" if tried == len(found) else f"{tried} of {len(found)} breaks were tried (a fixed sample)"
    return MutantReport(tried, len(found), counts[0], counts[1], tuple(survivors), tuple(common), note)


class _Side:
    """A checkout of one product with the tests of one revision."""

    def __init__(
        self, repository: Repository, product: str, tests: str, folder: Path, python: Interpreter, target: Path
    ) -> None:
        self.folder = folder
        self.python = python
        self.target = target
        self.lines: dict[str, set[int]] = {}
        folder.mkdir()
        with Commits(repository, dry=True) as commits:
            entries = dict(commits.entries(product))
            if tests != product:
                entries = {path: item for path, item in entries.items() if not is_test_support(path)}
                entries.update({p: item for p, item in commits.entries(tests).items() if is_test_support(p)})
        reader = GitTree(repository.folder, product)
        try:
            check_out(folder, entries, reader.blob, {})
        finally:
            reader.close()

    def run(self, arguments: Sequence[str]) -> TestRun:
        limits = Limits(seconds=ONE)
        return run_tests(self.python, self.folder, self.target, [("-q", "-p", "no:cacheprovider", *arguments)], limits)

    def passing(self, paths: Sequence[str], wanted: Sequence[str], lines: Path) -> frozenset[str]:
        """The changed tests that pass here, as pytest names them; what they execute is kept in `lines`."""
        there = [path for path in paths if (self.folder / path).is_file()]
        done = self.run(["-p", "regreen_lines", "--regreen-lines", str(lines), *there])
        if done.problem:
            raise MutantError(done.problem)
        if lines.is_file():
            self.lines = {path: set(numbers) for path, numbers in json.loads(lines.read_text()).items()}
        names = frozenset(wanted)
        return frozenset(r.test for r in done.results if r.outcome is Outcome.PASSED and r.name in names)

    def noticed(self, mutant: Mutant, tests: Sequence[str]) -> frozenset[str]:
        """The tests that no longer pass on a broken product, which is mended afterwards."""
        place = self.folder / mutant.path
        whole = place.read_bytes()
        try:
            place.write_bytes(mutant.content)
            done = self.run(tests)
        finally:
            place.write_bytes(whole)
        if done.problem:
            return frozenset(tests)
        return frozenset(tests) - {r.test for r in done.results if r.outcome is Outcome.PASSED}


def _breaks(side: _Side, *covered: dict[str, set[int]]) -> list[Mutant]:
    """The breaks of product files on the lines that either side executes."""
    lines: dict[str, set[int]] = {}
    for table in covered:
        for path, numbers in table.items():
            if path.endswith(".py") and not is_test_support(path):
                lines.setdefault(path, set()).update(numbers)
    found: list[Mutant] = []
    for path, numbers in sorted(lines.items()):
        place = side.folder / path
        if place.is_file():
            found += mutants(path, place.read_bytes(), numbers)
    return found
