"""What the twin remembers: one JSON body per canonical name, in memory for reading and in SQLite for keeping.

One transaction per API call. A commit reaches the operating system before the call is answered, so killing the process
at any moment loses no acknowledged write (a power cut may: the twin is no database).
"""

from __future__ import annotations

import json
import shutil
import sqlite3
from bisect import bisect_left, insort
from collections.abc import Iterator
from pathlib import Path

from twin.kernel.names import collection_of
from twin.kernel.types import Body

_SCHEMA = """
CREATE TABLE IF NOT EXISTS entries (name TEXT PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS settings (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
"""


class Store:
    """Bodies handed out are shared: never change one in place, `put` a changed copy."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._entries: dict[str, Body] = {}
        self._children: dict[str, list[str]] = {}
        self._undo: list[tuple[str, Body | None]] = []
        self._changed: dict[str, Body | None] = {}
        self.generation = 0
        """Counts commits that changed something."""
        self._open()

    @property
    def path(self) -> Path:
        return self.folder / "twin.sqlite"

    def _open(self) -> None:
        self._database = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False)
        self._database.execute("PRAGMA journal_mode=WAL")
        # Written to the operating system at commit, which is what surviving kill -9 needs; not fsynced.
        self._database.execute("PRAGMA synchronous=OFF")
        self._database.executescript(_SCHEMA)
        self._entries.clear()
        self._children.clear()
        for name, text in self._database.execute("SELECT name, body FROM entries ORDER BY name"):
            self._entries[name] = json.loads(text)
            self._children.setdefault(collection_of(name), []).append(name)

    def close(self) -> None:
        self._database.close()

    # Reading

    def get(self, name: str) -> Body | None:
        return self._entries.get(name)

    def __contains__(self, name: str) -> bool:
        return name in self._entries

    def __len__(self) -> int:
        return len(self._entries)

    def children(self, collection: str, after: str = "") -> Iterator[tuple[str, Body]]:
        """Members of a collection by name, those behind `after` when it is given."""
        names = self._children.get(collection, ())
        start = bisect_left(names, after + "\0") if after else 0
        for name in list(names[start:]):
            yield name, self._entries[name]

    def has_children(self, collection: str) -> bool:
        return bool(self._children.get(collection))

    def collections(self, prefix: str, word: str) -> list[str]:
        """Non-empty collections below `prefix` whose last segment is `word`: for aggregated and `-` listings."""
        ending = "/" + word
        return sorted(
            key for key, names in self._children.items() if names and key.startswith(prefix) and key.endswith(ending)
        )

    def below(self, name: str) -> list[str]:
        """All names strictly below a resource."""
        prefix = name + "/"
        return [entry for key, names in self._children.items() if (key + "/").startswith(prefix) for entry in names]

    # Writing

    def put(self, name: str, body: Body) -> None:
        old = self._entries.get(name)
        self._undo.append((name, old))
        if old is None:
            insort(self._children.setdefault(collection_of(name), []), name)
        self._entries[name] = body
        self._changed[name] = body

    def delete(self, name: str) -> None:
        old = self._entries.pop(name, None)
        if old is None:
            return
        self._undo.append((name, old))
        self._children[collection_of(name)].remove(name)
        self._changed[name] = None

    def changed_names(self) -> list[str]:
        """What the open transaction has written so far."""
        return list(self._changed)

    def commit(self) -> None:
        if self._changed:
            execute = self._database.execute
            execute("BEGIN")
            try:
                for name, body in self._changed.items():
                    if body is None:
                        execute("DELETE FROM entries WHERE name = ?", (name,))
                    else:
                        text = json.dumps(body, separators=(",", ":"))
                        execute("INSERT OR REPLACE INTO entries VALUES (?, ?)", (name, text))
                execute("COMMIT")
            except BaseException:
                execute("ROLLBACK")
                self.rollback()
                raise
            self.generation += 1
            self._changed.clear()
        self._undo.clear()

    def rollback(self) -> None:
        for name, old in reversed(self._undo):
            if old is None:
                self._entries.pop(name, None)
                self._children[collection_of(name)].remove(name)
            else:
                if name not in self._entries:
                    insort(self._children.setdefault(collection_of(name), []), name)
                self._entries[name] = old
        self._undo.clear()
        self._changed.clear()

    # Settings: few, small, outside of any snapshot

    def setting(self, name: str) -> str:
        row = self._database.execute("SELECT value FROM settings WHERE name = ?", (name,)).fetchone()
        return str(row[0]) if row else ""

    def set_setting(self, name: str, value: str) -> None:
        self._database.execute("INSERT OR REPLACE INTO settings VALUES (?, ?)", (name, value))

    # Snapshots

    def clear(self) -> None:
        """Forget every entry."""
        self._database.execute("DELETE FROM entries")
        self._entries.clear()
        self._children.clear()
        self._undo.clear()
        self._changed.clear()

    def save(self, name: str) -> Path:
        """Keep all entries as a named snapshot; an older one of that name is replaced."""
        target = self._snapshot(name)
        target.parent.mkdir(exist_ok=True)
        partial = target.with_suffix(".partial")
        partial.unlink(missing_ok=True)
        with sqlite3.connect(partial) as copy:
            self._database.backup(copy)
        copy.close()
        partial.replace(target)
        return target

    def restore(self, name: str) -> None:
        """Go back to a named snapshot. KeyError when there is none of that name."""
        source = self._snapshot(name)
        if not source.exists():
            raise KeyError(name)
        self._database.execute("ATTACH ? AS snapshot", (str(source),))
        try:
            self._database.execute("BEGIN")
            self._database.execute("DELETE FROM entries")
            self._database.execute("INSERT INTO entries SELECT * FROM snapshot.entries")
            self._database.execute("COMMIT")
        finally:
            self._database.execute("DETACH snapshot")
        self._database.close()
        self._open()

    def snapshots(self) -> list[str]:
        return sorted(path.stem for path in (self.folder / "snapshots").glob("*.sqlite"))

    def _snapshot(self, name: str) -> Path:
        if not name or not all(letter.isalnum() or letter in "-_" for letter in name):
            raise ValueError(f"a snapshot's name has letters, digits, - and _ only: {name!r}")
        return self.folder / "snapshots" / f"{name}.sqlite"

    def erase(self) -> None:
        """Close and remove the folder with everything in it."""
        self.close()
        shutil.rmtree(self.folder, ignore_errors=True)
