"""The catalogue page holds every check and every remedy, of code and of environments, with links that lead somewhere."""

from __future__ import annotations

import re

import pytest

from checks.code import CATALOGUE as CODE_CHECKS
from checks.staging import CATALOGUE as STAGING_CHECKS
from regreen.catalogue import catalogue
from regreen.cloud import CloudCatalogue
from regreen.plan import parse_plan
from remedies.code import CATALOGUE as CODE_REMEDIES
from remedies.infra import CATALOGUE as INFRA_REMEDIES

PLAN = parse_plan(
    "plan.toml",
    b"""
schema = 1
[[phase]]
number = 3
title = "Settings"
risk = "low"
max_changes = 1
max_files = 1
remedies = ["staging.add-probes", { id = "staging.not-yet", built = false }, "code.annotate"]
gate = []
""",
    [],
    ["staging.add-probes", "code.annotate"],
)


@pytest.fixture(scope="module")
def page() -> str:
    return catalogue(CODE_CHECKS, CODE_REMEDIES, PLAN, CloudCatalogue(STAGING_CHECKS, INFRA_REMEDIES))


def row(page: str, name: str) -> list[str]:
    """The cells of an id's row in a table."""
    (line,) = re.findall(rf"^\| \[`{re.escape(name)}`\]\(.*$", page, re.MULTILINE)
    return [cell.strip() for cell in line.strip("|").split("|")]


def section(page: str, name: str) -> str:
    """What stands under a heading."""
    return re.split(r"^#+ .*$", page.split(f"### {name}\n", 1)[1], maxsplit=1, flags=re.MULTILINE)[0]


@pytest.mark.parametrize("item", [*CODE_CHECKS, *STAGING_CHECKS, *CODE_REMEDIES, *INFRA_REMEDIES], ids=lambda item: item.ID)  # fmt: skip
def test_everything_has_a_row_and_a_chapter_with_its_own_words(page: str, item: object) -> None:
    name, doc = item.ID, (item.__doc__ or "").splitlines()[0]  # type: ignore[attr-defined]

    assert len(row(page, name)) >= 3
    assert f"**{doc.strip()}**" in section(page, name)


def test_every_link_leads_to_a_heading(page: str) -> None:
    headings = {
        re.sub(r"[^a-z0-9 -]", "", line.lower()).replace(" ", "-") for line in re.findall(r"^#+ (.*)$", page, re.M)
    }

    assert set(re.findall(r"\]\(#([^)]*)\)", page)) - headings == set()


def test_a_staging_check_says_what_it_reads_measures_and_who_closes_it(page: str) -> None:
    assert row(page, "staging.sql-available")[1:] == [
        "error", "`sql.instances`", "`sql-query`", "`staging.start-database`",
    ]  # fmt: skip
    assert row(page, "staging.drift")[1:] == ["warning", "–", "`drift`", "–"]
    found = section(page, "staging.sql-available")
    assert "Finds: An instance that is not there, stopped or suspended, and a query that fails or is slow." in found
    assert "Source: https://cloud.google.com/sql/docs/postgres/start-stop-restart-instance" in found


def test_an_infra_remedy_says_its_phase_undo_and_risk(page: str) -> None:
    assert row(page, "staging.add-probes")[1:] == ["3", "`staging.cloud-run-probes`", "safe", "forward", "low"]
    assert row(page, "staging.reencrypt-tables")[1:4:2] == ["–", "safe"]
    assert row(page, "staging.reencrypt-tables")[4] == "none"


def test_only_what_is_not_built_is_said_to_be_planned(page: str) -> None:
    assert page.split("## Planned, not built\n\n")[1] == "- phase 3: `staging.not-yet`\n"
