"""The floor: `ast.parse` of the same files in as many processes as there are cores, and nothing else."""

from __future__ import annotations

import ast
import multiprocessing
import sys
import warnings
from contextlib import suppress
from pathlib import Path

from regreen.facts.source import FolderTree
from regreen.facts.source.collect import cores, select
from regreen.policy import Policy


def parse(path: str) -> None:
    """Read and parse one file, as anybody would."""
    warnings.simplefilter("ignore")
    with suppress(SyntaxError, ValueError, OSError, RecursionError, MemoryError):
        ast.parse(Path(path).read_bytes())


def main(root: str) -> None:
    """Parse every file that a diagnosis of `root` would read."""
    tree = FolderTree(Path(root))
    policy = Policy.of(tree)
    paths = [
        str(tree.root / entry.path)
        for entry in select(tree, policy).sources
        if entry.stamp and entry.stamp[0] <= policy.max_file_bytes
    ]
    with multiprocessing.Pool(cores()) as pool:
        for _ in pool.imap_unordered(parse, paths, chunksize=16):
            pass


if __name__ == "__main__":
    main(sys.argv[1])
