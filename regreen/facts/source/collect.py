"""Gather every Python file's record: from the cache, from workers, or here."""

from __future__ import annotations

import marshal
import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from regreen.facts.source.aside import is_test_code
from regreen.facts.source.index import FileFacts, Index
from regreen.facts.source.syntax import quiet
from regreen.facts.source.trees import Entry, FolderTree, GitTree, OverlayTree, Tree, blob_id
from regreen.facts.source.visitor import Visitor
from regreen.facts.source.workers import Job, Result, record, run

if TYPE_CHECKING:
    from regreen.facts.source.cache import Cache
    from regreen.facts.source.contract import CodeCheck
    from regreen.policy import Policy
    from regreen.progress import Progress

_PARALLEL_FROM: Final = 1_000_000  # bytes; below, starting workers costs more than they save
_GUESS: Final = 8_000  # bytes of a file whose size is not known
_BACKUP: Final = (".backup", ".bak", ".orig")


@dataclass(frozen=True, slots=True)
class Selection:
    """The Python files of a tree that are looked at, and those that are left out."""

    entries: tuple[Entry, ...]
    sources: tuple[Entry, ...]
    left_out: tuple[str, ...]


def select(tree: Tree, policy: Policy) -> Selection:
    """Python files outside backup, vendored and environment folders."""
    sources: list[Entry] = []
    left_out: list[str] = []
    folders = frozenset(policy.left_out)
    verdict: dict[str, bool] = {}
    entries = tree.entries()
    # A committed virtual environment is known by its pyvenv.cfg, whatever it is called.
    environments = {entry.path.rpartition("/")[0] for entry in entries if entry.path.endswith("/pyvenv.cfg")}
    for entry in entries:
        path = entry.path
        if not path.endswith((".py", ".pyi")):
            continue
        folder = path.rpartition("/")[0]
        out = verdict.get(folder)
        if out is None:
            parts = folder.split("/")
            out = not folders.isdisjoint(parts) or any(mark in part for part in parts for mark in _BACKUP)
            out = out or any(
                "/".join(parts[:depth]) in environments for depth in range(1, len(parts) + 1) if environments
            )
            verdict[folder] = out
        (left_out if out else sources).append(path if out else entry)  # type: ignore[arg-type]
    return Selection(tuple(entries), tuple(sources), tuple(left_out))


def _key(path: str, digest: str) -> str:
    return f"{digest}{'i' * path.endswith('.pyi')}{'t' * is_test_code(path)}"


def identify(tree: Tree, chosen: Selection, cache: Cache) -> dict[str, str]:
    """Blob ids of as many sources as are known without parsing. Reads files only if the cache could know them."""
    digests = {entry.path: entry.digest for entry in chosen.sources if entry.digest}
    if len(digests) == len(chosen.sources):
        return digests
    digests.update(cache.known(chosen.sources))
    if cache.records:
        for entry in chosen.sources:
            if entry.path not in digests:
                try:
                    digests[entry.path] = blob_id(tree.read(entry.path))
                except OSError:
                    continue
    return digests


def collect(
    tree: Tree,
    chosen: Selection,
    digests: dict[str, str],
    checks: Sequence[CodeCheck],
    policy: Policy,
    cache: Cache,
    progress: Progress | None,
) -> Index:
    """The index of a tree. `digests` is completed with the blob ids of all files that could be read."""
    records = cache.records
    fresh: dict[str, bytes] = {}
    missing: list[Entry] = []
    for entry in chosen.sources:
        digest = digests.get(entry.path, "")
        if not digest or _key(entry.path, digest) not in records:
            missing.append(entry)
    done = 0
    for results in _extract(tree, missing, digests, checks, policy):
        for path, digest, blob in results:
            if digest:
                digests[path] = digest
                records[_key(path, digest)] = blob
            else:
                fresh[path] = blob
        done += len(results)
        if progress is not None:
            progress.step("reading sources", done, len(missing))
    files: dict[str, FileFacts] = {}
    used: dict[str, bytes] = {}
    for entry in chosen.sources:
        path = entry.path
        if path in fresh:
            files[path] = FileFacts(path, "", marshal.loads(fresh[path]))  # noqa: S302 - made above
            continue
        key = _key(path, digests[path])
        blob = used[key] = records[key]
        files[path] = FileFacts(path, digests[path], marshal.loads(blob))  # noqa: S302 - data only
    if missing or len(used) < len(records):
        cache.store(chosen.sources, digests, used)
    return Index(tree, files, [check.ID for check in checks], chosen.left_out)


def _extract(
    tree: Tree, missing: Sequence[Entry], digests: dict[str, str], checks: Sequence[CodeCheck], policy: Policy
) -> Iterator[list[Result]]:
    base = tree
    here: list[Entry] = []
    there = list(missing)
    while isinstance(base, OverlayTree):
        here += [entry for entry in there if entry.path in base.edits]
        there = [entry for entry in there if entry.path not in base.edits]
        base = base.base
    jobs: list[Job] = [
        (entry.path, digests.get(entry.path, ""), entry.stamp[0] if entry.stamp else 0) for entry in there
    ]
    workers = cores()
    size = sum(job[2] or _GUESS for job in jobs)
    if isinstance(base, FolderTree | GitTree) and size >= _PARALLEL_FROM and workers > 1:
        repo, commit = (str(base.root), "") if isinstance(base, FolderTree) else (str(base.repo), base.commit)
        names = [check.__name__ for check in checks]  # type: ignore[attr-defined]  # checks are modules
        yield from run(jobs, names, repo, commit, policy.max_file_bytes, workers)
    else:
        here += there
    if here:
        visitor = Visitor(checks)
        with warnings.catch_warnings():
            quiet()
            for entry in here:
                read = _reading(tree)
                yield [record(visitor, read, entry.path, digests.get(entry.path, ""), policy.max_file_bytes)]


def _reading(tree: Tree) -> Callable[[str, str], tuple[bytes, str]]:
    def read(path: str, digest: str) -> tuple[bytes, str]:
        content = tree.read(path)
        return content, digest or blob_id(content)

    return read


def cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
