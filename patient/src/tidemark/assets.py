"""Hashed names for the web's assets, so that a browser may keep them for ever."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

FOREVER = "public, max-age=31536000, immutable"


def hashed_name(name: str, content: bytes) -> str:
    """`app.js` becomes `app.<first 8 hex digits>.js`."""
    stem, dot, ending = name.rpartition(".")
    digest = hashlib.sha256(content).hexdigest()[:8]
    return f"{stem}.{digest}{dot}{ending}" if stem else f"{ending}.{digest}"


def build(source: Path, target: Path) -> dict[str, str]:
    """Copy every asset under its hashed name below `_next/static`, write manifest.json, return it."""
    static = target / "_next" / "static"
    static.mkdir(parents=True, exist_ok=True)
    manifest: dict[str, str] = {}
    for path in sorted(source.iterdir()):
        if path.is_file():
            name = hashed_name(path.name, path.read_bytes())
            shutil.copyfile(path, static / name)
            manifest[path.name] = f"/_next/static/{name}"
    (target / "manifest.json").write_text(json.dumps(manifest, indent=2, sort_keys=True) + "\n")
    return manifest


def cache_control(path: str) -> str:
    """The Cache-Control of a path: for ever where the name carries a hash, never elsewhere."""
    return FOREVER if path.startswith("/_next/static/") else "no-cache"
