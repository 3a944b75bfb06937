"""Objects' bytes: immutable files, one per generation, written whole before the store mentions them."""

from __future__ import annotations

import os
import shutil
import threading
import uuid
from pathlib import Path


class Blobs:
    """Immutable files, one per generation of an object; written whole before the store mentions them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "blobs"

    def path(self, identifier: str) -> Path:
        return self._folder / identifier[:2] / identifier

    def write(self, content: bytes) -> str:
        identifier = uuid.uuid4().hex
        target = self.path(identifier)
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_suffix(".partial")
        partial.write_bytes(content)
        os.replace(partial, target)  # noqa: PTH105
        return identifier

    def read(self, identifier: str) -> bytes:
        return self.path(identifier).read_bytes()

    def keep(self, identifiers: set[str]) -> None:
        """Remove every file that is not named."""
        for file in self._folder.glob("*/*"):
            if file.name not in identifiers:
                file.unlink(missing_ok=True)

    def reset(self) -> None:
        """Move the files out of the way at once, and delete them on the side."""
        if self._folder.exists():
            doomed = self._folder.with_name(f"blobs-{uuid.uuid4().hex}")
            self._folder.rename(doomed)
            threading.Thread(target=shutil.rmtree, args=(doomed,), kwargs={"ignore_errors": True}, daemon=True).start()
