"""`invoke export.…` and `invoke alert.…` as people type them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from invoke.program import Program
from prometheus_client.parser import text_string_to_metric_families

import tasks
from tests.unit.export.conftest import Receiver

ROOT = Path(__file__).resolve().parents[3]
RUN = "20260101-120000-abcd"


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "ALERT_"))}
    return {**kept, "REGREEN_CACHE": str(tmp_path / "cache"), "no_proxy": "127.0.0.1"}


def invoke(
    environment: dict[str, str], *arguments: str, stdin: bytes = b"", cwd: Path | None = None
) -> subprocess.CompletedProcess[bytes]:
    command = (sys.executable, str(ROOT / "tasks.py"), *arguments)
    return subprocess.run(command, cwd=cwd, env=environment, input=stdin, capture_output=True, check=False)


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Recorded by the plugin itself."""
    place = tmp_path_factory.mktemp("recorded")
    (place / "test_two.py").write_text("def test_a(): pass\ndef test_b(): assert 0\n")
    command = (sys.executable, "-m", "pytest", "-q", "-p", "no:randomly", "-p", "regreen_history", "--history", "tests.sqlite",
               "--history-label", "ci", "--rootdir", str(place), str(place))  # fmt: skip
    plugins = {**os.environ, "PYTHONPATH": str(ROOT / "regreen" / "pytest")}
    assert subprocess.run(command, cwd=place, env=plugins, capture_output=True, check=False).returncode == 1
    return place / "tests.sqlite"


STATUS = {
    "schema": 1,
    "healthy": False,
    "services": [
        {"name": "kafka", "kind": "kafka", "state": "down", "connect_seconds": None, "query_seconds": None,
         "throughput": None, "throughput_unit": "", "error": "KafkaException", "detail": "refused",
         "next_step": "start it", "causes": []},
    ],
    "root_causes": ["kafka"],
    "cascades": {},
}  # fmt: skip


