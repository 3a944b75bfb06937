"""The target's own tests, before and after, each in a checkout of its own that is removed afterwards."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from regreen.apply import Commits, Repository
from regreen.facts.source import GitTree
from regreen.facts.testrun import (
    RED,
    Interpreter,
    Limits,
    TestComparison,
    TestRun,
    check_out,
    compare,
    interpreter,
    passing_again,
    run_tests,
)
from regreen.plan import TestLimits
from regreen.policy import Policy
from regreen.run.options import OptionError, Options

MOST_AGAIN: Final = 50
"""More tests than this are not run again: chance does not turn so many red."""


def ready(options: Options) -> Interpreter | None:
    """The interpreter of `--python`, asked before anything is done. Raises InterpreterError, OptionError."""
    if options.python is None:
        return None
    if options.static_only:
        raise OptionError(
            "--python and --static-only exclude each other: one runs the tests, one accepts that none run"
        )
    return interpreter(options.python)


def suites_of(options: Options, policy: Policy, limits: TestLimits) -> tuple[tuple[str, ...], ...]:
    """Which suites run: those of the command line, else of the target's own policy, else of the plan."""
    if options.suites is not None:
        return options.suites
    named: tuple[str, ...] = getattr(policy, "suites", ())
    if named:
        import shlex

        return tuple(tuple(shlex.split(line)) for line in named)
    return limits.suites


def compare_tests(
    commits: Commits,
    python: Interpreter,
    old: str,
    new: str,
    suites: tuple[tuple[str, ...], ...],
    limits: TestLimits,
    unmasks: Iterable[str],
) -> TestComparison:
    """Run the tests of two commits and compare them, test by test.

    What differs between the two is run once more, where it was red: what passes then is flaky, not regressed or fixed.
    """
    before = _run(commits, python, old, suites, limits)
    after = _run(commits, python, new, suites, limits)
    unmasked = tuple(unmasks)
    found = compare(before, after, unmasked)
    mended = set(found.fixed)
    was_red = [item.test for item in before.results if item.outcome in RED and item.test in mended]
    now_red = [item.test for item in (*found.regressions, *found.revealed) if "::" in item.test]
    flaky = tuple(_again(commits, python, commit, tests, limits) for commit, tests in ((old, was_red), (new, now_red)))
    return compare(before, after, unmasked, (flaky[0], flaky[1])) if any(flaky) else found


def _again(commits: Commits, python: Interpreter, commit: str, tests: list[str], limits: TestLimits) -> frozenset[str]:
    """The red tests of a commit that pass when run again; none where there are too many for chance to be the reason."""
    if not 0 < len(tests) <= MOST_AGAIN:
        return frozenset()
    with _checkout(commits, commit) as folder:
        repository = commits.repository
        return passing_again(
            python, folder / repository.prefix, repository.folder / repository.prefix, tests, _limits(limits)
        )


def _run(
    commits: Commits, python: Interpreter, commit: str, suites: tuple[tuple[str, ...], ...], limits: TestLimits
) -> TestRun:
    repository = commits.repository
    with _checkout(commits, commit) as folder:
        target = repository.folder / repository.prefix
        return run_tests(
            python, folder / repository.prefix, target, suites, _limits(limits), _tree(repository, commit)
        )  # fmt: skip


def _limits(limits: TestLimits) -> Limits:
    return Limits(float(limits.seconds), limits.memory * 1024 * 1024)


@contextmanager
def _checkout(commits: Commits, commit: str) -> Iterator[Path]:
    """The files of a commit in a folder of their own, which is gone afterwards."""
    repository = commits.repository
    with tempfile.TemporaryDirectory(prefix="regreen-checkout-") as name:
        # A folder with the target's own name: some suites look at the name of their root.
        folder = Path(name).resolve() / (repository.folder.name or "target")
        folder.mkdir()
        reader = GitTree(repository.folder, commit)
        try:
            check_out(folder, commits.entries(commit), reader.blob, {})
        finally:
            reader.close()
        yield folder


def _tree(repository: Repository, commit: str) -> str:
    return repository.tree(commit)
