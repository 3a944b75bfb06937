"""A staging system that stays: a process of its own holds it, so that a shell can start it, use it and end it.

`staging.json` in its folder says where everything is and who holds it. When the holder dies, everything else ends.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, Final

import psutil

from twin import process
from twin.process import TwinError

_ROOT: Final = Path(__file__).resolve().parent.parent
_START_LIMIT: Final = 120.0
FACTS: Final = "staging.json"
KEEP: Final = "keep"


def start(folder: Path, **options: Any) -> dict[str, Any]:
    """Start a staging system in this folder (one that was kept goes on), or find the one that runs there. TwinError when it does not come up."""
    found = find(folder)
    if found is not None:
        return found
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    read_end, write_end = os.pipe()
    settings = json.dumps({"folder": str(folder), "ready": write_end, **options})
    output = (folder / "staging.log").open("w+b")
    try:
        holder = subprocess.Popen(
            [sys.executable, "-m", "twin.staging_keeper", settings],
            cwd=_ROOT,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            pass_fds=[write_end],
            start_new_session=True,
        )
        os.close(write_end)
        readable, _, _ = select.select([read_end], [], [], _START_LIMIT)
        said = os.read(read_end, 10) if readable else b""
        if not said:
            holder.terminate()
            holder.wait(30)
            output.seek(0)  # by its handle: the holder takes its folder with it
            last = output.read().decode(errors="replace").strip().splitlines()[-3:]
    except KeyboardInterrupt:
        holder.terminate()
        holder.wait(30)
        raise
    finally:
        os.close(read_end)
        output.close()
    if not said:
        raise TwinError("staging did not come up; the last that it said:\n" + "\n".join(last))
    holder.returncode = 0  # it stays, on purpose; `stop` ends it
    facts = find(folder)
    if facts is None:
        raise TwinError(f"staging came up and went away again; see {folder / 'staging.log'}")
    return facts


def find(folder: Path) -> dict[str, Any] | None:
    """What runs in this folder, or None."""
    try:
        facts: dict[str, Any] = json.loads((folder / FACTS).read_text())
        holder = psutil.Process(int(facts["pid"]))
        same = abs(holder.create_time() - float(facts["started"])) < 0.01
    except (OSError, ValueError, KeyError, psutil.Error):
        return None
    return facts if same and holder.status() != psutil.STATUS_ZOMBIE else None


def kept(folder: Path) -> bool:
    """Whether a staging system was stopped here with its state kept: the next start goes on with it."""
    return find(folder) is None and (folder / KEEP).exists()


def forget(folder: Path) -> None:
    """Remove what `stop` kept. Never what runs."""
    if kept(folder):
        shutil.rmtree(folder)


def stop(folder: Path, *, keep: bool = False) -> bool:
    """End it and remove what it made (with `keep`, leave its state for the next start). False when none ran."""
    facts = find(folder)
    if facts is None:
        return False
    if keep:
        (folder / KEEP).touch(mode=0o600)
    holder = psutil.Process(int(facts["pid"]))
    with contextlib.suppress(psutil.NoSuchProcess):
        holder.send_signal(signal.SIGTERM)
        holder.wait(30)
    return True


def main() -> None:
    """Hold a staging system until told to end it."""
    from twin.staging import SERVICES, up

    options = json.loads(sys.argv[1])
    folder, ready = Path(options.pop("folder")), int(options.pop("ready"))
    ended, up_now = threading.Event(), threading.Event()

    def end(*_: object) -> None:
        if not ended.is_set() and not up_now.is_set():
            ended.set()
            raise KeyboardInterrupt  # what is half up is taken down at once, not brought up first
        ended.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    code = Path(options.pop("code"))
    minimal = options.pop("minimal", False)
    services = ("websocket-service", "ingest", "writer", "api") if minimal else SERVICES
    try:
        staging = up(folder, code, services=services, **options)
        up_now.set()
    except KeyboardInterrupt:
        process.down(folder)  # a twin that was cut off while it started is in nobody's care yet
        sys.exit(130)
    (folder / KEEP).unlink(missing_ok=True)
    try:
        own = psutil.Process()
        facts = {
            "pid": own.pid,
            "started": own.create_time(),
            "balancer": staging.balancer,
            "host": staging.host,
            "proxy": staging.twin.proxy,
            "services": {name: entry["url"] for name, entry in staging.endpoints["services"].items()},
            "backing": dict(staging.backing.endpoints),
            "bypass_key": staging.secret("e2e-bypass-key"),
            "feed_token": staging.secret("feed-token"),
            "seconds": staging.seconds,
        }
        path = folder / FACTS
        path.touch(mode=0o600)
        path.write_text(json.dumps(facts, indent=2))
        os.write(ready, b"ready")
        os.close(ready)
        ended.wait()
    finally:
        staging.close(keep=(folder / KEEP).exists())


if __name__ == "__main__":
    main()
