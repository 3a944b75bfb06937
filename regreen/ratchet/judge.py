"""One test before against the same test after: the grade, and what exactly decided it."""

from __future__ import annotations

import ast
import re
import sys
from typing import Final

from .exceptions import is_subclass
from .formula import atoms
from .incomparable import built_alike, is_lax
from .marks import Case, Cases
from .match import Loss, Match, Matcher, missing_guards
from .resemblance import IDLE
from .source import Function, dotted, last_name
from .unit import Unit, runs
from .verdict import Grade, TestVerdict

_ASYNC_BASES: Final = ("IsolatedAsyncio", "AsyncTestCase", "AsyncHTTP", "Async", "Aio", "Twisted")
_SKIPPING: Final = re.compile("skip|xfail|^(require|need|only|ignore)", re.IGNORECASE)
_ASYNC_MARKS: Final = frozenset({"asyncio", "anyio", "trio", "gen_test", "coroutine", "gen_cluster", "tornado"})


def judge(old: Unit, new: Unit, path: str) -> TestVerdict:
    """The verdict on a test that exists on both sides."""
    match = _match(old, new)
    if old.marks.cases or new.marks.cases:
        losses = _cases(old, new, match)
        if match.losses or losses:
            expanded = _expanded(old, new)
            names = [sorted(name for cases in unit.marks.cases for name in cases.names) for unit in (old, new)]
            if expanded is not None and (not expanded.losses or names[0] != names[1] or _is_spread(old, new)):
                match = expanded
            else:
                match.losses += losses
    match.losses += _holes(old, new)
    return _verdict(match, old, new, path)


def _match(old: Unit, new: Unit) -> Match:
    own = _defined(new) - _defined(old)
    taken = frozenset(name for name in own if name in old.module.imports and name not in new.module.imports)
    acts = old.record.acts, new.record.acts
    before, after = old.record.obligations, new.record.obligations
    result = Matcher(before, after, old.record.locals, new.record.locals, own, acts=acts, taken=taken).run()
    if old.record.only_runs and old.record.acts:
        acting = [act for act in old.record.acts if act.called and not act.talks]
        done = [act for act in acting if act.name.rpartition(".")[2] not in IDLE]
        wanted = done if new.record.only_runs else done[-1:]
        running = Matcher(runs(wanted), runs(new.record.ran), set(), set()).run()
        result.losses += running.losses
    return result


def _defined(unit: Unit) -> frozenset[str]:
    return frozenset((*unit.module.classes, *unit.module.functions, *unit.module.assigns))


def _expanded(old: Unit, new: Unit) -> Match | None:
    before, after = old.expanded(), new.expanded()
    if before is None or after is None or old.record.only_runs:
        return None
    return Matcher(before, after, set(), set(), cases=True).run()


def _cases(old: Unit, new: Unit, match: Match) -> list[Loss]:
    """Parametrized cases: each old one must still be there."""
    losses: list[Loss] = []
    remaining = list(new.marks.cases)
    for group in old.marks.cases:
        partner = next((c for c in remaining if set(c.names) & set(group.names)), None)
        if partner is None:
            count = len(group.rows) if group.rows is not None else 0
            if count > 1 or group.rows is None:
                what = f"{count} cases" if count else "cases"
                losses.append(
                    Loss(
                        Grade.UNKNOWN,
                        f"`{', '.join(group.names)}` had {what} and is no longer parametrized",
                        group.line,
                        new.line,
                    )
                )
            continue
        remaining.remove(partner)
        loss = _rows(group, partner, match)
        if loss is not None:
            losses.append(loss)
        elif not set(group.names) <= set(partner.names) and _fewer(group, partner):
            what = f"`{', '.join(group.names)}` had {len(group.rows or ())} cases, written otherwise now"
            losses.append(Loss(Grade.UNKNOWN, what, group.line, partner.line))
    for group in remaining:
        if group.rows is not None and not group.rows:
            losses.append(Loss(Grade.WEAKER, "parametrized with no case: it never runs", old.line, group.line))
        elif group.rows is None or len(group.rows) > 1:
            match.gains.append(f"now runs for each `{', '.join(group.names)}`")
    return losses


def _fewer(old: Cases, new: Cases) -> bool:
    """Whether a mark has fewer cases than the one it stands for; others may make up for it."""
    return old.rows is None or new.rows is None or len(new.rows) < len({str(row) for row in old.rows})


