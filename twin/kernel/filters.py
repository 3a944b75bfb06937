"""List filters: Google's AIP-160 language, compute's older one, and what gcloud sends of its own.

https://google.aip.dev/160, https://cloud.google.com/compute/docs/reference/rest/v1/instances/list (`filter`)
"""

# ruff: noqa: ARG002 - the signature is the caller's

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from twin.kernel.errors import invalid
from twin.kernel.names import camel
from twin.kernel.types import Body

Predicate = Callable[[Body], bool]

_TOKEN = re.compile(
    r"""\s*(?:(?P<open>\()|(?P<close>\))|(?P<op>!=|>=|<=|=~|!~|=|<|>|:)|(?P<quoted>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')"""
    r"""|(?P<word>[^\s()=!<>:"']+))"""
)
_WORD_OPERATORS = {"eq": "eq", "ne": "ne"}


@lru_cache(maxsize=512)
def compile_filter(text: str) -> Predicate:
    """A predicate over bodies. ApiError INVALID_ARGUMENT when the filter does not parse."""
    tokens: list[tuple[str, str]] = []
    at = 0
    stripped = text.rstrip()
    while at < len(stripped):
        match = _TOKEN.match(stripped, at)
        if match is None:
            raise invalid(f"Invalid list filter expression. {text}")
        kind = match.lastgroup or ""
        value = match[kind]
        if kind == "quoted":
            value = re.sub(r"\\(.)", r"\1", value[1:-1])
        tokens.append((kind, value))
        at = match.end()
    parser = _Parser(tokens, text)
    predicate = parser.alternatives()
    if parser.at != len(tokens):
        raise invalid(f"Invalid list filter expression. {text}")
    return predicate


class _Parser:
    def __init__(self, tokens: list[tuple[str, str]], text: str) -> None:
        self.tokens, self.text, self.at = tokens, text, 0

    def _peek(self) -> tuple[str, str]:
        return self.tokens[self.at] if self.at < len(self.tokens) else ("end", "")

    def _take(self) -> tuple[str, str]:
        token = self._peek()
        self.at += 1
        return token

    def alternatives(self) -> Predicate:
        # In AIP-160 OR binds tighter than AND; with parentheses, as clients write it, both readings agree.
        parts = [self.conjunction()]
        while self._peek() == ("word", "OR"):
            self.at += 1
            parts.append(self.conjunction())
        return parts[0] if len(parts) == 1 else lambda body: any(part(body) for part in parts)

    def conjunction(self) -> Predicate:
        parts = [self.term()]
        while True:
            kind, value = self._peek()
            if (kind, value) == ("word", "AND"):
                self.at += 1
            elif kind in ("end", "close") or (kind, value) == ("word", "OR"):
                break
            parts.append(self.term())
        return parts[0] if len(parts) == 1 else lambda body: all(part(body) for part in parts)

    def term(self) -> Predicate:
        kind, value = self._peek()
        if kind == "word" and (value == "NOT" or value == "-" or (value.startswith("-") and len(value) > 1)):
            if value in ("NOT", "-"):
                self.at += 1
            else:
                self.tokens[self.at] = (kind, value[1:])
            inner = self.term()
            return lambda body: not inner(body)
        if kind == "open":
            self.at += 1
            group = self.alternatives()
            if self._take()[0] != "close":
                raise invalid(f"Invalid list filter expression. {self.text}")
            return group
        if kind not in ("word", "quoted"):
            raise invalid(f"Invalid list filter expression. {self.text}")
        self.at += 1
        return self._comparison(kind, value)

    def _comparison(self, kind: str, field: str) -> Predicate:
        next_kind, operator = self._peek()
        if next_kind == "word" and operator in _WORD_OPERATORS:
            operator = _WORD_OPERATORS[operator]
        elif next_kind != "op":
            return lambda body: _anywhere(body, field.lower())
        self.at += 1
        if self._peek()[0] == "open":
            self.at += 1
            choices = []
            while self._peek()[0] in ("word", "quoted"):
                token = self._take()[1]
                if token != "OR":  # noqa: S105 - a word of the language
                    choices.append(token)
            if self._take()[0] != "close":
                raise invalid(f"Invalid list filter expression. {self.text}")
            return lambda body: any(_holds(_lookup(body, field), operator, choice) for choice in choices)
        wanted_kind, wanted = self._take()
        if wanted_kind not in ("word", "quoted"):
            raise invalid(f"Invalid list filter expression. {self.text}")
        # An unquoted value may itself hold colons: timestamps, emails with a prefix, links.
        while wanted_kind == "word" and self._peek() == ("op", ":"):
            self.at += 1
            wanted += ":" + self._take()[1]
        return lambda body: _holds(_lookup(body, field), operator, wanted)


def _lookup(value: Any, path: str) -> list[Any]:
    """All values at a dotted path; lists are searched element by element."""
    found = [value]
    parts = path.split(".")
    for position, part in enumerate(parts):
        following: list[Any] = []
        for element in found:
            for candidate in element if isinstance(element, list) else [element]:
                if isinstance(candidate, dict):
                    rest = ".".join(parts[position:])
                    if rest in candidate and position:
                        return [candidate[rest]]
                    for name in (part, camel(part)):
                        if name in candidate:
                            following.append(candidate[name])
                            break
        found = following
    return [inner for element in found for inner in (element if isinstance(element, list) else [element])]


def _holds(values: list[Any], operator: str, wanted: str) -> bool:
    if operator in ("!=", "ne"):
        return not any(_equal(value, wanted, operator == "ne") for value in values)
    if operator == ":":
        if wanted == "*":
            return bool(values)
        return any(_has(value, wanted) for value in values)
    if operator in ("=~", "!~"):
        try:
            hit = any(re.search(wanted, str(value)) for value in values)
        except re.error as error:
            raise invalid(f"Invalid list filter expression. {wanted}") from error
        return hit if operator == "=~" else not hit
    if operator in ("=", "eq"):
        return any(_equal(value, wanted, operator == "eq") for value in values) or (
            wanted in ("", "false") and not values
        )
    return any(_ordered(value, operator, wanted) for value in values)


def _equal(value: Any, wanted: str, pattern: bool) -> bool:
    text = str(value).lower() if isinstance(value, bool) else str(value)
    if pattern:
        # compute's `eq` takes an RE2 pattern that must match the whole value.
        try:
            return re.fullmatch(wanted, text) is not None or text == wanted
        except re.error:
            return text == wanted
    if "*" in wanted:
        return fnmatch.fnmatchcase(text, wanted)
    return text == wanted


def _has(value: Any, wanted: str) -> bool:
    if isinstance(value, dict):
        return wanted in value
    text = str(value).lower()
    return wanted.lower().rstrip("*") in text


def _ordered(value: Any, operator: str, wanted: str) -> bool:
    left: Any = value
    right: Any = wanted
    try:
        left, right = float(value), float(wanted)
    except (TypeError, ValueError):
        left = str(value)
    return bool({"<": left < right, ">": left > right, "<=": left <= right, ">=": left >= right}[operator])


def _anywhere(value: Any, needle: str) -> bool:
    if isinstance(value, dict):
        return any(_anywhere(element, needle) for key, element in value.items() if not str(key).startswith("~"))
    if isinstance(value, list):
        return any(_anywhere(element, needle) for element in value)
    return needle in str(value).lower()
