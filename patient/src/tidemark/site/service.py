"""The web: pages that are never cached, assets whose names carry their hash and that are cached for ever."""

from __future__ import annotations

import html
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from tidemark.assets import cache_control, hashed_name
from tidemark.runtime.serving import nothing, server, worker_app
from tidemark.runtime.settings import Settings

_TYPES = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>Tidemark</title>
<link rel="icon" href="data:,">
{styles}
</head>
<body>
<main id="app"><h1>Tidemark</h1><p id="status">{environment}</p></main>
{scripts}
</body>
</html>
"""


class Site:
    """Assets in memory by their hashed names, and the page that loads them."""

    def __init__(self, root: Path, environment: str, prefix: str = "") -> None:
        self._assets = {
            hashed_name(path.name, path.read_bytes()): path.read_bytes()
            for path in sorted((root / "public").iterdir())
            if path.is_file()
        }
        links = {name: f"{prefix}/_next/static/{name}" for name in self._assets}
        styles = [f'<link rel="stylesheet" href="{html.escape(links[name])}">' for name in links if name.endswith("css")]
        scripts = [f'<script src="{html.escape(links[name])}" defer></script>' for name in links if name.endswith("js")]
        self._page = _PAGE.format(
            styles="\n".join(styles), scripts="\n".join(scripts), environment=html.escape(environment)
        )

    def routes(self) -> list[Route]:
        """Assets, and a page for everything else."""
        return [Route("/_next/static/{name}", self._asset), Route("/{path:path}", self._whole)]

    async def _asset(self, request: Request) -> Response:
        name = request.path_params["name"]
        if name not in self._assets:
            return Response("no such asset\n", 404, media_type="text/plain")
        kind = _TYPES.get(name.rpartition(".")[2], "application/octet-stream")
        return Response(self._assets[name], media_type=kind, headers={"Cache-Control": cache_control(request.url.path)})

    async def _whole(self, request: Request) -> Response:
        return HTMLResponse(self._page, headers={"Cache-Control": cache_control(request.url.path)})

    async def health(self) -> Mapping[str, Any]:
        """How many assets there are."""
        return {"assets": len(self._assets)}


async def run(chosen: Settings) -> None:
    """Serve until SIGTERM."""
    site = Site(chosen.web_root, chosen.environment, chosen.asset_prefix)
    await server(worker_app(site.health, nothing, *site.routes()), chosen).serve()
