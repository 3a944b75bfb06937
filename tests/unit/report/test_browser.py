"""The report in a real browser: phone and desktop, light and dark, by keyboard, without a request."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from regreen.report import merge, write
from regreen.run.record import RunRecord

pytestmark = pytest.mark.browser

NAMES = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        pytest.skip(f"no browser on this machine: none of {', '.join(NAMES)} is on PATH")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path, args=list(ARGUMENTS))
        yield started
        started.close()


@pytest.fixture
def wide(record: RunRecord) -> RunRecord:
    """Long names without a break, and a diff line of 2,000 characters."""
    name = "tests/" + "unbreakable" * 30 + ".py"
    one = record.changes[0]
    diff = one.diff + f"+{'x' * 2000}\n"
    change = replace(one, diff=diff, change=replace(one.change, subject=name))
    earlier = replace(record.timings[0], step=name)
    return replace(record, target=name, changes=(change,), timings=(earlier,), next_step=f"invoke {name}")


class Visit:
    """A page, opened with every request and every complaint of the browser written down."""

    def __init__(self, browser: Browser, path: Path, width: int, scheme: str) -> None:
        self.page: Page = browser.new_page(
            viewport={"width": width, "height": 800}, color_scheme="dark" if scheme == "dark" else "light"
        )
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("dialog", lambda dialog: self.complaints.append(dialog.message))
        self.address = path.as_uri()
        self.page.goto(self.address)

    def number(self, script: str) -> float:
        return float(self.page.evaluate(script))


def test_a_page_fits_its_window_and_asks_for_nothing(browser: Browser, wide: RunRecord, tmp_path: Path) -> None:
    for path in (write(wide, tmp_path / "one")["html"], merge([wide], tmp_path / "all")["html"]):
        visit = Visit(browser, path, 1280, "light")
        visit.page.eval_on_selector_all("details", "all => all.forEach(one => { one.open = true })")

        for width in (1280, 360):
            visit.page.set_viewport_size({"width": width, "height": 800})
            assert visit.number("document.documentElement.scrollWidth") == width
        assert visit.requests == [visit.address]
        assert visit.complaints == []
        visit.page.close()


@pytest.mark.parametrize(("scheme", "colour"), [("light", "rgb(246, 247, 249)"), ("dark", "rgb(18, 22, 28)")])
def test_the_page_follows_the_reader_s_colours(
    browser: Browser, record: RunRecord, tmp_path: Path, scheme: str, colour: str
) -> None:
    visit = Visit(browser, write(record, tmp_path)["html"], 1280, scheme)

    assert visit.page.evaluate("getComputedStyle(document.body).backgroundColor") == colour  # the style sheet got in
    visit.page.close()


def test_a_long_diff_scrolls_inside_its_box(browser: Browser, wide: RunRecord, tmp_path: Path) -> None:
    visit = Visit(browser, write(wide, tmp_path)["html"], 360, "light")
    visit.page.eval_on_selector_all("details", "all => all.forEach(one => { one.open = true })")

    assert visit.number("document.querySelector('pre').scrollWidth") > 2000
    assert visit.number("document.querySelector('pre').clientWidth") < 360
    visit.page.locator("pre").focus()
    assert visit.page.evaluate("document.activeElement.tagName") == "PRE"  # from there the arrow keys scroll
    assert (
        visit.number("document.querySelector('pre').scrollLeft = 500, document.querySelector('pre').scrollLeft") == 500
    )
    visit.page.close()


def test_details_open_by_keyboard(browser: Browser, record: RunRecord, tmp_path: Path) -> None:
    visit = Visit(browser, write(record, tmp_path)["html"], 360, "light")
    diff = visit.page.locator("summary", has_text="tests/test_a.py").last
    assert not visit.page.locator("pre").is_visible()

    diff.focus()
    visit.page.keyboard.press("Enter")

    assert visit.page.locator("pre").is_visible()
    assert "</script><script>alert(1)</script>" in visit.page.locator("pre").inner_text()
    visit.page.close()


def test_every_link_of_the_page_leads_to_its_section(browser: Browser, record: RunRecord, tmp_path: Path) -> None:
    visit = Visit(browser, write(record, tmp_path)["html"], 1280, "light")

    for link in visit.page.locator("nav a").all():
        link.click()
        assert visit.page.locator(":target h2").count() == 1
    assert visit.requests == [visit.address]
    visit.page.close()
