"""The target's own tests, before and after, each in a checkout of its own that is removed afterwards."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from pathlib import Path

from regreen.apply import Commits, Repository
from regreen.facts.source import GitTree
from regreen.facts.testrun import (
    Interpreter,
    Limits,
    TestComparison,
    TestRun,
    check_out,
    compare,
    interpreter,
    run_tests,
)
from regreen.plan import TestLimits
from regreen.policy import Policy
from regreen.run.options import OptionError, Options


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
    """Run the tests of two commits and compare them, test by test."""
    before = _run(commits, python, old, suites, limits)
    after = _run(commits, python, new, suites, limits)
    return compare(before, after, unmasks)


def _run(
    commits: Commits, python: Interpreter, commit: str, suites: tuple[tuple[str, ...], ...], limits: TestLimits
) -> TestRun:
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
        target = repository.folder / repository.prefix
        return run_tests(
            python,
            folder / repository.prefix,
            target,
            suites,
            Limits(float(limits.seconds), limits.memory * 1024 * 1024),
            _tree(repository, commit),
        )


def _tree(repository: Repository, commit: str) -> str:
    return repository.tree(commit)
