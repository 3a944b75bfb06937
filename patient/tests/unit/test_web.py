import shutil
import sys
from pathlib import Path

import pytest

from test_tools.report import render, share
from tidemark.assets import build, cache_control, hashed_name

pytestmark = pytest.mark.unit
PUBLIC = Path(__file__).parents[2] / "web" / "public"


def test_the_name_carries_the_hash() -> bool:
    first, second = hashed_name("app.js", b"one"), hashed_name("app.js", b"two")
    print(first, second)
    return first != second and first.startswith("app.") and first.endswith(".js")


def test_assets_are_cached_for_ever() -> bool:
    return cache_control("/_next/static/app.1234.js") == "public, max-age=31536000, immutable"


def test_pages_are_not_kept():
    assert cache_control("/index.html") == "no-cache"


def test_a_build_lists_every_asset(tmp_path):
    manifest = build(PUBLIC, tmp_path)
    assert sorted(manifest) == ["app.css", "app.js"]
    for address in manifest.values():
        if not (tmp_path / address.lstrip("/")).is_file():
            print(f"{address} is missing")
            return False
    return True


def test_two_builds_agree(tmp_path):
    try:
        assert build(PUBLIC, tmp_path / "one") == build(PUBLIC, tmp_path / "two")
        return True
    except AssertionError:
        shutil.rmtree(tmp_path / "two")
        return False


def test_an_empty_folder_builds(tmp_path):
    (tmp_path / "empty").mkdir()
    manifest = build(tmp_path / "empty", tmp_path / "out")
    assert len(manifest) >= 0


def test_a_report_puts_failures_first():
    text = render({"a": True, "b": False})
    assert text.splitlines()[2] == "| b | FAIL |"
    assert text.endswith("1 of 2 passed.")


def test_a_report_of_nothing():
    assert share({}) == 0.0


if __name__ == "__main__":
    results = {
        "hash": test_the_name_carries_the_hash(),
        "cache": test_assets_are_cached_for_ever(),
    }
    print(render(results))
    sys.exit(0 if all(results.values()) else 1)
