"""Give a call that could wait for ever the policy's time-out.

Unsafe, although it is right: an answer that takes longer than the limit was an answer before and is an exception now,
which no caller may expect; a long upload or a poll may need a limit of its own. `timeout=` is added where the callee takes
it, and replaces `None` where a limit was taken away. What has to stand around a call (a limiter, a breaker) is not guessed.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import Final

from regreen.facts.libraries.editing import Draft, Edit, UndecidedError, one_by_one
from regreen.facts.source import Index
from regreen.model import Example, Finding, Proposal, Risk, Safety, Undo
from regreen.policy import Policy

ID: Final = "code.bound-call"
CHECK: Final = "code.external-calls-bounded"
SAFETY: Final = Safety.UNSAFE
UNDO: Final = Undo.EXACT
RISK: Final = Risk.MEDIUM

_GUARDS: Final = {"unlimited": "code.limit-client", "unbroken": "code.break-circuit"}
_SOURCE: Final = "https://requests.readthedocs.io/en/latest/user/advanced/#timeouts"


def propose(findings: Sequence[Finding], index: Index, policy: Policy) -> Proposal:
    """One change per call."""

    def edit(finding: Finding, draft: Draft) -> Edit:
        return _edit(finding, draft, f"{policy.call_timeout:g}")

    return one_by_one(ID, findings, index, edit)


def _edit(finding: Finding, draft: Draft, limit: str) -> Edit:
    callee, kind = finding.get("callee"), finding.get("kind")
    if kind in _GUARDS:
        raise UndecidedError(f"what stands around a call is {_GUARDS[kind]}'s", "nothing, if that remedy is run")
    if kind == "untakeable":
        raise UndecidedError(
            f"`{callee}` takes no time-out", "whether `urlopen(…, timeout=…)` and a copy may replace it"
        )
    call = draft.the(finding.where, ast.Call)
    name = "total" if callee == "aiohttp.ClientTimeout" else "timeout"
    given = next((item.value for item in call.keywords if item.arg == name), None)
    if given is None and callee == "httpx.Timeout" and call.args:
        given = call.args[0]
    if given is not None:
        splice, summary = draft.replace(given, limit), f"`{callee}`: {limit} s instead of no limit"
    elif any(isinstance(arg, ast.GeneratorExp) for arg in call.args):
        raise UndecidedError(
            "the call's one argument is a generator without parentheses", "its layout, with `timeout=`"
        )
    else:
        splice, summary = draft.append_arguments(call, [f"{name}={limit}"]), f"`{callee}`: `{name}={limit}`"
    return Edit([splice], summary, f"{finding.observed}; {_SOURCE}", SAFETY)


_GET: Final = "import requests\n\n\ndef f(url):\n    return "
_LIMITED: Final = '[tool.regreen]\nlimited-clients = ["stripe"]\n'


def _example(title: str, before: str, after: str, policy: str = "") -> Example:
    more = {"pyproject.toml": policy} if policy else {}
    return Example(title, {"a.py": before, **more}, {"a.py": after, **more})


EXAMPLES: Final = (
    _example("requests", _GET + "requests.get(url)\n", _GET + "requests.get(url, timeout=30)\n"),
    _example("the policy's limit, beside other keywords", _GET + "requests.post(url, json={'a': 1})  # ä\n",
             _GET + "requests.post(url, json={'a': 1}, timeout=7.5)  # ä\n", "[tool.regreen]\ncall-timeout = 7.5\n"),
    _example("laid out over lines, with a comma at the end",
             _GET + "requests.post(\n        url,\n        data=b'a',\n    )\n", _GET + "requests.post(\n        url,\n        data=b'a',\n        timeout=30,\n    )\n"),
    _example("a limit that was taken away",
             "import aiohttp\nimport httpx\n\nC = httpx.AsyncClient(timeout=None)\nD = httpx.Client(http2=True, timeout=httpx.Timeout(None))\nT = aiohttp.ClientTimeout()\nU = aiohttp.ClientTimeout(total=None)\n",
             "import aiohttp\nimport httpx\n\nC = httpx.AsyncClient(timeout=30)\nD = httpx.Client(http2=True, timeout=httpx.Timeout(30))\nT = aiohttp.ClientTimeout(total=30)\nU = aiohttp.ClientTimeout(total=30)\n"),
    _example("the standard library",
             "import smtplib\nfrom urllib.request import urlopen\n\nwith urlopen(request) as answer, smtplib.SMTP('mail.a.io') as mail:\n    pass\n",
             "import smtplib\nfrom urllib.request import urlopen\n\nwith urlopen(request, timeout=30) as answer, smtplib.SMTP('mail.a.io', timeout=30) as mail:\n    pass\n"),
    _example("calls within calls",
             "import requests\n\nS = requests.Session()\nS.post(url, data=S.get(other).content)\n",
             "import requests\n\nS = requests.Session()\nS.post(url, data=S.get(other, timeout=30).content, timeout=30)\n"),
    Example("no time-out to give", {"a.py": "from urllib.request import urlretrieve\n\nurlretrieve(u, 'file')\n"}, refuses=True),
    Example("no limiter", {"a.py": "import stripe\n\nstripe.Charge.create(amount=1)\n", "pyproject.toml": _LIMITED}, refuses=True),
    Example("inside an f-string", {"a.py": "import requests\n\nprint(f'{requests.get(u).text}')\n"}, refuses=True),
    _example("limits that are there", _GET + "requests.get(url, timeout=None if url else 3)\n", _GET + "requests.get(url, timeout=None if url else 3)\n"),
)  # fmt: skip
