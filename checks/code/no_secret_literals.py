"""No secret stands in code: not as a literal, and not as the default of an environment variable.

Found are keys in the published form of their vendor, strings that look random under a name that promises a secret, and
such strings as defaults of `getenv` and its kin, which answer when the variable is missing so that nobody notices.
What was committed once must be rotated; taking it out of the code does not take it out of the history.
Not reported: words for tests, placeholders, hexadecimal digests, examples, and, in tests and documents, anything but a
live-looking key of a known vendor. Entropy alone is no evidence: nearly all of what it finds are digests.
The value is nowhere in a finding: the snippet holds its kind and eight digits of its SHA-256.
"""

from __future__ import annotations

import ast
import base64
import hashlib
import json
import math
import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator
from functools import cache
from typing import Any, Final, NamedTuple

import re2

from regreen.facts.source import Context, Index, Interests
from regreen.facts.source.aside import is_aside
from regreen.facts.source.context import dotted, last_name
from regreen.model import Example, Severity, Verdict
from regreen.policy import Policy

ID: Final = "code.no-secret-literals"
VERSION: Final = 3
SEVERITY: Final = Severity.ERROR
SOURCE: Final = (
    "https://docs.github.com/en/code-security/secret-scanning/introduction/supported-secret-scanning-patterns"
)


class Form(NamedTuple):
    """The published form of a vendor's key: text that each has, and the whole."""

    kind: str
    vendor: str
    needle: str
    pattern: re.Pattern[str]


def _form(kind: str, vendor: str, needle: str, pattern: str) -> Form:
    return Form(kind, vendor, needle, re.compile(rf"(?<![A-Za-z0-9_]){pattern}(?![A-Za-z0-9_])", re.ASCII))


_FORMS: Final = (
    _form("Stripe key", "STRIPE", "k_live_", r"[sr]k_live_[A-Za-z0-9]{20,}"),
    _form("Stripe webhook secret", "STRIPE", "whsec_", r"whsec_[A-Za-z0-9]{30,}"),
    _form("Slack token", "SLACK", "xox", r"xox[abeoprs]-[A-Za-z0-9-]{20,}"),
    _form("Slack app token", "SLACK", "xapp-", r"xapp-\d-[A-Z0-9]+-\d+-[a-f0-9]{30,}"),
    _form(
        "Slack webhook", "SLACK", "hooks.slack.com/services/T", r"hooks\.slack\.com/services/T\w{6,}/B\w{6,}/\w{16,}"
    ),
    _form("AWS key id", "AWS", "AKIA", r"AKIA[0-9A-Z]{16}"),
    _form("AWS key id", "AWS", "ASIA", r"ASIA[0-9A-Z]{16}"),
    _form("Google API key", "GOOGLE", "AIza", r"AIza[0-9A-Za-z_-]{35}"),
    _form("Google client secret", "GOOGLE", "GOCSPX-", r"GOCSPX-[0-9A-Za-z_-]{28}"),
    *(_form("GitHub token", "GITHUB", f"gh{kind}_", rf"gh{kind}_[A-Za-z0-9]{{36}}") for kind in "pousr"),
    _form("GitHub token", "GITHUB", "github_pat_", r"github_pat_[A-Za-z0-9_]{60,}"),
    _form("GitLab token", "GITLAB", "glpat-", r"glpat-[A-Za-z0-9_-]{20,}"),
    _form("ElevenLabs key", "ELEVENLABS", "sk_", r"sk_[0-9a-f]{48}"),
    _form("OpenAI key", "OPENAI", "sk-", r"sk-(?:proj-|svcacct-)?(?=[A-Za-z_-]*\d)[A-Za-z0-9_-]{40,}"),
    _form("SendGrid key", "SENDGRID", "SG.", r"SG\.[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43}"),
    _form("PyPI token", "PYPI", "pypi-", r"pypi-AgEI[A-Za-z0-9_-]{50,}"),
    _form("npm token", "NPM", "npm_", r"npm_[A-Za-z0-9]{36}"),
    _form("Hugging Face token", "HF", "hf_", r"hf_[A-Za-z]{34}"),
    _form("Telegram bot token", "TELEGRAM", ":AA", r"\d{8,10}:AA[A-Za-z0-9_-]{33}"),
    _form("DigitalOcean token", "DIGITALOCEAN", "dop_v1_", r"dop_v1_[a-f0-9]{64}"),
    _form("private key", "", "PRIVATE KEY-----", r""),
    _form("JSON web token", "", "eyJ", r"eyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{20,}"),
    _form("password in an address", "", "://", r""),
)
_SPECIAL: Final = {
    "private key": re.compile(
        r"-----BEGIN (?:[A-Z]+ )?PRIVATE KEY-----(?:\s|\\n)+(?:[A-Za-z0-9+/=]+(?:\s|\\n)+){2,}", re.ASCII
    ),
    "password in an address": re.compile(r"\b[a-z][a-z0-9+]*://[^\s/:@{}<>$%]*:([^\s/@{}<>$%]{8,64})@([\w.-]+)"),
}
_PATTERNS: Final = tuple((f, f.needle.encode(), _SPECIAL.get(f.kind, f.pattern)) for f in _FORMS)
_IN_BYTES: Final = {
    needle: re.compile(f.pattern.pattern.encode()) for f, needle, _ in _PATTERNS if f.kind not in _SPECIAL
}
#: How far in front of the needle the form may start: `sk_live_` is found by `k_live_`.
_BEFORE: Final = {b"k_live_": 1, b":AA": 10}

