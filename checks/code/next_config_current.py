"""Next.js is told where its images and its hashed assets come from, in words that it still takes.

`images.domains` is deprecated for `images.remotePatterns` (Next.js 14). Where the policy names two hosts (`site-host` for
the pages, `asset-host` for the assets), `assetPrefix` names the second, and the image optimizer may fetch from it. With one
host, the balancer routes `/_next/static/*` to the bucket and neither is needed. An `assetPrefix` that is computed (from the
environment, say) is taken as right. The file is read with a JavaScript parser; one that code puts together is a finding
only where two hosts are named.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from regreen.facts.libraries.next_config import FILES, NextConfig, UnknownConfigError, other_host
from regreen.facts.source import Index, Interests
from regreen.facts.source.aside import is_aside
from regreen.model import Example, Finding, Severity, Span, Verdict
from regreen.policy import Policy

if TYPE_CHECKING:
    from tree_sitter import Node

ID: Final = "code.next-config-current"
VERSION: Final = 1
SEVERITY: Final = Severity.WARNING
SOURCE: Final = "https://nextjs.org/docs/app/api-reference/components/image#domains"
INTERESTS: Final = Interests()


def judge(index: Index, policy: Policy) -> Verdict:
    """One finding per list of domains, per missing prefix, and per host that images may not come from."""
    findings: list[Finding] = []
    seen = 0
    outside = {*policy.left_out, "node_modules"}
    for path in index.tree.paths():
        folder, _, name = path.rpartition("/")
        if name in FILES and outside.isdisjoint(folder.split("/")) and not is_aside(path):
            seen += 1
            findings += _judge(path, index.tree.read(path), policy)
    note = "" if seen else "the tree holds no next.config"
    return Verdict.of(ID, len(index.files) + seen, findings, note)


def _judge(path: str, source: bytes, policy: Policy) -> Iterator[Finding]:
    other = other_host(policy)
    try:
        config = NextConfig(path, source)
    except UnknownConfigError as why:
        if other:
            yield _finding(
                path, source, None, "unknown", f"{why}, so where assets come from is not known", _prefix(other)
            )
        return
    top = config.pairs(config.exported)
    images = top.get("images")
    inner = config.pairs(images.value) if images is not None and images.value.type == "object" else {}
    if "domains" in inner:
        yield _finding(path, source, inner["domains"].whole, "domains", "`images.domains` is deprecated since Next.js 14",
                       "`images.remotePatterns`")  # fmt: skip
    if not other:
        return
    prefix = top.get("assetPrefix")
    given = None if prefix is None else config.literal(prefix.value)
    if prefix is None or (given is not None and given.rstrip("/") not in (f"https://{other}", f"//{other}")):
        observed = f"assets are asked of {given!r}" if given else "assets are asked of the host of the pages"
        yield _finding(
            path, source, config.exported if prefix is None else prefix.whole, "prefix", observed, _prefix(other)
        )
    patterns = inner.get("remotePatterns")
    if "domains" not in inner and (images is None or images.value.type == "object"):
        known = patterns is not None and (patterns.value.type != "array" or other in config.hosts(patterns.value))
        if not known:
            yield _finding(path, source, None if images is None else images.whole, "pattern",
                           f"the image optimizer may not fetch from {other}", "a `remotePatterns` entry for it")  # fmt: skip


def _prefix(host: str) -> str:
    return f"`assetPrefix: 'https://{host}'` (policy asset-host)"


def _finding(path: str, source: bytes, node: Node | None, kind: str, observed: str, expected: str) -> Finding:
    digest = hashlib.sha1(b"blob %d\0" % len(source) + source, usedforsecurity=False).hexdigest()
    where = Span(path, digest=digest)
    if node is not None:
        (line, column), (end_line, end_column) = node.start_point, node.end_point
        where = Span(path, line + 1, column, end_line + 1, end_column, digest)
    return Finding(ID, f"{path}::{kind}", where, observed, expected, SEVERITY, kind, (("kind", kind),))


_TWO: Final = {
    "pyproject.toml": '[tool.regreen]\nsite-host = "www.tidemark.example"\nasset-host = "cdn.tidemark.example"\n'
}
_PY: Final = {"a.py": "x = 1\n"}
_BOTH: Final = (
    "assetPrefix: 'https://cdn.tidemark.example', images: { remotePatterns: [{ hostname: 'cdn.tidemark.example' }] }"
)

EXAMPLES: Final = (
    Example("domains", {**_PY, "web/next.config.js": "module.exports = {\n  images: { domains: ['a.io'] },\n};\n"}, fires=1),
    Example("through a name and a wrapper", {
        **_PY, "next.config.mjs": "const c = { images: { 'domains': ['a.io', B] } };\nexport default withBundle(c);\n"}, fires=1),
    Example("typed", {**_PY, "next.config.ts": "const c: NextConfig = { images: { domains: [] } };\nexport default c satisfies NextConfig;\n"}, fires=1),
    Example("two hosts and no prefix", {**_PY, **_TWO, "next.config.js": "module.exports = {};\n"}, fires=2),
    Example("the wrong prefix", {
        **_PY, **_TWO, "next.config.js": f"module.exports = {{ {_BOTH.replace('https://cdn', 'https://old')} }};\n"}, fires=1),
    Example("made by a function, with two hosts", {**_PY, **_TWO, "next.config.js": "module.exports = (phase) => ({});\n"}, fires=1),
    Example("both are told", {**_PY, **_TWO, "next.config.js": f"module.exports = {{ {_BOTH} }};\n"}),
    Example("one host needs neither", {**_PY, "next.config.js": "module.exports = { output: 'standalone' };\n"}),
    Example("a prefix from the environment", {
        **_PY, **_TWO, "next.config.js": "module.exports = { assetPrefix: process.env.CDN, images: { remotePatterns: patterns } };\n"}),
    Example("made by a function", {**_PY, "next.config.js": "module.exports = (phase) => ({ images: { domains: ['a.io'] } });\n"}),
    Example("a comment, and a word elsewhere", {
        **_PY, "next.config.js": "// images: { domains: ['a.io'] }\nmodule.exports = { env: { domains: ['a.io'] } };\n"}),
    Example("a dependency's own", {**_PY, "node_modules/a/next.config.js": "module.exports = { images: { domains: ['a.io'] } };\n"}),
    Example("no Next.js", _PY),
)  # fmt: skip
