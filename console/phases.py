"""One phase of the plan: its half on code, then its half on an environment."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from console import catalogues
from regreen import commands

if TYPE_CHECKING:
    from regreen.run.options import Options


def remediate(target: Path, phase: int, environment: str, chosen: Options, require_engine: bool = False) -> int:
    """Both halves, in this order; the worse exit code. Without an environment, the half on code alone.

    A half is left out where `chosen.only` names nothing of it. Each has a gate and a report of its own, so an open question
    in one does not hold up the other. Raises UsageError, PlanError and what each half raises.
    """
    plan = catalogues.plan()
    number = plan.phase(phase).number
    on_code = tuple(name for name in chosen.only if not name.startswith("staging."))
    on_cloud = tuple(name for name in chosen.only if name.startswith("staging."))
    code = commands.OK
    if on_code or not chosen.only:
        code = commands.remediate(target, number, plan.part("code."), catalogues.code(), replace(chosen, only=on_code))
    if not environment or (on_code and not on_cloud):
        return code
    from console import cloud

    needs = require_engine or bool(os.environ.get("REGREEN_REQUIRE_ENGINE"))
    here = replace(chosen, only=on_cloud, fresh=False)
    place = cloud.environment_of(environment, target)
    return max(code, cloud.remediate(target, number, plan, place, here, anew=chosen.fresh, require_engine=needs))
