"""`invoke trends`: exit 0 when nothing got slower, 1 when something did, 2 for a wrong argument."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from .compare import WINDOW, compare
from .history import HistoryError, read_history
from .render import as_json, page, table


def run(history: Path, form: str = "table", window: int = WINDOW, label: str = "", html: str = "") -> int:
    """Compare the newest runs of a history with those before and print the result; `html` names a page to write."""
    if form not in ("table", "json"):
        sys.stderr.write(f"trends: unknown format {form!r}: use table or json\n")
        return 2
    if window < 1:
        sys.stderr.write("trends: --window must be 1 or more\n")
        return 2
    try:
        read = read_history(history, label=label)
    except HistoryError as error:
        sys.stderr.write(f"trends: {error}\n")
        return 2
    found = compare(read, window)
    print(table(found) if form == "table" else json.dumps(as_json(found), indent=2))
    if html:
        Path(html).write_text(page(found, read), encoding="utf-8")
    return 1 if found.slower else 0
