"""Tell Next.js where images and hashed assets come from: `remotePatterns`, and `assetPrefix` where hosts differ.

Each of `images.domains` becomes a pattern of its host alone, which lets in just what it let in. `assetPrefix` and the pattern
for the optimizer are written only where the policy names two hosts: on one host the balancer finds the assets by their
path, and a prefix would only add a name to resolve. Edited is the text that a JavaScript parser points to; the rest of the
file stays as it is. Refused: a configuration that code puts together, hosts with wildcards (in `domains` they matched
nothing), and a Next.js before 12.3, which knows no patterns.
"""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from regreen.facts.libraries.editing import UndecidedError
from regreen.facts.libraries.next_config import NextConfig, UnknownConfigError, other_host
from regreen.facts.source import Index
from regreen.model import Change, Example, Finding, Proposal, Refusal, Risk, Safety, Splice, Undo
from regreen.policy import Policy

if TYPE_CHECKING:
    from tree_sitter import Node

ID: Final = "code.next-config"
CHECK: Final = "code.next-config-current"
SAFETY: Final = Safety.SAFE
UNDO: Final = Undo.EXACT
RISK: Final = Risk.LOW

_SOURCE: Final = "https://nextjs.org/docs/app/api-reference/components/image#remotepatterns"
_VERSION: Final = re.compile(r"(\d+)(?:\.(\d+))?")
_PATTERNS_SINCE: Final = (12, 3)


def propose(findings: Sequence[Finding], index: Index, policy: Policy) -> Proposal:
    """One change per finding."""
    changes: list[Change] = []
    refusals: list[Refusal] = []
    for finding in findings:
        try:
            config = _Editor(index, finding.path)
            splices, summary = config.edit(finding.get("kind"), other_host(policy))
        except UndecidedError as why:
            refusals.append(Refusal(ID, finding.fingerprint, finding.subject, finding.where, str(why), why.decide))
            continue
        evidence = f"{finding.observed}; {_SOURCE}"
        changes.append(
            Change(ID, finding.subject, summary, (finding.fingerprint,), tuple(splices), (), SAFETY, evidence)
        )
    return Proposal(tuple(changes), tuple(refusals))


