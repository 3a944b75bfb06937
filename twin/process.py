"""Start, stop and describe a twin. A twin lives in a state folder; two folders are two twins.

`up` starts a detached process and returns when it answers; `down` stops exactly that process (pid, start time and
nonce are compared before any signal) and removes what the twin made.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import select
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

_START_LIMIT = 30.0
_STOP_LIMIT = 10.0
_ROOT = Path(__file__).resolve().parent.parent


class TwinError(Exception):
    """The twin could not be started, reached or stopped; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Running:
    """A twin that answers."""

    folder: Path
    pid: int
    port: int
    project: str
    number: str
    admin_key: str
    lifeline: int = -1
    """The write end of the lifeline pipe, when one was asked for: closing it (or dying) stops the twin."""

    @property
    def proxy(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def admin(self, verb: str, path: str, body: Any = None) -> dict[str, Any]:
        """Call the admin endpoint. TwinError when it refuses."""
        data = json.dumps(body).encode() if body is not None else None
        request = urllib.request.Request(f"{self.proxy}/-/{path}", data, {"X-Twin-Key": self.admin_key}, method=verb)  # noqa: S310
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=30) as answer:
                found: dict[str, Any] = json.loads(answer.read())
                return found
        except urllib.error.HTTPError as error:
            raise TwinError(f"the twin refused {verb} {path}: {error.read().decode()}") from error
        except OSError as error:
            raise TwinError(
                f"the twin in {self.folder} does not answer: {error}; `invoke twin.down`, then `twin.up`"
            ) from error


def up(
    state_dir: Path,
    project: str = "staging-twin",
    port: int = 0,
    *,
    propagation: float = 0.0,
    operation_seconds: float = 0.0,
    strict: bool = False,
    hosts: Sequence[str] = (),
    lifeline: bool = False,
) -> Running:
    """Start a twin, or return the one that already runs in this folder.

    `port` 0 takes a free one (the last one again, where it is free). `propagation` is how long IAM and key states take
    to be felt, `operation_seconds` how long operations take, both in seconds. TwinError when it does not start.
    """
    state_dir = state_dir.resolve()
    running = find(state_dir)
    if running is not None:
        if running.project != project:
            raise TwinError(
                f"a twin for project {running.project} runs in {state_dir}; stop it first: `invoke twin.down`"
            )
        return running
    state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    known = _read(state_dir)
    nonce = secrets.token_hex(16)
    key = known.get("admin_key") or secrets.token_urlsafe(24)
    (state_dir / "admin-key").touch(mode=0o600)
    (state_dir / "admin-key").write_text(key)
    number = known.get("number") or str(400_000_000_000 + secrets.randbelow(99_999_999_999))
    settings = {
        "project": project,
        "number": number,
        "propagation": propagation,
        "operation_seconds": operation_seconds,
        "strict": strict,
    }
    facts = {"project": project, "number": number, "admin_key": key}
    (state_dir / "twin.json").touch(mode=0o600)
    (state_dir / "twin.json").write_text(json.dumps(facts))
    wanted = port or (int(known.get("port", 0)) if _free(int(known.get("port", 0))) else 0)
    ready_read, ready_write = os.pipe()
    life_read, life_write = os.pipe() if lifeline else (-1, -1)
    passed = [descriptor for descriptor in (ready_write, life_read) if descriptor >= 0]
    command = [sys.executable, "-m", "twin.server", "--state", str(state_dir), "--port", str(wanted)]
    command += ["--settings", json.dumps(settings), "--ready", str(ready_write), "--nonce", nonce]
    command += ["--lifeline", str(life_read)] if lifeline else []
    for host in hosts:
        command += ["--host", host]
    log = state_dir / "twin.log"
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            cwd=state_dir,
            env=_child_environment(),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            pass_fds=passed,
            start_new_session=True,
        )
    for descriptor in passed:
        os.close(descriptor)
    try:
        answer = _hear(ready_read, process)
    finally:
        os.close(ready_read)
    if not answer:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        process.wait()
        tail = log.read_text(errors="replace").strip().splitlines()[-5:]
        raise TwinError("the twin did not start; the end of " + str(log) + ":\n" + "\n".join(tail))
    # The twin outlives whoever starts it, on purpose: Popen must not call it leaked. `down` reaps it.
    process.returncode = 0
    return Running(state_dir, process.pid, int(json.loads(answer)["port"]), project, number, key, life_write)


