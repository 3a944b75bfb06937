"""A stack's configuration: settings, what is kept, and edits that leave the rest of the file alone."""

from __future__ import annotations

from typing import Any

import pytest

from infra.config import ConfigError, StackDocument, merge, split

SERVICE: dict[str, Any] = {
    "name": "api",
    "labels": {"team": "quotes"},
    "scaling": {"minInstanceCount": 0},
    "template": {
        "timeout": "5s",
        "sessionAffinity": False,
        "serviceAccount": "api-sa@p.iam.gserviceaccount.com",
        "annotations": {"example.com/owner": "somebody"},
        "containers": [
            {
                "image": "registry/api:1",
                "ports": {"containerPort": 8080},
                "resources": {"cpuIdle": True, "limits": {"cpu": "1"}},
                "envs": [
                    {"name": "A", "value": "1"},
                    {"name": "B", "valueSource": {"secretKeyRef": {"secret": "b", "version": "2"}}},
                ],
            }
        ],
    },
    "traffics": [{"type": "TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION", "revision": "api-1", "tag": "theirs"}],
}

FILE = b"""# Ours.
config:
  gcp:project: staging-twin   # never another
  regreen-staging:services:
    api:
      image: registry/api:1
      minInstances: 0  # cold
      env:
        A: "1"
"""


def test_settings_and_what_is_kept_make_the_same_inputs_again() -> None:
    settings = split("services", SERVICE)
    assert settings["minInstances"] == 0
    assert settings["requestTimeout"] == 5
    assert settings["cpuAlways"] is False
    assert settings["env"] == {"A": "1"}
    assert settings["secrets"] == {"B": {"secret": "b", "version": "2"}}
    assert merge("services", "api", settings) == SERVICE


def test_a_setting_changes_its_place_and_nothing_else() -> None:
    settings = split("services", SERVICE) | {"minInstances": 1, "requestTimeout": 300}
    inputs = merge("services", "api", settings)
    assert inputs["scaling"] == {"minInstanceCount": 1}
    assert inputs["template"]["timeout"] == "300s"
    assert inputs["traffics"] == SERVICE["traffics"]
    assert inputs["template"]["annotations"] == {"example.com/owner": "somebody"}


def test_an_unknown_setting_is_refused_by_name() -> None:
    with pytest.raises(ConfigError, match=r"services/api: unknown setting 'minInstance'; known are .*minInstances"):
        merge("services", "api", {"minInstance": 1})


def test_an_edit_keeps_comments_and_order() -> None:
    document = StackDocument.parse("Pulumi.twin.yaml", FILE)
    edited = document.edited([(("services", "api", "minInstances"), 1), (("services", "api", "env", "B"), "x")])
    assert edited == FILE.replace(b"minInstances: 0  # cold", b"minInstances: 1  # cold").replace(
        b'        A: "1"\n', b'        A: "1"\n        B: x\n'
    )


def test_removing_takes_only_that_key() -> None:
    document = StackDocument.parse("Pulumi.twin.yaml", FILE)
    assert document.edited([(("services", "api", "minInstances"), None)]) == FILE.replace(
        b"      minInstances: 0  # cold\n", b""
    )


def test_an_empty_file_can_be_filled() -> None:
    edited = StackDocument("Pulumi.twin.yaml").edited([(("services", "web", "minInstances"), 1)])
    again = StackDocument.parse("Pulumi.twin.yaml", edited)
    assert again.get("services", "web", "minInstances") == 1
    assert again.adopted


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"config: [1", "is not valid YAML"),
        (b"- a\n", "must be a map with 'config'"),
        (b"config:\n  regreen-staging:service: {}\n", "unknown section"),
    ],
)
def test_a_file_that_cannot_be_used_says_why(content: bytes, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        StackDocument.parse("Pulumi.twin.yaml", content)