class _Editor:
    """The edits of one file. Raises UndecidedError where code makes the configuration."""

    def __init__(self, index: Index, path: str) -> None:
        self.index = index
        self.path = path
        try:
            self.config = NextConfig(path, index.tree.read(path))
        except UnknownConfigError as why:
            raise UndecidedError(
                str(why), "`assetPrefix` and `images.remotePatterns`, where the code makes them"
            ) from None

    def edit(self, kind: str, host: str) -> tuple[list[Splice], str]:
        """The splices that close a finding of a kind, and what they do."""
        if kind != "prefix" and not self._knows_patterns():
            raise UndecidedError("its package.json takes a Next.js before 12.3, which knows no `remotePatterns`",
                                 "to which Next.js the application moves")  # fmt: skip
        if kind == "domains":
            return self._domains(host), "`images.domains` → `images.remotePatterns`"
        if not self.config.is_plain(self.config.exported):
            raise UndecidedError("the configuration spreads another one, which may hold the same setting",
                                 f"where {host} is told to Next.js")  # fmt: skip
        if kind == "prefix":
            return self._prefix(host), f"assets are asked of https://{host}"
        return self._pattern(host), f"images may come from {host}"

    def _knows_patterns(self) -> bool:
        """Whether nothing beside the file declares an older Next.js than the first with patterns."""
        manifest = posixpath.join(posixpath.dirname(self.path), "package.json")
        if not self.index.tree.exists(manifest):
            return True
        try:
            told = json.loads(self.index.tree.read(manifest))["dependencies"]["next"]
        except (ValueError, KeyError, TypeError):
            return True
        lowest = _VERSION.search(str(told))
        return lowest is None or (int(lowest[1]), int(lowest[2] or 99)) >= _PATTERNS_SINCE

    def _domains(self, host: str) -> list[Splice]:
        images = self.config.pairs(self.config.exported)["images"].value
        inner = self.config.pairs(images)
        domains = inner["domains"]
        if "remotePatterns" in inner or not self.config.is_plain(images):
            raise UndecidedError("there are patterns beside the domains, or what is spread may bring some",
                                 "one list of patterns")  # fmt: skip
        if domains.value.type != "array":
            raise UndecidedError("the list of domains is made by code", "the same hosts as `{ hostname }` patterns")
        elements = self.config.elements(domains.value)
        if any(element.type == "spread_element" for element in elements):
            raise UndecidedError("a part of the list is made by code", "the same hosts as `{ hostname }` patterns")
        if any("*" in (self.config.literal(element) or "") for element in elements):
            raise UndecidedError("`domains` takes a star for a star, and so lets nothing in; a pattern would",
                                 "which hosts images may come from")  # fmt: skip
        splices = [self._put(element.start_byte, "{ hostname: ") for element in elements]
        splices += [self._put(element.end_byte, " }") for element in elements]
        if host and host not in self.config.hosts(domains.value):
            gap = f",{self._gap(elements[-1])}" if elements else ""
            at = elements[-1].end_byte if elements else domains.value.start_byte + 1
            splices[-1:] = [self._put(at, f"{' }' if elements else ''}{gap}{self._entry(host)}")]
        key = domains.key
        quote = 1 if self.config.text(key)[0] in "'\"" else 0
        return [Splice(self.path, key.start_byte + quote, key.end_byte - quote, b"remotePatterns"), *splices]

    def _prefix(self, host: str) -> list[Splice]:
        given = self.config.pairs(self.config.exported).get("assetPrefix")
        if given is not None:
            return [Splice(self.path, given.value.start_byte + 1, given.value.end_byte - 1, f"https://{host}".encode())]
        return [self._first(self.config.exported, f"assetPrefix: {self._quoted(f'https://{host}')}")]

    def _pattern(self, host: str) -> list[Splice]:
        entry = self._entry(host)
        images = self.config.pairs(self.config.exported).get("images")
        if not self.config.exported.named_children:
            raise UndecidedError("the configuration is empty until it has its prefix", "nothing: it comes next")
        if images is None:
            return [self._last(self.config.exported, f"images: {{ remotePatterns: [{entry}] }}")]
        if not self.config.is_plain(images.value):
            raise UndecidedError("the images' settings spread others", f"where {host} is let in")
        patterns = self.config.pairs(images.value).get("remotePatterns")
        if patterns is None:
            return [self._first(images.value, f"remotePatterns: [{entry}]")]
        return [self._first(patterns.value, entry)]

    def _entry(self, host: str) -> str:
        return f"{{ protocol: {self._quoted('https')}, hostname: {self._quoted(host)} }}"

    def _first(self, node: Node, text: str) -> Splice:
        """Insert a member before the first one of an object or array, laid out as that is."""
        members = [child for child in node.named_children if child.type != "comment"]
        if not members:
            return self._put(node.start_byte + 1, f" {text} " if node.type == "object" else text)
        return self._put(members[0].start_byte, f"{text},{self._gap(members[0])}")

    def _last(self, node: Node, text: str) -> Splice:
        """Insert a member behind the last one."""
        members = [child for child in node.named_children if child.type != "comment"]
        if not members:
            return self._put(node.start_byte + 1, f" {text} ")
        return self._put(members[-1].end_byte, f",{self._gap(members[-1])}{text}")

    def _gap(self, node: Node) -> str:
        """What parts members: a line's end and the indentation where a member has a line to itself."""
        source = self.config.source
        line = source.rfind(b"\n", 0, node.start_byte) + 1
        indent = source[line : node.start_byte]
        if not line or indent.strip():
            return " "
        return ("\r\n" if source[:line].endswith(b"\r\n") else "\n") + indent.decode()

    def _quoted(self, text: str) -> str:
        quote = '"' if self.config.source.count(b'"') > self.config.source.count(b"'") else "'"
        return f"{quote}{text}{quote}"

    def _put(self, offset: int, text: str) -> Splice:
        return Splice(self.path, offset, offset, text.encode())


_PY: Final = {"a.py": "x = 1\n"}
_TWO: Final = {"pyproject.toml": '[tool.regreen]\nsite-host = "www.a.io"\nasset-host = "cdn.a.io"\n'}


