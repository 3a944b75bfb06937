"""A run from end to end: real git, the real source engine, toy checks and remedies."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from regreen.model import Safety
from regreen.run.history import load_record
from regreen.run.options import OptionError
from regreen.run.record import GateState
from regreen.runner import remediate
from tests.unit.run.toys import (
    CHECKS,
    FILES,
    NoWord,
    Replace,
    catalogue,
    everything,
    git,
    options,
    plan,
    repository,
    write,
)

TOYS = catalogue()


def test_a_run_repairs_commits_verifies_and_records(tmp_path: Path) -> None:
    target = repository(tmp_path / "t")

    result = remediate(target, plan(TOYS), 1, TOYS, options(tmp_path))

    record = result.record
    assert result.exit_code == 0
    assert git(target, "log", "--format=%s", f"main..{record.branch}").splitlines() == [
        "code.replace-gamma: 1 change, 1 finding closed",
        "code.replace-beta: 1 change, 1 finding closed",
        "code.replace-alpha: 2 changes, 2 findings closed",
    ]
    assert git(target, "show", f"{record.branch}:a.py") == "x = 'one'\ny = 'two'\n"
    assert git(target, "show", f"{record.branch}:README.md") == "alpha is fine here\n"
    assert record.head == git(target, "rev-parse", record.branch).strip()
    assert len(record.before.findings) == 4
    assert record.after.findings == {}
    assert [item.outcome for item in record.phase.remedies] == ["applied"] * 3
    assert record.gate.state is GateState.DECIDED  # tests: accepted with --static-only
    assert [tick.state for tick in record.checklist] == [GateState.PASS, GateState.PASS]
    assert load_record(target / ".git/regreen", record.run) == record


def test_the_commit_message_names_findings_and_evidence(tmp_path: Path) -> None:
    target = repository(tmp_path / "t")

    record = remediate(target, plan(TOYS), 1, TOYS, options(tmp_path)).record

    message = git(target, "log", "-1", "--format=%B", record.branch)
    assert "  closes code.no-gamma at c.py:1: gamma\n  evidence: the two words mean the same\n" in message
    assert f"Regreen-Run: {record.run}\nRegreen-Phase: 1\nRegreen-Remedy: code.replace-gamma\n" in message
    assert git(target, "log", "-1", "--format=%an <%ae>", record.branch) == "Regreen <regreen@localhost>\n"


def test_a_dry_run_prints_what_a_real_run_commits_and_writes_nothing(tmp_path: Path) -> None:
    target = repository(tmp_path / "t")
    found = everything(target)

    dry = remediate(target, plan(TOYS), 1, TOYS, options(tmp_path, dry_run=True))

    assert everything(target) == found
    assert not (target / ".git/regreen").exists()
    real = remediate(target, plan(TOYS), 1, TOYS, options(tmp_path))
    printed = git(target, "diff", f"{real.record.base}..{real.record.branch}")
    assert dry.diff.decode() == real.diff.decode() == printed
    assert printed.count("\n+") > 3
    assert dry.folder is None
    assert dry.record.head == ""


def test_the_user_s_hooks_index_and_work_stay_untouched(tmp_path: Path) -> None:
    target = repository(tmp_path / "t")
    trace = tmp_path / "hook-ran"
    hooks = target / ".git/hooks"
    hooks.mkdir()
    for name in ("pre-commit", "post-commit", "reference-transaction", "post-checkout", "post-index-change", "update"):
        (hooks / name).write_text(f"#!/bin/sh\necho {name} >> {trace}\n")
        (hooks / name).chmod(0o755)
    for key, value in {
        "commit.gpgSign": "true", "gpg.program": "false", "core.autocrlf": "true", "core.fsmonitor": f"touch {trace}",
    }.items():  # fmt: skip
        git(target, "config", key, value)
    write(target, {"staged.py": "s = 'alpha'\n", "a.py": "x = 'alpha'  # edited\n", "new.py": "n = 'alpha'\n"})
    subprocess.run(("git", "-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false", "add", "staged.py"),
                   cwd=target, check=True)  # fmt: skip
    found = everything(target)

    result = remediate(target, plan(TOYS), 1, TOYS, options(tmp_path))

    now = everything(target)
    new = {name for name in now if name not in found}
    assert all(name.startswith((".git/objects/", ".git/refs/heads/", ".git/logs/refs/heads/")) for name in new)
    assert {name: now.get(name) for name in found} == found
    assert not trace.exists()
    assert any("3 uncommitted paths" in message for message in result.record.messages)


def test_uncommitted_work_is_included_when_asked_for(tmp_path: Path) -> None:
    target = repository(tmp_path / "t")
    write(target, {"new.py": "n = 'beta'\n"})
    (target / "c.py").unlink()

    first = remediate(target, plan(TOYS), 1, TOYS, options(tmp_path, include_uncommitted=True))
    second = remediate(target, plan(TOYS), 1, TOYS, options(tmp_path, include_uncommitted=True))

    branch = first.record.branch
    assert git(target, "ls-tree", "-r", "--name-only", branch).split() == ["README.md", "a.py", "b.py", "new.py"]
    assert git(target, "show", f"{branch}:new.py") == "n = 'two'\n"
    assert (target / "new.py").read_text() == "n = 'beta'\n"
    assert git(target, "show", f"{first.record.base}:new.py") == "n = 'beta'\n"
    assert (second.record.branch, second.record.head) == (branch, first.record.head)


def test_a_second_run_continues_the_branch_and_changes_nothing(tmp_path: Path) -> None:
    target = repository(tmp_path / "t")
    first = remediate(target, plan(TOYS), 1, TOYS, options(tmp_path)).record
    refs = git(target, "for-each-ref")

    second = remediate(target, plan(TOYS), 1, TOYS, options(tmp_path))

    assert git(target, "for-each-ref") == refs
    assert second.exit_code == 0
    assert second.diff == b""
    assert second.record.base == second.record.head == first.head
    assert second.record.continued
    assert "nothing was changed: nothing is left to do" in second.record.messages


def test_the_next_phase_goes_on_with_the_branch(tmp_path: Path) -> None:
    target = repository(tmp_path / "t")
    first = remediate(target, plan(TOYS), 1, TOYS, options(tmp_path)).record

    second = remediate(target, plan(TOYS), 2, TOYS, options(tmp_path)).record

    assert (second.branch, second.base, second.fork) == (first.branch, first.head, first.fork)


def test_after_a_merge_a_clean_target_gets_no_branch(tmp_path: Path) -> None:
    target = repository(tmp_path / "t")
    first = remediate(target, plan(TOYS), 1, TOYS, options(tmp_path)).record
    git(target, "merge", "-q", "--ff-only", first.branch)

    second = remediate(target, plan(TOYS), 1, TOYS, options(tmp_path))

    assert second.exit_code == 0
    assert second.record.branch == ""
    assert git(target, "branch", "--format=%(refname:short)").split() == ["main", first.branch]


def test_fresh_starts_another_branch(tmp_path: Path) -> None:
    target = repository(tmp_path / "t")
    first = remediate(target, plan(TOYS), 1, TOYS, options(tmp_path)).record

    second = remediate(target, plan(TOYS), 1, TOYS, options(tmp_path, fresh=True)).record

    assert second.branch != first.branch
    assert git(target, "diff", first.branch, second.branch) == ""


def test_a_change_that_brings_a_new_finding_is_dropped_and_the_others_stay(tmp_path: Path) -> None:
    toys = catalogue((Replace("alpha", "beta"), Replace("gamma", "three")))
    target = repository(tmp_path / "t", {"a.py": "x = 'alpha'\n", "c.py": "w = 'gamma'\n"})

    result = remediate(target, plan(toys), 1, toys, options(tmp_path))

    assert [(item.change.subject, item.reason) for item in result.record.dropped] == [
        ("a.py::1", "it would bring a new finding: code.no-beta at a.py:1: beta")
    ]
    assert git(target, "show", f"{result.record.branch}:a.py") == "x = 'alpha'\n"
    assert git(target, "show", f"{result.record.branch}:c.py") == "w = 'three'\n"
    assert result.exit_code == 1


def test_a_change_that_does_not_close_its_finding_is_dropped(tmp_path: Path) -> None:
    toys = catalogue((Replace("alpha", "alpha"),))
    target = repository(tmp_path / "t", {"a.py": "x = 'alpha'\ny = 'alpha'\n"})

    record = remediate(target, plan(toys), 1, toys, options(tmp_path)).record

    assert [item.reason for item in record.dropped] == ["code.no-alpha still finds it afterwards"] * 2
    assert record.branch == ""


def test_a_change_that_breaks_the_syntax_is_dropped(tmp_path: Path) -> None:
    toys = catalogue((Replace("alpha", "'"),))
    target = repository(tmp_path / "t", {"a.py": "x = 'alpha'\n"})

    record = remediate(target, plan(toys), 1, toys, options(tmp_path)).record

    assert record.dropped[0].reason.startswith("the file would no longer parse: SyntaxError: ")


def test_a_check_that_goes_blind_blocks(tmp_path: Path) -> None:
    toys = catalogue((Replace("alpha", "one"),), (NoWord("alpha"), NoWord("beta", fails="one")))
    target = repository(tmp_path / "t", {"a.py": "x = 'alpha'\n"})

    record = remediate(target, plan(toys), 1, toys, options(tmp_path)).record

    assert (
        record.dropped[0].reason
        == "code.no-beta can no longer judge: the check itself failed: RuntimeError: a.py holds one"
    )


def test_one_bad_change_among_many_is_found(tmp_path: Path) -> None:
    """A whole-tree error names no file: the culprit is found by halves, and all others are kept."""
    toys = catalogue((Replace("alpha", "one"),), (NoWord("alpha"), NoWord("beta", fails="one#5")))
    files = {f"m{number}.py": f"x = 'alpha'  # {number}\n" for number in range(9)}
    files["m5.py"] = "x = 'alpha#5'\n"
    target = repository(tmp_path / "t", files)

    record = remediate(target, plan(toys), 1, toys, options(tmp_path)).record

    assert [item.change.subject for item in record.dropped] == ["m5.py::1"]
    assert sorted(item.change.subject for item in record.changes) == [f"m{n}.py::1" for n in range(9) if n != 5]
    assert git(target, "rev-list", "--count", f"main..{record.branch}").strip() == "1"


def test_refusals_are_kept_with_what_a_person_must_decide(tmp_path: Path) -> None:
    toys = catalogue((Replace("alpha", "one", refuse="b.py"),))
    target = repository(tmp_path / "t")

    result = remediate(target, plan(toys), 1, toys, options(tmp_path))

    assert [(item.refusal.subject, item.refusal.decide, item.decided) for item in result.record.refusals] == [
        ("b.py", "look at it", "")
    ]
    assert result.exit_code == 1
    assert [finding.path for finding in result.record.remaining if finding.check == "code.no-alpha"] == ["b.py"]


def test_nothing_is_dropped_in_silence(tmp_path: Path) -> None:
    toys = catalogue(
        (Replace("alpha", "one", forgets=True), Replace("beta", "two", breaks="boom"), Replace("gamma", "three"))
    )
    target = repository(tmp_path / "t")

    record = remediate(target, plan(toys), 1, toys, options(tmp_path)).record

    assert sorted({item.refusal.reason for item in record.refusals}) == [
        "the remedy itself failed: KeyError: 'boom'",
        "the remedy said nothing about this finding",
    ]
    assert [item.outcome for item in record.phase.remedies] == ["refused", "refused", "applied"]


def test_unsafe_changes_need_the_flag(tmp_path: Path) -> None:
    toys = catalogue((Replace("alpha", "one", SAFETY=Safety.UNSAFE),), CHECKS[:1])
    target = repository(tmp_path / "t")

    cautious = remediate(target, plan(toys), 1, toys, options(tmp_path)).record
    bold = remediate(target, plan(toys), 1, toys, options(tmp_path, unsafe=True)).record

    assert [item.refusal.reason for item in cautious.refusals] == [
        "the change is graded unsafe: it may alter behaviour"
    ] * 2
    assert (len(cautious.changes), len(bold.changes)) == (0, 2)


def test_the_target_s_own_policy_lets_an_unsafe_remedy_run(tmp_path: Path) -> None:
    both = (Replace("alpha", "one", SAFETY=Safety.UNSAFE), Replace("beta", "two", SAFETY=Safety.UNSAFE))
    toys = catalogue(both, CHECKS[:2])
    allowed = {"pyproject.toml": '[tool.regreen]\nunsafe = ["code.replace-alpha"]\n'}
    target = repository(tmp_path / "t", {"a.py": "x = 'alpha'\ny = 'beta'\n", **allowed})

    record = remediate(target, plan(toys), 1, toys, options(tmp_path)).record

    assert [change.change.remedy for change in record.changes] == ["code.replace-alpha"]
    assert [item.refusal.remedy for item in record.refusals] == ["code.replace-beta"]


def test_limits_count_what_the_branch_holds(tmp_path: Path) -> None:
    toys = catalogue((Replace("alpha", "one"),), CHECKS[:1])
    target = repository(tmp_path / "t", {f"m{number}.py": "x = 'alpha'\n" for number in range(5)})

    first = remediate(target, plan(toys, max_changes=2), 1, toys, options(tmp_path)).record
    again = remediate(target, plan(toys, max_changes=2), 1, toys, options(tmp_path)).record
    wider = remediate(target, plan(toys, max_changes=9, max_files=3), 1, toys, options(tmp_path)).record

    assert (len(first.changes), len(again.changes), len(wider.changes)) == (2, 0, 1)
    assert {item.refusal.reason for item in first.refusals} == {"the phase's limit of changes (max_changes) is reached"}
    assert {item.refusal.reason for item in wider.refusals} == {"the phase's limit of files (max_files) is reached"}


def test_left_out_folders_and_links_are_never_edited(tmp_path: Path) -> None:
    target = repository(tmp_path / "t", {"a.py": "x = 'alpha'\n", "backups/a.py": "x = 'alpha'\n"})
    (target / "link.py").symlink_to("a.py")
    git(target, "add", "-A")
    git(target, "commit", "-qm", "link")

    record = remediate(target, plan(TOYS), 1, TOYS, options(tmp_path)).record

    assert git(target, "diff", "--name-only", f"main..{record.branch}").split() == ["a.py"]


def test_only_selects_remedies_by_their_id_or_their_check(tmp_path: Path) -> None:
    target = repository(tmp_path / "t")

    by_remedy = remediate(target, plan(TOYS), 1, TOYS, options(tmp_path, only=("code.replace-beta",)))
    by_check = remediate(target, plan(TOYS), 1, TOYS, options(tmp_path, only=("code.no-gamma",)))

    assert [item.change.remedy for item in by_remedy.record.changes] == ["code.replace-beta"]
    assert [item.change.remedy for item in by_check.record.changes] == ["code.replace-gamma"]
    assert (by_remedy.exit_code, by_check.exit_code) == (0, 0)
    assert [item.outcome for item in by_check.record.phase.remedies] == ["not selected", "not selected", "applied"]
    with pytest.raises(OptionError, match=r"phase 1 has no such remedy \(did you mean 'code.replace-beta'\?\)"):
        remediate(target, plan(TOYS), 1, TOYS, options(tmp_path, only=("code.replace-bata",)))


def test_a_later_remedy_can_open_work_for_an_earlier_one(tmp_path: Path) -> None:
    toys = catalogue((Replace("beta", "two"), Replace("alpha", "be")), CHECKS[:2])
    target = repository(tmp_path / "t", {"a.py": "x = 'alphata'\ny = 'beta'\n"})

    record = remediate(target, plan(toys), 1, toys, options(tmp_path)).record

    # "alpha" in "alphata" would become "beta": a new finding for another check, so it is dropped, not chased.
    assert [item.change.subject for item in record.dropped] == ["a.py::1"]
    assert git(target, "show", f"{record.branch}:a.py") == "x = 'alphata'\ny = 'two'\n"


def test_without_python_or_consent_the_test_gate_is_unknown(tmp_path: Path) -> None:
    target = repository(tmp_path / "t")

    result = remediate(target, plan(TOYS), 1, TOYS, options(tmp_path, static_only=False))

    tests = next(item for item in result.record.gate.items if item.name == "tests")
    assert tests.state is GateState.UNKNOWN
    assert tests.text.startswith("changed, not executed")
    assert result.exit_code == 1
    assert "--python PATH" in result.record.next_step


@pytest.mark.parametrize(("until", "code"), [("2026-01-01", 0), ("2025-12-31", 1)])
def test_a_decision_answers_until_its_last_day(tmp_path: Path, until: str, code: int) -> None:
    toys = catalogue((Replace("alpha", "one", refuse="b.py"),), CHECKS[:1])
    decision = f"""[[decision]]
