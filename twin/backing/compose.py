"""The project's own compose file as backing services, through python-on-whales.

Nothing is pulled: images that the file does not build have to be on this machine, or be built by `scratch_image`.
"""

from __future__ import annotations

import contextlib
import hashlib
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from twin.process import TwinError

if TYPE_CHECKING:
    from python_on_whales import Container, DockerClient

_POLL: Final = 0.2


def unavailable() -> str:
    """Why Compose cannot be used here; '' when it can."""
    try:
        from python_on_whales import DockerClient
        from python_on_whales.exceptions import DockerException
    except ImportError:
        return "python-on-whales is not installed: `uv pip install 'regreen[twin]'`"
    client = DockerClient()
    try:
        client.version()
        if client.version().server is None:
            return "no Docker engine answers: start one (`docker version` must show a server)"
        if not client.compose.is_installed():
            return "the Docker engine runs, but its compose plugin is not installed"
    except (DockerException, OSError) as error:
        said = " ".join(str(error).split())[-200:]
        return f"no Docker engine answers: {said}"
    return ""


class Compose:
    """One compose file, under a project name of its own folder, so that two copies do not meet."""

    def __init__(self, file: Path, project: str = "") -> None:
        """TwinError when there is no such file, or no engine to run it."""
        if not file.is_file():
            raise TwinError(f"{file} does not exist: name the project's compose file")
        reason = unavailable()
        if reason:
            raise TwinError(f"--backend compose is not possible here: {reason}")
        from python_on_whales import DockerClient

        digest = hashlib.sha256(str(file.resolve()).encode()).hexdigest()[:8]
        self.project = project or f"regreen-{digest}"
        self._docker: DockerClient = DockerClient(compose_files=[file], compose_project_name=self.project)

    def up(self, services: Sequence[str] = (), within: float = 120.0) -> None:
        """Build, start, and wait until every container runs and is healthy where it says how. TwinError otherwise."""
        try:
            self._docker.compose.up(list(services) or None, detach=True, pull="never", quiet=True)
            self.wait(services, within)
        except BaseException as error:
            with contextlib.suppress(Exception):
                self.down()
            if type(error).__name__ == "DockerException":
                raise TwinError(f"compose did not come up: {' '.join(str(error).split())[-400:]}") from error
            raise

    def wait(self, services: Sequence[str] = (), within: float = 120.0) -> None:
        """Until running and healthy. TwinError names what is not, and its state."""
        end = time.monotonic() + within
        while True:
            poor = {name: state for name, state in self.states().items() if state not in ("running", "healthy")}
            if services:
                poor = {name: state for name, state in poor.items() if name in services}
            if not poor:
                return
            if time.monotonic() > end:
                told = ", ".join(f"{name} is {state}" for name, state in sorted(poor.items()))
                raise TwinError(
                    f"not healthy within {within:.0f} s: {told}; see `docker compose -p {self.project} logs`"
                )
            time.sleep(_POLL)

    def states(self) -> dict[str, str]:
        """healthy, unhealthy or starting where a container says how to tell; else running, paused, exited …"""
        found = {}
        for container in self._containers():
            health = container.state.health
            name = (container.config.labels or {}).get("com.docker.compose.service", container.name)
            status = str(container.state.status)
            found[name] = str(health.status) if status == "running" and health and health.status else status
        return found

    def stop(self, service: str) -> None:
        self._docker.compose.stop([service])

    def start(self, service: str, within: float = 60.0) -> None:
        self._docker.compose.start([service])
        self.wait([service], within)

    def restart(self, service: str, within: float = 60.0) -> None:
        self._docker.compose.restart([service])
        self.wait([service], within)

    def kill(self, service: str) -> None:
        self._docker.compose.kill([service])

    def pause(self, service: str) -> None:
        self._docker.compose.pause([service])

    def resume(self, service: str) -> None:
        self._docker.compose.unpause([service])

    def limit(self, service: str, cpus: float | None = None, memory: str | None = None) -> None:
        """Processors (such as 0.5) and memory (such as `256m`), while it runs."""
        for container in self._containers(service):
            self._docker.container.update(container, cpus=cpus, memory=memory, memory_swap=memory)

    def partition(self, service: str) -> None:
        """Cut a service off from every network of the project."""
        for container in self._containers(service):
            for network in container.network_settings.networks or {}:
                self._docker.network.disconnect(network, container, force=True)

    def heal(self, service: str) -> None:
        """Join it to the project's networks again, under its own name."""
        networks = self._docker.network.list(filters={"label": f"com.docker.compose.project={self.project}"})
        for container in self._containers(service):
            joined = container.network_settings.networks or {}
            for network in networks:
                if network.name not in joined:
                    self._docker.network.connect(network, container, alias=service)

    def down(self) -> None:
        """Stop everything; remove its containers, networks and volumes."""
        self._docker.compose.down(volumes=True, remove_orphans=True, timeout=5, quiet=True)

    def _containers(self, service: str = "") -> list[Container]:
        found = self._docker.compose.ps([service] if service else None, all=True)
        if service and not found:
            raise TwinError(f"the compose project {self.project} runs no service {service!r}")
        return found


def scratch_image(tag: str, files: dict[str, Path], entrypoint: Sequence[str]) -> None:
    """Build an image from nothing but these files (path in the image → file here), with no registry asked."""
    from python_on_whales import DockerClient

    with tempfile.TemporaryDirectory() as place:
        lines = ["FROM scratch"]
        for number, (target, source) in enumerate(sorted(files.items())):
            (Path(place) / str(number)).write_bytes(source.read_bytes())
            (Path(place) / str(number)).chmod(0o755)
            lines.append(f"COPY {number} {target}")
        words = ", ".join(f'"{word}"' for word in entrypoint)
        (Path(place) / "Dockerfile").write_text("\n".join([*lines, f"ENTRYPOINT [{words}]"]) + "\n")
        DockerClient().legacy_build(place, tags=tag)
