"""A compose file on a real engine; on a machine without one, the reason."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from twin.backing import compose
from twin.process import TwinError

REASON = compose.unavailable()
_FILE = """
services:
  quiet:
    image: regreen-test-quiet:1
    networks: [inner]
networks:
  inner:
    internal: true
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "compose.yaml"
    path.write_text(_FILE)
    return path


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(TwinError, match=r"nothing\.yaml does not exist: name the project's compose file"):
        compose.Compose(tmp_path / "nothing.yaml")


@pytest.mark.skipif(not REASON, reason="an engine runs here")
def test_without_an_engine_the_reason_is_said(file: Path) -> None:
    with pytest.raises(TwinError, match="--backend compose is not possible here: "):
        compose.Compose(file)


@pytest.mark.skipif(shutil.which("busybox") is None, reason="needs a static busybox to build an image from")
@pytest.mark.skipif(bool(REASON), reason=REASON or "an engine runs")
def test_up_pause_partition_limit_restart_down(file: Path) -> None:
    busybox = Path(str(shutil.which("busybox")))
    compose.scratch_image("regreen-test-quiet:1", {"/busybox": busybox}, ["/busybox", "sleep", "600"])
    project = compose.Compose(file)
    project.up(within=30)
    try:
        assert project.states() == {"quiet": "running"}
        project.pause("quiet")
        assert project.states() == {"quiet": "paused"}
        project.resume("quiet")
        project.limit("quiet", cpus=0.5, memory="64m")
        project.partition("quiet")
        project.heal("quiet")
        project.kill("quiet")
        assert project.states() == {"quiet": "exited"}
        project.start("quiet")
        assert project.states() == {"quiet": "running"}
    finally:
        project.down()
    assert project.states() == {}