def test_metrics_of_runs_tests_and_services_into_one_file(
    target: Path, history: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    output = tmp_path / "all.prom"

    done = invoke(
        environment, "export.metrics", "--target", str(target), "--history", str(history), "--status", "-",
        "--environment", "lab", "--output", str(output), stdin=json.dumps(STATUS).encode(),
    )  # fmt: skip

    assert (done.returncode, done.stdout) == (0, b""), done.stderr
    found = {
        (sample.name, frozenset(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(output.read_text())
        for sample in family.samples
    }
    assert (
        found[
            "regreen_run_exit_code",
            frozenset(
                (
                    "patient",
                    "1",
                )
            ),
        ]
        == 1
    )
    assert (
        found[
            "regreen_journal_entries",
            frozenset(
                (
                    "patient",
                    "intend",
                    "code",
                )
            ),
        ]
        == 4
    )
    assert found["regreen_history_pass_ratio", frozenset(("ci",))] == 0.5
    assert (
        found[
            "regreen_service_state",
            frozenset(
                (
                    "lab",
                    "kafka",
                    "kafka",
                    "down",
                )
            ),
        ]
        == 1
    )


def test_metrics_are_served_until_interrupted(target: Path, environment: dict[str, str]) -> None:
    import signal
    import socket

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = (sys.executable, str(ROOT / "tasks.py"), "export.metrics", "--target", str(target), "--port", str(port))
    with subprocess.Popen(
        command, env=environment, stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # ignored where these tests run in a background
    ) as server:  # fmt: skip
        try:
            assert server.stderr is not None
            assert server.stderr.readline() == f"metrics at http://127.0.0.1:{port}/metrics; Ctrl-C ends it\n"
            direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
            with direct.open(f"http://127.0.0.1:{port}/metrics", timeout=60) as answer:
                assert b'regreen_run_exit_code{phase="1",target="patient"} 1.0\n' in answer.read()
            server.send_signal(signal.SIGINT)
            assert server.wait(timeout=60) == 0
        finally:
            server.kill()


def test_a_trace_is_sent_or_written(
    target: Path, receiver: Receiver, environment: dict[str, str], tmp_path: Path
) -> None:
    sent = invoke(environment, "export.trace", "--target", str(target), "--endpoint", receiver.address)
    output = tmp_path / "trace.json"
    written = invoke(environment, "export.trace", "--target", str(target), "--run", RUN, "--output", str(output))

    assert (sent.returncode, written.returncode) == (0, 0), sent.stderr + written.stderr
    assert f"{len(receiver.spans)} spans of run {RUN} sent" in sent.stderr.decode()
    (resource,) = json.loads(output.read_text())["resourceSpans"]
    spans = resource["scopeSpans"][0]["spans"]
    assert [bytes.fromhex(span["spanId"]) for span in spans] == [span.span_id for span in receiver.spans]


def test_log_lines_name_the_trace_that_they_belong_to(target: Path, environment: dict[str, str]) -> None:
    done = invoke(environment, "export.logs", "--target", str(target), "--run", RUN)
    trace = json.loads(invoke(environment, "export.trace", "--target", str(target)).stdout)

    lines = [json.loads(line) for line in done.stdout.splitlines()]
    (identity,) = {line["trace_id"] for line in lines}
    assert identity == trace["resourceSpans"][0]["scopeSpans"][0]["spans"][0]["traceId"]
    assert [line["severity_text"] for line in lines].count("ERROR") == 1
    assert lines[0]["body"] == "detect phase 1"
    assert lines[1]["attributes"]["regreen.remedy"] == "code.a"


def test_a_history_is_told_as_rows(history: Path, environment: dict[str, str]) -> None:
    done = invoke(environment, "export.history", "--history", str(history), "--label", "ci")

    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert {row["test"].rpartition("::")[2]: row["outcome"] for row in rows} == {"test_a": "passed", "test_b": "failed"}
    assert {row["label"] for row in rows} == {"ci"}
    assert all(row["started"].endswith("+00:00") for row in rows)


def test_texts_for_a_step_summary(environment: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "junit.xml").write_text('<testsuite><testcase classname="a" name="b" time="1.5"/></testsuite>')
    (tmp_path / "preview.txt").write_bytes(b"3 changes \xff\n")

    junit = invoke(environment, "export.summary", "--junit", "junit.xml", "--title", "unit", cwd=tmp_path)
    named = invoke(environment, "export.fenced", "--title", "Preview", "preview.txt", cwd=tmp_path)
    piped = invoke(environment, "export.fenced", "-", "--title", "Preview", stdin=b"3 changes \xff\n", cwd=tmp_path)

    assert junit.stdout.decode().endswith("| 1 | 0 | 0 | 1.5 |\n")
    assert named.stdout == piped.stdout == b"### Preview\n\n```text\n3 changes \\xff\n```\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("export.trace", "--run", "never"), f"no such run here; recorded are: {RUN}"),
        (("export.logs", "--run", "never"), "has no entry of it"),
        (("export.trace", "--endpoint", "http://127.0.0.1:1"), "the trace was not taken"),
        (("export.metrics", "--history", "nowhere"), "nowhere: there is no such file"),
        (("export.metrics", "--status", "junit.xml"), "not JSON"),
        (("export.metrics", "--status", "-", "--port", "1"), "give --status and --criteria files"),
        (("alert.run",), "ALERT_URLS is not set"),
    ],
)
def test_what_is_wrong_is_one_line_and_2(
    target: Path,
    environment: dict[str, str],
    arguments: tuple[str, ...],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """In this process: the tests above have shown that the command line is the same."""
    (target / "junit.xml").write_text("<testsuite/>")
    monkeypatch.chdir(target)
    monkeypatch.delenv("ALERT_URLS", raising=False)
    for name in ("REGREEN_CACHE", "no_proxy"):
        monkeypatch.setenv(name, environment[name])

    with pytest.raises(SystemExit) as ended:
        Program(namespace=tasks.namespace).run(["invoke", *arguments, "--target", str(target)])

    assert ended.value.code == 2
    said = capfd.readouterr().err
    assert message in said
    assert "Traceback" not in said


def test_a_damaged_ledger_is_said(environment: dict[str, str], tmp_path: Path) -> None:
    ledger = tmp_path / "alerts.json"
    ledger.write_text("{")

    done = invoke(
        environment | {"ALERT_URLS": "json://127.0.0.1:1"},
        "alert.event", "--key", "main", "--text", "red", "--ledger", str(ledger),
    )  # fmt: skip

    assert done.returncode == 2
    assert "it is damaged" in done.stderr.decode()
