"""The ratchet as a command: exit 0 when nothing was lost, 1 when something was, 2 for a wrong argument."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from .history import HistoryError, from_git
from .render import as_json, table


def run(target: Path, base: str, head: str | None = None, *, strict: bool = False, format: str = "table") -> int:  # noqa: A002
    """Compare the tests of `target` at `base` with those at `head` (None: the work tree) and print the result.

    Returns 1 when a test got weaker or was removed, with `strict` also when one is unknown or changed; 2 when the arguments are
    wrong; else 0. The result goes to stdout, messages go to stderr.
    """
    if format not in {"table", "json"}:
        sys.stderr.write(f"ratchet: unknown format {format!r}: use table or json\n")
        return 2
    try:
        comparison = from_git(target, base, head)
    except HistoryError as error:
        sys.stderr.write(f"ratchet: {error}\n")
        return 2
    text = table(comparison) if format == "table" else json.dumps(as_json(comparison), indent=2, ensure_ascii=False)
    sys.stdout.write(text.encode("utf-8", "replace").decode("utf-8") + "\n")
    return 1 if comparison.weaker or (strict and (comparison.unknown or comparison.changed)) else 0
