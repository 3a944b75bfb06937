"""Whether other hands changed an environment: what the engine would do to bring back what the stack's file says."""

from __future__ import annotations

from collections.abc import Callable

from regreen.apply import Repository
from regreen.cloud.executor import Executor, ExecutorError
from regreen.facts.cloud import Measurement
from regreen.facts.source import GitTree


def drifted(executor: Executor | None, stack: Callable[[], bytes], no_engine: str) -> Measurement:
    """How many operations would bring the environment back, and which; an error where that cannot be said."""
    if executor is None:
        return Measurement(error=f"not run: {no_engine}")
    content = stack()
    if not content:
        return Measurement(error="nothing was adopted into the stack yet, so nothing can drift")
    try:
        found = executor.drift(content)
    except ExecutorError as error:
        return Measurement(error=str(error))
    return Measurement(max(1.0, float(len(found))), seen="; ".join(map(str, found)))


def stack_at(repository: Repository, path: str, commit: str) -> bytes:
    """The stack's file at a commit; empty where there is none."""
    tree = GitTree(repository.folder, repository.tree(commit))
    try:
        return tree.read(path)
    except FileNotFoundError:
        return b""
    finally:
        tree.close()