_LOGIN: Final = re.compile(rb"://[^\s/:@]{0,64}:[^\s/@]{8,64}@")
_WORDS: Final = (b"secret", b"passw", b"passphrase", b"pwd", b"token", b"api_key", b"apikey", b"access_key", b"private_key",
                 b"auth_key", b"signing_key", b"encryption_key", b"account_key")  # fmt: skip
_NEEDLES: Final = (
    *(word.decode() for word in _WORDS),
    *(word.decode().upper() for word in _WORDS),
    "Secret", "Passw", "Token", "apiKey", "ApiKey",
    *(f.needle for f in _FORMS if f.needle not in ("sk_", "sk-", "://", ":AA", "eyJ")), "sk_", "sk-", "://", ":AA", "eyJ",
)  # fmt: skip
#: From a word of a name to the literal that it is given.
_GIVEN: Final = re.compile(
    rb"""\w*["']?(?:\]|\s*\))?\s*
    (?: :\s*[\w\[\]., |"']{1,40}?= | = | : | ,\s*(?:default\s*=|fallback\s*=)? | or\b )
    \s*\(?\s*(?:[A-Za-z][\w.]{0,40}\(\s*)?(?P<text>[bBuUrR]{0,2}["'](?P<value>[^"'\s]{8,512})["'])""",
    re.VERBOSE,
)


@cache
def _rough(pattern: bytes) -> Any:
    """A pattern for one quick look at a whole file, in upper and lower case: no file that holds a suspect is refused."""
    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1  # bytes as they are
    options.case_sensitive = False
    return re2.compile(pattern, options)


