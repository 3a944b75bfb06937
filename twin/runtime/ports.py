"""Loopback ports: leases for instances, and faces that keep their port over a restart."""

from __future__ import annotations

import socket

import psutil

from twin.kernel.store import Store

_LOOPBACK = ("127.0.0.1", "::1", "::ffff:127.0.0.1")


class Ports:
    """Hands out free loopback ports, none twice while it is leased."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._leased: set[int] = set()

    def lease(self) -> int:
        """A free port for a process that will bind it itself. OSError when there is none."""
        for _ in range(100):
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                port = int(probe.getsockname()[1])
            if port not in self._leased:
                self._leased.add(port)
                return port
        raise OSError("no free loopback port was found in 100 attempts")

    def release(self, port: int) -> None:
        self._leased.discard(port)

    def face(self, name: str) -> socket.socket:
        """A listening socket, on the port that `name` had before where that is free."""
        key = f"runtime.port.{name}"
        known = self._store.setting(key)
        for wanted in ([int(known)] if known else []) + [0]:
            listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                listener.bind(("127.0.0.1", wanted))
            except OSError:
                listener.close()
                continue
            listener.listen(1024)
            listener.setblocking(False)
            self._store.set_setting(key, str(listener.getsockname()[1]))
            return listener
        raise OSError(f"no loopback port can be bound for {name}")


def exposed(pid: int) -> list[str]:
    """Addresses that a process listens on beyond loopback; a local stand-in must not be reachable from outside."""
    try:
        group = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
        listening = [
            connection.laddr
            for process in group
            for connection in process.net_connections("tcp")
            if connection.status == psutil.CONN_LISTEN
        ]
    except psutil.Error:
        return []
    return [f"{address.ip}:{address.port}" for address in listening if address.ip not in _LOOPBACK]
