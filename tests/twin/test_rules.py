"""The table of rules is complete, sourced and fresh."""

from __future__ import annotations

from pathlib import Path

from twin import rules
from twin.kernel.checksums import crc32c, pure_crc32c
from twin.kernel.filters import compile_filter
from twin.kernel.masks import parse_fields, select
from twin.services import catalogue


def test_the_page_is_what_the_services_declare() -> None:
    page = Path(__file__).parents[2] / "docs" / "twin-rules.md"
    assert page.read_text() == rules.table(), "run: python -m twin.rules > docs/twin-rules.md"


def test_every_confirmed_rule_names_its_source_and_ids_are_unique() -> None:
    found = catalogue.rules()
    assert [rule.id for rule in found if rule.status == "confirmed" and not rule.source] == []
    assert len({rule.id for rule in found}) == len(found) > 90


def test_filters_in_the_three_dialects_that_clients_send() -> None:
    body = {"name": "web-1", "labels": {"env": "prod"}, "size": 5, "nested": [{"state": "UP"}]}
    holding = [
        'name="web-1"',
        "name eq web-.*",
        "labels.env=prod AND size>4",
        "nested.state:up",
        "NOT name=db",
        '(name = "web-1") OR size<2',
        "labels.env:*",
        "-name=db",
    ]
    failing = ["name=web", "name ne web-.*", "size>5", "labels.team:*", "NOT labels.env=prod"]
    assert [text for text in holding if not compile_filter(text)(body)] == []
    assert [text for text in failing if compile_filter(text)(body)] == []


def test_partial_responses() -> None:
    body = {"items": [{"name": "a", "labels": {"x": 1, "y": 2}}], "next": "t"}
    assert select(body, parse_fields("items(name,labels/x)")) == {"items": [{"name": "a", "labels": {"x": 1}}]}
    assert select(body, parse_fields("next,items/name")) == {"items": [{"name": "a"}], "next": "t"}


def test_the_pure_checksum_agrees_with_rfc_3720() -> None:
    assert pure_crc32c(b"123456789") == 0xE3069283
    assert crc32c(bytes(range(256))) == pure_crc32c(bytes(range(256)))
