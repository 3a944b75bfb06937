"""Every command in the guides exists, with the options that the guides give it; links lead to files."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from invoke.exceptions import ParseError
from invoke.parser import Parser

import tasks
from console.stages import rest
from tests.unit.workflows.steps import ROOT
from tests.unit.workflows.test_workflows import SESSIONS

GUIDES: Final = (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md")))
_FENCE: Final = re.compile(r"^(?:```(?:sh|bash|console)\n(.*?)^```|((?:^    \S.*\n)+))", re.MULTILINE | re.DOTALL)
_INLINE: Final = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
_INSIDE: Final = re.compile(r"\$\(([^()]*)\)")


def commands(text: str) -> Iterator[str]:
    """What a guide tells people to type: lines of shell blocks, and code in running text."""
    for fence, indented in _FENCE.findall(text):
        yield from (line.strip() for line in (fence or indented).splitlines())
    yield from _INLINE.findall(re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL))


def typed(text: str, *programs: str) -> Iterator[list[str]]:
    """The words of every command of these programs, pipes and `$(…)` taken apart. `[…]` and `…` of a synopsis are dropped."""
    for line in commands(text):
        inside = _INSIDE.findall(line)
        for piece in [*inside, *re.split(r"\s[|;]\s|\s*;\s*|&&", _INSIDE.sub("x", line))]:
            plain = re.sub(r"\\\|[\w\\|]*", "", piece.replace("[", "").replace("]", ""))
            try:
                words = shlex.split(plain, comments=True)
            except ValueError:
                continue
            words = [word for word in words if word != "…" and not word.startswith((">", "<", "2>"))]
            if words and words[0] == "./run":
                words = words[1:]
            if words and words[0] in programs:
                yield words


@pytest.mark.parametrize("guide", GUIDES, ids=lambda path: path.name)
def test_every_task_has_the_options_that_the_guide_gives_it(guide: Path) -> None:
    parser = Parser(contexts=tasks.namespace.to_contexts())

    wrong = []
    for program, *words in typed(guide.read_text(), "invoke", "regreen"):
        if not words or words[0].startswith("-") or words[0] == "TASK":
            continue
        known = [word for word in words if "=" not in word or word.startswith("-")]
        if len(known) == 1 and known[0] in tasks.namespace.task_names:
            continue  # the task is only mentioned
        try:
            parser.parse_argv(known)
        except ParseError as error:
            wrong.append(f"{program} {' '.join(words)}: {error}")

    assert wrong == []


@pytest.mark.parametrize("guide", GUIDES, ids=lambda path: path.name)
def test_every_session_of_nox_is_there(guide: Path) -> None:
    for _, *words in typed(guide.read_text(), "nox"):
        own = words[: words.index("--")] if "--" in words else words
        asked = set(own[own.index("-s") + 1 :]) if "-s" in own else set()
        assert asked <= SESSIONS, words
        assert {word for word in own if word.startswith("-")} <= {"-s", "--no-dependencies"}, words
        assert "--" not in words or rest(words[words.index("--") + 1 :]) != ["--"], words


@pytest.mark.parametrize("guide", GUIDES, ids=lambda path: path.name)
def test_links_lead_to_files(guide: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)\)", guide.read_text())
    missing = [link for link in links if "://" not in link and not (guide.parent / link).exists()]

    assert missing == []


def test_the_guides_hold_commands() -> None:
    counted = {guide.name: sum(1 for _ in typed(guide.read_text(), "invoke", "nox", "pytest")) for guide in GUIDES}

    assert counted["validation.md"] > 25
    assert counted["pipeline.md"] > 12
    assert counted["troubleshooting.md"] > 25
    assert counted["test-design.md"] > 4


def test_a_wrong_command_in_a_guide_would_be_seen() -> None:
    text = (
        '`invoke diagnose --tarhet X` and\n\n```sh\n./run invoke nothing | tee x\neval "$(invoke staging.envv)"\n```\n'
    )
    found = list(typed(text, "invoke"))

    assert sorted(found) == [["invoke", "diagnose", "--tarhet", "X"], ["invoke", "nothing"], ["invoke", "staging.envv"]]
    for _, *words in found:
        with pytest.raises(ParseError):
            Parser(contexts=tasks.namespace.to_contexts()).parse_argv(words)
