"""What examples cannot say of the checks on websockets, pydantic and pools: notes, identities, what is never shown."""

from __future__ import annotations

from checks.code import pools_configured, pydantic_fields_valid, websocket_has_open_timeout, websocket_keyword_current
from regreen.facts.source import CodeCheck, MemoryTree, survey
from regreen.model import Span, Verdict
from regreen.policy import Policy


def judged(check: CodeCheck, **files: str) -> Verdict:
    tree = MemoryTree(
        {f"{name}.py" if "/" not in name and "." not in name else name: text for name, text in files.items()}
    )
    return survey(tree, [check], Policy.of(tree)).diagnosis.verdicts[0]


def test_calls_with_unknown_keywords_are_counted() -> None:
    call = "import websockets\n\n\nasync def f(u, **k):\n    await websockets.connect(u, **k)\n"
    verdict = judged(websocket_has_open_timeout, a=call, b=call)

    assert verdict.findings == ()
    assert verdict.note == "2 connect calls pass **kwargs: what is in them is not known"


def test_the_repair_of_one_keyword_leaves_the_identity_of_the_other_finding() -> None:
    before = "import websockets\n\n\nasync def f(u, h):\n    await websockets.connect(u, timeout=1, extra_headers=h)\n"
    after = before.replace("extra_headers", "additional_headers").replace("(u, ", "(\n        u, ")
    (first,) = judged(websocket_has_open_timeout, a=before).findings
    (second,) = judged(websocket_has_open_timeout, a=after).findings

    assert first.fingerprint == second.fingerprint
    assert first.subject == "a.py::f"


def test_two_equal_calls_in_one_function_are_two_findings() -> None:
    call = "    await websockets.connect(u, timeout=1)\n"
    found = judged(websocket_has_open_timeout, a=f"import websockets\n\n\nasync def f(u):\n{call}{call}").findings

    assert len({item.fingerprint for item in found}) == 2
    assert [item.where.line for item in found if isinstance(item.where, Span)] == [5, 6]


def test_no_address_is_shown_because_it_may_hold_a_password() -> None:
    source = (
        "import redis.asyncio as redis\nfrom sqlalchemy import create_engine\n\na = create_engine('postgresql+psycopg://u:hunter2@h/d')\n"
        "b = redis.from_url('redis://:hunter2@h')\nc = redis.ConnectionPool.from_url(f'redis://:hunter2@{h}')\n"
    )
    found = judged(pools_configured, a=source).findings

    assert len(found) == 3
    assert "hunter2" not in repr(found)


def test_headers_are_not_shown_either() -> None:
    source = "import websockets\n\n\nasync def f(u):\n    await websockets.connect('wss://t0ken@h', extra_headers={'Authorization': 't0ken'})\n"
    found = judged(websocket_keyword_current, a=source).findings

    assert len(found) == 1
    assert "t0ken" not in repr(found)


def test_what_may_run_with_pydantic_1_is_said_to_be_unjudged() -> None:
    source = "from pydantic import BaseModel, Field\n\n\nclass M(BaseModel):\n    a: str = Field(regex='x')\n"
    verdict = judged(pydantic_fields_valid, a=source, **{"requirements.txt": "pydantic>=1.10,<3\n"})

    assert verdict.findings == ()
    assert verdict.note == "1 file may run with pydantic 1: not judged"


def test_each_project_of_a_repository_has_its_own_range() -> None:
    call = "import websockets\n\n\nasync def f(u, h):\n    await websockets.connect(u, extra_headers=h)\n"
    files = {
        "old/a.py": call,
        "old/requirements.txt": "websockets<14\n",
        "new/a.py": call,
        "new/requirements.txt": "websockets>=14\n",
    }

    assert [item.path for item in judged(websocket_keyword_current, **files).findings] == ["new/a.py"]


def test_a_name_policy_may_ask_for_a_longer_handshake() -> None:
    source = "import websockets\n\n\nasync def f(u):\n    await websockets.connect(u, open_timeout=15)\n"
    found = judged(
        websocket_has_open_timeout, a=source, **{"pyproject.toml": "[tool.regreen]\nopen-timeout = 60\n"}
    ).findings

    assert [item.expected for item in found] == ["at least 60 s (policy open-timeout): a cold service answers late"]
