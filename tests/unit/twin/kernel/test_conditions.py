"""IAM conditions: what holds, what does not, and what the twin cannot know."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from twin.kernel.conditions import ExpressionError, check, extract, holds, resource_of

NOON = datetime(2026, 3, 4, 12, 30, tzinfo=UTC)
"""A Wednesday."""
KEY = "cloudkms/projects/p/locations/us/keyRings/r/cryptoKeys/k"
OBJECT = "storage/b/bucket/o/logs%2F1"


@pytest.mark.parametrize(
    "expression",
    [
        'request.time < timestamp("2026-03-05T00:00:00Z")',
        'request.time >= timestamp("2026-03-04T12:30:00Z") && true',
        'request.time.getHours("Europe/Berlin") == 13',
        "request.time.getDayOfWeek() in [1, 2, 3]",
        'request.time < timestamp("2026-03-04T12:00:00Z") || resource.name.endsWith("/k")',
        'resource.type == "cloudkms.googleapis.com/CryptoKey"',
        'resource.service == "cloudkms.googleapis.com" && !resource.name.contains("prod")',
        "resource.name.startsWith('projects/p/locations/us') && (false || true)",
        'resource.name.matches("keyRings/r.*")',
        'resource.name.extract("keyRings/{ring}/") == "r"',
        'resource.matchTag("p/env", "prod") || true',
    ],
)
def test_what_holds(expression: str) -> None:
    assert holds(expression, KEY, NOON)


@pytest.mark.parametrize(
    "expression",
    [
        'request.time > timestamp("2026-03-05T00:00:00Z")',
        'resource.name != "projects/p/locations/us/keyRings/r/cryptoKeys/k"',
        'resource.matchTag("p/env", "prod")',
        '!resource.matchTag("p/env", "prod")',
        'resource.matchTag("p/env", "prod") && true',
        "request.auth.access_levels == []",
        'resource.name.startsWith("projects/p"',
        "request.time < 3",
        "resource.name",
        "",
        "(" * 3000,
        "1 == 1 1",
    ],
)
def test_what_does_not(expression: str) -> None:
    assert not holds(expression, KEY, NOON)


@pytest.mark.parametrize("expression", ["a ==", "(true", "true)", '"open', "[1, 2", "(" * 3000, "@"])
def test_what_does_not_parse(expression: str) -> None:
    with pytest.raises(ExpressionError):
        check(expression)


def test_unknown_words_parse() -> None:
    check('resource.matchTag("a", "b") && destination.port in [80, 443]')


def test_resources_are_named_as_iam_names_them() -> None:
    assert resource_of(OBJECT, "1").name == "projects/_/buckets/bucket/objects/logs/1"
    assert resource_of(OBJECT, "1").type == "storage.googleapis.com/Object"
    assert resource_of("storage/b/bucket", "1").type == "storage.googleapis.com/Bucket"
    secret = resource_of("secretmanager/projects/p/secrets/s/versions/1", "42")
    assert (secret.name, secret.type) == (
        "projects/42/secrets/s/versions/1",
        "secretmanager.googleapis.com/SecretVersion",
    )
    table = resource_of("bigquery/projects/p/datasets/d/tables/t", "1")
    assert (table.name, table.type) == ("projects/p/datasets/d/tables/t", "bigquery.googleapis.com/Table")
    project = resource_of("cloudresourcemanager/projects/p", "1")
    assert project.type == "cloudresourcemanager.googleapis.com/Project"


def test_extract() -> None:
    assert extract("projects/_/buckets/b/objects/home/x", "objects/home/{user}") == "x"
    assert extract("projects/p", "nothing/{x}/") == ""
