"""What judging and repairing an environment costs: all staging checks, phases 3 and 4, a second preview, a big environment.

Everything happens in a temporary folder, on twins of its own. Phases are whole processes, as a person starts them.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

from console import catalogues, cloud
from console.places import staging_folder, surroundings, twin_place
from infra.engine import find_engine
from regreen import commands
from regreen.cloud.look import judge
from regreen.environment import Environment, parse_environment
from regreen.facts.cloud import collect
from regreen.facts.cloud.experiments import Reach
from regreen.facts.cloud.google import Google
from regreen.prepared import prepared
from twin import process, staging_keeper
from twin.bench import Figure

ROOT: Final = Path(__file__).resolve().parent.parent
SERVICES: Final = 100
DATASETS: Final = 20
TABLES: Final = 2000
_BATCH: Final = 200
_PROJECT: Final = "big-twin"
_REGION: Final = "us-central1"


def main() -> int:
    """Print every figure with its goal. Exit code 1 where one is missed."""
    figures = []
    with tempfile.TemporaryDirectory(prefix="regreen-bench-") as folder:
        figures += _big(Path(folder) / "big")
        figures += _patient(Path(folder) / "cache")
    for figure in figures:
        goal = f"at most {figure.goal:g} {figure.unit}"
        print(f"{figure.name:52} {figure.value:9.2f} {figure.unit:4} ({goal}) {'met' if figure.met else 'MISSED'}")
    return commands.OK if all(figure.met for figure in figures) else commands.FINDINGS


def _patient(cache: Path) -> list[Figure]:
    """The bundled system: found, judged, repaired by phases 3 and 4."""
    engine = find_engine()
    if engine is None:
        print("not run: no Pulumi engine (`invoke setup`); phases 3 and 4 and the second preview were not measured")
        return []
    variables = {"REGREEN_CACHE": str(cache), "PATH": os.pathsep.join((str(engine.folder), os.environ["PATH"]))}
    found = []
    with surroundings({**os.environ, **variables}):
        target = commands.scratch(ROOT / "patient")
        environment = cloud.environment_of("twin", target)
        code = prepared(ROOT / "patient", catalogues.plan().part("code."), catalogues.code(), ROOT / "remedies")
        begun = time.perf_counter()
        staging_keeper.start(staging_folder(), code=str(code), cloud="as-found")
        print(f"the bundled system is up after {time.perf_counter() - begun:.1f} s")
        try:
            checks = cloud.selected("")
            kinds = sorted({kind for check in checks for kind in check.READS})
            measures = sorted({name for check in checks for name in check.MEASURES} - {"drift"})
            with twin_place(environment, staging_folder(), engine=False) as place:
                begun = time.perf_counter()
                judge(place.read(kinds, ()), checks, environment, begun)
                settings = time.perf_counter() - begun
                place.read((), measures)
                found.append(Figure("all staging checks on settings", settings, "s", 5.0))
                whole = time.perf_counter() - begun
                print(f"with the experiments, which wait for time-outs on purpose: {whole:.1f} s")
            found += [Figure(f"phase {phase}, staging half", _phase(target, phase), "s", 60.0) for phase in (3, 4)]
            with twin_place(environment, staging_folder(), engine=True) as place:
                assert place.executor is not None
                begun = time.perf_counter()
                preview = place.executor.preview(_tip(target, environment))
                found.append(Figure("changes in a second preview", len(preview.changes), "", 0))
                print(f"a second preview takes {time.perf_counter() - begun:.1f} s")
        finally:
            staging_keeper.stop(staging_folder())
    return found


def _phase(target: Path, phase: int) -> float:
    script = (
        "import sys; from pathlib import Path; from console import catalogues, cloud; from regreen import commands; "
        "target, phase = Path(sys.argv[1]), int(sys.argv[2]); environment = cloud.environment_of('twin', target); "
        "sys.exit(cloud.remediate(target, phase, catalogues.plan(), environment, commands.options(), require_engine=True))"
    )
    begun = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", script, str(target), str(phase)], cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    took = time.perf_counter() - begun
    if done.returncode:
        raise RuntimeError(f"phase {phase} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return took


def _tip(target: Path, environment: Environment) -> bytes:
    branch = subprocess.run(
        ("git", "-C", str(target), "for-each-ref", "--sort=-committerdate", "--count=1", "--format=%(refname)", "refs/heads/regreen"),
        capture_output=True, text=True, check=True,
    ).stdout.strip()  # fmt: skip
    shown = ("git", "-C", str(target), "show", f"{branch}:{environment.stack.file}")
    return subprocess.run(shown, capture_output=True, check=True).stdout


def _big(folder: Path) -> list[Figure]:
    """A hundred services and two thousand tables, read by pages and judged."""
    running = process.up(folder, _PROJECT)
    try:
        for batch in _batches(_calls()):
            running.admin("POST", "seed", {"calls": batch})
        own = str(folder / "ca.pem")
        variables = {**process.env(folder), "HTTPLIB2_CA_CERTS": own, "REQUESTS_CA_BUNDLE": own}
        environment = parse_environment("big.toml", _environment())
        checks = catalogues.cloud().checks
        kinds = sorted({kind for check in checks for kind in check.READS} - {"aura.instances", "aura.address"})
        before = _peak()
        with surroundings({**os.environ, **variables}):
            google = Google(_PROJECT)
            begun = time.perf_counter()
            snapshot = collect(environment, kinds, (), google, Reach())
            judge(snapshot, checks, environment, begun)
            took = time.perf_counter() - begun
            google.close()
        seen = len(snapshot.of("run.services")), len(snapshot.of("bigquery.tables"))
        if seen != (SERVICES, TABLES):
            raise RuntimeError(f"read {seen} services and tables instead of {(SERVICES, TABLES)}")
    finally:
        process.down(folder)
    name = f"{SERVICES} services and {TABLES} tables read and judged"
    return [Figure(name, took, "s", 30.0), Figure("memory that this took", _peak() - before, "MiB", 200.0)]


def _peak() -> float:
    """The most memory that this process has had, in MiB."""
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def _calls() -> list[dict[str, Any]]:
    run = f"https://run.googleapis.com/v2/projects/{_PROJECT}/locations/{_REGION}/services"
    sets = f"https://bigquery.googleapis.com/bigquery/v2/projects/{_PROJECT}/datasets"
    template = {"containers": [{"image": f"us-docker.pkg.dev/{_PROJECT}/app/app:1"}]}
    calls = [
        {"verb": "POST", "url": f"{run}?serviceId=service-{number}", "body": {"template": template}}
        for number in range(SERVICES)
    ]
    for number in range(DATASETS):
        reference = {"datasetId": f"set_{number}", "projectId": _PROJECT}
        calls.append({"verb": "POST", "url": sets, "body": {"datasetReference": reference, "location": "US"}})
    fields = [{"name": "id", "type": "STRING"}, {"name": "at", "type": "TIMESTAMP"}]
    for number in range(TABLES):
        reference = {"datasetId": f"set_{number % DATASETS}", "projectId": _PROJECT, "tableId": f"table_{number}"}
        url = f"{sets}/{reference['datasetId']}/tables"
        calls.append({"verb": "POST", "url": url, "body": {"tableReference": reference, "schema": {"fields": fields}}})
    return calls


def _batches(calls: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    return [calls[start : start + _BATCH] for start in range(0, len(calls), _BATCH)]


def _environment() -> bytes:
    services = "".join(
        f'[[service]]\nname = "service-{number}"\nmin_instances = 1\nprobes = ["startup"]\n'
        for number in range(SERVICES)
    )
    sets = ", ".join(f'"set_{number}"' for number in range(DATASETS))
    return f"""schema = 1
name = "big"
kind = "twin"

[project]
id = "{_PROJECT}"
labels = {{ environment = "staging" }}
region = "{_REGION}"
zone = "{_REGION}-a"

[stack]
name = "big"
file = "Pulumi.big.yaml"
max_changes = 10

{services}
[encryption]
key = "projects/{_PROJECT}/locations/us/keyRings/staging/cryptoKeys/data"
datasets = [{sets}]
""".encode()
