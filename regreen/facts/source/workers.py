"""Extraction in parallel processes.

Each worker reads, parses and walks files by itself and sends back marshalled records: what crosses the pipe is small.
A worker that dies (a parser crash, the out-of-memory killer) costs the file that killed it, not the run.
"""

from __future__ import annotations

import gc
import importlib
import marshal
import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from regreen.facts.source.aside import is_test_code
from regreen.facts.source.extract import extract
from regreen.facts.source.syntax import quiet
from regreen.facts.source.trees import GitTree, blob_id
from regreen.facts.source.visitor import Visitor

if TYPE_CHECKING:
    from multiprocessing.process import BaseProcess

    from regreen.facts.source.contract import CodeCheck

#: (path, blob id or "", size in bytes or 0)
Job = tuple[str, str, int]
#: (path, blob id, marshalled record)
Result = tuple[str, str, bytes]

_CHUNK_MIN: Final = 200_000
_CHUNK_MAX: Final = 1_500_000
_UNKNOWN_SIZE: Final = 8_000  # a typical source file, where the size is not known beforehand

CRASHED: Final[tuple[Any, ...]] = ((), [], ("crash", "the process that parsed this file died", 0, 0))


def reader(repo: str, commit: str) -> Callable[[str, str], tuple[bytes, str]]:
    """Read files of a folder (`commit` empty) or blobs of a repository: (path, id) -> (bytes, id)."""
    if commit:
        tree = GitTree(Path(repo), commit)
        return lambda _, digest: (tree.blob(digest), digest)
    prefix = os.fsencode(repo) + b"/"

    def read(path: str, _: str) -> tuple[bytes, str]:
        with open(prefix + os.fsencode(path), "rb", buffering=0) as file:  # noqa: PTH123 - bytes paths
            content = file.read()
        return content, blob_id(content)

    return read


def record(
    visitor: Visitor, read: Callable[[str, str], tuple[bytes, str]], path: str, digest: str, limit: int
) -> Result:
    """Read and extract one file; a file that cannot be read yields a record that says so."""
    try:
        source, digest = read(path, digest)
    except OSError as error:
        return path, "", marshal.dumps(((), [], ("io", error.strerror or str(error), 0, 0)))
    if len(source) > limit:
        message = f"{len(source):,} bytes; files over {limit:,} bytes (max-file-bytes) are not parsed"
        return path, digest, marshal.dumps(((), [], ("too-large", message, 0, 0)))
    return path, digest, marshal.dumps(extract(visitor, source, path.endswith(".pyi"), is_test_code(path)))


def _serve(pipe: Connection, modules: Sequence[str], repo: str, commit: str, limit: int) -> None:
    gc.disable()  # syntax trees hold no cycles; collecting costs a quarter of the parse
    quiet()
    checks: list[CodeCheck] = [importlib.import_module(name) for name in modules]
    visitor = Visitor(checks)
    read = reader(repo, commit)
    with suppress(EOFError, KeyboardInterrupt, BrokenPipeError):
        while True:
            chunk: list[tuple[str, str]] = marshal.loads(pipe.recv_bytes())  # noqa: S302 - our own parent wrote it
            pipe.send_bytes(marshal.dumps([record(visitor, read, path, digest, limit) for path, digest in chunk]))


def chunks(jobs: Sequence[Job], workers: int) -> list[list[tuple[str, str]]]:
    """Jobs in chunks of about equal bytes, largest files first, so that no worker ends with a long tail."""
    ordered = sorted(jobs, key=lambda job: (-job[2], job[0]))
    total = sum(size or _UNKNOWN_SIZE for _, _, size in ordered)
    target = min(_CHUNK_MAX, max(_CHUNK_MIN, total // (workers * 12)))
    result: list[list[tuple[str, str]]] = []
    current: list[tuple[str, str]] = []
    held = 0
    for path, digest, size in ordered:
        current.append((path, digest))
        held += size or _UNKNOWN_SIZE
        if held >= target:
            result.append(current)
            current, held = [], 0
    if current:
        result.append(current)
    return result


class _Worker:
    def __init__(self, arguments: tuple[object, ...]) -> None:
        # Forking spares every worker the imports; it is only safe while no other thread runs.
        method = (
            "fork" if "fork" in multiprocessing.get_all_start_methods() and threading.active_count() == 1 else "spawn"
        )
        context: Any = multiprocessing.get_context(method)
        self.pipe, theirs = multiprocessing.Pipe()
        self.process: BaseProcess = context.Process(target=_serve, args=(theirs, *arguments), daemon=True)
        self.process.start()
        theirs.close()
        self.chunk: list[tuple[str, str]] = []

    def give(self, chunk: list[tuple[str, str]]) -> None:
        self.chunk = chunk
        self.pipe.send_bytes(marshal.dumps(chunk))

    def stop(self) -> None:
        self.pipe.close()
        self.process.terminate()
        self.process.join()


def run(
    jobs: Sequence[Job], modules: Sequence[str], repo: str, commit: str, limit: int, workers: int
) -> Iterator[list[Result]]:
    """Extract every job, yielding results as chunks are done. Leaves no process behind, however it ends."""
    waiting = list(reversed(chunks(jobs, workers)))  # pop() takes the largest first
    arguments = (list(modules), repo, commit, limit)
    pool: list[_Worker] = []
    try:
        for _ in range(min(workers, len(waiting))):
            worker = _Worker(arguments)
            pool.append(worker)
            worker.give(waiting.pop())
        while pool:
            for pipe in wait([worker.pipe for worker in pool]):
                worker = next(worker for worker in pool if worker.pipe is pipe)
                try:
                    results: list[Result] = marshal.loads(worker.pipe.recv_bytes())  # noqa: S302 - our own worker
                    yield results
                except (EOFError, OSError):
                    failed = worker.chunk
                    worker.stop()
                    pool.remove(worker)
                    if len(failed) == 1:
                        yield [(failed[0][0], failed[0][1], marshal.dumps(CRASHED))]
                    else:
                        middle = len(failed) // 2
                        waiting += (failed[middle:], failed[:middle])
                    if waiting:
                        worker = _Worker(arguments)
                        pool.append(worker)
                        worker.give(waiting.pop())
                    continue
                if waiting:
                    worker.give(waiting.pop())
                else:
                    worker.stop()
                    pool.remove(worker)
    finally:
        for worker in pool:
            worker.stop()
