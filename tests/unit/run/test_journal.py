"""The journal keeps every acknowledged line, tolerates a torn last one, and holds no secret."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from regreen.journal import Entry, Journal, JournalError, Step


def entry(remedy: str = "code.x", **data: object) -> Entry:
    return Entry("r1", 1, Step.INTEND, remedy, {"old": "a" * 40}, data)


def test_entries_come_back_as_they_were_written(tmp_path: Path) -> None:
    path = tmp_path / "state" / "journal.jsonl"
    written = [Journal(path).write(entry(paths=["a", "b\udcff"])), Journal(path).write(entry("code.y"))]

    assert list(Journal(path).entries()) == written
    assert [item.sequence for item in written] == [1, 2]
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("cut", [1, 2, 20, 200])
def test_a_torn_last_line_is_no_entry_and_is_overwritten(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "journal.jsonl"
    journal = Journal(path)
    first = journal.write(entry("code.first"))
    journal.write(entry("code.second"))
    path.write_bytes(path.read_bytes()[:-cut])

    assert list(Journal(path).entries()) == [first]
    third = Journal(path).write(entry("code.third"))

    assert third.sequence == 2
    assert [item.remedy for item in Journal(path).entries()] == ["code.first", "code.third"]


def test_damage_before_the_end_is_said_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    for name in ("code.a", "code.b", "code.c"):
        Journal(path).write(entry(name))
    path.write_text(path.read_text().replace("code.b", "code.B"))

    with pytest.raises(JournalError, match=r"journal\.jsonl:2: the entry is damaged \(its checksum does not match\)"):
        Journal(path).entries()


def test_a_missing_line_is_damage_too(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    for name in ("code.a", "code.b", "code.c"):
        Journal(path).write(entry(name))
    lines = path.read_text().splitlines(keepends=True)
    path.write_text(lines[0] + lines[2])

    with pytest.raises(JournalError, match="expected entry 2, found 3"):
        Journal(path).entries()


def test_another_schema_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    Journal(path).write(entry())
    line = json.loads(path.read_text())
    path.write_text(json.dumps({**line, "schema": 9}) + "\n")

    with pytest.raises(JournalError, match="the journal has schema 9; this version of Regreen writes schema 1"):
        Journal(path).entries()


def test_no_secret_gets_in(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    secret = "sk_" + "live_" + "4eC39HqLyjWDarjtT1zdp7dc"

    Journal(path).write(entry(reason=f"found {secret}", rows=[{"deep": f'password = "{"hunter" * 3}"'}]))

    text = path.read_text()
    assert secret not in text
    assert "hunter" not in text
    assert "found [redacted]" in text


def test_checkpoints_stand_around_each_line(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    seen: list[tuple[str, int]] = []

    def checkpoint(name: str) -> None:
        seen.append((name, len(path.read_text().splitlines()) if path.exists() else 0))

    Journal(path, checkpoint).write(entry())

    assert seen == [("before journal intend code.x", 0), ("after journal intend code.x", 1)]
