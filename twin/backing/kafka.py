"""Kafka's protocol without a Kafka: librdkafka's own mock cluster of three brokers, on ports that stay.

The cluster takes whatever ports the system gives it. Clients come in at fixed ports instead; an answer that names a
broker (metadata, coordinator) is changed on the way so that they stay there. The log is in memory, is trimmed after a
few megabytes a partition, and ends with the process: what must not be lost has to be kept at the producer.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
import struct
from typing import Any, Final

BROKERS: Final = 3
_HOST: Final = b"127.0.0.1"
# Metadata, FindCoordinator, DescribeCluster: https://kafka.apache.org/protocol#protocol_api_keys
_NAMING: Final = frozenset({3, 10, 60})


class Gate:
    """Fixed ports in front of the brokers."""

    def __init__(self, real: list[int], fixed: list[int]) -> None:
        self._real, self._fixed = real, fixed
        # Host and port lie side by side in every version of the answers, and both forms are as long.
        self._names = [
            (_HOST + struct.pack(">i", inner), _HOST + struct.pack(">i", outer))
            for inner, outer in zip(real, fixed, strict=True)
        ]

    async def serve(self) -> list[asyncio.Server]:
        async def opened(number: int) -> asyncio.Server:
            async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                await self._carry(self._real[number], reader, writer)

            return await asyncio.start_server(accept, "127.0.0.1", self._fixed[number])

        return [await opened(number) for number in range(len(self._real))]

    async def _carry(self, port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked: dict[int, int] = {}
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", port)
            ways = [
                asyncio.create_task(self._requests(reader, inner_writer, asked)),
                asyncio.create_task(self._answers(inner_reader, writer, asked)),
            ]
            try:
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for way in ways:
                    way.cancel()
                await asyncio.gather(*ways, return_exceptions=True)
                inner_writer.close()
        writer.close()

    async def _requests(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, asked: dict[int, int]) -> None:
        while True:
            size = await source.readexactly(4)
            frame = await source.readexactly(int.from_bytes(size, "big"))
            key, _, correlation = struct.unpack_from(">hhi", frame)
            if key in _NAMING:
                asked[correlation] = key
            sink.write(size + frame)
            await sink.drain()

    async def _answers(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, asked: dict[int, int]) -> None:
        while True:
            size = await source.readexactly(4)
            frame = await source.readexactly(int.from_bytes(size, "big"))
            if asked.pop(int.from_bytes(frame[:4], "big", signed=True), None) is not None:
                for inner, outer in self._names:
                    frame = frame.replace(inner, outer)
            sink.write(size + frame)
            await sink.drain()


def _cluster() -> tuple[Any, list[int]]:
    """The cluster lives as long as the producer that is returned."""
    from confluent_kafka import Producer

    holder = Producer({"bootstrap.servers": "", "test.mock.num.brokers": BROKERS, "log_level": 3})
    brokers = holder.list_topics(timeout=20).brokers
    return holder, [brokers[number].port for number in sorted(brokers)]


async def _serve(first: int, real: list[int]) -> None:
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    # The first port is bound last: whoever waits for it finds all of them.
    servers = await Gate(real[::-1], [first + number for number in range(len(real))][::-1]).serve()
    await ended.wait()
    for server in servers:
        server.close()


def main() -> None:
    parser = argparse.ArgumentParser(prog="twin.backing.kafka")
    parser.add_argument("--port", type=int, required=True, help="the first of three consecutive ports")
    parser.add_argument("--folder", required=True)
    options = parser.parse_args()
    holder, real = _cluster()
    asyncio.run(_serve(options.port, real))
    del holder


if __name__ == "__main__":
    main()
