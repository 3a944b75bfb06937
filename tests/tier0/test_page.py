"""The page and its hashed assets: by HTTP everywhere, and in a real browser where there is one."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.staging.patient.conftest import Visitor
from twin.staging import Staging

NAMES = ("chromium", "chromium-browser", "google-chrome")
ASSET = re.compile(r"/_next/static/(app)\.([0-9a-f]{8})\.(js|css)")


def test_the_page_names_its_assets_by_their_content(visitor: Visitor) -> None:
    page = visitor.get("/")

    assert page.status_code == 200
    assert page.headers["cache-control"] == "no-cache"
    found = {match[0]: match[3] for match in ASSET.finditer(page.text)}
    assert sorted(found.values()) == ["css", "js"]
    for path, kind in found.items():
        asset = visitor.get(path)
        assert asset.status_code == 200
        assert asset.headers["content-type"].split(";")[0] == {"css": "text/css", "js": "text/javascript"}[kind]
        assert "max-age=31536000" in asset.headers["cache-control"]


@pytest.fixture(scope="module")
def browser(judged: object) -> Iterator[Browser]:
    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        pytest.skip(f"no browser on this machine: none of {', '.join(NAMES)} is on PATH")
    staging: Staging = judged.staging  # type: ignore[attr-defined]  # the fixture's own type is not imported here
    port = urlsplit(staging.balancer).port
    arguments = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-background-networking",
        f"--host-resolver-rules=MAP {staging.host}:80 127.0.0.1:{port}",
        "--no-proxy-server",
    ]
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path, args=arguments)
        yield started
        started.close()


@pytest.mark.browser
def test_the_page_and_its_assets_render(browser: Browser, staging: Staging) -> None:
    page = browser.new_page()
    answers: dict[str, int] = {}
    crashes: list[str] = []
    page.on("response", lambda answer: answers.update({urlsplit(answer.url).path: answer.status}))
    page.on("pageerror", lambda error: crashes.append(str(error)))

    page.goto(f"http://{staging.host}/", wait_until="load")

    assert page.inner_text("h1") == "Tidemark"
    assert page.inner_text("#status") == "staging"
    assets = {path: status for path, status in answers.items() if path.startswith("/_next/static/")}
    assert len(assets) == 2
    assert set(assets.values()) == {200}
    assert page.evaluate("document.styleSheets.length") == 1
    assert page.evaluate("document.styleSheets[0].cssRules.length") >= 1
    assert crashes == []
    page.close()
