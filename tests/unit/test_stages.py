"""The stages of nox: what is asked for, what may be reused, what a red one leaves."""

from __future__ import annotations

import subprocess
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from console.stages import Stages, asked, rest, value


@pytest.fixture
def root(tmp_path: Path) -> Path:
    subprocess.run(("git", "init", "--quiet", str(tmp_path)), check=True)
    (tmp_path / ".gitignore").write_text("/build/\n")
    (tmp_path / "a.py").write_text("a = 1\n")
    return tmp_path


def green(root: Path, name: str = "lint") -> Stages:
    stages = Stages(root)
    with stages.running(name):
        pass
    return stages


def test_only_sessions_named_on_the_command_line_are_asked_for() -> None:
    assert asked(["-s", "unit", "tier0", "--no-dependencies", "-R", "--", "-s", "lint"]) == {"unit", "tier0"}
    assert asked(["--no-dependencies", "--sessions", "tier2"]) == {"tier2"}
    assert asked([]) == frozenset()


def test_our_own_flags_do_not_reach_pytest() -> None:
    given = ["--as-found", "-k", "cdn", "--target", "there", "--reuse"]

    assert rest(given) == ["-k", "cdn"]
    assert value(given, "--target") == "there"
    assert value(["--target"], "--target") == ""
    assert Stages(Path(), ["-s", "tier2"]).options("tier2", given) == ["-k", "cdn"]
    assert Stages(Path(), ["-s", "tier2"]).options("unit", given) == []


def test_a_green_stage_is_reused_for_the_same_files(root: Path) -> None:
    green(root)

    again = Stages(root)

    assert again.reuse("lint") != ""
    assert [(each.name, each.state) for each in again.done] == [("lint", "reused")]
    assert again.reuse("unit") == ""


@pytest.mark.parametrize("change", ["edit", "new", "gone"])
def test_nothing_is_reused_when_a_file_differs(root: Path, change: str) -> None:
    green(root)

    if change == "edit":
        (root / "a.py").write_text("a = 2\n")
    elif change == "new":
        (root / "b.py").write_text("")
    else:
        (root / "a.py").unlink()

    assert Stages(root).reuse("lint") == ""


def test_a_stage_whose_files_changed_while_it_ran_is_not_reused(root: Path) -> None:
    with Stages(root).running("lint"):
        (root / "a.py").write_text("a = 2\n")

    assert Stages(root).reuse("lint") == ""


def test_a_red_stage_takes_its_green_mark_away_and_says_why(root: Path) -> None:
    green(root)
    stages = Stages(root)

    with pytest.raises(RuntimeError), stages.running("lint"):
        raise RuntimeError("E501 <everywhere>")

    assert Stages(root).reuse("lint") == ""
    suite = ElementTree.parse(stages.junit("lint")).getroot()
    assert suite.attrib["failures"] == "1"
    failure = suite.find("testcase/failure")
    assert failure is not None
    assert failure.attrib["message"] == "E501 <everywhere>"
    assert "| lint | red |" in stages.summary()
    assert "| all | red |" in stages.summary()


def test_the_summary_lists_stages_in_order_and_goes_where_github_shows_it(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(root / "step.md"))
    stages = green(root)
    with stages.running("typecheck"):
        pass

    stages.close()

    names = [line.split("|")[1].strip() for line in (root / "step.md").read_text().splitlines()]
    assert names == ["stage", "---", "lint", "typecheck", "all"]
    said = capsys.readouterr().err
    assert said.index("lint") < said.index("typecheck") < said.index("all")
