"""Started as a script, by path: put limits on this process, shut the network off, become the given command.

Runs in Regreen's own interpreter, with nothing of the target imported. Arguments: memory in bytes (0: no limit),
the file that gets `isolated` when the network is off, then the command.

A new network namespace has only a loopback, which is down; it is brought up, so that tests which talk to
themselves on 127.0.0.1 work (Linux, namespaces(7); elsewhere, and where the kernel refuses, the network stays).
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import socket
import struct
import sys
from pathlib import Path

_NEW_USER = 0x10000000  # linux/sched.h
_NEW_NETWORK = 0x40000000
_GET_FLAGS = 0x8913  # linux/sockios.h: SIOCGIFFLAGS
_SET_FLAGS = 0x8914
_UP = 0x1


def _shut_network() -> bool:
    if not sys.platform.startswith("linux"):
        return False
    user, group = os.getuid(), os.getgid()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_NEW_NETWORK) != 0:  # allowed to root of the machine; others need a namespace of users first
        if libc.unshare(_NEW_USER | _NEW_NETWORK) != 0:
            return False
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
        Path("/proc/self/gid_map").write_text(f"{group} {group} 1")
    import fcntl

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        request = struct.pack("16sh14x", b"lo", 0)
        (flags,) = struct.unpack("16xh14x", fcntl.ioctl(probe, _GET_FLAGS, request))
        fcntl.ioctl(probe, _SET_FLAGS, struct.pack("16sh14x", b"lo", flags | _UP))
    return True


def main(memory: int, flag: str, command: list[str]) -> None:
    """Never returns."""
    with contextlib.suppress(OSError):
        if _shut_network():
            Path(flag).write_text("isolated")
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if memory:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    os.execv(command[0], command)  # noqa: S606 - an argument list, no shell


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], sys.argv[3:])
