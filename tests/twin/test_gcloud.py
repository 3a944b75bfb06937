"""Scripted sessions of gcloud and bq, unmodified, where they are installed."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from twin.process import Running, env

pytestmark = pytest.mark.gcloud


@pytest.fixture(scope="module")
def shell(twin: Running, commands: Path) -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return {**kept, **env(twin.folder)}


def run(shell: dict[str, str], *words: str, fails: bool = False) -> str:
    done = subprocess.run(
        words, env=shell, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL, check=False
    )
    assert (done.returncode != 0) == fails, done.stdout + done.stderr
    return done.stderr if fails else done.stdout


def test_kms_encrypts_and_decrypts(shell: dict[str, str], unique: str, tmp_path: Path) -> None:
    place = ["--location=us", f"--keyring={unique}"]
    run(shell, "gcloud", "kms", "keyrings", "create", unique, "--location=us")
    run(shell, "gcloud", "kms", "keys", "create", "k", *place, "--purpose=encryption")
    (tmp_path / "plain").write_text("tulip")
    files = [f"--plaintext-file={tmp_path}/plain", f"--ciphertext-file={tmp_path}/sealed"]
    run(shell, "gcloud", "kms", "encrypt", "--key=k", *place, *files)
    out = run(
        shell,
        "gcloud",
        "kms",
        "decrypt",
        "--key=k",
        *place,
        "--plaintext-file=-",
        f"--ciphertext-file={tmp_path}/sealed",
    )
    assert out == "tulip"


def test_run_is_deployed_and_updated(shell: dict[str, str], unique: str) -> None:
    place = ["--region=us-central1", "--quiet"]
    run(shell, "gcloud", "run", "deploy", unique, "--image=gcr.io/x/y", *place)
    run(shell, "gcloud", "run", "services", "update", unique, "--timeout=3600", "--update-env-vars=A=b", *place)
    found = json.loads(run(shell, "gcloud", "run", "services", "describe", unique, "--format=json", *place))
    spec = found["spec"]["template"]["spec"]
    assert (spec["timeoutSeconds"], spec["containers"][0]["env"]) == (3600, [{"name": "A", "value": "b"}])


def test_a_serverless_backend_refuses_a_timeout(shell: dict[str, str], unique: str) -> None:
    compute = ["gcloud", "compute"]
    run(
        shell,
        *compute,
        "network-endpoint-groups",
        "create",
        unique,
        "--region=us-central1",
        "--network-endpoint-type=serverless",
        "--cloud-run-service=s",
    )
    run(shell, *compute, "backend-services", "create", unique, "--global", "--load-balancing-scheme=EXTERNAL_MANAGED")
    group = [f"--network-endpoint-group={unique}", "--network-endpoint-group-region=us-central1"]
    run(shell, *compute, "backend-services", "add-backend", unique, "--global", *group)
    said = run(shell, *compute, "backend-services", "update", unique, "--global", "--timeout=120", fails=True)
    assert "Timeout sec is not supported for a backend service with Serverless network endpoint groups." in said


def test_bq_makes_queries_copies_and_shows(shell: dict[str, str], unique: str) -> None:
    bq = ["bq", "--quiet", "--format=json"]
    run(shell, *bq, "mk", "--dataset", unique)
    run(shell, *bq, "query", "--use_legacy_sql=false", f"CREATE TABLE {unique}.t AS SELECT 1 AS a, 'x' AS b")
    assert json.loads(run(shell, *bq, "query", "--use_legacy_sql=false", f"SELECT * FROM {unique}.t")) == [
        {"a": "1", "b": "x"}
    ]
    run(shell, *bq, "cp", "-f", f"{unique}.t", f"{unique}.u")
    assert json.loads(run(shell, *bq, "show", f"{unique}.u"))["numRows"] == "1"
    assert sorted(item["tableReference"]["tableId"] for item in json.loads(run(shell, *bq, "ls", unique))) == ["t", "u"]


def test_storage_and_secrets(shell: dict[str, str], unique: str, tmp_path: Path) -> None:
    (tmp_path / "f").write_text("bytes")
    run(shell, "gcloud", "storage", "buckets", "create", f"gs://{unique}")
    run(shell, "gcloud", "storage", "cp", str(tmp_path / "f"), f"gs://{unique}/a/f")
    assert run(shell, "gcloud", "storage", "cat", f"gs://{unique}/a/f") == "bytes"
    run(shell, "gcloud", "secrets", "create", unique, "--replication-policy=automatic", f"--data-file={tmp_path}/f")
    assert run(shell, "gcloud", "secrets", "versions", "access", "latest", f"--secret={unique}") == "bytes"