def _is_spread(old: Unit, new: Unit) -> bool:
    """Whether the same parameters are shared out among the marks in another way."""
    before, after = ({frozenset(cases.names) for cases in unit.marks.cases} for unit in (old, new))
    return before != after


def _rows(old: Cases, new: Cases, match: Match) -> Loss | None:
    if old.rows is None or new.rows is None:
        if old.text == new.text:
            return None
        return Loss(
            Grade.UNKNOWN, f"the cases of `{', '.join(old.names)}` are computed and changed", old.line, new.line
        )
    common = [name for name in old.names if name in new.names]
    before = [(_project(row, old, common), row) for row in old.rows]
    after = [(_project(row, new, common), row) for row in new.rows]
    texts = [text for text, _ in after]
    lost = [(text, row) for text, row in before if text not in texts]
    for text, row in before:
        kept = next((other for key, other in after if key == text), None)
        if kept is not None and missing_guards(kept.guards, row.guards):
            return Loss(Grade.WEAKER, f"the case {row} is now skipped or expected to fail", old.line, new.line)
    fresh = len({text for text, _ in after} - {text for text, _ in before})
    if lost:
        if len(set(texts)) < len({text for text, _ in before}) or not fresh:
            return Loss(Grade.WEAKER, f"the case {lost[0][1]} is gone", old.line, new.line)
        loosened = [row for text, row in lost if _accepts_more(row, old, new)]
        if loosened:
            return Loss(Grade.WEAKER, f"the case {loosened[0]} now accepts more", old.line, new.line)
        grade = Grade.CHANGED if _as_many_of_a_kind(old, new, common) else Grade.UNKNOWN
        return Loss(grade, f"the case {lost[0][1]} was changed: a person decides", old.line, new.line)
    if fresh:
        match.gains.append(f"{fresh} more case{'s' * (fresh > 1)}")
    if any(row.guards for row in old.rows) and not any(row.guards for row in new.rows):
        match.gains.append("cases that were skipped or expected to fail now count")
    return None


def _accepts_more(row: Case, old: Cases, new: Cases) -> bool:
    """A case whose only change is an exception class that became a base class of itself."""
    for other in new.rows or ():
        if len(other.values) != len(row.values) or old.names != new.names:
            continue
        pairs = [(a.text, b.text) for a, b in zip(row.values, other.values, strict=True) if a.text != b.text]
        if len(pairs) == 1 and re.fullmatch(r"\w+(Error|Exception)", pairs[0][0]) and is_subclass(*pairs[0]):
            return True
    return False


def _as_many_of_a_kind(old: Cases, new: Cases, names: list[str]) -> bool:
    """Whether each lost case has one in its place that differs in written-down values only."""
    before, after = ({_project(row, cases, names): row for row in cases.rows or ()} for cases in (old, new))
    lost = [row for text, row in before.items() if text not in after]
    fresh = [row for text, row in after.items() if text not in before]
    if sorted(old.names) != sorted(names) or len(fresh) < len(lost) or len(after) < len(before):
        return False
    for row in lost:
        found = next((other for other in fresh if _differs_in_values(row, old, other, new)), None)
        if found is None:
            return False
        fresh.remove(found)
    return True


def _differs_in_values(row: Case, old: Cases, other: Case, new: Cases) -> bool:
    if len(row.values) != len(old.names) or len(other.values) != len(new.names):
        return False
    if missing_guards(other.guards, row.guards) or is_lax(str(other), str(row)):
        return False
    after = dict(zip(new.names, other.values, strict=True))
    pairs = [(value, after[name]) for name, value in zip(old.names, row.values, strict=True)]
    return all(
        a.text == b.text or (a.const and b.const and type(a.const.value) is type(b.const.value))
        or (a.spine == b.spine and a.spine[:1] in (("lit",), ("f-string",))) or built_alike(a.text, b.text)
        for a, b in pairs
    )  # fmt: skip


def _project(row: Case, cases: Cases, names: list[str]) -> str:
    if len(row.values) != len(cases.names):
        return str(row)
    texts = row.shown if len(row.shown) == len(cases.names) else tuple(item.text for item in row.values)
    values = dict(zip(cases.names, texts, strict=True))
    return ", ".join(f"{name}={values[name]}" for name in names)


