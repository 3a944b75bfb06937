"""The bundled patient with phases 1 and 2 behind it, as a plain folder: what a staging system runs."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import subprocess
import tarfile
import tempfile
from dataclasses import replace
from pathlib import Path

from regreen import runner
from regreen.commands import UsageError, cache_root, options, source_cache
from regreen.facts.scratch import materialize
from regreen.plan import Plan
from regreen.run.options import Catalogue

PHASES = (1, 2)


def prepared(patient: Path, plan: Plan, catalogue: Catalogue, rules: Path) -> Path:
    """The folder, made by the same runs as anybody's and kept until the patient or what is in `rules` changes.

    Raises UsageError when a phase does not get through; then nothing is kept.
    """
    done = cache_root() / f"prepared-{_digest(patient, rules)}"
    if done.is_dir():
        return done
    done.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=done.parent, prefix=".prepared-") as folder:
        work, part = Path(folder) / "patient", Path(folder) / "part"
        materialize(patient, work)
        chosen = replace(options(static_only=True), cache=source_cache(work), say=lambda _: None)
        head = ""
        for phase in PHASES:
            result = runner.remediate(work, plan, phase, catalogue, chosen)
            head = result.record.head
        if not head:
            raise UsageError(f"{patient}: nothing was remediated; run `invoke remediate --phase 1` to see why")
        packed = subprocess.run(("git", "-C", str(work), "archive", head), check=True, capture_output=True).stdout
        with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
            archive.extractall(part, filter="data")
        if not done.exists():
            shutil.move(part, done)
    return done


def _digest(*folders: Path) -> str:
    digest = hashlib.sha256()
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                digest.update(os.fsencode(path.relative_to(folder)) + b"\0" + path.read_bytes())
    return digest.hexdigest()[:12]
