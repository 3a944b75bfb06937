"""Obligations before against obligations after: which are still met, by what, and which are not."""

from __future__ import annotations

import itertools
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from .constant import Const
from .formula import Atom, atoms, implies, subjects
from .incomparable import changed
from .obligation import Act, Guard, Obligation
from .resemblance import ALIKE, callees, calls_behind, computed, done_before, likeness, read, same_source, short
from .verdict import Grade

_LOCAL: Final = re.compile("‹([^›]*)›")
_LOSSES: Final = frozenset({"if", "skip", "xfail", "try", "except", "suppress", "return", "match", "while"})
_DOUBLE: Final = re.compile("mock|fake|stub|dummy|spy|patched", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Loss:
    """An old obligation that nothing provably meets any more."""

    grade: Grade
    reason: str
    line_before: int
    line_after: int


@dataclass(slots=True)
class Match:
    """The outcome for one test."""

    losses: list[Loss] = field(default_factory=list)
    gains: list[str] = field(default_factory=list)
    arranged: list[str] = field(default_factory=list)

    @property
    def grade(self) -> Grade:
        if any(loss.grade is Grade.WEAKER for loss in self.losses):
            return Grade.WEAKER
        if any(loss.grade is Grade.UNKNOWN for loss in self.losses):
            return Grade.UNKNOWN
        if self.losses:
            return Grade.CHANGED
        return Grade.STRONGER if self.gains else Grade.EQUAL


def missing_guards(new: Iterable[Guard], old: Sequence[Guard]) -> list[Guard]:
    """The guards that keep the new obligation from being checked wherever the old one was."""
    deep, shallow = {(g.kind, g.deep) for g in old}, {(g.kind, g.shallow, g.spine) for g in old}
    held = [g.formula for g in old if g.formula is not None]
    result: list[Guard] = []
    for guard in new:
        if (guard.kind, guard.deep) in deep or (guard.kind, guard.shallow, guard.spine) in shallow:
            continue
        if guard.formula is not None and implies(held, guard.formula):
            continue
        result.append(guard)
    return result


class Matcher:
    """Matches two lists of obligations, the surest way first; each way takes what the one before left."""

    def __init__(
        self, old: Sequence[Obligation], new: Sequence[Obligation],
        locals_old: set[str], locals_new: set[str], own: frozenset[str] = frozenset(), *, cases: bool = False,
        acts: tuple[Sequence[Act], Sequence[Act]] = ((), ()), taken: frozenset[str] = frozenset(),
    ) -> None:  # fmt: skip
        self.acts = acts
        self.shadowed = taken  # imported before, defined by the tests themselves now
        self.cases = cases  # with parameters filled in, other arguments are another case, not another arrangement
        self.old, self.new, self.own = old, new, own
        self.result = Match()
        self.partner: dict[int, int] = {}
        self.taken: dict[int, int] = {}
        self.renames: dict[str, str] = {}
        self.gone, self.fresh = locals_old - locals_new, locals_new - locals_old

    def run(self) -> Match:
        self._equal_text(lambda o: str(o.deep), arranged=False)
        if not self.cases:
            self._equal_text(lambda o: str(o.shallow), arranged=True)
            self._renamed()
        self._implied()
        self._substituted()
        left = [index for index in range(len(self.old)) if index not in self.partner]
        self._lost(left)
        self._order()
        self._unacted()
        for index, obligation in enumerate(self.new):
            if index not in self.taken:
                self.result.gains.append(f"now also checks `{obligation.snippet}`")
        return self.result

    # -- ways to be met ---------------------------------------------------------------------------------------

    def _take(self, i: int, j: int) -> None:
        self.partner[i], self.taken[j] = j, i
        if self.new[j].guards != self.old[i].guards:
            extra = missing_guards(self.old[i].guards, self.new[j].guards)
            if extra:
                self.result.gains.append(
                    f"`{self.new[j].snippet}` no longer depends on {extra[0].kind} {short(extra[0])}"
                )

    def _free(self, i: int, j: int) -> bool:
        """A new obligation may serve several old ones of the same moment, not of different ones."""
        return j not in self.taken or self.old[self.taken[j]].epoch == self.old[i].epoch

    def _equal_text(self, key: object, *, arranged: bool) -> None:
        text = key if callable(key) else str
        index: dict[str, list[int]] = defaultdict(list)
        for j, obligation in enumerate(self.new):
            index[text(obligation)].append(j)
        for exact in (True, False):
            for i, obligation in enumerate(self.old):
                if i in self.partner:
                    continue
                candidates = [j for j in index.get(text(obligation), ()) if j not in self.taken]
                candidates += [
                    j for j in index.get(text(obligation), ()) if j in self.taken and not arranged and self._free(i, j)
                ]
                for j in candidates:
                    guards = self.new[j].guards
                    if exact and [g.deep for g in guards] != [g.deep for g in obligation.guards]:
                        continue
                    if not missing_guards(guards, obligation.guards) and (not arranged or self._same_subject(i, j)):
                        if j in self.taken:
                            self.partner[i] = j
                        else:
                            self._take(i, j)
                        if arranged:
                            self.result.arranged.append(self.new[j].snippet)
                        break

    def _same_subject(self, i: int, j: int) -> bool:
        """Whether the asserted value still comes from the same call, though its arguments may differ."""
        return not self._subject_change(i, j)

    def _subject_change(self, i: int, j: int) -> str:
        """How the source of the asserted value changed; empty if it did not."""
        before = [callees(atom) for atom in atoms(self.old[i].deep)]
        after = [callees(atom) for atom in atoms(self.new[j].deep)]
        old, new = [n for part in before for n in part], [n for part in after for n in part]
        fresh = set(new) - set(old)
        if "mock" in fresh:
            return "mock"
        if old and not new:
            return "constant"
        if any("alternative" in atom.spine for atom in atoms(self.new[j].deep)) and not any(
            "alternative" in atom.spine for atom in atoms(self.old[i].deep)
        ):
            return "double"
        left = [calls for atom in atoms(self.old[i].deep) for calls in calls_behind(atom)]
        right = [calls for atom in atoms(self.new[j].deep) for calls in calls_behind(atom)]
        called = {name for calls in right for name in calls} - {name for calls in left for name in calls}
        if any(_DOUBLE.search(name) for name in fresh) or called & self.own or self.shadowed & set(new):
            return "double"
        if len(left) == len(right) and all(same_source(a, b) for a, b in zip(left, right, strict=True)):
            return ""
        return "other"

    def _renamed(self) -> None:
        index: dict[str, list[int]] = defaultdict(list)
        for j, obligation in enumerate(self.new):
            if j not in self.taken:
                index[_LOCAL.sub("‹›", str(obligation.shallow))].append(j)
        for i, obligation in enumerate(self.old):
            if i in self.partner:
                continue
            text = str(obligation.shallow)
            for j in index.get(_LOCAL.sub("‹›", text), ()):
                if j in self.taken:
                    continue
                pairs = list(zip(_LOCAL.findall(text), _LOCAL.findall(str(self.new[j].shallow)), strict=True))
                if not self._consistent(pairs) or missing_guards(
                    self.new[j].guards, self._translated(obligation.guards, pairs)
                ):
                    continue
                if self._same_subject(i, j):
                    self.renames.update(pairs)
                    self._take(i, j)
                    if str(obligation.deep) != str(self.new[j].deep):
                        self.result.arranged.append(self.new[j].snippet)
                    break

    def _consistent(self, pairs: Sequence[tuple[str, str]]) -> bool:
        renames = dict(self.renames)
        for a, b in pairs:
            if renames.setdefault(a, b) != b or (a != b and (a not in self.gone or b not in self.fresh)):
                return False
        return len(set(renames.values())) == len(renames)

    def _translated(self, guards: Sequence[Guard], pairs: Sequence[tuple[str, str]]) -> list[Guard]:
        names = {**self.renames, **dict(pairs)}
        return [
            Guard(g.kind, g.deep, _LOCAL.sub(lambda m: f"‹{names.get(m[1], m[1])}›", g.shallow), g.formula, g.spine)
            for g in guards
        ]

    def _implied(self) -> None:
        for deep in (True,) if self.cases else (True, False):
            for i, obligation in enumerate(self.old):
                if i in self.partner:
                    continue
                wanted = subjects(read(obligation, deep))
                usable = [
                    j for j, other in enumerate(self.new)
                    if wanted & subjects(read(other, deep)) and self._free(i, j)
                    and not missing_guards(other.guards, obligation.guards)
                    and (deep or self._same_subject(i, j))
                ]  # fmt: skip
                if not usable:
                    continue
                formulas = [read(self.new[j], deep) for j in usable]
                single = next(
                    (j for j, f in zip(usable, formulas, strict=True) if implies([f], read(obligation, deep))), None
                )
                if single is None and not implies(formulas, read(obligation, deep)):
                    continue
                chosen = usable[0] if single is None else single
                mutual = implies([read(obligation, deep)], read(self.new[chosen], deep))
                self._serve(i, chosen, "" if mutual else f"`{obligation.snippet}` is now `{self.new[chosen].snippet}`")
                if not deep:
                    self.result.arranged.append(self.new[chosen].snippet)

    def _serve(self, i: int, j: int, gain: str) -> None:
        if j in self.taken:
            self.partner[i] = j  # it already stands for an obligation of the same moment
            return
        self._take(i, j)
        if gain:
            self.result.gains.append(gain)

    def _substituted(self) -> None:
        """`x == [1, 2]` also answers for `len(x) == 2`: put known values into the old assertion and compute it."""
        known: dict[str, tuple[Const, int]] = {}
        for j, obligation in enumerate(self.new):
            if isinstance(obligation.deep, Atom) and obligation.deep.test.op == "==" and obligation.deep.test.arg:
                known.setdefault(obligation.deep.subject, (obligation.deep.test.arg, j))
        if not known:
            return
        for i, obligation in enumerate(self.old):
            if i in self.partner or obligation.node is None or obligation.scope is None:
                continue
            answer = computed(obligation, {subject: const for subject, (const, _) in known.items()})
            if answer is None:
                continue
            holds, used = answer
            met = {known[subject][1] for subject in used}
            free = [j for j in met if self._free(i, j) and not missing_guards(self.new[j].guards, obligation.guards)]
            if holds and met and len(free) == len(met):
                self._serve(i, free[0], f"`{obligation.snippet}` is now `{self.new[free[0]].snippet}`")

    # -- what is left -----------------------------------------------------------------------------------------

    def _lost(self, left: Sequence[int]) -> None:
        free = [j for j in range(len(self.new)) if j not in self.taken]
        ranked: list[tuple[float, int, int]] = []
        for i in left:
            for j in free:
                score = likeness(self.old[i], self.new[j])
                if score >= ALIKE:
                    ranked.append((score, i, j))
        ranked.sort(key=lambda item: (-item[0], abs(item[1] - item[2]), item[1], item[2]))
        partner: dict[int, int] = {}
        for _, i, j in ranked:
            if i not in partner and j not in partner.values():
                partner[i] = j
        for i in left:
            self._blame(i, partner.get(i), partner)
        self.taken.update({j: i for i, j in partner.items()})

    def _blame(self, i: int, j: int | None, partner: Mapping[int, int]) -> None:
        old = self.old[i]
        if j is None:
            whole = next(
                (k for k in partner.values() if any(s in str(old.deep) for s in subjects(self.new[k].deep))), None
            )
            if whole is not None:
                new = self.new[whole]
                self._lose(Grade.UNKNOWN, f"`{old.snippet}` may be part of `{new.snippet}`", old.line, new.line)
                return
            kept = [n for n in self.new if str(n.deep) == str(old.deep) or str(n.shallow) == str(old.shallow)]
            if kept and missing_guards(kept[0].guards, old.guards):
                self._guarded(old, kept[0])
            else:
                self._lose(Grade.WEAKER, f"no longer checks `{old.snippet}`", old.line, 0)
            return
        new = self.new[j]
        both = f"`{old.snippet}` became `{new.snippet}`"
        same = str(old.deep) == str(new.deep) or str(old.shallow) == str(new.shallow)
        if same and missing_guards(new.guards, self._translated(old.guards, [])):
            self._guarded(old, new)
        elif same:
            change = self._subject_change(i, j)
            kinds = {"mock": "a mock", "constant": "a constant"}
            if change in kinds:
                self._lose(Grade.WEAKER, f"{both}: what it looks at is now {kinds[change]}", old.line, new.line)
            else:
                self._lose(Grade.UNKNOWN, f"{both}: the value comes from elsewhere", old.line, new.line)
        elif self._weaker(old, new):
            self._lose(Grade.WEAKER, f"{both}, which accepts more", old.line, new.line)
        elif self._subject_change(i, j) in {"mock", "constant"} and subjects(old.shallow) & subjects(new.shallow):
            self._lose(Grade.WEAKER, f"{both}: what it looks at is no longer the product", old.line, new.line)
        else:
            what = "" if missing_guards(new.guards, self._translated(old.guards, [])) else changed(old, new)
            grade = Grade.CHANGED if what else Grade.UNKNOWN
            self._lose(grade, f"{both}: {what or 'not comparable'}, a person decides", old.line, new.line)

    def _guarded(self, old: Obligation, new: Obligation) -> None:
        extra = missing_guards(new.guards, old.guards)
        kind = extra[0].kind
        about = f"`{new.snippet}` now depends on {kind} {short(extra[0])}"
        elsewhere = any(
            n is not new and subjects(n.shallow) & subjects(old.shallow) and missing_guards(n.guards, old.guards)
            for n in self.new
        )
        weaker = all(g.kind in _LOSSES for g in extra) and not (elsewhere and kind in {"if", "match"})
        self._lose(Grade.WEAKER if weaker else Grade.UNKNOWN, about, old.line, new.line)

    @staticmethod
    def _weaker(old: Obligation, new: Obligation) -> bool:
        if missing_guards(old.guards, new.guards):
            return False
        if implies([old.deep], new.deep) or implies([old.shallow], new.shallow):
            return True
        if isinstance(old.deep, Atom) and old.deep.test.op == "==" and old.deep.test.arg:
            answer = computed(new, {old.deep.subject: old.deep.test.arg})
            return answer is not None and answer[0]
        return False

    def _lose(self, grade: Grade, reason: str, before: int, after: int) -> None:
        self.result.losses.append(Loss(grade, reason, before, after))

    def _unacted(self) -> None:
        """The last thing done to what is asserted must still be done before the assertion."""
        for i, j in sorted(self.partner.items()):
            done = done_before(self.acts[0], self.old[i])
            if done and done[-1] not in done_before(self.acts[1], self.new[j]):
                what = f"`{done[-1]}` no longer comes before `{self.new[j].snippet}`"
                self._lose(Grade.UNKNOWN, what, self.old[i].line, self.new[j].line)
                return

    def _order(self) -> None:
        """The same subject asked twice at different moments must be asked in the same order."""
        by_subject: dict[str, list[int]] = defaultdict(list)
        for i in self.partner:
            for subject in subjects(self.old[i].shallow):
                by_subject[subject].append(i)
        for group in by_subject.values():
            ordered = sorted(group)
            for a, b in itertools.pairwise(ordered):
                x, y = self.old[a], self.old[b]
                if str(x.shallow) == str(y.shallow) or x.epoch == y.epoch:
                    continue
                if self.new[self.partner[a]].epoch > self.new[self.partner[b]].epoch:
                    self._lose(
                        Grade.UNKNOWN, f"`{x.snippet}` and `{y.snippet}` changed places around what happens between them",
                        x.line, self.new[self.partner[a]].line,
                    )  # fmt: skip
                    return
