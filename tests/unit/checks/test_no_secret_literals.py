"""No value of a secret is in anything that the check or its remedy says, and each published form is known."""

from __future__ import annotations

import hashlib
import random

import pytest

from checks.code import no_secret_literals
from regreen.facts.source import Index, MemoryTree, survey
from regreen.model import Finding, Severity, Verdict
from regreen.policy import Policy
from remedies.code import secret_accessor

_RANDOM = random.Random(11)
_ALNUM = "ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz23456789"


def _noise(length: int, alphabet: str = _ALNUM) -> str:
    return "".join(_RANDOM.choice(alphabet) for _ in range(length))


_HEX = "0123456789abcdef"
#: Kind → a key of that form; put together so that no scanner takes this file for a leak.
KEYS = {
    "Stripe key": "rk_" + "live_" + _noise(24),
    "Stripe webhook secret": "whsec_" + _noise(32),
    "Slack token": "xoxp-" + "2488371902-8847219300-" + _noise(24),
    "Slack webhook": "https://hooks.slack.com/services/" + f"T{_noise(8)}/B{_noise(8)}/{_noise(24)}",
    "AWS key id": "AK" + "IA" + _noise(16, "ABCDEFGHJKLMNPQRSTUVWXYZ234567"),
    "Google API key": "AI" + "za" + _noise(35),
    "GitHub token": "gh" + "p_" + _noise(36),
    "GitLab token": "glpat-" + _noise(20),
    "ElevenLabs key": "sk_" + _noise(48, _HEX),
    "OpenAI key": "sk-proj-" + _noise(48),
    "SendGrid key": f"SG.{_noise(22)}.{_noise(43)}",
    "npm token": "npm_" + _noise(36),
    "Telegram bot token": "7719283645:AA" + _noise(33),
    "JSON web token": f"eyJ{_noise(20)}.eyJ{_noise(40)}.{_noise(43)}",
    "password in an address": f"amqps://svc:{_noise(12)}7aB@mq.tidemark.io/v",
}


def _judge(files: dict[str, str]) -> tuple[Verdict, Index]:
    result = survey(MemoryTree(files), [no_secret_literals], Policy())
    return result.diagnosis.verdicts[0], result.index


def _findings(source: str, path: str = "a.py") -> tuple[Finding, ...]:
    return _judge({path: source})[0].findings


@pytest.mark.parametrize("kind", KEYS)
def test_a_published_form_is_known_wherever_it_stands(kind: str) -> None:
    (finding,) = _findings(f"def f(go):\n    return go({KEYS[kind]!r})\n")

    assert finding.get("kind") == kind
    assert finding.severity is Severity.ERROR
    assert str(finding.where) == "a.py:2"


@pytest.mark.parametrize("source", [
    "KEY = {0!r}\n",
    "import os\n\nKEY = os.getenv('SERVICE_TOKEN', {0!r})\n",
    "import os\n\n\ndef f(go):\n    go(os.environ.get('SERVICE_TOKEN') or {0!r})\n",
    "def f(go, api_key={0!r}):\n    go(token={0!r})\n",
    "class C:\n    conf = {{'api_key': {0!r}}}\n",
    "def f(x):\n    return f'Bearer {0} {{x}}'\n",
])  # fmt: skip
@pytest.mark.parametrize("kind", KEYS)
def test_the_value_is_nowhere(kind: str, source: str) -> None:
    value = KEYS[kind]
    verdict, index = _judge({"a.py": source.format(value)})
    proposal = secret_accessor.propose(verdict.findings, index, Policy())

    assert verdict.findings
    said = repr((verdict, proposal.refusals, [file.emitted for file in index.files.values()]))
    said += repr([(c.subject, c.summary, c.evidence, c.creates, [s.new for s in c.splices]) for c in proposal.changes])
    assert value not in said
    assert value[-8:] not in said
    assert value[:12] not in said
    assert len(proposal.changes) + len(proposal.refusals) == len(verdict.findings)
    assert all("rotate" in c.summary for c in proposal.changes)
    assert all("rotate" in r.decide for r in proposal.refusals)


def test_the_fingerprint_follows_the_value_and_not_the_line() -> None:
    first, second = KEYS["GitHub token"], KEYS["GitHub token"][:-1] + "Q"
    (one,) = _findings(f"KEY = {first!r}\n")
    (moved,) = _findings(f"import os\n\n\nKEY = {first!r}\n")
    (other,) = _findings(f"KEY = {second!r}\n")

    assert one.fingerprint == moved.fingerprint
    assert one.fingerprint != other.fingerprint
    assert hashlib.sha256(first.encode()).hexdigest()[:8] in one.snippet


def test_digests_and_words_are_no_secrets() -> None:
    digests = "".join(f"    {_noise(64, _HEX)!r},\n" for _ in range(200))
    words = "token = 'feed-token'\nsecret = 'projects/p/secrets/db/versions/3'\npassword = 'correct horse 7'\n"

    assert _findings(f"DIGESTS = [\n{digests}]\ntoken_hash = {_noise(64, _HEX)!r}\n{words}") == ()


@pytest.mark.parametrize("path", ["tests/test_a.py", "app/conftest.py", "docs/tutorial/a.py", "examples/a.py"])
def test_beside_the_product_only_keys_of_vendors_count(path: str) -> None:
    password = f"db_password = {_noise(10) + '#7aB'!r}\n"

    assert len(_findings(password)) == 1
    assert _findings(password, path) == ()
    (finding,) = _findings(f"KEY = {KEYS['GitHub token']!r}\n", path)
    assert finding.severity is Severity.WARNING


def test_a_made_up_key_counts_where_a_program_would_use_it() -> None:
    zeros = "sk_" + "live_" + "0" * 24

    (finding,) = _findings(f"STRIPE_API_KEY = {zeros!r}\n")
    assert finding.severity is Severity.WARNING
    assert _findings(f"def f(go):\n    go({zeros!r})\n") == ()
    assert _findings(f"STRIPE_API_KEY = {zeros.replace('0', 'x')!r}\n") == ()


@pytest.mark.parametrize("source", [
    "KEY = {0!r}\r\n", "\ufeffKEY = {0!r}\n", "x = 'ä€'; KEY = {0!r}\n", "KEY = (\n    {0!r}\n)\n", "KEY = 'a' if x else {0!r}\n",
])  # fmt: skip
def test_other_layouts(source: str) -> None:
    assert len(_findings(source.format(KEYS["GitLab token"]))) == 1