check = "code.no-alpha"
subject = "b.py"
decision = "accept"
reason = "a quotation"
who = "ann"
until = {until}
"""
    target = repository(tmp_path / "t", {**FILES, "decisions.toml": decision})

    result = remediate(target, plan(toys), 1, toys, options(tmp_path))

    assert result.exit_code == code
    assert [(item.decision, item.expired) for item in result.record.decisions] == [("accept", code == 1)]
    assert [item.by for item in result.record.suppressed] == (["decision"] if code == 0 else [])


def test_a_decision_keeps_remedies_away_but_a_product_defect_does_not(tmp_path: Path) -> None:
    def decide(kind: str) -> str:
        return (
            f'[[decision]]\ncheck = "code.no-*"\nsubject = "b.py"\ndecision = "{kind}"\n'
            'reason = "r"\nwho = "ann"\nuntil = 2027-01-01\n'
        )

    accepted = repository(tmp_path / "a", {**FILES, "decisions.toml": decide("accept")})
    defect = repository(tmp_path / "d", {**FILES, "decisions.toml": decide("product-defect")})

    left = remediate(accepted, plan(TOYS), 1, TOYS, options(tmp_path)).record
    touched = remediate(defect, plan(TOYS), 1, TOYS, options(tmp_path)).record

    assert git(accepted, "show", f"{left.branch}:b.py") == "z = 'alpha'\n"
    assert git(defect, "show", f"{touched.branch}:b.py") == "z = 'one'\n"


def test_the_baseline_sets_findings_aside(tmp_path: Path) -> None:
    target = repository(tmp_path / "t")
    finding = next(iter(remediate(target, plan(TOYS), 1, TOYS, options(tmp_path, dry_run=True)).record.before.findings))
    write(
        target,
        {"regreen-baseline.json": f'{{"schema": 1, "findings": [{{"fingerprint": "{finding}", "reason": "old"}}]}}'},
    )
    git(target, "add", "-A")
    git(target, "commit", "-qm", "baseline")

    record = remediate(target, plan(TOYS), 1, TOYS, options(tmp_path)).record

    assert [(item.finding.fingerprint, item.by, item.reason) for item in record.suppressed] == [
        (finding, "baseline", "old")
    ]
    assert len(record.changes) == 3
