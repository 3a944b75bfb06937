"""The accessor that the remedy makes: nothing is read at import, a value is read once, a missing one is named."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from checks.code import no_secret_literals
from regreen.facts.source import MemoryTree, survey
from regreen.model import compose
from regreen.policy import Policy
from remedies.code import secret_accessor

_KEY = "sk_" + "live_" + "51HqLyjWDarjtT1zdp7dcXQ9"
_SECOND = "xoxb-" + "2488371902-884721930022-" + "qWmB7Yt2xKvP0sLdReZu9cNa"
_MODULE = f"""import os

STRIPE_KEY = "{_KEY}"
TOKEN: str = os.getenv("SLACK_TOKEN", "{_SECOND}")


def header() -> str:
    return f"Bearer {{TOKEN}}" + STRIPE_KEY


class Pay:
    def go(self) -> dict[str, str]:
        return {{"a": STRIPE_KEY, "b": os.environ.get("SLACK_TOKEN", "{_SECOND}")}}
"""


@pytest.fixture
def accessor() -> dict[str, Any]:
    namespace: dict[str, Any] = {"__name__": "secrets_access"}
    exec(compile(secret_accessor.ACCESSOR, "secrets_access.py", "exec"), namespace)
    return namespace


def test_a_value_is_read_at_first_use_and_kept(accessor: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", "one")
    assert accessor["SECRETS"].MY_KEY == "one"

    monkeypatch.setenv("MY_KEY", "two")
    assert accessor["SECRETS"].MY_KEY == "one"

    accessor["forget"]()
    assert accessor["SECRETS"].MY_KEY == "two"


@pytest.mark.parametrize("value", [None, ""])
def test_a_missing_value_is_named(accessor: dict[str, Any], monkeypatch: pytest.MonkeyPatch, value: str | None) -> None:
    monkeypatch.delenv("MY_KEY", raising=False)
    if value is not None:
        monkeypatch.setenv("MY_KEY", value)

    with pytest.raises(accessor["MissingSecretError"], match="MY_KEY is not set"):
        _ = accessor["SECRETS"].MY_KEY

    monkeypatch.setenv("MY_KEY", "now")
    assert accessor["SECRETS"].MY_KEY == "now"  # the failure was not kept


def test_names_of_the_language_are_no_secrets(accessor: dict[str, Any]) -> None:
    assert not hasattr(accessor["SECRETS"], "__wrapped__")


def _repaired(files: dict[str, str]) -> dict[str, bytes]:
    tree = MemoryTree(files)
    result = survey(tree, [no_secret_literals], Policy())
    proposal = secret_accessor.propose(result.diagnosis.verdicts[0].findings, result.index, Policy())
    assert proposal.refusals == ()
    assert proposal.changes
    edits, waiting = compose(tree, proposal.changes)
    assert waiting == ()
    return {**{path: text.encode() for path, text in files.items()}, **edits}


def test_the_repaired_module_imports_without_a_secret_and_reads_it_when_asked(tmp_path: Path) -> None:
    files = _repaired({"shop/__init__.py": "", "shop/pay.py": _MODULE})
    for path, content in files.items():
        assert _KEY.encode() not in content
        assert _SECOND.encode() not in content
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_bytes(content)
    program = (
        "import os, shop.pay as p\n"
        "os.environ.update(STRIPE_KEY='S', SLACK_TOKEN='T')\n"
        "assert p.header() == 'Bearer TS', p.header()\n"
        "assert p.Pay().go() == {'a': 'S', 'b': 'T'}\n"
    )

    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, env={}, capture_output=True, text=True)

    assert done.stderr == ""
    assert done.returncode == 0


def test_other_encodings_and_line_ends_survive() -> None:
    source = (
        f'# coding: latin-1\r\nNAME = "caf\xe9"\r\nKEY = "{_KEY}"\r\n\r\n\r\ndef f():\r\n    return "\xe9", KEY\r\n'
    )
    tree = MemoryTree({"a.py": source.encode("latin-1")})
    result = survey(tree, [no_secret_literals], Policy())
    proposal = secret_accessor.propose(result.diagnosis.verdicts[0].findings, result.index, Policy())
    edits, _ = compose(tree, proposal.changes)

    text = edits["a.py"].decode("latin-1")
    assert '\r\nNAME = "caf\xe9"\r\n' in text
    assert text.endswith('def f():\r\n    return "\xe9", SECRETS.KEY\r\n')
    assert text.count("\n") == text.count("\r\n")


def test_an_accessor_of_another_kind_is_left_alone() -> None:
    tree = MemoryTree({"secrets_access.py": "def read(): ...\n", "a.py": f'def f(go):\n    go(api_key="{_KEY}")\n'})
    result = survey(tree, [no_secret_literals], Policy())
    proposal = secret_accessor.propose(result.diagnosis.verdicts[0].findings, result.index, Policy())

    assert proposal.changes == ()
    assert [r.reason for r in proposal.refusals] == ["secrets_access.py is there and holds no `SECRETS`"]


def test_a_real_key_in_a_test_is_a_persons_to_replace() -> None:
    tree = MemoryTree({"tests/test_a.py": f'def test_a(go):\n    go(api_key="{_KEY}")\n'})
    result = survey(tree, [no_secret_literals], Policy())
    proposal = secret_accessor.propose(result.diagnosis.verdicts[0].findings, result.index, Policy())

    assert proposal.changes == ()
    assert [r.reason for r in proposal.refusals] == ["a test or an example needs no real key"]
