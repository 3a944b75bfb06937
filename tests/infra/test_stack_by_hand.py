"""`invoke infra.…` as the pipeline uses it: the plan that was approved and no other, and the way back to an older file."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from console import catalogues, cloud, stack
from console.places import staging_folder, twin_place
from infra.engine import Engine
from regreen.commands import FINDINGS, OK
from regreen.environment import Environment
from regreen.prepared import prepared
from twin import staging_keeper as keeper

pytestmark = [
    pytest.mark.engine,
    pytest.mark.xdist_group("stack-by-hand"),
    # Pulumi's SDK makes event loops and closes none, as in test_phases.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
ROOT: Final = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class ByHand:
    """A staging system that nobody manages yet, and the folder for its stack's file."""

    environment: Environment
    target: Path

    @property
    def file(self) -> Path:
        return self.target / self.environment.stack.file

    def service(self, name: str) -> Any:
        """A Cloud Run service as it is live."""
        with twin_place(self.environment, staging_folder(), engine=False) as place:
            found = dict(place.read(("run.services",), ()).of("run.services"))
        (body,) = [body for key, body in found.items() if key.endswith(name)]
        return body


@pytest.fixture(scope="module")
def by_hand(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ByHand]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REGREEN_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("PATH", os.pathsep.join((str(engine.folder), os.environ["PATH"])))
        code = prepared(ROOT / "patient", catalogues.plan().part("code."), catalogues.code(), ROOT / "remedies")
        keeper.start(staging_folder(), code=str(code), cloud="as-found")
        try:
            yield ByHand(cloud.environment_of("twin", ROOT), tmp_path_factory.mktemp("target"))
        finally:
            keeper.stop(staging_folder())
            gc.collect()  # here, where what was left open is looked over


def test_an_approved_plan_is_applied_and_an_older_file_brought_back(
    by_hand: ByHand, capsys: pytest.CaptureFixture[str]
) -> None:
    environment, target = by_hand.environment, by_hand.target

    def plan() -> str:
        capsys.readouterr()
        assert stack.preview(environment, target) == OK
        (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("plan: ")]
        return line.removeprefix("plan: ")

    assert stack.adopt(environment, target) == OK
    approved = plan()
    assert plan() == approved, "the same plan has the same name"
    assert stack.up(environment, target, yes=False, plan="0" * 16) == FINDINGS
    assert "nothing was changed" in capsys.readouterr().out
    assert stack.up(environment, target, yes=False, plan=approved) == OK
    older = by_hand.file.read_bytes()
    assert by_hand.service("api")["template"]["scaling"]["maxInstanceCount"] == 5

    by_hand.file.write_bytes(older.replace(b"maxInstances: 5\n", b"maxInstances: 7\n"))
    assert plan() != approved
    assert stack.up(environment, target, yes=False, plan=approved) == FINDINGS, "another plan was approved"
    assert by_hand.service("api")["template"]["scaling"]["maxInstanceCount"] == 5
    assert stack.up(environment, target, yes=False, plan=plan()) == OK
    assert by_hand.service("api")["template"]["scaling"]["maxInstanceCount"] == 7

    (target / "older.yaml").write_bytes(older)
    assert stack.restore(environment, target / "older.yaml") == OK
    assert by_hand.service("api")["template"]["scaling"]["maxInstanceCount"] == 5
    assert "is back at" in capsys.readouterr().out
    by_hand.file.write_bytes(older)
    assert stack.drift(environment, target, heal=False) == OK
