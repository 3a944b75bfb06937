"""A run in a few lines, for the terminal."""

from __future__ import annotations

from regreen.run.record import GateState, RunRecord


def summary(record: RunRecord) -> str:
    """What was found, fixed and left; what the gate says; open questions by name."""
    before = sum(len(verdict.findings) for verdict in record.before.verdicts)
    after = sum(len(verdict.findings) for verdict in record.after.verdicts)
    closed = {finding.fingerprint for item in record.changes for finding in item.closes}
    lines = [
        f"phase {record.phase.number}: {record.phase.title} · run {record.run} · {record.usage.seconds:.1f} s",
        f"  findings     {before} before, {after} after; {len(closed)} closed by {_count(len(record.changes), 'change')}"
        f" in {_count(len({item.commit for item in record.changes}), 'commit')}",
    ]
    lines += [
        f"    {remedy.id:32} {remedy.outcome}" + (f", {_count(remedy.changes, 'change')}" if remedy.changes else "")
        for remedy in record.phase.remedies
        if remedy.outcome not in ("nothing to do", "not selected")
    ]
    decided = [item.decided for item in record.refusals] + [item.decided for item in record.dropped]
    answered = sum(1 for text in decided if text)
    lines.append(f"  for a person {len(decided) - answered} open, {answered} answered by decisions on file")
    lines += [f"    {item.refusal.subject}: {item.refusal.reason}" for item in record.refusals if not item.decided][:10]
    lines += [f"    {item.change.subject}: not kept, {item.reason}" for item in record.dropped if not item.decided][:10]
    tests = record.tests
    if tests is not None:
        lines.append(
            f"  tests        {tests.before.collected} collected before, {tests.after.collected} after;"
            f" {len(tests.unmasked)} unmasked, {len(tests.regressions)} regressions"
            + (f", {len(tests.flaky)} flaky" if tests.flaky else "")
        )
    elif record.tests_note:
        lines.append(f"  tests        {record.tests_note}")
    lines.append(f"  gate         {record.gate.state.value}")
    for item in record.gate.items:
        if item.state in (GateState.FAIL, GateState.UNKNOWN):
            lines.append(f"    {item.name:32} {item.state.value} {item.text}")
    lines += [f"  {message}" for message in record.messages]
    return "\n".join(lines)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
