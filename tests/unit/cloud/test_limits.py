"""What is refused, in words: other environments, plans that lose something, moments outside the change windows."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from regreen.cloud import Identity, Operation, Preview
from regreen.cloud.executor import LOSING, refusal, too_much
from regreen.cloud.windows import outside
from regreen.tomlsource import SourceError
from tests.unit.cloud.toys import LABELS, TYPE, environment

FRIDAY = datetime(2026, 11, 27, 16, 59, tzinfo=UTC)


def planned(*kinds: str) -> Preview:
    return Preview("digest", tuple(Operation(kind, TYPE, f"s{number}") for number, kind in enumerate(kinds)), b"")


# The right environment


def test_the_environment_of_the_file_is_not_refused() -> None:
    assert refusal(Identity("toy-staging", "7", (*LABELS, ("team", "quotes"))), environment()) == ""


@pytest.mark.parametrize("word", ["prod", "production", "my-live", "prd_2", "PROD"])
def test_a_label_that_looks_like_production_is_refused(word: str) -> None:
    found = refusal(Identity("toy-staging", "7", (*LABELS, ("stage", word))), environment())

    assert found == f"{word!r} looks like production"


@pytest.mark.parametrize("word", ["product", "lively", "reproduction-free", "delivery"])
def test_a_label_that_only_sounds_like_it_is_not(word: str) -> None:
    assert refusal(Identity("toy-staging", "7", (*LABELS, ("stage", word))), environment()) == ""


# Plans


@pytest.mark.parametrize("kind", sorted(LOSING))
def test_every_operation_that_loses_something_is_refused(kind: str) -> None:
    assert too_much(planned("update", kind), 40) == (
        f"the engine would {kind} Service s1: nothing is ever replaced or deleted from here"
    )


def test_what_changes_nothing_does_not_count() -> None:
    preview = planned("same", "read", "refresh", "update", "create", "import")

    assert [item.kind for item in preview.changes] == ["update", "create", "import"]
    assert too_much(preview, 3) == ""
    assert too_much(preview, 2) == "3 operations are more than the stack's limit of 2 (max_changes)"


def test_a_plan_that_breaks_a_rule_is_refused_although_it_changes_little() -> None:
    preview = Preview("digest", (Operation("update", TYPE, "api"),), b"", against=("Service api shows a secret",))

    assert too_much(preview, 40) == "the plan breaks a rule: Service api shows a secret"


def test_a_plan_without_changes_is_never_too_much() -> None:
    assert too_much(planned("same"), 0) == ""


def test_an_operation_is_said_as_people_say_it() -> None:
    found = Operation("update", TYPE, "api", ("template.timeout", "scaling"))

    assert str(found) == "update Service api (template.timeout, scaling)"
    assert str(Operation("create", TYPE, "api")) == "create Service api"


# Change windows


@pytest.mark.parametrize(
    ("window", "moment", "open_"),
    [
        ("Mon-Fri 08:00-17:00", FRIDAY, True),
        ("Mon-Fri 08:00-16:59", FRIDAY, False),
        ("Mon-Fri 16:59-17:00", FRIDAY, True),
        ("Mon-Thu 08:00-17:00", FRIDAY, False),
        ("Fri 08:00-17:00", FRIDAY, True),
        ("fri 08:00-17:00 UTC", FRIDAY, True),
        ("Sat-Mon 08:00-17:00", FRIDAY, False),
        ("Thu-Tue 08:00-17:00", FRIDAY, True),
        ("Mon-Fri 08:00-17:30 Europe/Berlin", FRIDAY, False),  # 17:59 there
        ("Mon-Fri 08:00-18:00 Europe/Berlin", FRIDAY, True),
        ("Sat 00:00-06:00 Pacific/Auckland", FRIDAY, True),  # Saturday already
    ],
)
def test_windows_are_days_and_hours_of_a_place(window: str, moment: datetime, open_: bool) -> None:
    assert (outside([window], moment) == "") is open_


def test_one_of_several_windows_is_enough_and_none_at_all_is_no_limit() -> None:
    assert outside(["Mon 00:00-01:00", "Fri 16:00-17:00"], FRIDAY) == ""
    assert outside([], FRIDAY) == ""


def test_outside_says_when_it_is_and_when_it_could_be() -> None:
    assert outside(["Mon 08:00-09:00"], FRIDAY) == "Friday 16:59 UTC is outside the change windows (Mon 08:00-09:00)"


@pytest.mark.parametrize(
    "window", ["always", "Mon-Fri", "Mon-Fri 8-17", "Mun-Fri 08:00-17:00", "Mon-Fri 08:00-25:00", "Mon 08:00-09:00 Mars/Base"]
)  # fmt: skip
def test_a_window_that_cannot_be_read_is_an_error_and_never_open(window: str) -> None:
    with pytest.raises(SourceError, match="write it as Mon-Fri 08:00-18:00 Europe/Berlin"):
        outside([window], FRIDAY)
