"""Redis's protocol without a Redis: fakeredis. Its data is in memory and ends with the process."""

from __future__ import annotations

import argparse


def main() -> None:
    parser = argparse.ArgumentParser(prog="twin.backing.redis")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--folder", required=True)
    options = parser.parse_args()
    from fakeredis import TcpFakeServer

    TcpFakeServer.allow_reuse_address = True
    TcpFakeServer.daemon_threads = True
    with TcpFakeServer(("127.0.0.1", options.port), server_type="redis") as server:
        server.serve_forever()


if __name__ == "__main__":
    main()
