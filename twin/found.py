"""The patient's cloud, as it was found, on a twin that runs none of it: what `invoke twin.up` starts with.

The same calls as the staging system's (`twin.staging_cloud`), but no process and no backing service stands behind
them: the addresses of Kafka, PostgreSQL, Redis and the graph are ports on which nobody listens. What was made is kept
as the snapshot `as-found`, so that a reset goes back to it.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from twin import found_states, process
from twin.process import Running
from twin.staging_cloud import Cloud, Values
from twin.staging_faults import Api

SNAPSHOT: Final = "as-found"
PATIENT: Final = Path(__file__).resolve().parent.parent / "patient"
#: Port 9 is the discard service's (RFC 863): nothing of this system ever listens there.
_NOWHERE: Final = {
    "kafka": "127.0.0.1:9",
    "postgres": "postgresql://tidemark@127.0.0.1:9/tidemark",
    "redis": "redis://127.0.0.1:9/0",
    "graph": "bolt://127.0.0.1:9",
}


def up(
    folder: Path, project: str, port: int = 0, *, empty: bool = False, patient: Path = PATIENT, kept: Path | None = None
) -> Running:
    """Start a twin that holds the patient's cloud, or find it running; with `empty` a new one holds a fresh project.

    A state that is already there is left as it is, except one whose furnishing was interrupted: that begins anew.
    `kept` is a folder of furnished states (`twin.found_states`): one made from the same patient and the same twin is
    copied instead of made again. TwinError when the twin does not start or refuses a call; a new twin is then gone again.
    """
    unfinished = folder / "furnishing"
    fresh = not (folder / "twin.json").exists()
    if fresh and not empty:
        if kept is not None and found_states.take(kept, found_states.key_of(project, patient), folder):
            return process.up(folder, project, port)
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        unfinished.touch()
    running = process.up(folder, project, port)
    if not unfinished.exists():
        return running
    try:
        running.admin("POST", "reset")
        furnish(running, patient)
        unfinished.unlink()
    except BaseException:
        process.down(folder)
        raise
    if kept is not None:
        found_states.keep(kept, found_states.key_of(project, patient), folder)
    return running


def reset(folder: Path) -> None:
    """Back to what the twin began with, faults, quotas and clock too. TwinError when no twin runs."""
    running = process.needed(folder)
    furnished = SNAPSHOT in running.admin("GET", "snapshots")["snapshots"]
    running.admin("POST", "reset", {"snapshot": SNAPSHOT} if furnished else None)


def furnish(running: Running, patient: Path = PATIENT) -> None:
    """Make the patient's cloud with every fault of `cloud/faults.toml`, and keep it as a snapshot."""
    values = _Addresses(running, _NOWHERE, data=running.folder / "data", otlp="", rate=0.0, count=0)
    Cloud(running, patient, values).build(SNAPSHOT, ())
    running.admin("POST", "snapshots", {"name": SNAPSHOT})


class _Addresses(Values):
    """Placeholders of a cloud without processes: a service is where Cloud Run says that it is."""

    def _one(self, match: re.Match[str]) -> str:
        kind, service, _ = match.groups()
        if kind not in ("url", "uri"):
            return super()._one(match)
        services = f"https://run.googleapis.com/v2/projects/{self.plain['project']}/locations/us-central1/services"
        return str(Api(self._twin, self.plain["owner"]).call("GET", f"{services}/{service}")["uri"])
