"""Furnished states of a twin, kept in the user's cache so that the next start copies one instead of making it again.

One state for each project: what it was made from (the patient's cloud, the twin's own code) is its name, so that a
change of either makes a new one. It holds log entries of an hour ago and keys that rotate in 30 days; after `_FRESH`
seconds they would be too old to be as found, and it is made anew. What tells one twin from another (its
certificates, its keys, its port) is not in it.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import time
import uuid
from collections.abc import Iterable
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Final

_FRESH: Final = 6 * 3600.0
_PARTS: Final = ("state", "blobs", "warehouse.duckdb", "warehouse.duckdb.wal")
_TWIN: Final = Path(__file__).resolve().parent


def key_of(project: str, patient: Path) -> str:
    """A name for what a furnished state is made from."""
    digest = sha256(f"{project}|{version('duckdb')}|{version('google-api-python-client')}".encode())
    for path in _sources(patient):
        digest.update(str(path).encode() + b"|" + path.read_bytes())
    return f"{project}-{digest.hexdigest()[:16]}"


def _sources(patient: Path) -> Iterable[Path]:
    for folder, pattern in ((_TWIN, "*.py"), (patient / "cloud", "*"), (patient / "web" / "public", "*")):
        yield from sorted(path for path in folder.rglob(pattern) if path.is_file())


def take(kept: Path, key: str, folder: Path) -> bool:
    """Make `folder` from the state of that name. False when there is none that is fresh, or the folder is not empty."""
    source = kept / key
    try:
        age = time.time() - (source / "facts.json").stat().st_mtime
        if not 0 <= age < _FRESH or (folder.exists() and any(folder.iterdir())):
            return False
        partial = folder.with_name(f"{folder.name}.{uuid.uuid4().hex[:8]}.part")
        partial.mkdir(parents=True, mode=0o700)
        try:
            _copy(source, partial)
            shutil.copyfile(source / "facts.json", partial / "twin.json")
            (partial / "twin.json").chmod(0o600)
            os.rename(partial, folder)  # noqa: PTH104 - an empty folder may be there: Path.rename is the same call
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    except OSError:
        return False
    return True


def keep(kept: Path, key: str, folder: Path) -> None:
    """Keep the state of a twin that has just been furnished and does nothing yet; older ones of its project go.

    A cache that cannot be written is no reason to fail: the next start makes the state again.
    """
    partial = kept / f"{uuid.uuid4().hex}.part"
    with contextlib.suppress(OSError):
        partial.mkdir(parents=True, mode=0o700)
        known = json.loads((folder / "twin.json").read_text())
        _copy(folder, partial)
        (partial / "facts.json").write_text(json.dumps({"project": known["project"], "number": known["number"]}))
        for old in kept.glob(f"{known['project']}-" + "[0-9a-f]" * 16):
            shutil.rmtree(old, ignore_errors=True)
        partial.rename(kept / key)
    shutil.rmtree(partial, ignore_errors=True)


def _copy(source: Path, target: Path) -> None:
    for name in _PARTS:
        if (source / name).is_dir():
            shutil.copytree(source / name, target / name)
        elif (source / name).exists():
            shutil.copyfile(source / name, target / name)
