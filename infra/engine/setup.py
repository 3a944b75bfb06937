"""`invoke setup`: make sure that there is an engine, and say which, or what to do."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from filelock import FileLock, Timeout

from infra.engine import HOW, PINNED, Engine, EngineError, cache_folder, cached, find_engine, version_of
from infra.engine.build import build
from infra.engine.release import install


def setup(say: Callable[[str], None], ways: Sequence[str] = ("release", "build"), keep: bool = False) -> Engine:
    """The engine that is there, else one got by these ways, in order. Raises EngineError that names what each way met."""
    found = find_engine()
    if found is not None:
        return found
    root = cache_folder()
    root.mkdir(parents=True, exist_ok=True)
    lock = FileLock(root / "setup.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        say(f"another process is setting up the engine in {root}; waiting for it")
        lock.acquire()
    try:
        return cached() or _get(root, say, ways, keep)
    finally:
        lock.release()


def _get(root: Path, say: Callable[[str], None], ways: Sequence[str], keep: bool) -> Engine:
    met: list[str] = []
    for way in ways:
        began = time.monotonic()
        fresh = root / f"fresh-{os.getpid()}"
        (fresh / "bin").mkdir(parents=True)
        try:
            if way == "release":
                say(f"getting Pulumi {PINNED} from Pulumi's release")
                install(fresh / "bin", say)
            else:
                say(f"building Pulumi {PINNED} from its Go modules: 7 to 12 minutes on two cores, once for this user")
                build(fresh / "bin", root / "work", say, keep)
            return _finish(root, fresh, way, time.monotonic() - began, say)
        except EngineError as error:
            say(f"  {error}")
            met.append(str(error).splitlines()[0])
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
    raise EngineError(f"no Pulumi engine could be set up ({'; '.join(met)}); {HOW}")


def _finish(root: Path, fresh: Path, way: str, seconds: float, say: Callable[[str], None]) -> Engine:
    version = version_of(fresh / "bin" / "pulumi")
    if version != PINNED:
        raise EngineError(f"the new engine says it is {version or 'nothing'}, not {PINNED}")
    source = {"release": "installed", "build": "built"}[way]
    note = {"version": version, "source": source, "own_host": way == "build", "seconds": round(seconds, 1)}
    (fresh / "engine.json").write_text(json.dumps(note, indent=2) + "\n", encoding="utf-8")
    final = root / f"v{PINNED}"
    shutil.rmtree(final, ignore_errors=True)
    fresh.replace(final)
    say(f"Pulumi {version} {source} in {seconds:.0f} s: {final / 'bin'}")
    engine = cached()
    if engine is None:
        raise EngineError(f"{final}: the engine is not usable after setting it up")
    return engine
