"""Workflows: every command in them exists with its options, scripts do what their names say, and rights are as small as can be."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest
from invoke.exceptions import ParseError
from invoke.parser import Parser

import tasks
from checks.staging import CATALOGUE
from console import cloud
from console.stages import rest
from tests.unit.workflows.steps import ROOT, STEPS, WORKFLOWS, Step, load, named, play, read

_USES: Final = re.compile(r"^\s*-?\s*uses:\s*(\S+)(.*)$", re.MULTILINE)
_NOX: Final = ast.parse((ROOT / "noxfile.py").read_text()).body
ORDER: Final[tuple[str, ...]] = next(
    ast.literal_eval(node.value)
    for node in _NOX
    if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == "ORDER"
)
SESSIONS: Final = frozenset(
    node.name
    for node in _NOX
    if isinstance(node, ast.FunctionDef)
    and any(isinstance(each, ast.Name) and each.id == "stage" for each in node.decorator_list)
)


def parsed(words: tuple[str, ...]) -> Any:
    """The task that `invoke WORDS` would run. ParseError for what it does not know."""
    (task,) = Parser(contexts=tasks.namespace.to_contexts()).parse_argv(list(words))
    return task


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with what a checkout holds for the scripts: the lock, a history, a stack's file of before, a run."""
    (tmp_path / "requirements").mkdir()
    shutil.copy(ROOT / "requirements" / "dev.txt", tmp_path / "requirements")
    stack = tmp_path / "infra" / "staging" / "Pulumi.staging.yaml"
    stack.parent.mkdir(parents=True)
    stack.write_text("config: {}\n")
    git = ("git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b")
    for words in (("init", "-q"), ("add", "infra"), ("commit", "-qm", "before")):
        subprocess.run((*git, *words), check=True)
    for run in ("20260101-120000-aaaa", "20260101-120001-bbbb"):
        (tmp_path / ".git" / "regreen" / "runs" / run).mkdir(parents=True)
    return tmp_path


@pytest.mark.parametrize("step", STEPS, ids=str)
def test_every_command_exists_with_its_options(step: Step, place: Path) -> None:
    said = play(step, place)

    assert said.code == 0, said.output
    assert said.calls or step.name == "The branch as a bundle", "a script that runs nothing"
    for words in said.of("run", "invoke"):
        parsed(words)
    for words in said.of("run", "nox"):
        options = list(words[: words.index("--")] if "--" in words else words)
        asked = set(options[options.index("-s") + 1 :])
        assert asked
        assert asked <= SESSIONS, "a session that there is not"
        for tests in asked & {"twin", "staging", "tier0", "tier1", "tier2", "tier3", "infra"}:
            assert list((ROOT / "tests" / tests).glob("test_*.py")), f"a session without tests: {tests}"
        assert set(options[: options.index("-s")]) <= {"--no-dependencies"}


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_sessions_of_a_matrix_are_there(path: Path) -> None:
    for job in load(path)["jobs"].values():
        assert set(job.get("strategy", {}).get("matrix", {}).get("session", ())) <= SESSIONS


def test_an_unknown_task_option_or_a_missing_value_would_be_seen() -> None:
    for words in (("infra.nothing",), ("infra.up", "--plans", "x"), ("remediate",), ("diagnose", "--format")):
        with pytest.raises(ParseError):
            parsed(words)


def test_the_options_for_pytest_are_known_to_it(place: Path) -> None:
    """Collected for real, with the options of each step that has some."""
    given = {}
    for step in STEPS:
        for words in play(step, place).of("run", "nox"):
            if "--" in words and (options := rest(words[words.index("--") + 1 :])):
                given[str(step)] = (words, options)
        (place / "calls").unlink(missing_ok=True)
    assert len(given) == 3
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "regreen" / "pytest")}
    for words, options in given.values():
        tests = ROOT / "tests" / ("infra/test_adoption.py" if "infra" in words else "unit/test_stages.py")
        command = (
            sys.executable,
            "-m",
            "pytest",
            "--collect-only",
            "-q",
            "-c",
            str(ROOT / "pyproject.toml"),
            str(tests),
            *options,
        )
        done = subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_the_gates_run_every_stage_of_nox(place: Path) -> None:
    sessions = [
        session
        for step in STEPS
        if step.workflow == "gates"
        for words in play(step, place).of("run", "nox")
        for session in words[words.index("-s") + 1 :]
    ]
    matrix = load(ROOT / ".github/workflows/gates.yml")["jobs"]["twin"]["strategy"]["matrix"]["session"]

    assert set(ORDER) <= {*sessions, *matrix}


def test_the_plan_that_is_applied_is_the_one_that_was_approved(place: Path) -> None:
    preview = named("Preview of staging")
    assert play(preview, place).code == 0
    outputs = load(ROOT / ".github/workflows/main.yml")["jobs"]["preview"]["outputs"]
    apply = named("Apply the approved plan, and no other")

    assert outputs == {"plan": "${{ steps.preview.outputs.plan }}"}
    assert read(place / "output") == "plan=0123456789abcdef\n"
    (words,) = play(apply, place).of("run", "invoke", "infra.up")
    assert parsed(("infra.up", *words)).args["plan"].value == "0123456789abcdef"
    assert parsed(("infra.up", *words)).args["yes"].value is False


def test_the_way_back_on_main_is_the_stack_file_of_before(place: Path) -> None:
    (place / "infra" / "staging" / "Pulumi.staging.yaml").write_text("config: {a: 1}\n")

    said = play(named("Roll back", "main"), place)

    assert said.of("run", "invoke", "infra.restore") == [("--environment", "staging", "--stack", "older.yaml")]
    assert read(place / "older.yaml") == "config: {}\n"
    assert said.calls[-1][2] == "diagnose", "what was brought back is looked at, too"
    assert play(named("Roll back", "main"), place, BEFORE="0" * 40).code != 0, "without a before nothing is restored"