def _holes(old: Unit, new: Unit) -> list[Loss]:
    """What lets a test pass without checking, beside its statements."""
    losses: list[Loss] = []
    places = old.line, new.line
    if new.marks.retries and not old.marks.retries:
        losses.append(Loss(Grade.WEAKER, "is now run again when it fails", *places))
    losses += _fewer_examples(old, new)
    losses += _doubles(old, new)
    losses += _set_by_itself(old, new)
    if _is_generator(new.function) and not _is_generator(old.function) and not new.function.decorator_list:
        losses.append(Loss(Grade.WEAKER, "became a generator, whose body never runs", *places))
    for name in (new.marks.fixtures | _arguments(new)) - (old.marks.fixtures | _arguments(old)):
        parameter = any(name in cases.names for cases in new.marks.cases)
        if _SKIPPING.search(name) and not parameter and new.project.fixture(new.module, new.owner, name) is None:
            losses.append(Loss(Grade.UNKNOWN, f"the fixture `{name}` was added: it may skip the test", *places))
    if isinstance(new.function, ast.AsyncFunctionDef):
        losses += _awaited(old, new)
    for name, text in new.marks.others.items():
        if name in old.marks.others:
            if text != old.marks.others[name]:
                losses += _decorator(name, f"`@{name}` has other arguments", new, places)
        else:
            losses += _decorator(name, f"`@{name}` was added", new, places)
    for name in old.marks.others:
        if name not in new.marks.others and name in {"given", "example", "check", "parameterized", "expand", "data"}:
            losses.append(Loss(Grade.UNKNOWN, f"`@{name}` was removed", *places))
    return losses


def _fewer_examples(old: Unit, new: Unit) -> list[Loss]:
    """`@settings(max_examples=...)` of hypothesis: how often a test is tried."""
    before, after = _examples(old), _examples(new)
    if before == after:
        return []
    if after is None or before is None:
        return [Loss(Grade.UNKNOWN, "how many examples hypothesis tries is computed, and changed", old.line, new.line)]
    if after < before:
        return [Loss(Grade.WEAKER, f"hypothesis tries {after} examples instead of {before}", old.line, new.line)]
    return []


def _examples(unit: Unit) -> int | None:
    """Examples of a hypothesis test: 100 unless it says otherwise; None where that is computed."""
    for node in unit.function.decorator_list:
        if isinstance(node, ast.Call) and last_name(node.func) == "settings":
            for keyword in node.keywords:
                if keyword.arg == "max_examples":
                    found = keyword.value
                    whole = isinstance(found, ast.Constant) and isinstance(found.value, int)
                    return found.value if whole and isinstance(found, ast.Constant) else None  # type: ignore[return-value]
    return 100


def _arguments(unit: Unit) -> set[str]:
    return {arg.arg for arg in ast.walk(unit.function.args) if isinstance(arg, ast.arg)}


def _is_generator(function: Function) -> bool:
    pending: list[ast.AST] = list(function.body)
    while pending:
        node = pending.pop()
        if isinstance(node, ast.Yield | ast.YieldFrom):
            return True
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef):
            pending.extend(ast.iter_child_nodes(node))
    return False


def _set_by_itself(old: Unit, new: Unit) -> list[Loss]:
    """`app.state = 1` before `assert app.state == 1`."""
    fresh = new.record.assigned - old.record.assigned
    for obligation in new.record.obligations if fresh else ():
        for atom in atoms(obligation.deep):
            if fresh & {atom.subject, *atom.subject.split(" <=> ")}:
                reason = f"the test now sets what `{obligation.snippet}` looks at"
                return [Loss(Grade.UNKNOWN, reason, old.line, obligation.line)]
    return []


def _decorator(name: str, what: str, new: Unit, places: tuple[int, int]) -> list[Loss]:
    config = new.project.configuration(new.module.path)
    if re.search(rf"-m\s*['\"]?[^'\"\n]*not\s+[^'\"\n]*\b{re.escape(name)}\b", config):
        return [Loss(Grade.WEAKER, f"{what}, and the configuration deselects that mark", *places)]
    node = next((d for d in new.function.decorator_list if name in ast.unparse(d)), None)
    plain = ast.unparse(node) if node is not None else ""
    if plain.startswith("pytest.mark.") or name in {"settings", "note", "seed", "reproduce_failure"}:
        return []
    if re.search("skip|xfail|require|need|only|ignore|not_|no_", name, re.IGNORECASE):
        return [
            Loss(Grade.WEAKER if "skip" in name.lower() else Grade.UNKNOWN, f"{what}: it may skip the test", *places)
        ]
    return [Loss(Grade.UNKNOWN, f"{what}: what it does is not known", *places)]


