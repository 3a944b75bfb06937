"""Alerts end to end: an event, the ledger, apprise, and a receiver that shows what each service would get."""

from __future__ import annotations

from pathlib import Path

import pytest

from regreen.alerts.command import tell
from regreen.alerts.config import ConfigError, read_config
from regreen.alerts.event import Event, Level, Seen
from tests.unit.alerts.conftest import Receiver

#: A plugin of apprise that we do not use imports it.
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr':DeprecationWarning")
SLACK = "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/"
PAGER = f"pagerduty://{'a' * 32}@{'b' * 20}"
DOWN = Event("status/twin", "kafka", Level.CRITICAL, "kafka is down", "KafkaException: refused")
RED, WELL = Seen("status/twin", (DOWN,)), Seen("status/twin")


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "alerts.toml"
    path.write_text(
        "[policy]\nescalate_after_repeats = 3\nescalate_after_minutes = 30\n"
        '[[channel]]\nname = "hook"\nkind = "webhook"\nurl_variable = "HOOK"\n'
        '[[channel]]\nname = "team"\nkind = "slack"\nurl_variable = "SLACK"\n'
        '[[channel]]\nname = "duty"\nkind = "pagerduty"\nurl_variable = "PAGER"\nonly_escalated = true\n'
    )
    return path


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_trouble_is_told_once_escalated_on_the_third_sight_and_resolved(
    receiver: Receiver, config: Path, tmp_path: Path
) -> None:
    clock, ledger = Clock(), tmp_path / "ledger.json"
    variables = {"HOOK": receiver.webhook, "SLACK": SLACK, "PAGER": PAGER}

    def look(seen: Seen) -> list[str]:
        receiver.got.clear()
        clock.now += 60
        assert tell(seen, ledger, config, variables, clock) == 0
        return [path.split("/")[1] for path, _ in receiver.got]

    assert look(RED) == ["hook", "services"]
    hook = receiver.got[0][1]
    assert (hook["title"], hook["type"]) == ("[critical] kafka is down", "failure")
    assert "KafkaException: refused" in hook["message"]
    assert "KafkaException: refused" in str(receiver.got[1][1]["attachments"])

    assert look(RED) == []

    assert look(RED) == ["hook", "services", "v2"]
    page = receiver.got[2][1]
    assert (page["event_action"], page["dedup_key"]) == ("trigger", DOWN.fingerprint)
    assert "seen 3 times in 2 minutes" in page["payload"]["summary"]

    assert look(WELL) == ["hook", "services", "v2"]
    assert receiver.got[0][1]["title"] == "[resolved] kafka is down"
    assert (receiver.got[2][1]["event_action"], receiver.got[2][1]["dedup_key"]) == ("resolve", DOWN.fingerprint)

    assert look(WELL) == []


def test_what_a_service_did_not_take_is_told_next_time(receiver: Receiver, tmp_path: Path) -> None:
    ledger, variables = tmp_path / "ledger.json", {"ALERT_URLS": receiver.webhook}
    receiver.status = 500
    assert tell(RED, ledger, None, variables) == 1
    receiver.status = 200
    receiver.got.clear()

    assert tell(RED, ledger, None, variables) == 0
    assert [body["title"] for _, body in receiver.got] == ["[critical] kafka is down"]


def test_no_secret_of_an_address_is_printed_or_kept(
    receiver: Receiver, config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ledger = tmp_path / "ledger.json"
    receiver.status = 500
    variables = {"HOOK": receiver.webhook, "SLACK": SLACK, "PAGER": PAGER}
    tell(RED, ledger, config, variables)
    said = "".join(capsys.readouterr()) + ledger.read_text() + repr(read_config(config, variables))

    assert "NOT TOLD team" in said
    assert "TIiajkdnlazkcOXrIdevi7FQ" not in said


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[[channel]]\nname = "a"\nkind = "slack"\nurl = "slack://x"\n', "alerts.toml:4: channel 1: an address holds"),
        ('[[channel]]\nname = "a"\nkind = "slack"\nurl_variable = "NO"\n', "the variable NO is not set"),
        ('[[channel]]\nname = "a"\nkind = "slack"\nurl_variable = "HOOK"\n', "must begin with slack://"),
        ('[[channel]]\nname = "a"\nkind = "smoke"\nurl_variable = "HOOK"\n', "'kind' must be one of webhook"),
        (
            '[policy]\nremind = 3\n[[channel]]\nname = "a"\nkind = "webhook"\nurl_variable = "HOOK"\n',
            "alerts.toml:2: policy: unknown field 'remind'",
        ),
        ("", "it lists no [[channel]]"),
    ],
)
def test_a_wrong_configuration_says_where_and_what(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "alerts.toml"
    path.write_text(text)

    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the message is what is asserted
        read_config(path, {"HOOK": "json://127.0.0.1:9/"})

    assert message in str(caught.value)


def test_without_any_channel_nothing_is_silently_dropped(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nobody would be told"):
        tell(RED, tmp_path / "ledger.json", None, {})
