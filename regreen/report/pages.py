"""The pages: HTML that needs nothing but itself, and Markdown. All values are escaped, whoever wrote them."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable, Sequence
from functools import cache
from importlib.resources import files
from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

import regreen
from regreen.redact import redact
from regreen.report.trend import HEIGHT, WIDTH
from regreen.report.view import Row, View, count, duration, sentence, size
from regreen.report.visible import shown, visible_block

#: Entries of a list that a page shows; report.json has them all.
LISTED: Final = 200
SECTIONS: Final = (
    ("checklist", "Checklist"),
    ("gate", "Gate"),
    ("findings", "Findings"),
    ("tests", "Tests"),
    ("changes", "Changes"),
    ("refusals", "Refusals"),
    ("decisions", "Decisions"),
    ("remaining", "Remaining work"),
    ("measures", "Measures"),
)
_MARKDOWN: Final = re.compile(r"([\\`*\[\]<>|~#&@$])|(?<![A-Za-z0-9])(_)|(_)(?![A-Za-z0-9])|(://|www\.)")


def html(view: View) -> str:
    """The report of one run as a page."""
    return _page("report.html.j2", view=view, sections=SECTIONS, chart_width=WIDTH, chart_height=HEIGHT)


def markdown(view: View) -> str:
    """The report of one run in GitHub's Markdown."""
    return _tidy(_markdown().get_template("report.md.j2").render(view=view))


def fleet_html(views: Sequence[View], headline: Sequence[str], checks: Sequence[Row], total: Row) -> str:
    """Runs on several targets as a page."""
    return _page("fleet.html.j2", views=views, headline=headline, checks=checks, total=total)


def fleet_markdown(views: Sequence[View], headline: Sequence[str], checks: Sequence[Row], total: Row) -> str:
    """Runs on several targets in GitHub's Markdown."""
    template = _markdown().get_template("fleet.md.j2")
    return _tidy(template.render(views=views, headline=headline, checks=checks, total=total))


def _page(template: str, **values: object) -> str:
    style = files("regreen.report").joinpath("templates", "report.css").read_text("utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode("utf-8")).digest()).decode("ascii")
    # The hash lets this one style sheet in; no script, image, font or request gets past the policy.
    known = {"style": Markup(style), "style_hash": Markup(f"sha256-{digest}")}  # noqa: S704 - our own file
    return _html().get_template(template).render(**known, **values) + "\n"


@cache
def _html() -> Environment:
    return _environment(shown)


@cache
def _markdown() -> Environment:
    environment = _environment(markdown_text)
    environment.filters["code"] = markdown_code
    environment.filters["cell"] = markdown_cell
    environment.filters["fence"] = markdown_fence
    return environment


def _environment(write: Callable[[str], str]) -> Environment:
    def finalize(value: object) -> object:
        """Every value that a template prints passes here, so that none can be forgotten."""
        if isinstance(value, Markup | int | float):
            return value
        return write(str(value))

    environment = Environment(
        loader=PackageLoader("regreen.report"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=finalize,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(duration=duration, size=size, block=_block, count=count, sentence=sentence)
    environment.globals.update(limit=LISTED, version=regreen.__version__)
    return environment


def _block(text: str) -> Markup:
    return escape(visible_block(redact(text)))


def markdown_text(text: object) -> Markup:
    """Text in which Markdown finds nothing to do: no emphasis, link, mention, HTML, or table cell's end."""
    found = _MARKDOWN.sub(_unmarked, shown(str(text)))
    return Markup(found)  # noqa: S704 - escaped above: no angle bracket or ampersand is left


def _unmarked(match: re.Match[str]) -> str:
    found = match.group()
    if found == "://":
        return ":&#47;&#47;"  # no link out of a bare address
    if found == "www.":
        return "www&#46;"
    if found in "<>&@":
        return f"&#{ord(found)};"
    return f"\\{found}"


def markdown_cell(text: object) -> Markup:
    """An inline code span inside a table, where GitHub wants every bar escaped, even in code."""
    return Markup(markdown_code(text).replace("|", "\\|"))  # noqa: S704 - as the span itself


def markdown_code(text: object) -> Markup:
    """An inline code span; it holds its text whatever backticks are in it."""
    content = shown(str(text)) or " "
    longest = max((len(run) for run in re.findall("`+", content)), default=0)
    mark = "`" * (longest + 1)
    space = " " if content[0] in "` " or content[-1] in "` " else ""
    return Markup(f"{mark}{space}{content}{space}{mark}")  # noqa: S704 - code spans show HTML, never run it


def markdown_fence(text: str, language: str) -> Markup:
    """A fenced block that its own content cannot close."""
    content = visible_block(redact(text))
    longest = max((len(run) for run in re.findall("`{3,}", content)), default=2)
    mark = "`" * (longest + 1)
    return Markup(f"{mark}{language}\n{content}\n{mark}")  # noqa: S704 - inside a fence nothing is markup


def _tidy(text: str) -> str:
    """Runs of empty lines become one; inside a fence every line stays."""
    out: list[str] = []
    fence = ""
    for line in text.split("\n"):
        if fence:
            fence = "" if line == fence else fence
        elif line.startswith("```"):
            fence = "`" * (len(line) - len(line.lstrip("`")))
        elif not line.strip() and (not out or not out[-1]):
            continue
        out.append(line if fence else line.rstrip())
    return "\n".join(out).rstrip() + "\n"
