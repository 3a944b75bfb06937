"""What other repositories use: the action, the reusable workflow, the pre-commit hooks; run on small trees for real."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from tests.unit.workflows.steps import ROOT, Step, execute, load, read

ACTION: Final = load(ROOT / "action.yml")
HOOKS: Final[dict[str, dict[str, Any]]] = {
    hook["id"]: hook for hook in yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
}
CLEAN: Final = {
    "pyproject.toml": '[project]\nname = "small"\nversion = "1"\ndependencies = ["pytest"]\n\n[tool.pytest.ini_options]\naddopts = ["--strict-markers"]\n'
    'markers = ["slow: takes long"]\n',
    "app.py": "def answer() -> int:\n    return 42\n",
    "test_app.py": "import pytest\n\nfrom app import answer\n\n\n@pytest.mark.slow\ndef test_answer() -> None:\n    assert answer() == 42\n",
}
#: What only the extras of pyproject.toml bring, by import name.
EXTRAS: Final = (
    "aiohttp", "apprise", "confluent_kafka", "cryptography", "duckdb", "googleapiclient", "grpc", "httplib2", "neo4j",
    "numpy", "opentelemetry", "prometheus_client", "psycopg", "pulumi", "pulumi_gcp", "redis", "ruamel", "sqlglot", "yaml",
)  # fmt: skip
_SCRIPT: Final = """#!{python}
import sys
class NotInstalled:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {extras!r}:
            raise ModuleNotFoundError("not installed: " + name)
sys.meta_path.insert(0, NotInstalled())
sys.path[0] = {site!r}
from {module} import {function}
{function}()
"""
#: A fault that each hook must see, and what it must not take for one.
FAULTS: Final = {
    "regreen-diagnose": ("test_app.py", "assert answer() == 42", "return answer() == 42", "code.tests-assert-not-return"),
    "regreen-markers": ("test_app.py", "mark.slow", "mark.slo", "code.markers-spelled"),
    "regreen-imports": ("test_app.py", "from app import", "from ap import", "code.imports-resolve"),
    "regreen-ratchet": ("test_app.py", "answer() == 42", "answer() is not None", "weaker"),
}  # fmt: skip


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Only what the wheel holds, and its console script, as `pip install` makes it: without the extras' libraries."""
    place = tmp_path_factory.mktemp("installed")
    site = place / "site"
    site.mkdir()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    for name in project["tool"]["hatch"]["build"]["targets"]["wheel"]["only-include"]:
        (site / name).symlink_to(ROOT / name)
    module, _, function = project["project"]["scripts"]["regreen"].partition(":")
    script = place / "bin" / "regreen"
    script.parent.mkdir()
    script.write_text(
        _SCRIPT.format(python=sys.executable, site=str(site), extras=EXTRAS, module=module, function=function)
    )
    script.chmod(0o755)
    return script.parent


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A healthy repository of somebody else's."""
    place = tmp_path / "theirs"
    place.mkdir()
    for name, text in CLEAN.items():
        (place / name).write_text(text)
    git(place, "init", "-q")
    git(place, "add", ".")
    git(place, "commit", "-qm", "clean")
    return place


def git(place: Path, *words: str) -> None:
    subprocess.run(("git", "-C", str(place), "-c", "user.name=a", "-c", "user.email=a@b", *words), check=True)


def hook(name: str, installed: Path, tree: Path) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": f"{installed}:{os.environ['PATH']}", "REGREEN_CACHE": str(tree.parent / "cache"),
                   "HOME": str(tree.parent), "PYTHONDONTWRITEBYTECODE": "1"}  # fmt: skip
    command = shlex.split(HOOKS[name]["entry"])
    return subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True, check=False)


def test_there_are_four_hooks_and_each_has_a_fault_here() -> None:
    assert set(HOOKS) == set(FAULTS)
    for each in HOOKS.values():
        assert (each["language"], each["pass_filenames"]) == ("python", False)


