"""Find or get the Pulumi engine: on PATH, in the user's cache, by Pulumi's own release, or built from its public Go modules.

engine = infra.engine.require_engine()      # raises EngineError that says how to get one
subprocess.run([engine.pulumi, "version"])
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from regreen.commands import cache_root

#: The engine that is installed or built: the newest of which the Go proxy serves both modules.
PINNED: Final = "3.274.1"
#: `import_` adopts and updates in one `up` since then (pulumi 19339).
OLDEST: Final = (3, 174)
HOW: Final = (
    "run `invoke setup`: it finds, installs or builds the Pulumi CLI; or install it yourself "
    "(https://www.pulumi.com/docs/install/) so that `pulumi` is on PATH"
)


class EngineError(Exception):
    """There is no usable Pulumi engine, or it could not be got; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Engine:
    """A usable CLI. `source` is `path`, `installed` or `built`; `own_host`: the Python language host beside it is ours."""

    folder: Path
    version: str
    source: str
    own_host: bool = False

    @property
    def pulumi(self) -> str:
        """The executable."""
        return str(self.folder / "pulumi")


def cache_folder() -> Path:
    """Where engines are kept, for all of a user's projects."""
    return cache_root() / "engine"


def find_engine() -> Engine | None:
    """The engine on PATH if it is new enough, else the one in the cache; None where there is neither."""
    return on_path() or cached()


def require_engine() -> Engine:
    """The engine. Raises EngineError where there is none."""
    found = find_engine()
    if found is None:
        raise EngineError(f"no Pulumi engine: {HOW}")
    return found


def on_path() -> Engine | None:
    """The `pulumi` on PATH, if it is new enough."""
    named = shutil.which("pulumi")
    if named is None:
        return None
    folder = Path(named).parent
    if folder.resolve() == (cache_folder() / f"v{PINNED}" / "bin").resolve():
        return cached()
    version = version_of(Path(named))
    return Engine(folder, version, "path") if version and numbers(version)[:2] >= OLDEST else None


def cached() -> Engine | None:
    """The pinned engine in the cache, if it was finished; its note is written last."""
    folder = cache_folder() / f"v{PINNED}"
    try:
        note = json.loads((folder / "engine.json").read_text(encoding="utf-8"))
        engine = Engine(folder / "bin", str(note["version"]), str(note["source"]), bool(note.get("own_host")))
    except (OSError, ValueError, KeyError):
        return None
    return engine if os.access(engine.pulumi, os.X_OK) else None


def version_of(executable: Path) -> str:
    """What a CLI says of its version (`3.274.1`); empty where it does not answer."""
    environment = {**os.environ, "PULUMI_SKIP_UPDATE_CHECK": "true"}
    try:
        done = subprocess.run(
            [str(executable), "version"], capture_output=True, text=True, timeout=60, check=True, env=environment
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    found = re.match(r"v?(\d+\.\d+\.\d+)", done.stdout.strip())
    return found.group(1) if found else ""


def numbers(version: str) -> tuple[int, ...]:
    """A version as numbers."""
    return tuple(int(part) for part in version.split(".") if part.isdigit())
