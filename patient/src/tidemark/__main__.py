"""`python -m tidemark NAME`: one service a process.

With PORT in the environment, as Cloud Run has it, a service is what runs in staging; without, what runs on a laptop.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import os

from tidemark.runtime.settings import Settings, settings

STAGED = {
    "feed": "tidemark.feed.service",
    "websocket-service": "tidemark.feed.service",
    "ingest": "tidemark.ingest.worker",
    "writer": "tidemark.writer.worker",
    "allocator": "tidemark.allocator.worker",
    "api": "tidemark.api.service",
    "web": "tidemark.site.service",
}


def staged(service: str, chosen: Settings) -> None:
    """Run a service as it runs in staging; only what it needs is imported."""
    from tidemark.runtime import logs, telemetry

    logs.configure()
    telemetry.start_export(chosen, service)
    try:
        asyncio.run(importlib.import_module(STAGED[service]).run(chosen))
    finally:
        telemetry.stop_export()


def main() -> None:
    """Run the service that the command line names."""
    parser = argparse.ArgumentParser(prog="tidemark", description=__doc__)
    parser.add_argument("service", choices=sorted(STAGED))
    chosen = parser.parse_args().service
    if os.environ.get("PORT"):
        staged(chosen, settings())
    else:
        from tidemark.laptop import run

        run(chosen, settings())


if __name__ == "__main__":
    main()
