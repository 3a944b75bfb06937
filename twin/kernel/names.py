"""Canonical names: one string per resource, the key of the store.

`cloudkms/projects/p/locations/us/keyRings/r`: the API's name, then the path of the resource without service path and version.
A project *number* in a path means the project (https://cloud.google.com/resource-manager/docs/creating-managing-projects).
"""

from __future__ import annotations

import re
import secrets
import string
from urllib.parse import urlsplit

_LETTERS = string.ascii_lowercase + string.digits


def collection_of(name: str) -> str:
    """The collection that holds a resource: its name less the last segment."""
    return name.rpartition("/")[0]


def last(name: str) -> str:
    return name.rpartition("/")[2]


def relative(name: str) -> str:
    """A canonical name without the API in front: what most APIs print as `name`."""
    return name.partition("/")[2]


def segment_after(name: str, word: str) -> str:
    """The segment that follows `word` in a path, or ''."""
    parts = name.split("/")
    for position, part in enumerate(parts[:-1]):
        if part == word:
            return parts[position + 1]
    return ""


def project_of(name: str) -> str:
    return segment_after(name, "projects") or segment_after(name, "namespaces")


def singular(word: str) -> str:
    """`keyRings` → `keyRing`, `addresses` → `address`, `policies` → `policy`, `backendServices` → `backendService`."""
    for ending, replacement in (("ies", "y"), ("sses", "ss"), ("xies", "xy"), ("xes", "x")):
        if word.endswith(ending):
            return word[: -len(ending)] + replacement
    return word.removesuffix("s")


def title(word: str) -> str:
    return word[:1].upper() + word[1:]


def snake(word: str) -> str:
    return re.sub(r"(?<=[a-z0-9])([A-Z])", lambda match: "_" + match[1].lower(), word)


def uncapital(word: str) -> str:
    return word[:1].lower() + word[1:]


def camel(word: str) -> str:
    head, *rest = word.split("_")
    return head + "".join(part[:1].upper() + part[1:] for part in rest)


def from_link(link: str) -> str:
    """`https://www.googleapis.com/compute/v1/projects/p/global/x/y` or a partial form → `projects/p/global/x/y`."""
    path = urlsplit(link).path if "://" in link else link
    match = re.search(r"(?:^|/)((?:projects|organizations|folders|billingAccounts)/.*)$", path)
    return match[1] if match else path.lstrip("/")


def numeric_id(digits: int = 19) -> str:
    """A server-made number, never with a leading zero."""
    return str(secrets.randbelow(9 * 10 ** (digits - 1)) + 10 ** (digits - 1))


def letters(count: int) -> str:
    return "".join(secrets.choice(_LETTERS) for _ in range(count))
