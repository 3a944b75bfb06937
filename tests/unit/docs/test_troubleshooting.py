"""The troubleshooting guide follows the error classes: each that people see is in it, with its messages and a next step."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from console.ending import end
from console.troubleshooting import NEXT, errors, page
from regreen import commands
from regreen.policy import PolicyError
from regreen.tomlsource import SourceError
from tests.unit.workflows.steps import ROOT


def seen(error: type[BaseException]) -> str:
    return f"{error.__module__}.{error.__qualname__}"


def subclasses(error: type[BaseException]) -> set[str]:
    return {seen(error)}.union(*(subclasses(each) for each in error.__subclasses__()))


def test_every_error_that_a_command_ends_with_is_in_the_guide() -> None:
    for module in ("regreen.alerts.config", "regreen.decisions", "regreen.suppress", "regreen.plan"):
        importlib.import_module(module)  # so that their subclasses are known
    ended = (commands.UsageError, PolicyError, SourceError, *commands.MENDABLE)

    assert set().union(*map(subclasses, ended)) <= set(NEXT)


@pytest.mark.parametrize("name", sorted(NEXT))
def test_every_class_of_the_guide_is_there_and_says_what_it_means(name: str) -> None:
    module, _, attribute = name.rpartition(".")
    error = getattr(importlib.import_module(module), attribute)

    assert issubclass(error, Exception)
    assert error.__doc__
    assert error.__module__ == module


def test_messages_are_found_with_what_differs_left_out(tmp_path: Path) -> None:
    (tmp_path / "tasks.py").write_text(
        "from twin import process\ndef f(a):\n    raise process.TwinError('the twin of ' + a)\n"
    )
    (tmp_path / "twin").mkdir()
    (tmp_path / "twin" / "process.py").write_text(
        'class TwinError(Exception):\n    """It did not start.\n\n    More."""\n\n\n'
        "def f(a):\n    raise TwinError(f'{a}: no twin runs\\n  here; start it with `invoke twin.up`')\n"
    )
    (tmp_path / "infra").mkdir()
    (tmp_path / "infra" / "use.py").write_text(
        "from twin.process import TwinError as Bad\n\ndef f():\n    raise Bad('nothing was done at all')\n"
    )

    (tmp_path / "regreen").mkdir()
    (tmp_path / "regreen" / "tomlsource.py").write_text(
        'class SourceError(ValueError):\n    """A file is wrong."""\n\ndef f(t):\n    raise t.fail(f"{t} has no number", 3)\n'
    )

    every = errors(tmp_path)
    found = every["twin.process.TwinError"]

    assert every["regreen.tomlsource.SourceError"].messages == {"… has no number"}
    assert found.meaning == "It did not start."
    assert found.messages == {"…: no twin runs here; start it with `invoke twin.up`", "nothing was done at all"}


def test_a_message_that_people_see_is_in_the_guide(capsys: pytest.CaptureFixture[str]) -> None:
    from invoke.exceptions import Exit

    def wrong() -> int:
        commands.folder("no/such/folder")
        return 0

    with pytest.raises(Exit) as caught:
        end(wrong)

    assert caught.value.message == (
        "error: --target no/such/folder: does not exist; give the path of a repository or of a folder of sources"
    )
    assert "- `--target …: …; give the path of a repository or of a folder of sources`" in page(ROOT)