def test_the_way_back_of_a_phase_is_its_newest_run(place: Path) -> None:
    said = play(named("Roll back", "remediate"), place)

    assert said.of("run", "invoke", "undo") == [("--run", "20260101-120001-bbbb", "--target", ".")]


def test_what_main_looks_at_are_checks_that_there_are() -> None:
    variables = named("Is the living system well?").variables
    environment = cloud.environment_of("staging", ROOT)

    assert set(variables["LIVE"].split(",")) <= {check.ID for check in CATALOGUE}
    assert variables["STACK"] == environment.stack.file


@pytest.mark.parametrize("code", [0, 1, 2])
def test_a_dry_run_with_open_questions_is_shown_and_an_error_is_red(place: Path, code: int) -> None:
    step = named("What the phase would do")
    play(step, place)
    (place / "run").write_text(f"#!/bin/sh\necho what would be done\nexit {code}\n")
    said = execute_as_is(step, place)

    assert said == (0 if code < 2 else 1)
    assert read(place / "preview.txt") == "what would be done\n"


def execute_as_is(step: Step, folder: Path) -> int:
    command = ("bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step.script)
    return subprocess.run(command, cwd=folder, env={**os.environ, **step.variables}, check=False).returncode


def test_a_tag_that_is_not_the_version_is_refused(place: Path) -> None:
    step = named("Tag and version agree")

    assert play(step, place).code == 0
    said = play(step, place, TAG="v9.9.9")
    assert said.code == 1
    assert "The tag is v9.9.9, regreen.__version__ is 0.1.0" in said.output


def test_the_real_provider_is_of_the_locked_version(place: Path) -> None:
    said = play(named("The Pulumi engine, and the provider that real environments use"), place)

    (words,) = said.of("pulumi")
    locked = re.search(r"^pulumi-gcp==([\d.]+)", (ROOT / "requirements" / "dev.txt").read_text(), re.MULTILINE)
    assert locked is not None
    assert words == ("plugin", "install", "resource", "gcp", locked[1])


def test_a_history_that_is_not_there_is_said_and_begins(place: Path) -> None:
    said = play(named("The history so far"), place)

    assert said.code == 0
    assert "a new one begins" in read(place / "summary.md")


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_rights_are_as_small_as_can_be(path: Path) -> None:
    workflow = load(path)

    assert workflow["permissions"] == {}
    assert "pull_request_target" not in workflow["on"]
    for name, job in workflow["jobs"].items():
        rights = job["permissions"]
        uses = [step.get("uses", "") for step in job.get("steps", ())]
        assert rights.get("contents", "read") == "read" or name == "announce"
        if "id-token" in rights:
            assert job["environment"] in ("staging", "staging-preview", "pypi")
        if "security-events" in rights or "pull-requests" in rights:
            assert not [step for step in job["steps"] if "./run" in step.get("run", "")], "who may write runs no code"
        for use, step in zip(uses, job.get("steps", ()), strict=True):
            if use.startswith("actions/checkout@"):
                assert step["with"]["persist-credentials"] is False
        assert "timeout-minutes" in job or "uses" in job


@pytest.mark.parametrize("path", [*WORKFLOWS, ROOT / "action.yml"], ids=lambda path: path.stem)
def test_actions_are_pinned_by_commit_and_say_their_version(path: Path) -> None:
    found = _USES.findall(path.read_text())

    for action, remark in found:
        if action.startswith("./"):
            assert action == "./.regreen-action" or (ROOT / action).is_file()
            continue
        assert re.fullmatch(r"[\w.-]+/[\w./-]+@[0-9a-f]{40}", action), action
        assert re.fullmatch(r" # v\d+\.\d+\.\d+", remark), f"{action}{remark}"


def test_one_stack_is_changed_by_one_workflow_at_a_time() -> None:
    for name in ("main", "remediate"):
        assert load(ROOT / f".github/workflows/{name}.yml")["concurrency"] == {
            "group": "staging",
            "cancel-in-progress": False,
        }


@pytest.mark.parametrize(
    ("before", "after", "tool", "told"),
    [
        ("needs: static", "needs: nothing", "actionlint", "nothing"),
        (
            re.search(r"actions/checkout@\w+", (ROOT / ".github/workflows/gates.yml").read_text())[0],  # type: ignore[index]
            "actions/checkout@main",
            "zizmor",
            "unpinned",
        ),
    ],
)
def test_the_linters_of_the_lint_gate_see_what_they_are_there_for(
    before: str, after: str, tool: str, told: str, tmp_path: Path
) -> None:
    commands = {
        "actionlint": ("actionlint", "-shellcheck=", "-pyflakes="),
        "zizmor": ("zizmor", "--offline", "--no-progress", "--quiet"),
    }
    path = tmp_path / ".github" / "workflows" / "gates.yml"
    path.parent.mkdir(parents=True)
    text = (ROOT / ".github/workflows/gates.yml").read_text()
    program = str(Path(sys.executable).parent / tool)
    for content, red in ((text, False), (text.replace(before, after), True)):
        path.write_text(content)
        done = subprocess.run(
            (program, *commands[tool][1:], str(path)), capture_output=True, text=True, check=False, cwd=tmp_path
        )
        assert (done.returncode != 0) is red, done.stdout + done.stderr
        assert (told in done.stdout) is red