_NAMED: Final = (
    rb"(?:" + b"|".join(_WORDS) + rb""")\w*["']?(?:\]|[\s\v]*\))?[\s\v]*"""
    rb"""(?::[\s\v]*[\w\[\]., |"']+=|=|:|,[\s\v]*(?:(?:default|fallback)[\s\v]*=)?|or\b)"""
    rb"""[\s\v]*\(?[\s\v]*(?:[a-z][\w.]*\([\s\v]*)?[bur]{0,2}["'][^"'\s\v]{8}"""
)
_ROUGH: Final = {
    b"://": rb"://[^\s/:@]*:[^\s/@]{8}",
    **{needle: re.sub(rb"\(\?[<!=].*?\)", b"", pattern.pattern) for needle, pattern in _IN_BYTES.items()},
}
_SECRET_NAME: Final = re.compile(
    r"(?:password|passwd|passphrase|pwd|secret|token|(?:api|secret|access|private|auth|signing|encryption|account)_?key)"
    r"(?:_?(?:value|default|prod|production|live|staging|dev|\d))?$"
)
_PASSWORD: Final = re.compile(r"(?:passw(?:or)?d|passphrase|pwd)\w*$")
_KEYLIKE: Final = re.compile(r"(?:(?:api|secret|access|auth)_?key|client_?secret|(?:access|auth|bot)_?token)\w*$")
_OTHER_NAME: Final = re.compile(
    r"hash|digest|regex|pattern|placeholder|example|sample|dummy|fake|test|mock|public|csrf|header|param|field|prompt"
    r"|label|message|error|invalid|wrong|expired|(?:^|_)(?:eos|bos|pad|mask|special|sep|unk|cls|stop|end|start|next|page)_"
)
#: What people write where no secret is.
_MADE_UP: Final = re.compile(
    r"example|sample|dummy|fake|test|placeholder|change|replace|insert|your|todo|fixme|xxxx|\*\*\*|\.\.\.|secret|passw|p@ss"
    r"|pa55|token|_key|-key|mykey|default|insecure|redacted|deadbeef|foobar|foo|bar|abc|1234|qwerty|admin|root|user|guest|demo"
    r"|local|postgres|mysql|redis|none|null|undefined|unknown|unused|hunter2|letmein|welcome|super|dev",
    re.IGNORECASE,
)
_PLACEHOLDER: Final = re.compile(
    r"xxxx|\*\*\*|\.\.\.|your|<|AKIAIOSFODNN7EXAMPLE|AKIAI44QH8DHBEXAMPLE|replace", re.IGNORECASE
)
_RUN: Final = re.compile(r"(.)\1{4,}|0123456|12345|abcdef|ABCDEF")
#: A vendor's prefix before plain words, as in `xoxe-1-valid-bot-refreshed`.
_IN_WORDS: Final = re.compile(r"[-\d]*[a-z]+(?:[-_][a-z]+)+")
#: Keys that are made to be published: of PostHog's and Stripe's browser side.
_PUBLIC: Final = re.compile(r"ph[cx]_|pk_|pub_|public")
_HEX: Final = re.compile(r"(?:0x)?[0-9a-fA-F]+|[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_DOTTED: Final = re.compile(r"[A-Za-z_]+\d{0,2}(?:[._:/-][A-Za-z]+\d{0,2})*[:=]?")
_TEMPLATE: Final = re.compile(r"[{}<>`\\\s]|%\(|%s|\$\(|\$\{|^\$|://|^\.{0,2}/|^[~@]/|^/")
_TURNS: Final = re.compile(r"(?<=[a-z])(?=[A-Z0-9])|(?<=[0-9])(?=[A-Za-z])|(?<=[A-Z])(?=[0-9])|(?<=[A-Z]{2})(?=[a-z])")
_ASKING: Final = frozenset(
    {"getenv", "get", "setdefault", "pop", "config", "env", "str", "get_env", "env_str", "getvar"}
)
_WRAPPERS: Final = frozenset({"SecretStr", "Secret", "str", "Field", "Final", "cast"})


def _made_up(value: str) -> bool:
    return bool(_MADE_UP.search(value) or _RUN.search(value)) or _entropy(value) < 3.0


def _entropy(value: str) -> float:
    """Shannon entropy of the characters, in bits each."""
    return -sum(n / len(value) * math.log2(n / len(value)) for n in Counter(value).values())


def _looks_secret(name: str, value: str) -> bool:
    """Whether a string under a secret's name is more likely a secret than a word."""
    if _PUBLIC.match(value) or _TEMPLATE.search(value) or _made_up(value) or _DOTTED.fullmatch(value):
        return False
    classes = (
        bool(re.search("[a-z]", value))
        + bool(re.search("[A-Z]", value))
        + bool(re.search("[0-9]", value))
        + bool(re.search(r"[^A-Za-z0-9]", value))
    )
    if _PASSWORD.search(name):
        return 8 <= len(value) <= 64 and classes >= 3 and bool(re.search("[0-9]", value)) and not _HEX.fullmatch(value)
    if _HEX.fullmatch(value):
        return bool(_KEYLIKE.search(name)) and len(value) >= 32 and len(set(value)) > 8
    return len(value) >= 16 and classes >= 2 and len(_TURNS.findall(value)) >= 4 and _entropy(value) >= 3.3


def _plausible(value: str) -> bool:
    """Whether any name could make the value look secret: walking the whole file is dear."""
    return _looks_secret("password", value) or _looks_secret("api_key", value)


def _suspects(source: bytes, present: frozenset[bytes]) -> Iterator[tuple[int, str]]:
    """Offsets of literals under a secret's name (`name`), and of what has a vendor's form (`form`)."""
    named = _rough(_NAMED)
    word = named.search(source)
    while word is not None:
        found = _GIVEN.match(source, word.start())
        if found is not None and _plausible(found["value"].decode("utf-8", "replace")):
            yield found.start("text"), "name"
        word = named.search(source, word.start() + 3)
    for form, needle, _ in _PATTERNS:
        if needle not in present or (needle in _ROUGH and _rough(_ROUGH[needle]).search(source) is None):
            continue
        at = source.find(needle)
        while at >= 0:
            if form.kind in _SPECIAL:
                if needle != b"://" or _LOGIN.match(source, at):
                    yield at, "form"
            else:
                first = max(0, at - _BEFORE.get(needle, 0))
                pattern = _IN_BYTES[needle]
                if any(pattern.match(source, start, at + 400) for start in range(first, at + 1)):
                    yield at, "form"
            at = source.find(needle, at + len(needle))


def _finish(context: Context) -> None:
    source = context.source
    starts: set[tuple[int, int]] = set()
    lines: set[int] = set()
    for offset, what in _suspects(source, context.present):
        line = source.count(b"\n", 0, offset) + 1
        if what == "name":
            starts.add((line, offset - source.rfind(b"\n", 0, offset) - 1))
        else:
            lines.add(line)
    if not starts and not lines:
        return
    asked = sorted({line for line, _ in starts} | lines)
    stack: list[tuple[ast.AST, tuple[ast.AST, ...]]] = [(context.tree, ())]
    while stack:
        node, above = stack.pop()
        if isinstance(node, ast.Constant):
            if isinstance(node.value, str) and above:
                _judge_literal(context, node, node.value, above, starts, lines)
            continue
        inner = (node, *above)
        children = ast.iter_child_nodes(node)
        if isinstance(node, ast.JoinedStr | ast.FormattedValue):  # positions in there are no good before Python 3.12
            stack.extend((child, inner) for child in children)
        else:
            stack.extend((child, inner) for child in children if _reaches(child, asked))


def _reaches(node: ast.AST, lines: list[int]) -> bool:
    """Whether a node covers one of some lines; what has no position of its own may."""
    end: int | None = getattr(node, "end_lineno", None)
    if end is None:
        return True
    decorators: list[ast.expr] | None = getattr(node, "decorator_list", None)
    first: int = decorators[0].lineno if decorators else node.lineno  # type: ignore[attr-defined]
    at = bisect_left(lines, first)
    return at < len(lines) and lines[at] <= end


def _judge_literal(
    context: Context, node: ast.Constant, value: str, above: tuple[ast.AST, ...], starts: set[tuple[int, int]], lines: set[int]
) -> None:  # fmt: skip
    if isinstance(above[0], ast.Expr):
        return  # a docstring
    if any(isinstance(one, ast.keyword) and one.arg in ("example", "examples", "description", "help") for one in above):
        return
    place: ast.AST = next((one for one in above if isinstance(one, ast.JoinedStr)), node)
    named = (node.lineno, node.col_offset) in starts
    formed = any(line in lines for line in range(node.lineno, (node.end_lineno or node.lineno) + 1))
    if not named and not formed:
        return
    how, name = _given_to(above, node)
    kind, vendor, fake = _kind(value) if formed else ("", "", False)
    secret_name = _is_secret_name(name)
    if not kind:
        if not (named and secret_name and _looks_secret(name.lower(), value)):
            return
        kind = "password" if _PASSWORD.search(name.lower()) else "secret"
    elif fake and (_PLACEHOLDER.search(value) or not (secret_name or how == "default")):
        return
    scope = ".".join(
        one.name for one in reversed(above) if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
    )
    digest = hashlib.sha256(value.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    context.emit(scope, context.at(place), how, name, kind, vendor, fake, len(value), digest)


def _is_secret_name(name: str) -> bool:
    low = name.replace("-", "_").lower()
    return bool(_SECRET_NAME.search(low)) and not _OTHER_NAME.search(low)


def _kind(value: str) -> tuple[str, str, bool]:
    """Kind and vendor of a literal that holds a key in a published form, and whether that looks made up."""
    for form, _, pattern in _PATTERNS:
        if form.needle not in value:
            continue
        found = pattern.search(value)
        if found is None:
            continue
        text = found[0]
        if form.kind == "password in an address":
            host = found[2]
            if "." not in host or host.startswith("127.") or re.search(r"example|\.local|test|invalid", host):
                continue
            if not _looks_secret("password", found[1]):
                continue
            return form.kind, form.vendor, False
        if form.kind == "JSON web token" and _for_everybody(text):
            continue
        if form.kind == "private key":
            return form.kind, form.vendor, len(text) < 200
        body = text[len(form.needle) + 1 :]
        fake = bool(
            _RUN.search(body)
            or _IN_WORDS.fullmatch(body)
            or re.search(r"example|dummy|fake|test|sample|placeholder|your|secret", body, re.I)
        )
        return form.kind, form.vendor, fake or _entropy(body) < 3.0
    return "", "", False


def _for_everybody(token: str) -> bool:
    """Whether a token says of itself that it is the one that a Supabase project gives to every browser.

    https://supabase.com/docs/guides/api/api-keys
    """
    body = token.split(".")[1]
    try:
        claims = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    except ValueError:
        return False
    return isinstance(claims, dict) and claims.get("role") == "anon"


def _given_to(above: tuple[ast.AST, ...], node: ast.expr) -> tuple[str, str]:
    """How a literal is used, and under which name: `module`, `local`, `default`, `argument`, `item`, `parameter`, `other`."""
    parent = above[0]
    if isinstance(parent, ast.Call) and node in parent.args:
        if len(parent.args) > 1 and parent.args[1] is node and last_name(parent.func) in _ASKING:
            key = _text(parent.args[0])
            if key and _is_environment(parent.func):
                return "default", key
            return "other", ""
        if len(above) > 1 and (len(parent.args) == 1 and last_name(parent.func) in _WRAPPERS):
            how, name = _given_to(above[1:], parent)
            return ("wrapped" if how in ("module", "local") else how), name
        return "other", ""
    if isinstance(parent, ast.keyword):
        call = above[1] if len(above) > 1 else None
        if isinstance(call, ast.Call):
            if parent.arg in ("default", "fallback") and call.args and _text(call.args[0]):
                return "option", _text(call.args[0])
            return "argument", parent.arg or ""
        return "other", ""
    if isinstance(parent, ast.BoolOp) and isinstance(parent.op, ast.Or) and parent.values[-1] is node:
        asked = parent.values[0]
        if len(parent.values) == 2 and isinstance(asked, ast.Call) and asked.args and _is_environment(asked.func):
            return "default", _text(asked.args[0])
        return "other", ""
    if isinstance(parent, ast.Dict):
        for label, item in zip(parent.keys, parent.values, strict=True):
            if item is node and label is not None:
                return "item", _text(label)
    if isinstance(parent, ast.arguments):
        every = [*parent.posonlyargs, *parent.args]
        pairs = [*zip(every[len(every) - len(parent.defaults) :], parent.defaults, strict=True),
                 *zip(parent.kwonlyargs, parent.kw_defaults, strict=True)]  # fmt: skip
        return "parameter", next((argument.arg for argument, default in pairs if default is node), "")
    if isinstance(parent, ast.Assign | ast.AnnAssign | ast.NamedExpr):
        target = parent.targets[0] if isinstance(parent, ast.Assign) else parent.target
        if isinstance(target, ast.Name):
            inner = next(
                (one for one in above if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)), None
            )
            if inner is None:
                return "module", target.id
            return ("class" if isinstance(inner, ast.ClassDef) else "local"), target.id
        if isinstance(target, ast.Attribute):
            return "local", target.attr
        if isinstance(target, ast.Subscript):
            return "item", _text(target.slice)
    return "other", ""


def _is_environment(function: ast.expr) -> bool:
    name = dotted(function)
    return name.rpartition(".")[2] in ("getenv", "config", "env", "get_env", "env_str") or any(
        part in ("environ", "env", "ENV") for part in name.split(".")[:-1]
    )


def _text(node: ast.expr) -> str:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


INTERESTS: Final = Interests(needles=_NEEDLES, finish=_finish)


def judge(index: Index, policy: Policy) -> Verdict:
    """One finding per literal; words that only tests and examples use are left out."""
    findings = []
    for file, record in index.records(ID):
        scope, position, how, name, kind, vendor, fake, length, digest = record
        aside = is_aside(file.path)
        if aside and (fake or not vendor):
            continue
        given = {"default": f"the default of the variable {name}", "option": f"the default of {name}"}.get(how)
        given = given or (f"given to `{name}`" if name else "in a text")
        made_up = ", made up as it looks" if fake else ""
        findings.append(
            index.finding(
                ID,
                Severity.WARNING if fake or aside else SEVERITY,
                file,
                position,
                scope=scope,
                observed=f"a {kind} of {length} characters{made_up}, {given}",
                expected="a reference that is read when it is needed, and a rotated secret: what was committed is known",
                snippet=f"{name} <{kind} {digest}>",
                data={"how": how, "name": name, "kind": kind, "vendor": vendor, "digest": digest},
            )
        )
    return Verdict.of(ID, len(index.files), findings)


# The keys of the examples are put together here, so that no scanner takes this file for a leak.
_STRIPE: Final = "sk_" + "live_" + "51HqLyjWDarjtT1zdp7dcXQ9"
_SLACK: Final = "xoxb-" + "2488371902-884721930022-" + "qWmB7Yt2xKvP0sLdReZu9cNa"
_GOOGLE: Final = "AI" + "zaSyB7m2Qk9LxWv4Tn8RcYp1JdHf3GuZsEoXq"
_ZEROS: Final = "sk_" + "live_" + "0" * 24
_RANDOM: Final = "q7Zt2LmX9" + "vKp4RwB8nYd"
_PEM: Final = "-----BEGIN PRIV" + "ATE KEY-----\\n" + ("Mq7Zt2LmX9vKp4RwB8nYd" * 3 + "\\n") * 4

_ANON, _SERVICE = (
    ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in (
        b'{"alg":"HS256"}', b'{"iss":"supabase","role":"%s","iat":1700000000}' % role, b"u7Rk2ZqW9xYb4NcE8mVt1PfL",
    ))
    for role in (b"anon", b"service_role")
)  # fmt: skip

