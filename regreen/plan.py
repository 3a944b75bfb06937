"""The plan: phases, their order, risk, limits, remedies, gates and checklists. Data only, checked before any effect."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Final

from regreen.criteria import Criterion, criteria
from regreen.model import Risk
from regreen.tomlsource import SourceError, Table, load, meant

#: What can tick a box of the checklist, beside the verdicts of checks.
EVIDENCE: Final = ("gate", "tests", "assertion-ratchet", "public-api", "undo", "record")
_PHASE_FIELDS: Final = (
    "number", "title", "goal", "after", "risk", "approval", "max_changes", "max_files", "remedies", "gate", "item",
)  # fmt: skip


class PlanError(SourceError):
    """The plan cannot be run: `plan.toml:42: phase 2: unknown remedy …`."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A remedy or a gate's check as the plan lists it. `built` false: planned, shown, never run or passed."""

    id: str
    built: bool = True
    after: tuple[str, ...] = ()
    line: int = 0


@dataclass(frozen=True, slots=True)
class ChecklistItem:
    """A box to tick: all `checks` green (or decided) and all `evidence` there."""

    id: str
    text: str
    requirement: str
    checks: tuple[str, ...] = ()
    evidence: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Phase:
    """One phase. `remedies` are in the order in which they run; limits count what a branch may hold."""

    number: int
    title: str
    goal: str
    risk: Risk
    approval: str
    max_changes: int
    max_files: int
    after: tuple[int, ...] = ()
    remedies: tuple[Entry, ...] = ()
    gate: tuple[Entry, ...] = ()
    checklist: tuple[ChecklistItem, ...] = ()


@dataclass(frozen=True, slots=True)
class TestLimits:
    """How a target's tests are run: arguments of each suite, wall seconds and megabytes of memory per suite."""

    __test__ = False

    suites: tuple[tuple[str, ...], ...] = ()
    seconds: int = 900
    memory: int = 4096


@dataclass(frozen=True, slots=True)
class Plan:
    """All phases, by number, how tests run, and what must be true in the end."""

    path: str
    phases: tuple[Phase, ...]
    tests: TestLimits
    criteria: tuple[Criterion, ...] = ()

    def phase(self, number: int) -> Phase:
        """The phase of a number. Raises PlanError."""
        for phase in self.phases:
            if phase.number == number:
                return phase
        known = ", ".join(str(phase.number) for phase in self.phases)
        raise PlanError(self.path, 0, f"has no phase {number}; it has {known}")

    def part(self, prefix: str) -> Plan:
        """The plan with only the remedies and checks whose ids start so (`code.`, `staging.`), and the boxes they tick."""
        return replace(self, phases=tuple(_part(phase, prefix) for phase in self.phases))


def _part(phase: Phase, prefix: str) -> Phase:
    boxes = []
    for box in phase.checklist:
        checks = tuple(check for check in box.checks if check.startswith(prefix))
        if checks or not box.checks:
            boxes.append(replace(box, checks=checks))
    return replace(
        phase,
        remedies=tuple(entry for entry in phase.remedies if entry.id.startswith(prefix)),
        gate=tuple(entry for entry in phase.gate if entry.id.startswith(prefix)),
        checklist=tuple(boxes),
    )