def _child_environment() -> dict[str, str]:
    """Built from nothing, so that no proxy and no credential of the caller reaches the twin."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR", "SYSTEMROOT") if name in os.environ}
    return {**kept, "PYTHONPATH": str(_ROOT), "PYTHONUNBUFFERED": "1", "no_proxy": "*"}


def _hear(descriptor: int, process: subprocess.Popen[bytes]) -> str:
    """The line that the twin writes when it serves; '' when it died or took too long."""
    deadline = time.monotonic() + _START_LIMIT
    while time.monotonic() < deadline and process.poll() is None:
        readable, _, _ = select.select([descriptor], [], [], 0.2)
        if readable:
            return os.read(descriptor, 4096).decode()
    return ""


def _free(port: int) -> bool:
    import socket

    if port <= 0:
        return False
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _read(state_dir: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads((state_dir / "twin.json").read_text())
    except (OSError, ValueError):
        return {}
    return found


def _process(facts: dict[str, Any]) -> psutil.Process | None:
    """The twin's process, only if pid, start time and nonce all agree: a reused pid is somebody else."""
    try:
        process = psutil.Process(int(facts["pid"]))
        same = abs(process.create_time() - float(facts["started"])) < 0.01
        if same and facts["nonce"] in process.cmdline() and process.status() != psutil.STATUS_ZOMBIE:
            return process
    except (KeyError, ValueError, psutil.Error):
        pass
    return None


def find(state_dir: Path) -> Running | None:
    """The twin that runs in this folder, or None."""
    facts = _read(state_dir)
    process = _process(facts)
    if process is None or "port" not in facts:
        return None
    return Running(
        state_dir.resolve(), process.pid, int(facts["port"]), facts["project"], facts["number"], facts["admin_key"]
    )


def needed(state_dir: Path) -> Running:
    """The twin that runs in this folder. TwinError when none does."""
    running = find(state_dir)
    if running is None:
        raise TwinError(f"no twin runs in {state_dir}: start one with `invoke twin.up`")
    return running


def down(state_dir: Path, *, keep: bool = False) -> bool:
    """Stop the twin and remove its folder (with `keep`, leave its state for the next `up`). False when none ran."""
    process = _process(_read(state_dir))
    if process is not None:
        children = process.children(recursive=True)
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGTERM)
        _, alive = psutil.wait_procs([process, *children], timeout=_STOP_LIMIT)
        for left in alive:
            with contextlib.suppress(psutil.NoSuchProcess):
                left.kill()
        psutil.wait_procs(alive, timeout=_STOP_LIMIT)
    if not keep and (state_dir / "twin.json").exists():
        shutil.rmtree(state_dir, ignore_errors=True)
    return process is not None


def reset(state_dir: Path) -> None:
    """Back to a fresh project. TwinError when no twin runs."""
    needed(state_dir).admin("POST", "reset")


def env(state_dir: Path) -> dict[str, str]:
    """What a shell needs so that gcloud, bq and Google's libraries talk to the twin. TwinError when no twin runs."""
    running = needed(state_dir)
    folder = running.folder
    bundle = str(folder / "ca-bundle.pem")
    configuration = folder / "gcloud"
    configuration.mkdir(exist_ok=True, mode=0o700)
    client = folder / "client.json"
    token = folder / "access-token"
    handed = running.admin("POST", "credentials")
    _private(client, json.dumps(handed["file"], indent=2))
    _private(token, str(handed["accessToken"]))
    (folder / "bigqueryrc").write_text(f"ca_certificates_file = {bundle}\nproject_id = {running.project}\n")
    proxy = running.proxy
    return {
        "https_proxy": proxy,
        "HTTPS_PROXY": proxy,
        "http_proxy": proxy,
        "HTTP_PROXY": proxy,
        "no_proxy": "localhost,127.0.0.1",
        "NO_PROXY": "localhost,127.0.0.1",
        "CLOUDSDK_CONFIG": str(configuration),
        "CLOUDSDK_CORE_PROJECT": running.project,
        "CLOUDSDK_CORE_CUSTOM_CA_CERTS_FILE": bundle,
        "CLOUDSDK_AUTH_ACCESS_TOKEN_FILE": str(token),
        "CLOUDSDK_CORE_DISABLE_PROMPTS": "1",
        "CLOUDSDK_CORE_DISABLE_USAGE_REPORTING": "1",
        "CLOUDSDK_COMPONENT_MANAGER_DISABLE_UPDATE_CHECK": "1",
        "CLOUDSDK_SURVEY_DISABLE_PROMPTS": "1",
        "BIGQUERYRC": str(folder / "bigqueryrc"),
        "GOOGLE_APPLICATION_CREDENTIALS": str(client),
        "GOOGLE_CLOUD_PROJECT": running.project,
        "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH": bundle,
        "REQUESTS_CA_BUNDLE": bundle,
        "HTTPLIB2_CA_CERTS": bundle,
        "SSL_CERT_FILE": bundle,
        "NO_GCE_CHECK": "true",
        "GCE_METADATA_HOST": f"127.0.0.1:{running.port}",
    }


def _private(path: Path, text: str) -> None:
    path.touch(mode=0o600)
    path.write_text(text)
