"""Which local command stands for which container image."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from twin.kernel.store import Store

_SETTING = "runtime.images"


@dataclass(frozen=True, slots=True)
class Image:
    """One mapping. `command` is run in `cwd`; a template's own command and args are appended to it."""

    pattern: str
    command: tuple[str, ...]
    cwd: str = ""
    env: dict[str, str] = field(default_factory=dict)
    google: bool = False
    """Give the process what a Google client needs to reach the twin, as the template's service account."""


class Images:
    """The mappings of one twin; kept outside of snapshots, so that a reset leaves them."""

    def __init__(self, store: Store) -> None:
        self._store = store
        text = store.setting(_SETTING)
        self._images = [_read(item) for item in json.loads(text)] if text else []

    def __len__(self) -> int:
        return len(self._images)

    def add(self, body: dict[str, Any]) -> Image:
        """Map images to a command; a mapping of the same pattern is replaced. ValueError for a body that says too little."""
        image = _read(body)
        self._images = [other for other in self._images if other.pattern != image.pattern] + [image]
        self._store.set_setting(_SETTING, json.dumps(self.listed()))
        return image

    def find(self, reference: str) -> Image | None:
        """The mapping for an image reference; the last one given wins."""
        return next((image for image in reversed(self._images) if fnmatchcase(reference, image.pattern)), None)

    def listed(self) -> list[dict[str, Any]]:
        return [
            {
                "image": image.pattern,
                "command": list(image.command),
                "cwd": image.cwd,
                "env": image.env,
                "google": image.google,
            }
            for image in self._images
        ]


def _read(body: dict[str, Any]) -> Image:
    pattern, command = body.get("image"), body.get("command")
    if not isinstance(pattern, str) or not pattern:
        raise ValueError('an image mapping needs "image": a glob of container images')
    if not isinstance(command, list) or not command or not all(isinstance(word, str) for word in command):
        raise ValueError(f'the mapping of {pattern} needs "command": a list of words')
    cwd = str(body.get("cwd") or "")
    if cwd and not Path(cwd).is_dir():
        raise ValueError(f'the mapping of {pattern} has "cwd" {cwd}, which is no folder')
    env = {str(name): str(value) for name, value in (body.get("env") or {}).items()}
    return Image(pattern, tuple(command), cwd, env, bool(body.get("google")))
