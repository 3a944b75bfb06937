"""Texts for the summary of a step in GitHub Actions: what a command printed, and what tests came to."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final
from xml.etree import ElementTree as ET

from regreen.redact import redact
from regreen.report.pages import markdown_code, markdown_text
from regreen.report.visible import shown

#: GitHub takes 1 MiB a summary and 65,536 characters a comment; this leaves room for both.
LIMIT: Final = 60_000
_SHOWN: Final = 25


class MarkdownError(ValueError):
    """A file that was to be shown cannot be read."""


def fenced(title: str, text: str) -> str:
    """A printed text under a heading, in a fence that it cannot leave; the middle of a long one is left out and said so."""
    text = redact(text).replace("\r\n", "\n").rstrip("\n")
    body = "\n".join(shown(line) for line in text.split("\n")) if text else "(nothing was printed)"
    if len(body) > LIMIT:
        half = LIMIT // 2
        body = f"{body[:half]}\n… {len(body) - 2 * half:,} characters are left out …\n{body[-half:]}"
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", body)), default=0))
    return f"### {markdown_text(title)}\n\n{fence}text\n{body}\n{fence}\n"


def of_junit(title: str, path: Path) -> str:
    """The totals of a JUnit file and its red tests. Raises MarkdownError. A file without tests says so loudly."""
    try:
        root = ET.fromstring(path.read_bytes())  # noqa: S314 - written by our own gate; expat limits entity expansion
    except (OSError, ET.ParseError) as error:
        raise MarkdownError(f"{path}: not a JUnit file: {error}") from None
    cases = list(root.iter("testcase"))
    red = [case for case in cases if case.find("failure") is not None or case.find("error") is not None]
    skipped = sum(case.find("skipped") is not None for case in cases)
    seconds = sum(float(case.get("time") or 0) for case in cases)
    passed = len(cases) - len(red) - skipped
    lines = [f"### {markdown_text(title)}", "", "| passed | red | skipped | seconds |", "| ---: | ---: | ---: | ---: |"]
    lines.append(f"| {passed} | {len(red)} | {skipped} | {seconds:.1f} |")
    if not cases:
        lines += ["", "**No test ran.**"]
    lines += [""] if red else []
    for case in red[:_SHOWN]:
        found = case.find("failure")
        inside = found if found is not None else case.find("error")
        said = shown(redact((inside.get("message") or "") if inside is not None else ""))
        name = f"{case.get('classname', '')}::{case.get('name', '')}"
        lines.append(f"- {markdown_code(name)}" + (f": {markdown_code(said[:200])}" if said else ""))
    if len(red) > _SHOWN:
        lines.append(f"- … and {len(red) - _SHOWN} more")
    return "\n".join(lines) + "\n"