@pytest.mark.parametrize("name", sorted(FAULTS))
def test_a_hook_is_green_on_a_healthy_tree_and_red_on_its_fault(name: str, installed: Path, tree: Path) -> None:
    healthy = hook(name, installed, tree)
    file, before, after, said = FAULTS[name]
    path = tree / file
    path.write_text(path.read_text().replace(before, after))
    red = hook(name, installed, tree)

    assert healthy.returncode == 0, healthy.stdout + healthy.stderr
    assert red.returncode == 1, red.stdout + red.stderr
    assert said in red.stdout
    assert "Traceback" not in red.stderr
    assert sorted(each.name for each in tree.iterdir() if each.name != ".git") == sorted(CLEAN), "hooks write nothing"


def act(tree: Path, **inputs: str) -> Any:
    """The action's own script with these inputs, the rest as by default; `run` takes this environment."""
    (step,) = [step for step in ACTION["runs"]["steps"] if "run" in step]
    known = {f"inputs.{name}": each["default"] for name, each in ACTION["inputs"].items()}
    known |= {f"inputs.{name.replace('_', '-')}": value for name, value in inputs.items()}
    home = tree.parent / "action"
    home.mkdir(exist_ok=True)
    for name in ("tasks.py", "regreen", "checks", "remedies", "console", "plan.toml", "patient", "twin", "infra"):
        if not (home / name).exists():
            (home / name).symlink_to(ROOT / name)
    known |= {"github.action_path": str(home), "steps.python.outputs.python-path": sys.executable}
    (home / "run").write_text('#!/bin/sh\nexec "$@"\n')
    (home / "run").chmod(0o755)
    variables = {name: known[value[3:-2].strip()] for name, value in step["env"].items()}
    return execute(
        Step("action", "action", step["name"], step["run"], variables), tree, REGREEN_CACHE=str(tree.parent / "cache")
    )


def test_the_action_diagnoses_with_sarif_and_a_summary(tree: Path) -> None:
    green = act(tree)
    assert green.code == 0, green.output
    (tree / "test_app.py").write_text(CLEAN["test_app.py"].replace("assert answer() == 42", "return answer() == 42"))

    red = act(tree)
    told = act(tree, fail_on_findings="false")

    assert (red.code, told.code) == (1, 0), red.output
    (run,) = json.loads(read(tree / "regreen.sarif"))["runs"]
    assert {result["ruleId"] for result in run["results"]} == {"code.tests-assert-not-return"}
    assert read(tree / "summary.md").count("### Regreen: diagnosis") == 3
    assert "code.tests-assert-not-return" in red.output


def test_the_action_narrows_to_checks_and_a_folder(tree: Path) -> None:
    (tree / "part").mkdir()
    (tree / "part" / "broken.py").write_text("def f(:\n")

    assert act(tree, target="part", only="code.source-readable").code == 1
    assert act(tree, target="part", only="code.waits-not-sleeps", fail_on_findings="true").code in (0, 1)
    wrong = act(tree, only="code.no-such-check")
    assert wrong.code == 2
    assert "there is no check" in wrong.output


def test_the_action_runs_the_ratchet_markers_and_imports(tree: Path) -> None:
    assert act(tree, command="markers").code == 0
    assert act(tree, command="imports").code == 0
    (tree / "test_app.py").write_text(CLEAN["test_app.py"].replace("== 42", "is not None"))
    git(tree, "commit", "-qam", "weaker")

    assert act(tree, command="ratchet", base="HEAD~1").code == 1
    assert act(tree, command="ratchet", base="HEAD").code == 0
    nothing = act(tree, command="ratchet")
    assert (nothing.code, "needs the input base" in nothing.output) == (2, True)
    unknown = act(tree, command="judge")
    assert (unknown.code, "there is no command judge" in unknown.output) == (2, True)


def test_the_reusable_workflow_hands_over_inputs_that_the_action_has() -> None:
    workflow = load(ROOT / ".github/workflows/regreen.yml")
    steps = [step for step in workflow["jobs"]["diagnose"]["steps"] if step.get("uses") == "./.regreen-action"]

    assert [step["with"]["command"] for step in steps] == ["diagnose", "ratchet"]
    for step in steps:
        assert set(step["with"]) <= set(ACTION["inputs"])
    (own,) = [
        step
        for step in workflow["jobs"]["diagnose"]["steps"]
        if "path" in step.get("with", {}) and "repository" in step["with"]
    ]
    assert own["with"]["ref"] == "${{ job.workflow_sha }}", "at the commit that the caller pinned"