def load_plan(path: Path, checks: Collection[str], remedies: Collection[str]) -> Plan:
    """The plan of a file. `checks` and `remedies` are the ids that the catalogues hold.

    Raises PlanError, with file and line, for anything that could go wrong for the plan's sake later.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise PlanError(path, 0, f"cannot be read: {error.strerror}") from None
    return parse_plan(str(path), content, checks, remedies)


def parse_plan(path: str, content: bytes, checks: Collection[str], remedies: Collection[str]) -> Plan:
    """As `load_plan`, from bytes that have been read."""
    try:
        return _parse(load(path, content), checks, remedies)
    except PlanError:
        raise
    except SourceError as error:
        raise PlanError(error.path, error.line, error.message) from None


def _parse(root: Table, checks: Collection[str], remedies: Collection[str]) -> Plan:
    root.only("schema", "tests", "phase", "criterion")
    if root.integer("schema") != 1:
        raise root.fail("this version of Regreen reads schema 1", "schema")
    tables = list(root.tables("phase", "phase {number}"))
    if not tables:
        raise root.fail("the plan has no [[phase]]")
    numbers: dict[int, Table] = {}
    ids: dict[str, int] = {}
    phases: list[Phase] = []
    for table in tables:
        number = table.integer("number", least=1)
        named = Table(table.path, table.key, table.values, table.lines, f"phase {number}")
        if number in numbers:
            raise named.fail(f"the number {number} is used already (line {numbers[number].line()})", "number")
        numbers[number] = named
        phases.append(_phase(named, number, checks, remedies, ids))
    _order(phases, numbers)
    ordered = tuple(sorted(phases, key=lambda phase: phase.number))
    return Plan(root.path, ordered, _tests(root), criteria(root, checks))


def _phase(table: Table, number: int, checks: Collection[str], remedies: Collection[str], ids: dict[str, int]) -> Phase:
    table.only(*_PHASE_FIELDS)
    risk = Risk(table.choice("risk", [str(risk) for risk in Risk]))
    approval = table.text("approval", "").strip()
    if risk is Risk.HIGH and not approval:
        key = "approval" if "approval" in table.values else "risk"
        raise table.fail("a high-risk phase needs an 'approval': who agreed, to what, and until when", key)
    listed = _entries(table, "remedies", "remedy", remedies)
    for entry in listed:
        if entry.id in ids:
            raise SourceError(
                table.path,
                entry.line,
                f"{table.name}: remedy {entry.id!r} is listed twice (first on line {ids[entry.id]})",
            )
        ids[entry.id] = entry.line
    gate = _entries(table, "gate", "check", checks)
    seen: dict[str, int] = {}
    for entry in gate:
        if entry.id in seen:
            raise SourceError(
                table.path,
                entry.line,
                f"{table.name}: check {entry.id!r} is in the gate twice (first on line {seen[entry.id]})",
            )
        seen[entry.id] = entry.line
    after = table.values.get("after", [])
    if not isinstance(after, list) or not all(type(item) is int for item in after):
        raise table.fail("'after' must be a list of phase numbers", "after")
    return Phase(
        number=number,
        title=table.text("title"),
        goal=table.text("goal", ""),
        risk=risk,
        approval=approval,
        max_changes=table.integer("max_changes", least=1),
        max_files=table.integer("max_files", least=1),
        after=tuple(after),
        remedies=_sorted(table, listed),
        gate=gate,
        checklist=tuple(_checklist(table, checks, {entry.id for entry in gate if not entry.built})),
    )


def _entries(table: Table, key: str, noun: str, known: Collection[str]) -> tuple[Entry, ...]:
    """The elements of `remedies` or `gate`: an id, or a table with `id`, `built` and `after`."""
    values = table.values.get(key)
    if values is None:
        raise table.fail(f"the field {key!r} is missing")
    if not isinstance(values, list):
        raise table.fail(f"{key!r} must be a list", key)
    entries: list[Entry] = []
    for number, value in enumerate(values):
        line = table.line(key, number)
        if isinstance(value, str):
            value = {"id": value}
        if not isinstance(value, dict):
            raise table.fail(f"{key!r} must hold ids or tables, not {value!r}", key, number)
        item = Table(table.path, (*table.key, key, number), value, table.lines, table.name)
        item.only("id", "built", "after")
        entry = Entry(item.text("id"), item.boolean("built", True), item.texts("after", ()), line)
        if entry.built and entry.id not in known:
            raise table.fail(f"unknown {noun} {entry.id!r}{meant(entry.id, known)}", key, number)
        if not entry.built and entry.id in known:
            raise table.fail(f"{noun} {entry.id!r} is marked 'built = false' and is built", key, number)
        entries.append(entry)
    return tuple(entries)


def _sorted(table: Table, entries: tuple[Entry, ...]) -> tuple[Entry, ...]:
    """The remedies so that each comes behind those it names in `after`; otherwise in the plan's order."""
    place = {entry.id: number for number, entry in enumerate(entries)}
    for number, entry in enumerate(entries):
        for other in entry.after:
            if other not in place:
                raise table.fail(
                    f"remedy {entry.id!r} comes after {other!r}, which this phase does not list",
                    "remedies", number,
                )  # fmt: skip
    sorter = TopologicalSorter({entry.id: entry.after for entry in entries})
    try:
        sorter.prepare()
    except CycleError as error:
        raise table.fail(f"cycle in 'after': {_path(error)}", "remedies", place[error.args[1][0]]) from None
    ordered: list[Entry] = []
    waiting = list(entries)
    done: set[str] = set()
    while waiting:  # there is no cycle, so each turn finds one
        entry = next(item for item in waiting if done.issuperset(item.after))
        ordered.append(entry)
        done.add(entry.id)
        waiting.remove(entry)
    return tuple(ordered)


def _order(phases: Iterable[Phase], tables: Mapping[int, Table]) -> None:
    graph: dict[int, tuple[int, ...]] = {}
    for phase in phases:
        for position, number in enumerate(phase.after):
            if number not in tables:
                raise tables[phase.number].fail(
                    f"comes after phase {number}, which is not in the plan", "after", position
                )
        graph[phase.number] = phase.after
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        first = error.args[1][0]
        raise tables[first].fail(f"cycle in 'after': {_path(error)}", "after") from None


def _path(error: CycleError) -> str:
    return " → ".join(str(item) for item in reversed(error.args[1]))


def _checklist(table: Table, checks: Collection[str], planned: Collection[str]) -> Iterable[ChecklistItem]:
    seen: dict[str, int] = {}
    for item in table.tables("item", f"{table.name}, item {{number}}"):
        item.only("id", "text", "requirement", "checks", "evidence")
        found = ChecklistItem(
            item.text("id"), item.text("text"), item.text("requirement", ""),
            item.texts("checks", ()), item.texts("evidence", ()),
        )  # fmt: skip
        if found.id in seen:
            raise item.fail(f"the id {found.id!r} is used already (line {seen[found.id]})", "id")
        seen[found.id] = item.line()
        if not found.checks and not found.evidence:
            raise item.fail("names no check and no evidence, so nothing could ever tick it")
        for number, check in enumerate(found.checks):
            if check not in checks and check not in planned:
                raise item.fail(f"unknown check {check!r}{meant(check, checks)}", "checks", number)
        for number, kind in enumerate(found.evidence):
            if kind not in EVIDENCE:
                raise item.fail(f"unknown evidence {kind!r}; known are {', '.join(EVIDENCE)}", "evidence", number)
        yield found


def _tests(root: Table) -> TestLimits:
    value = root.values.get("tests", {})
    if not isinstance(value, dict):
        raise root.fail("'tests' must be a table", "tests")
    table = Table(root.path, ("tests",), value, root.lines, "tests")
    table.only("suites", "seconds", "memory")
    suites = table.values.get("suites", [])
    if not isinstance(suites, list) or not all(
        isinstance(suite, list) and all(isinstance(word, str) for word in suite) for suite in suites
    ):
        raise table.fail("'suites' must be a list of lists of pytest arguments", "suites")
    return TestLimits(
        tuple(tuple(suite) for suite in suites),
        table.integer("seconds", 900, least=1),
        table.integer("memory", 4096, least=64),
    )
