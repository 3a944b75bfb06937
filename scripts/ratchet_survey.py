"""How often the assertion ratchet has to say "unknown" on real histories.

Usage: python scripts/ratchet_survey.py [--commits N] [--skip N] [--csv FILE [--reasons]] CLONE [CLONE ...]

Takes the newest N commits without merges of each clone (bare or not) that change a test file, compares each with its
parent, and prints one line a commit and the shares. A commit is *weaker* when a test lost something, *unknown* when
none did and at least one could not be compared, *changed* when all could be and at least one asks for something else as
precisely as before (a person decides on both), else *stronger* or *equal*.
"""

from __future__ import annotations

import argparse
import csv
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from regreen.ratchet import Comparison, Grade, HistoryError, from_git

_PATTERNS = ("*test_*.py", "*_test.py", "*/tests.py", "*conftest.py")


@dataclass(frozen=True, slots=True)
class Row:
    """One commit of the survey."""

    repository: str
    commit: str
    grade: str
    counts: dict[str, int]
    seconds: float
    reason: str

    @property
    def changed(self) -> int:
        """Tests with another text or context than before (the equal ones that are unchanged left out)."""
        return sum(self.counts.values()) - self.counts.get("unchanged", 0)


def commits(clone: Path, number: int, skip: int) -> list[str]:
    """The newest commits that modify test files and have one parent."""
    command = [
        "git",
        "-C",
        str(clone),
        "log",
        "--no-merges",
        "--min-parents=1",
        "--format=%H",
        f"--skip={skip}",
        f"-{number}",
        "--",
    ]
    done = subprocess.run([*command, *_PATTERNS], capture_output=True, text=True, check=True)
    return done.stdout.split()


def examine(clone: Path, repository: str, commit: str) -> Row:
    """Grade one commit against its parent."""
    start = time.perf_counter()
    try:
        comparison = from_git(clone, f"{commit}~1", commit)
    except HistoryError as error:
        return Row(repository, commit, "error", {}, time.perf_counter() - start, str(error))
    return Row(
        repository, commit, comparison.grade.value, _counts(comparison), time.perf_counter() - start, _why(comparison)
    )


def _counts(comparison: Comparison) -> dict[str, int]:
    counts = Counter("unchanged" if v.reason == "unchanged" else v.grade.value for v in comparison.tests)
    return dict(counts)


def _why(comparison: Comparison) -> str:
    worst = comparison.weaker or comparison.unknown or comparison.changed
    return " | ".join(f"{v.test.rsplit('::', 1)[-1]}: {v.reason}" for v in worst[:40])


def name_of(clone: Path) -> str:
    """owner/name of a clone, from its remote where there is one."""
    done = subprocess.run(
        ["git", "-C", str(clone), "remote", "get-url", "origin"], capture_output=True, text=True, check=False
    )
    url = done.stdout.strip().removesuffix(".git").replace(":", "/")
    if url:
        return "/".join(url.split("/")[-2:])
    folder = clone.resolve()
    folder = folder.parent if folder.name in {"repo", ".git"} else folder
    return folder.name.replace("+", "/").removesuffix(".git")


def main(arguments: list[str]) -> int:
    """Run the survey; exit 0 when at most a tenth of the commits are unknown, else 1."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("clones", nargs="+", type=Path)
    parser.add_argument("--commits", type=int, default=20)
    parser.add_argument("--skip", type=int, default=0)
    parser.add_argument("--csv", type=Path)
    parser.add_argument("--reasons", action="store_true", help="add why, which quotes the tests, to the CSV")
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args(arguments)
    work = [
        (clone, name_of(clone), c) for clone in options.clones for c in commits(clone, options.commits, options.skip)
    ]
    with ProcessPoolExecutor(options.jobs) as pool:
        rows = list(pool.map(examine, *zip(*work, strict=True), chunksize=1)) if work else []
    for row in rows:
        counts = ", ".join(f"{n} {grade}" for grade, n in sorted(row.counts.items()))
        print(f"{row.repository:<24} {row.commit[:12]} {row.grade:<9} {counts}")
    if options.csv:
        write(options.csv, rows, reasons=options.reasons)
    for line in summary(rows):
        print(line)
    share = sum(row.grade == Grade.UNKNOWN for row in rows) / max(1, len(rows))
    return 0 if rows and share <= 0.1 else 1


def summary(rows: list[Row]) -> Iterator[str]:
    """The shares, by commit and by changed test."""
    grades = Counter(row.grade for row in rows)
    yield ""
    yield f"{len(rows)} commits: " + ", ".join(
        f"{n} {grade} ({n / len(rows):.1%})" for grade, n in grades.most_common()
    )
    tests: Counter[str] = Counter()
    for row in rows:
        tests.update({grade: n for grade, n in row.counts.items() if grade != "unchanged"})
    total = max(1, tests.total())
    yield f"{tests.total()} changed tests: " + ", ".join(f"{n} {g} ({n / total:.1%})" for g, n in tests.most_common())
    asked = grades[Grade.UNKNOWN.value] + grades[Grade.CHANGED.value]
    yield f"a person must decide on {asked} commits ({asked / max(1, len(rows)):.1%}): unknown or changed"
    yield f"{sum(row.seconds for row in rows):.1f} s in all, {max((row.seconds for row in rows), default=0):.1f} s the longest"


def write(path: Path, rows: list[Row], *, reasons: bool) -> None:
    """Save the list of commits with their grades."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        head = ["repository", "commit", "grade", "tests", "weaker", "unknown", "changed", "stronger", "added"]
        writer.writerow([*head, "reason"] if reasons else head)
        for row in rows:
            lost = row.counts.get("weaker", 0) + row.counts.get("removed", 0)
            rest = [row.counts.get(grade, 0) for grade in ("unknown", "changed", "stronger", "added")]
            line = [row.repository, row.commit, row.grade, row.changed, lost, *rest]
            writer.writerow([*line, row.reason[:3000]] if reasons else line)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
