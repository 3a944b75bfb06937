"""A Pulumi environment on a twin: a home, a state and a passphrase of its own, and the rehearsal provider as the `gcp` plugin.

    google = twin.process.env(folder)                     # what every Google client needs; infra knows no twin
    variables = infra.rehearse.environment(folder, google)
    subprocess.run(["pulumi", "up"], cwd="infra/staging", env={**os.environ, **variables})

`PATH` in it begins with the engine's folder. `provider="real"` takes a `pulumi-resource-gcp` that is installed on this
machine instead, through the same front door.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path

from infra.engine import Engine, EngineError, require_engine

_ROOT = Path(__file__).resolve().parent.parent


def environment(
    twin_folder: Path, google: Mapping[str, str], engine: Engine | None = None, provider: str = "rehearsal"
) -> dict[str, str]:
    """All variables that `pulumi` needs to work on the twin in a folder, offline. Raises EngineError."""
    chosen = engine or require_engine()
    own = twin_folder.resolve() / "pulumi"
    home, state, projects = own / "home", own / "state", own / "projects"
    for folder in (own, home, state, projects):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    install_plugin(home, provider)
    region = google.get("CLOUDSDK_COMPUTE_REGION", "us-central1")
    return {
        **google,
        "PATH": os.pathsep.join((str(chosen.folder), os.environ.get("PATH", os.defpath))),
        "PULUMI_HOME": str(home),
        "PULUMI_BACKEND_URL": f"file://{state}",
        "PULUMI_CONFIG_PASSPHRASE": _passphrase(own),
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
        "PULUMI_SKIP_CONFIRMATIONS": "true",
        "PULUMI_PYTHON_CMD": sys.executable,
        "PYTHONPATH": python_path(),
        "REGREEN_TWIN": str(twin_folder.resolve()),
        "GOOGLE_PROJECT": google.get("GOOGLE_CLOUD_PROJECT", ""),
        "GOOGLE_REGION": region,
    }


def python_path() -> str:
    """PYTHONPATH with this repository in it: the engine's own processes run our dynamic provider."""
    return os.pathsep.join(filter(None, (str(_ROOT), os.environ.get("PYTHONPATH", ""))))


@contextlib.contextmanager
def served(variables: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """The variables with a rehearsal provider that runs for as long as this lasts: the engine finds it instead of starting
    one for each of its commands. With the real provider, or where ours does not start, they are as they were.
    """
    home = Path(variables["PULUMI_HOME"])
    script = home / "plugins" / f"resource-gcp-v{version('pulumi-gcp')}" / "pulumi-resource-gcp"
    if script.is_symlink():
        yield dict(variables)
        return
    process = subprocess.Popen(
        [str(script)], env={**os.environ, **variables}, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        text=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        port = process.stdout.readline().strip()
        yield {**variables, "PULUMI_DEBUG_PROVIDERS": f"gcp:{port}"} if port.isdigit() else dict(variables)
    finally:
        process.terminate()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def install_plugin(home: Path, provider: str = "rehearsal") -> Path:
    """Put the `gcp` plugin of exactly the SDK's version into a PULUMI_HOME. Raises EngineError where the real one is missing."""
    exact = version("pulumi-gcp")
    folder = home / "plugins" / f"resource-gcp-v{exact}"
    if provider == "real":
        _install_real(folder, exact)
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    script = folder / "pulumi-resource-gcp"
    text = (
        "#!/bin/sh\n# Regreen's rehearsal provider: for a twin only.\n"
        f"export PYTHONPATH={_quoted(str(_ROOT))} REGREEN_PLUGIN_VERSION={exact} PYTHONSAFEPATH=1\n"
        f'exec {_quoted(sys.executable)} -m infra.provider.server "$@"\n'
    )
    if not script.exists() or script.read_text(encoding="utf-8") != text:
        fresh = script.with_suffix(f".{os.getpid()}")
        fresh.write_text(text, encoding="utf-8")
        fresh.chmod(0o700)
        fresh.replace(script)
    (folder / "PulumiPlugin.yaml").unlink(missing_ok=True)
    return folder


def _install_real(folder: Path, exact: str) -> None:
    candidates = [
        Path(os.environ.get("PULUMI_HOME") or Path.home() / ".pulumi") / "plugins" / folder.name / "pulumi-resource-gcp"
    ]
    if named := shutil.which("pulumi-resource-gcp"):
        candidates.append(Path(named))
    found = next((path for path in candidates if path.exists()), None)
    if found is None:
        raise EngineError(
            f"the real provider {exact} is not installed here: run `pulumi plugin install resource gcp {exact}` where "
            "get.pulumi.com can be reached, or leave out `--provider real`"
        )
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / "pulumi-resource-gcp"
    target.unlink(missing_ok=True)
    target.symlink_to(found.resolve())


def _passphrase(folder: Path) -> str:
    path = folder / "passphrase"
    if not path.exists():
        path.touch(mode=0o600)
        path.write_text(secrets.token_urlsafe(24), encoding="ascii")
    return path.read_text(encoding="ascii")


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"
