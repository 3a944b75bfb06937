"""IAM conditions: the part of the Common Expression Language that policies use.

What the twin cannot know (tags, access levels, addresses) is unknown, and an unknown condition does not hold: a grant that
cannot be judged is no grant. https://cloud.google.com/iam/docs/conditions-overview,
https://cloud.google.com/iam/docs/conditions-attribute-reference
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import unquote
from zoneinfo import ZoneInfo

from twin.kernel.names import relative, singular, title
from twin.kernel.types import parse_rfc3339, seconds_of

_WORDS: Final = re.compile(
    r"""\s*(?:(?P<string>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')|(?P<number>\d+(?:\.\d+)?)|(?P<name>[A-Za-z_]\w*)"""
    r"""|(?P<mark>&&|\|\||==|!=|<=|>=|[<>!().,\[\]]))"""
)
_HOSTS: Final = {"sql": "sqladmin"}
_LONGEST: Final = 4096


class _Unknown:
    """A value that the twin cannot know."""


UNKNOWN: Final = _Unknown()


class ExpressionError(ValueError):
    """The expression does not parse; the message says where."""


@dataclass(frozen=True, slots=True)
class Resource:
    """What a condition sees of the resource."""

    name: str
    type: str
    service: str


def resource_of(name: str, number: str) -> Resource:
    """The resource's name as IAM spells it: by project number for Secret Manager, `projects/_/buckets/…` for storage."""
    api, _, path = name.partition("/")
    service = f"{_HOSTS.get(api, api)}.googleapis.com"
    words = path.split("/")
    if api == "storage":
        spelled = {"b": "buckets", "o": "objects", "managedFolders": "managedFolders"}
        path = "projects/_/" + "/".join(
            spelled.get(word, word) if place % 2 == 0 else word for place, word in enumerate(words)
        )
        kind = "Object" if "o" in words[2:3] else "Bucket"
        return Resource(unquote(path), f"{service}/{kind}", service)
    if api == "secretmanager" and len(words) > 1:
        path = "/".join(["projects", number, *words[2:]])
    kinds = {"versions": "SecretVersion"} if api == "secretmanager" else {}
    # `global` stands in a path where other resources have a place and its name.
    word = words[-2] if len(words) > 1 else "projects"
    return Resource(path, f"{service}/{kinds.get(word, title(singular(word)))}", service)


def holds(expression: str, name: str, now: datetime, number: str = "") -> bool:
    """Whether a condition is met by a request for the resource `name` (canonical) at `now`."""
    try:
        return _Reader(expression, resource_of(name, number), now).whole() is True
    except (ExpressionError, TypeError, ValueError, OverflowError, RecursionError, re.error, KeyError):
        return False


def check(expression: str) -> None:
    """ExpressionError when the text is no expression at all."""
    _Reader(expression, resource_of(relative("x/projects/p"), ""), datetime.max).parse()


@dataclass(slots=True)
class _Reader:
    """Reads and evaluates in one pass: expressions are short and seldom read twice."""

    text: str
    resource: Resource
    now: datetime
    _words: list[tuple[str, str]] = field(default_factory=list)
    _at: int = 0

    def __post_init__(self) -> None:
        if len(self.text) > _LONGEST:
            raise ExpressionError("the expression is too long")
        place = 0
        while self.text[place:].strip():
            match = _WORDS.match(self.text, place)
            if match is None:
                raise ExpressionError(f"token recognition error at {place}: {self.text[place : place + 10]!r}")
            self._words.append((str(match.lastgroup), match[str(match.lastgroup)]))
            place = match.end()

    def whole(self) -> Any:
        found = self._either()
        if self._at < len(self._words):
            raise ExpressionError(f"unexpected {self._words[self._at][1]!r}")
        return found

    def parse(self) -> None:
        try:
            self.whole()
        except RecursionError:
            raise ExpressionError("the expression is nested too deeply") from None
        except (TypeError, ValueError, OverflowError, re.error, KeyError) as error:
            if isinstance(error, ExpressionError):
                raise

    # Grammar

    def _take(self, *marks: str) -> str:
        if self._at < len(self._words) and self._words[self._at][1] in marks and self._words[self._at][0] != "string":
            self._at += 1
            return self._words[self._at - 1][1]
        return ""

    def _need(self, mark: str) -> None:
        if not self._take(mark):
            raise ExpressionError(f"{mark!r} expected")

    def _either(self) -> Any:
        found = self._all()
        while self._take("||"):
            other = self._all()
            found = True if found is True or other is True else UNKNOWN if UNKNOWN in (found, other) else False
        return found

    def _all(self) -> Any:
        found = self._compared()
        while self._take("&&"):
            other = self._compared()
            found = False if found is False or other is False else UNKNOWN if UNKNOWN in (found, other) else True
        return found

    def _compared(self) -> Any:
        left = self._single()
        mark = self._take("==", "!=", "<=", ">=", "<", ">", "in")
        if not mark:
            return left
        right = self._single()
        if left is UNKNOWN or right is UNKNOWN:
            return UNKNOWN
        return _COMPARE[mark](left, right)

    def _single(self) -> Any:
        if self._take("!"):
            found = self._single()
            return UNKNOWN if found is UNKNOWN else not found
        found = self._atom()
        while self._take("."):
            found = self._member(found)
        return found

    def _atom(self) -> Any:
        if self._take("("):
            found = self._either()
            self._need(")")
            return found
        if self._take("["):
            return self._arguments("]")
        if self._at >= len(self._words):
            raise ExpressionError("the expression ends too soon")
        kind, word = self._words[self._at]
        self._at += 1
        if kind == "string":
            return re.sub(r"\\(.)", r"\1", word[1:-1])
        if kind == "number":
            return float(word) if "." in word else int(word)
        if kind != "name":
            raise ExpressionError(f"unexpected {word!r}")
        return self._named(word)

    def _named(self, word: str) -> Any:
        if word in ("true", "false"):
            return word == "true"
        if word in ("request", "resource"):
            return {"request": {"time": self.now}, "resource": self.resource}[word]
        if self._take("("):
            arguments = self._arguments(")")
            if word == "timestamp":
                return parse_rfc3339(str(arguments[0]))
            if word == "duration":
                return timedelta(seconds=seconds_of(str(arguments[0])))
            if word == "date":
                return parse_rfc3339(f"{arguments[0]}T00:00:00Z")
            return UNKNOWN
        return UNKNOWN

    def _arguments(self, end: str) -> list[Any]:
        found: list[Any] = []
        while not self._take(end):
            found.append(self._either())
            if not self._take(","):
                self._need(end)
                break
        return found

    def _member(self, owner: Any) -> Any:
        if self._at >= len(self._words):
            raise ExpressionError("a name is expected after '.'")
        word = self._words[self._at][1]
        self._at += 1
        if self._take("("):
            arguments = self._arguments(")")
            if owner is UNKNOWN or UNKNOWN in arguments:
                return UNKNOWN
            return _call(owner, word, arguments)
        if isinstance(owner, Resource) and word in Resource.__slots__:
            return getattr(owner, word)
        return owner.get(word, UNKNOWN) if isinstance(owner, dict) else UNKNOWN


_COMPARE: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "==": lambda left, right: bool(left == right),
    "!=": lambda left, right: bool(left != right),
    "<": lambda left, right: bool(left < right),
    "<=": lambda left, right: bool(left <= right),
    ">": lambda left, right: bool(left > right),
    ">=": lambda left, right: bool(left >= right),
    "in": lambda left, right: left in right,
}
_PARTS: Final[dict[str, Callable[[datetime], int]]] = {
    "getFullYear": lambda moment: moment.year,
    "getMonth": lambda moment: moment.month - 1,
    "getDate": lambda moment: moment.day,
    "getDayOfMonth": lambda moment: moment.day - 1,
    "getDayOfWeek": lambda moment: moment.isoweekday() % 7,
    "getDayOfYear": lambda moment: moment.timetuple().tm_yday - 1,
    "getHours": lambda moment: moment.hour,
    "getMinutes": lambda moment: moment.minute,
    "getSeconds": lambda moment: moment.second,
}


def _call(owner: Any, word: str, arguments: list[Any]) -> Any:
    if isinstance(owner, str):
        if word == "startsWith":
            return owner.startswith(arguments[0])
        if word == "endsWith":
            return owner.endswith(arguments[0])
        if word == "contains":
            return arguments[0] in owner
        if word == "matches":
            return re.search(arguments[0], owner) is not None
        if word == "extract":
            return extract(owner, arguments[0])
    if isinstance(owner, datetime) and word in _PARTS:
        return _PARTS[word](owner.astimezone(ZoneInfo(arguments[0])) if arguments else owner)
    return UNKNOWN


def extract(text: str, template: str) -> str:
    """`extract("buckets/{name}/")`: what stands in the braces' place; '' when the text has no such part."""
    before, _, rest = template.partition("{")
    _, _, after = rest.partition("}")
    start = text.find(before)
    if start < 0:
        return ""
    start += len(before)
    if not after:
        return text[start:]
    end = text.find(after, start)
    return text[start:end] if end >= 0 else ""
