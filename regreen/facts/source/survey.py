"""Read a tree once, judge it by every check."""

from __future__ import annotations

import gc
import marshal
import multiprocessing
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Final

from regreen.facts.source.cache import Cache, fingerprint, freeze_verdict, thaw_verdict
from regreen.facts.source.collect import collect, cores, identify, select
from regreen.facts.source.index import Index
from regreen.facts.source.modules import modules
from regreen.model import Diagnosis, Finding, Span, Suppressed, Verdict

if TYPE_CHECKING:
    from regreen.facts.source.contract import CodeCheck
    from regreen.facts.source.trees import Tree
    from regreen.policy import Policy
    from regreen.progress import Progress


#: Python files from which judging is worth a second process.
_FORK_FROM: Final = 3000


class Survey:
    """The verdicts over a tree, and the facts they rest on (gathered when first asked for)."""

    def __init__(self, diagnosis: Diagnosis, index: Callable[[], Index]) -> None:
        self.diagnosis = diagnosis
        self._make = index

    @cached_property
    def index(self) -> Index:
        """The facts of the tree."""
        return self._make()


def survey(
    tree: Tree,
    checks: Sequence[CodeCheck],
    policy: Policy,
    cache: Path | None = None,
    progress: Progress | None = None,
) -> Survey:
    """Collect the facts of a tree (parsing only what the cache does not know) and judge them.

    `cache` is a folder of this target's own. A tree that was judged before, in exactly this state, is not judged again.
    """
    started = time.perf_counter()
    with _no_collector():
        store = Cache(cache, checks)
        chosen = select(tree, policy)
        digests = identify(tree, chosen, store)
        if cache is not None and len(digests) == len(chosen.sources):
            key = fingerprint(chosen.entries, digests, policy)
            known = store.verdicts(key)
            if known is not None:
                diagnosis = replace(known, tree=tree.id, seconds=time.perf_counter() - started)
                return Survey(diagnosis, lambda: collect(tree, chosen, digests, checks, policy, store, progress))
        index = collect(tree, chosen, digests, checks, policy, store, progress)
        verdicts = judge_all(checks, index, policy)
        parsed = sum(1 for file in index.files.values() if file.error is None)
        functions, modules = index.tests
        diagnosis = Diagnosis(
            tree.id,
            verdicts,
            len(index.files),
            parsed,
            len(index.files) - parsed,
            functions,
            modules,
            time.perf_counter() - started,
        )
        if cache is not None and len(digests) == len(chosen.sources):
            store.keep_verdicts(fingerprint(chosen.entries, digests, policy), diagnosis, chosen.entries)
        return Survey(diagnosis, lambda: index)


@contextmanager
def _no_collector() -> Iterator[None]:
    """Millions of small records and no cycles: the cyclic garbage collector only costs time here."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def judge_all(checks: Sequence[CodeCheck], index: Index, policy: Policy) -> tuple[Verdict, ...]:
    """Every check's verdict, in order. On large trees a forked process takes every other check.

    The fork shares the index by memory, so only verdicts cross the pipe; where it cannot be had, or dies, this
    process judges alone.
    """
    theirs = checks[1::2]
    if (
        len(index.files) < _FORK_FROM
        or cores() < 2
        or threading.active_count() > 1
        or "fork" not in multiprocessing.get_all_start_methods()
    ):
        return tuple(judge(check, index, policy) for check in checks)
    modules(index)  # most checks ask for it: made once, before the fork

    def serve(pipe: Connection) -> None:
        pipe.send_bytes(marshal.dumps([freeze_verdict(judge(check, index, policy)) for check in theirs]))

    ours, pipe = multiprocessing.Pipe()
    process = multiprocessing.get_context("fork").Process(target=serve, args=(pipe,), daemon=True)
    process.start()
    pipe.close()
    try:
        verdicts = {check.ID: judge(check, index, policy) for check in checks[::2]}
        try:
            plain = marshal.loads(ours.recv_bytes())  # noqa: S302 - our own fork wrote it
            verdicts.update((verdict.check, verdict) for verdict in map(thaw_verdict, plain))
        except (EOFError, OSError, TypeError, ValueError):
            verdicts.update((check.ID, judge(check, index, policy)) for check in theirs)
    finally:
        ours.close()
        process.terminate()
        process.join()
    return tuple(verdicts[check.ID] for check in checks)


def judge(check: CodeCheck, index: Index, policy: Policy) -> Verdict:
    """One check's verdict, suppressions applied. A check that fails is UNKNOWN, and says why."""
    failures = [f"{file.path}: {message}" for file, message in index.failures(check.ID)]
    try:
        verdict = check.judge(index, policy)
    except Exception as error:  # noqa: BLE001 - a bug in one check must not blind the others; it is shown
        return Verdict.unknown(check.ID, f"the check itself failed: {type(error).__name__}: {error}")
    if failures:
        verdict = replace(verdict, error=f"could not look at {len(failures)} files, first {failures[0]}")
    return _suppress(verdict, index)


def _suppress(verdict: Verdict, index: Index) -> Verdict:
    kept: list[Finding] = []
    suppressed: list[Suppressed] = []
    for finding in verdict.findings:
        reason = _comment(finding, index)
        if reason:
            suppressed.append(Suppressed(finding, "comment", reason))
        else:
            kept.append(finding)
    if not suppressed:
        return verdict
    return replace(verdict, findings=tuple(kept), suppressed=(*verdict.suppressed, *suppressed))


def _comment(finding: Finding, index: Index) -> str:
    """The reason of an inline comment on the finding's lines. A comment without a reason does not count."""
    where = finding.where
    if not isinstance(where, Span) or where.path not in index.files:
        return ""
    for line, ids, reason in index.files[where.path].suppressions:
        named = {part.strip() for part in ids.split(",")}
        if (
            reason
            and (finding.check in named or "*" in named)
            and where.line <= line <= max(where.end_line, where.line)
        ):
            return reason
    return ""
