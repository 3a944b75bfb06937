"""From an HTTP request to the method it means. Routes by host first: a few paths collide across APIs."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import unquote

from twin.kernel.documents import Document, Method, api_of_host, candidates


@dataclass(slots=True)
class _Node:
    literals: dict[str, _Node] = field(default_factory=dict)
    variable: _Node | None = None
    methods: dict[tuple[str, str], Method] = field(default_factory=dict)
    """By HTTP verb and custom verb."""
    rest: dict[tuple[str, str], Method] = field(default_factory=dict)
    """Methods whose last parameter takes all segments that are left (`^tagBindings/.*$`)."""


@dataclass(frozen=True, slots=True)
class Match:
    """A method and the values that the path binds. `segments` are the decoded path segments, service path included."""

    method: Method
    values: dict[str, str]
    segments: tuple[str, ...]
    media: str = ""
    """`upload` when the request came in by an upload path."""
    region: str = ""


class Routes:
    """A trie per document, literal segments first, with backtracking."""

    def __init__(self) -> None:
        self._tries: dict[Document, _Node] = {}

    def _trie(self, document: Document) -> _Node:
        trie = self._tries.get(document)
        if trie is None:
            trie = self._tries[document] = _Node()
            for method in document.methods.values():
                _add(trie, method.flat, method)
        return trie

    def find(self, host: str, verb: str, raw_path: str) -> Match | None:
        """The match for a request, or None when Google has no such method at this host."""
        path = raw_path.lstrip("/")
        media = ""
        for prefix, meaning in (("resumable/upload/", "upload"), ("upload/", "upload"), ("download/", "download")):
            if path.startswith(prefix):
                path, media = path[len(prefix) :], meaning
                break
        name, region = api_of_host(host, "/" + path)
        if not name:
            return None
        raw = path.split("/")
        for document in candidates(name, path):
            match = self._match(document, verb, raw, media, region)
            if match is not None:
                return match
        if raw[-1] == "" and len(raw) > 2 and name != "storage":
            return self.find(host, verb, raw_path.rstrip("/"))
        return None

    def _match(self, document: Document, verb: str, raw: list[str], media: str, region: str) -> Match | None:
        trie = self._trie(document)
        segments = [unquote(part) for part in raw]
        head, _, custom = segments[-1].rpartition(":")
        method = None
        if head:
            method = _descend(trie, [*segments[:-1], head], 0, verb, custom)
            if method is not None:
                segments[-1] = head
        if method is None:
            method = _descend(trie, segments, 0, verb, "")
        if method is None:
            return None
        if len(segments) > len(method.flat):
            segments = [*segments[: len(method.flat) - 1], "/".join(segments[len(method.flat) - 1 :])]
        values = {name: "/".join(segments[start:end]) for name, (start, end) in method.spans.items()}
        return Match(method, values, tuple(segments), media, region)


def _add(node: _Node, flat: tuple[str, ...], method: Method) -> None:
    for segment in flat:
        if segment.startswith("{"):
            node.variable = node.variable or _Node()
            node = node.variable
        else:
            node = node.literals.setdefault(segment, _Node())
    node.methods.setdefault((method.verb, method.custom), method)
    if flat[-1].startswith("{") and any(
        end == len(flat) and method.parameters[name].pattern.endswith(".*$")
        for name, (_, end) in method.spans.items()
        if name in method.parameters
    ):
        node.rest.setdefault((method.verb, method.custom), method)


def _descend(node: _Node, segments: list[str], at: int, verb: str, custom: str) -> Method | None:
    if at == len(segments):
        return node.methods.get((verb, custom))
    following = node.literals.get(segments[at])
    if following is not None:
        found = _descend(following, segments, at + 1, verb, custom)
        if found is not None:
            return found
    if node.variable is not None and segments[at]:
        found = _descend(node.variable, segments, at + 1, verb, custom)
        return found or node.variable.rest.get((verb, custom))
    return None
