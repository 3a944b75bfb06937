"""The pinned CLI from Pulumi's own release, checked against the checksums that Pulumi publishes."""

from __future__ import annotations

import hashlib
import platform
import sys
import tarfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Final

from infra.engine import PINNED, EngineError

#: What https://get.pulumi.com/ (the official installer) downloads, and where the release's checksums stand.
ARCHIVE: Final = "https://get.pulumi.com/releases/sdk/pulumi-v{version}-{system}-{machine}.tar.gz"
CHECKSUMS: Final = "https://github.com/pulumi/pulumi/releases/download/v{version}/pulumi-{version}-checksums.txt"
_CONNECT: Final = 8.0
_LIMIT: Final = 600.0


def install(target: Path, say: Callable[[str], None], archive: str = ARCHIVE, checksums: str = CHECKSUMS) -> None:
    """Put the release's executables into a folder. Raises EngineError where it cannot be reached or does not match."""
    system = {"linux": "linux", "darwin": "darwin"}.get(sys.platform)
    machine = {"x86_64": "x64", "amd64": "x64", "arm64": "arm64", "aarch64": "arm64"}.get(platform.machine().lower())
    if system is None or machine is None:
        raise EngineError(f"Pulumi has no release for {sys.platform} on {platform.machine()}")
    link = archive.format(version=PINNED, system=system, machine=machine)
    name = link.rpartition("/")[2]
    listed = _download(checksums.format(version=PINNED), say).decode("ascii", "replace")
    wanted = {line.split()[-1].lstrip("*"): line.split()[0] for line in listed.splitlines() if len(line.split()) >= 2}
    if name not in wanted:
        raise EngineError(f"Pulumi's checksums do not list {name}")
    content = _download(link, say)
    if hashlib.sha256(content).hexdigest() != wanted[name]:
        raise EngineError(f"{link}: the checksum is not the one that Pulumi publishes; nothing was installed")
    packed = target.parent / name
    packed.write_bytes(content)
    try:
        with tarfile.open(packed) as opened:
            for member in opened.getmembers():
                member.name = Path(member.name).name
                if member.isfile():
                    opened.extract(member, target, filter="data")
    finally:
        packed.unlink()


def _download(link: str, say: Callable[[str], None]) -> bytes:
    """A file, within a time limit; progress about every two seconds."""
    began = said = time.monotonic()
    parts: list[bytes] = []
    try:
        with urllib.request.urlopen(link, timeout=_CONNECT) as answer:  # noqa: S310 - the links are ours
            size = int(answer.headers.get("Content-Length") or 0)
            while part := answer.read(1 << 20):
                parts.append(part)
                now = time.monotonic()
                if now - began > _LIMIT:
                    raise EngineError(f"{link}: not here after {_LIMIT:.0f} s")
                if now - said > 2:
                    said = now
                    say(f"  {sum(map(len, parts)) >> 20} of {size >> 20} MiB")
    except (OSError, urllib.error.URLError) as error:
        raise EngineError(f"{link} cannot be reached: {getattr(error, 'reason', error)}") from None
    return b"".join(parts)
