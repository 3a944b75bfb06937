"""The graph's process: Bolt on the loopback, data in its folder."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
from pathlib import Path

from twin.backing.bolt import Bolt
from twin.backing.cypher.graph import Graph


async def _serve(folder: Path, port: int, password: str) -> None:
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    graph = Graph(folder / "graph.sqlite")
    bolt = Bolt(graph, password, f"127.0.0.1:{port}")
    await bolt.serve(port)
    await ended.wait()
    await bolt.close()
    graph.close()


def main() -> None:
    parser = argparse.ArgumentParser(prog="twin.backing.graph")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    options = parser.parse_args()
    asyncio.run(_serve(options.folder, options.port, os.environ.pop("TWIN_SECRET")))


if __name__ == "__main__":
    main()