def _example(title: str, before: str, after: str, name: str = "next.config.js", **more: str) -> Example:
    rest = {**_PY, **{{"policy": "pyproject.toml", "package": "package.json"}[key]: text for key, text in more.items()}}
    return Example(title, {name: before, **rest}, {name: after, **rest})


def _refused(title: str, before: str, **more: str) -> Example:
    return Example(title, dict(_example(title, before, before, **more).before), refuses=True)


_HOSTS: Final = _TWO["pyproject.toml"]

EXAMPLES: Final = (
    _example("domains become patterns",
             "/** @type {import('next').NextConfig} */\nmodule.exports = {\n  images: { domains: ['a.io', HOST] }, // ours\n};\n",
             "/** @type {import('next').NextConfig} */\nmodule.exports = {\n  images: { remotePatterns: [{ hostname: 'a.io' }, { hostname: HOST }] }, // ours\n};\n"),
    _example("over lines, quoted, through a name",
             'const config = {\r\n  "images": {\r\n    "domains": [\r\n      "a.io", // ä\r\n    ],\r\n  },\r\n};\r\nexport default config;\r\n',
             'const config = {\r\n  "images": {\r\n    "remotePatterns": [\r\n      { hostname: "a.io" }, // ä\r\n    ],\r\n  },\r\n};\r\nexport default config;\r\n',
             "web/next.config.mjs"),
    _example("typed", "export default { images: { domains: ['a.io'] } } satisfies NextConfig;\n",
             "export default { images: { remotePatterns: [{ hostname: 'a.io' }] } } satisfies NextConfig;\n", "next.config.ts"),
    _example("two hosts", "module.exports = {\n  output: 'standalone',\n};\n",
             "module.exports = {\n  assetPrefix: 'https://cdn.a.io',\n  output: 'standalone',\n"
             "  images: { remotePatterns: [{ protocol: 'https', hostname: 'cdn.a.io' }] },\n};\n", policy=_HOSTS),
    _example("two hosts, and the old one is told",
             'module.exports = { assetPrefix: "https://old.a.io", images: { unoptimized: false } };\n',
             'module.exports = { assetPrefix: "https://cdn.a.io", images: { remotePatterns: [{ protocol: \'https\', hostname: \'cdn.a.io\' }], unoptimized: false } };\n'
             .replace("'", '"'), policy=_HOSTS),
    _example("domains and two hosts", "module.exports = { assetPrefix: CDN, images: { domains: ['b.io'] } };\n",
             "module.exports = { assetPrefix: CDN, images: { remotePatterns: [{ hostname: 'b.io' }, { protocol: 'https', hostname: 'cdn.a.io' }] } };\n", policy=_HOSTS),
    _example("no domains and two hosts", "module.exports = { assetPrefix: CDN, images: { domains: [] } };\n",
             "module.exports = { assetPrefix: CDN, images: { remotePatterns: [{ protocol: 'https', hostname: 'cdn.a.io' }] } };\n", policy=_HOSTS),
    _example("one more pattern",
             "module.exports = { assetPrefix: 'https://cdn.a.io', images: { remotePatterns: [{ hostname: 'b.io' }] } };\n",
             "module.exports = { assetPrefix: 'https://cdn.a.io', images: { remotePatterns: [{ protocol: 'https', hostname: 'cdn.a.io' }, { hostname: 'b.io' }] } };\n",
             policy=_HOSTS),
    _refused("made by a function", "module.exports = async (phase) => ({});\n", policy=_HOSTS),
    _refused("spread", "module.exports = { ...shared };\n", policy=_HOSTS),
    _refused("a list from elsewhere, and both lists", "module.exports = { images: { domains: hosts } };\n"),
    _refused("both lists", "module.exports = { images: { domains: ['a.io'], remotePatterns: [] } };\n"),
    _refused("a star", "module.exports = { images: { domains: ['*.a.io'] } };\n"),
    _refused("an old Next.js", "module.exports = { images: { domains: ['a.io'] } };\n", package='{"dependencies": {"next": "^12.1.0"}}'),
    _example("nothing to do", "module.exports = { images: { remotePatterns: [{ hostname: 'a.io' }] } };\n",
             "module.exports = { images: { remotePatterns: [{ hostname: 'a.io' }] } };\n", package='{"dependencies": {"next": "15"}}'),
)  # fmt: skip
