"""Metrics at their two places: an endpoint and a file."""

from __future__ import annotations

import socket
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from regreen.export.serve import TYPE, serving, write


@pytest.fixture(autouse=True)
def direct(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")


def get(address: str) -> tuple[int, str, bytes]:
    try:
        with urllib.request.urlopen(address, timeout=10) as answer:
            return answer.status, answer.headers["Content-Type"], answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers["Content-Type"], error.read()


def test_each_scrape_collects_anew_and_only_metrics_are_there() -> None:
    values = iter((b"a 1\n", b"a 2\n"))

    with serving(lambda: next(values)) as address:
        assert get(address) == (200, TYPE, b"a 1\n")
        assert get(f"{address}?x=1") == (200, TYPE, b"a 2\n")
        assert get(address.replace("/metrics", "/"))[0] == 404
        status, _, body = get(address)

    assert (status, body) == (500, b"# StopIteration: \n"), "a scrape that fails is an answer"


def test_the_port_is_free_again_and_a_taken_one_is_an_error() -> None:
    with serving(lambda: b"") as address:
        port = int(address.split(":")[2].partition("/")[0])
        assert address.startswith("http://127.0.0.1:")
    with serving(lambda: b"", port):
        pass
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(OSError, match="in use"), serving(lambda: b"", taken.getsockname()[1]):
            pass


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "textfile" / "regreen.prom"
    write(path, b"a 1\n")
    with path.open("rb") as reading:
        write(path, b"b 22\n")
        assert reading.read() == b"a 1\n", "who had it open reads the old one to its end"

    assert path.read_bytes() == b"b 22\n"
    assert [each.name for each in path.parent.iterdir()] == ["regreen.prom"]