def _doubles(old: Unit, new: Unit) -> list[Loss]:
    losses: list[Loss] = []
    spines = {
        part.lstrip(".").rpartition(":")[2]
        for obligation in new.record.obligations
        for atom in atoms(obligation.deep)
        for part in atom.spine
    }
    for name, target in new.record.patches.items():
        if name in old.record.patches:
            continue
        if name in spines and not name.startswith("assert"):
            losses.append(
                Loss(Grade.WEAKER, f"`{target}`, which it checks, is now replaced by a double", old.line, new.line)
            )
        elif target.split(".")[0] not in sys.stdlib_module_names and not _environment(target):
            losses.append(Loss(Grade.UNKNOWN, f"`{target}` is now replaced by a double", old.line, new.line))
    return losses


def _environment(target: str) -> bool:
    parts = target.split(".")
    return any(part in sys.stdlib_module_names for part in parts[1:-1]) or parts[-1].isupper()


def _awaited(old: Unit, new: Unit) -> list[Loss]:
    """An async test that nothing awaits passes without running."""
    bases, before = _bases(new), _bases(old)
    if _driven(new):
        return []
    if "TestCase" in bases:
        if "TestCase" in before and isinstance(old.function, ast.AsyncFunctionDef) and not _driven(old):
            return []  # it did not run before either
        return [Loss(Grade.WEAKER, "an async method of a plain TestCase is never awaited", old.line, new.line)]
    if any(base.startswith(_ASYNC_BASES) for base in bases) or new.marks.names & _ASYNC_MARKS:
        return []
    was_bare = isinstance(old.function, ast.AsyncFunctionDef) and not old.marks.names & _ASYNC_MARKS
    if was_bare or bases or new.marks.others or _auto(new) or _bare_async_elsewhere(old):
        return []
    return [Loss(Grade.UNKNOWN, "nothing shows that this async test is awaited", old.line, new.line)]


def _bases(unit: Unit) -> list[str]:
    return [dotted(base).rsplit(".", 1)[-1] for base in unit.owner.bases] if unit.owner else []


def _driven(unit: Unit) -> bool:
    """Whether a decorator that is neither a mark nor a patch may run the coroutine: `@async_test`."""
    names = [dotted(d.func if isinstance(d, ast.Call) else d) for d in unit.function.decorator_list]
    return any(
        name.rpartition(".")[2] in unit.marks.others and not re.match(r"(?:pytest\.)?mark\.|unittest\.", name)
        for name in names
    )


def _auto(unit: Unit) -> bool:
    config = unit.project.configuration(unit.module.path)
    return bool(re.search(r"(asyncio|anyio|trio)_mode\W+(auto|true)", config, re.IGNORECASE))


def _bare_async_elsewhere(unit: Unit) -> bool:
    return (
        any(
            isinstance(node, ast.AsyncFunctionDef) and node.name.startswith("test") and not node.decorator_list
            for node in unit.module.tree.body
        )
        and "pytestmark" not in unit.module.assigns
    )


def _verdict(match: Match, old: Unit, new: Unit, path: str) -> TestVerdict:
    name = f"{path}::{new.name}"
    grade = match.grade
    if match.losses:
        worst = [loss for loss in match.losses if loss.grade is grade]
        more = f" (and {len(match.losses) - 1} more)" if len(match.losses) > 1 else ""
        first = worst[0]
        return TestVerdict(
            name, grade, first.reason + more, first.line_before or old.line, first.line_after or new.line
        )
    if match.gains:
        more = f" (and {len(match.gains) - 1} more)" if len(match.gains) > 1 else ""
        return TestVerdict(name, grade, match.gains[0] + more, old.line, new.line)
    reason = "the same obligations"
    if match.arranged:
        reason = f"arrangement changed, the same obligations: `{match.arranged[0]}`"
    return TestVerdict(name, grade, reason, old.line, new.line)
