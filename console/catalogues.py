"""Checks, remedies and the plan, put together: imported by the commands that need them, because that takes half a second."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from regreen.plan import Plan, load_plan

if TYPE_CHECKING:
    from regreen.cloud import CloudCatalogue
    from regreen.report.sarif import Described
    from regreen.run.options import Catalogue

HERE: Final = Path(__file__).resolve().parent.parent


@cache
def code() -> Catalogue:
    """What there is for code."""
    from checks.code import CATALOGUE as CHECKS
    from regreen.ratchet import compare
    from regreen.run.options import Catalogue
    from remedies.code import CATALOGUE as REMEDIES

    return Catalogue(CHECKS, REMEDIES, compare)


@cache
def cloud() -> CloudCatalogue:
    """What there is for environments."""
    from checks.staging import CATALOGUE as CHECKS
    from regreen.cloud import CloudCatalogue
    from remedies.infra import CATALOGUE as REMEDIES

    return CloudCatalogue(CHECKS, REMEDIES)


def described() -> tuple[Described, ...]:
    """Every check, for the texts of a report."""
    return (*code().checks, *cloud().checks)


def plan(path: Path | None = None) -> Plan:
    """The plan of the current folder, else the bundled one; or that of a path. Raises PlanError."""
    own = Path("plan.toml")
    chosen = path or (own if own.is_file() else HERE / "plan.toml")
    checks = {*code().check_ids, *(check.ID for check in cloud().checks)}
    remedies = {*code().remedy_ids, *(remedy.ID for remedy in cloud().remedies)}
    return load_plan(chosen, checks, remedies)