EXAMPLES: Final = (
    Example("a token that is not for everybody", {"a.py": f'SUPABASE_KEY = "{_SERVICE}"\n'}, fires=1),
    Example("a token that every browser is given", {"a.py": f'SUPABASE_KEY = "{_ANON}"\n'}),
    Example("a key in its vendor's form", {"a.py": f'STRIPE_API_KEY = "{_STRIPE}"\n'}, fires=1),
    Example("the default of getenv", {"a.py": f'import os\n\nT = os.getenv("SLACK_BOT_TOKEN", "{_SLACK}")\n'}, fires=1),
    Example("the default of environ.get, made up as it looks", {
        "a.py": f'import os\n\nT = os.environ.get("STRIPE_API_KEY", "{_ZEROS}")\n'}, fires=1),
    Example("the default after or", {"a.py": f'import os\n\nK = os.getenv("GEMINI_API_KEY") or "{_GOOGLE}"\n'}, fires=1),
    Example("the default of a variable without a known form", {
        "a.py": f'import os\n\nK = os.environ.get("SIGNING_SECRET", "{_RANDOM}")\n'}, fires=1),
    Example("random, under a secret's name", {
        "a.py": f'class C:\n    def __init__(self):\n        self.client_secret = "{_RANDOM}"\n        self.go(api_key="{_RANDOM}")\n'}, fires=2),
    Example("a password, and a setting", {"a.py": 'DB_PASSWORD: str = "tR7#vq2Lw!"\nconf = {"smtp_password": "tR7#vq2Lw!"}\n'}, fires=2),
    Example("in an address", {"a.py": 'URL = "postgresql://app:tR7vq2Lw9Zk@db.tidemark.io/main"\n'}, fires=1),  # regreen: ignore[code.no-secret-literals] the check's own example, of no real system
    Example("in an f-string, and a key in PEM", {
        "a.py": f'def f(x):\n    return f"Bearer {_STRIPE} {{x}}"\n\n\nKEY = "{_PEM}"\n'}, fires=2),
    Example("a vendor's key in a test", {"tests/test_a.py": f'def test_a(c):\n    c.login("{_SLACK}")\n'}, fires=1),
    Example("words for tests", {
        "a.py": 'import os\n\ntoken = "test"\nf(token="feed-token", bypass_key="let-the-tests-in")\nP = os.getenv("DB_PASSWORD", "postgres")\n'
        'os.environ.setdefault("SECRET_KEY", "only-for-development-1")\n'}),
    Example("placeholders", {
        "a.py": 'API_KEY = "your-api-key-goes-here-1a2b"\nTOKEN = "<token>"\nSECRET = "${SECRET_FROM_ENV_1}"\n'
        'STRIPE_API_KEY = "sk_' 'live_xxxxxxxxxxxxxxxxxxxxxxxx"\nPASSWORD = "{password}1A"\nKEY = "change-me-1A2b3C4d5E"\n'}),
    Example("digests", {
        "a.py": f'PASSWORD_HASH = "{"9f86d081884c7d659a2feaa0c55ad015" * 2}"\ntoken = "9f86d081884c7d659a2feaa0c55ad015"\n'
        'checks = ["d41d8cd98f00b204e9800998ecf8427e"]\n'}),
    Example("names of things around secrets", {
        "a.py": 'TOKEN_URL = "https://id.tidemark.io/oauth2/v2.0/token"\nsecret = "projects/p1/secrets/Db2Main/versions/3"\n'
        'PASSWORD_FIELD = "Passw0rd-Field-2B"\nclass T:\n    token = "IDENTIFIER_2_b"\n'}),
    Example("in tests, anything that is no live key", {
        "tests/test_a.py": f'API_KEY = "{_RANDOM}"\nKEY = "{_PEM}"\nSTRIPE_API_KEY = "{_ZEROS}"\nD = {{"access_token": "xoxe-1-valid-bot-refreshed"}}\n',
        "docs/conf.py": 'db_password = "tR7#vq2Lw!"\n'}),
    Example("in a comment, a docstring, a pattern", {
        "a.py": f'"""Set STRIPE_API_KEY = "{_ZEROS}"."""\nimport re\n\nSECRET = re.compile(r"AKIA[0-9A-Z]{{16}}|xox[bp]-[0-9]{{12}}")\n'}),
    Example("read by reference", {"a.py": 'import os\n\n\ndef token():\n    return os.environ["SLACK_BOT_TOKEN"]\n'}),
)  # fmt: skip
