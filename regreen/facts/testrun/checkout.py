"""A tree as files in a folder of its own, so that a target's tests can run without touching the user's."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Mapping
from pathlib import Path

LINK = "120000"
SUBMODULE = "160000"
EXECUTABLE = "100755"


def check_out(
    folder: Path,
    entries: Mapping[str, tuple[str, str]],
    blob: Callable[[str], bytes],
    edits: Mapping[str, bytes | None],
) -> None:
    """Write files byte for byte: no filters, no line-ending conversion. Submodules become empty folders.

    `entries` are git mode and object id by path; `edits` replace, add or (None) remove files.
    """
    top = os.fsencode(folder)
    for path, (mode, digest) in entries.items():
        full = top + b"/" + os.fsencode(path)
        if path in edits and edits[path] is None:
            continue
        if mode == SUBMODULE:
            os.makedirs(full, exist_ok=True)  # noqa: PTH103 - a path of bytes
            continue
        os.makedirs(os.path.dirname(full), exist_ok=True)  # noqa: PTH103, PTH120
        if mode == LINK:
            os.symlink(blob(digest), full)  # noqa: PTH211
            continue
        edited = edits.get(path)
        _write(full, blob(digest) if edited is None else edited, mode == EXECUTABLE)
    for path, content in edits.items():
        if content is not None and path not in entries:
            full = top + b"/" + os.fsencode(path)
            os.makedirs(os.path.dirname(full), exist_ok=True)  # noqa: PTH103, PTH120
            _write(full, content, executable=False)


def _write(full: bytes, content: bytes, executable: bool) -> None:
    # Links of the tree are made by this function's caller; nothing is ever written through one.
    descriptor = os.open(full, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0), 0o644)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    if executable:
        os.chmod(full, stat.S_IRWXU)  # noqa: PTH101
