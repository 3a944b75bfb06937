"""What the executor makes of an engine's plan: operations, and the rules that it breaks. The engine itself is stood in for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest

from infra import driver
from infra.engine import Engine
from infra.executor import PulumiExecutor
from infra.policies import Planned
from regreen.cloud import ExecutorError, Operation
from regreen.cloud.executor import too_much
from tests.unit.cloud.toys import environment

FILE = b"""
config:
  regreen-staging:services:
    api:
      image: registry/api:1
"""
URN = "urn:pulumi:toy::regreen-staging::gcp:cloudrunv2/service:Service::api"
SERVICE = "gcp:cloudrunv2/service:Service"


class Plans:
    """Gives a plan that it was told to give, and notes what was applied."""

    def __init__(self, *operations: driver.Operation, planned: tuple[Planned, ...] = ()) -> None:
        self.plan = driver.Preview(operations, "digest", Path("plan.json"), planned)
        self.applied: list[str] = []

    def preview(self, program: Callable[[], None], *, refresh: bool = False) -> driver.Preview:
        return self.plan

    def up(self, program: Callable[[], None], preview: driver.Preview) -> driver.Outcome:
        self.applied.append(preview.digest)
        return driver.Outcome(preview.operations)


def executor(folder: Path, plans: Plans) -> PulumiExecutor:
    made = PulumiExecutor(environment(), Engine(folder, "3.200.0", "path"), folder, {}, cast("Any", None))
    made._driver = cast("driver.Driver", plans)
    return made


def test_components_are_no_operations(tmp_path: Path) -> None:
    plans = Plans(
        driver.Operation("create", "regreen:staging:CloudRunService", "api", "urn:component"),
        driver.Operation("update", SERVICE, "api", URN, ("scaling",)),
    )

    assert executor(tmp_path, plans).preview(FILE).operations == (Operation("update", SERVICE, "api", ("scaling",)),)


@pytest.mark.parametrize("how", ["preview", "heal"])
def test_a_plan_that_breaks_a_rule_says_so(tmp_path: Path, how: str) -> None:
    key = Planned("create", "gcp:kms/cryptoKey:CryptoKey", "data")
    made = executor(tmp_path, Plans(driver.Operation("update", SERVICE, "api", URN), planned=(key,)))

    found = getattr(made, how)(FILE)

    assert found.against == ("CryptoKey data is not protected: to destroy a key destroys the data under it",)
    assert too_much(found, 40).startswith("the plan breaks a rule: CryptoKey data is not protected")


def test_a_plain_secret_in_the_file_is_against_the_rules(tmp_path: Path) -> None:
    content = FILE + b"      env: {STRIPE_API_KEY: hunter2}\n"

    found = executor(tmp_path, Plans()).preview(content)

    assert found.against == ("Service api: STRIPE_API_KEY would hold a secret in plain text: refer to a secret",)


def test_only_what_was_previewed_is_applied(tmp_path: Path) -> None:
    plans = Plans(driver.Operation("update", SERVICE, "api", URN))
    made = executor(tmp_path, plans)
    seen = executor(tmp_path / "other", plans).preview(FILE)

    with pytest.raises(ExecutorError, match="not a plan that was previewed in this run"):
        made.apply(seen)
    assert plans.applied == []

    made.apply(made.preview(FILE))
    assert plans.applied == ["digest"]


def test_a_file_that_cannot_be_used_is_an_error_of_the_executor(tmp_path: Path) -> None:
    with pytest.raises(ExecutorError, match="unknown section"):
        executor(tmp_path, Plans()).preview(b"config:\n  regreen-staging:service: {}\n")
