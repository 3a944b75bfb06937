"""What magic-modules says of a resource: product descriptions in YAML, and schemas of resources written by hand in Go."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml

_WORD: Final = re.compile(r"(?<=[a-z0-9])([A-Z])|(?<=[A-Z])([A-Z][a-z])")


@dataclass(slots=True)
class Fact:
    """One field. `path` is its place in the API's object; an empty one is not sent. `single`: a list of at most one there."""

    path: str = ""
    immutable: bool = False
    computed: bool = False
    output: bool = False
    url: bool = False
    virtual: bool = False
    secret: bool = False
    set: bool = False
    listed: bool = False
    default: Any = None
    fields: dict[str, Fact] = field(default_factory=dict)


def snake(name: str) -> str:
    """Terraform's spelling of an API name."""
    return _WORD.sub(lambda found: "_" + found.group(0), name).lower()


class MagicModules:
    """A git directory of GoogleCloudPlatform/magic-modules, read at HEAD."""

    def __init__(self, git: Path) -> None:
        self._git = git
        self.commit = self._run("rev-parse", "HEAD").strip()

    def _run(self, *arguments: str) -> str:
        command = ["git", "--git-dir", str(self._git), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    def product(self, path: str) -> tuple[dict[str, Fact], dict[str, Any]]:
        """Facts of `kms/CryptoKey`, and the description's own keys (URLs, verbs, import formats)."""
        found: dict[str, Any] = yaml.safe_load(self._run("show", f"HEAD:mmv1/products/{path}.yaml"))
        whole = bool(found.get("immutable"))
        facts = _facts(found.get("parameters") or [], whole) | _facts(found.get("properties") or [], whole)
        for item in found.get("virtual_fields") or ():
            facts[snake(item["name"])] = Fact(virtual=True, default=item.get("default_value"))
        return facts, found

    def product_base(self, product: str) -> str:
        """The base URL of a product's generally available API."""
        found = yaml.safe_load(self._run("show", f"HEAD:mmv1/products/{product}/product.yaml"))
        return next(str(item["base_url"]) for item in found["versions"] if item["name"] == "ga")

    def handwritten(self, path: str) -> dict[str, Fact]:
        """Facts of a resource whose schema is Go source, such as `storage/resource_storage_bucket.go.tmpl`."""
        text = self._run("show", f"HEAD:mmv1/third_party/terraform/services/{path}")
        start = _schema_at(text)
        return _go(text[start:], 0)[0]


def _facts(items: list[dict[str, Any]], immutable: bool, prefix: str = "") -> dict[str, Fact]:
    facts: dict[str, Fact] = {}
    for item in items:
        if item.get("exclude"):
            continue
        name = snake(item["name"])
        path = prefix + str(item.get("api_name") or item["name"])
        frozen = item.get("immutable", immutable and not item.get("update_url"))
        inner = item.get("properties") or []
        element = item.get("item_type")
        if isinstance(element, dict):
            inner = element.get("properties") or inner
        if item.get("flatten_object"):
            facts |= _facts(inner, bool(frozen), path + ".")
            continue
        facts[name] = Fact(
            path="" if item.get("url_param_only") else path,
            immutable=bool(frozen),
            computed=bool(item.get("default_from_api")),
            output=bool(item.get("output")),
            url=bool(item.get("url_param_only")),
            secret=bool(item.get("sensitive")),
            set=bool(item.get("is_set")),
            listed=item.get("type") == "Array",
            default=item.get("default_value"),
            fields=_facts(inner, bool(frozen)),
        )
    return facts


def _schema_at(text: str) -> int:
    """Where the schema of the resource itself begins: the last one at the outermost indentation of its function."""
    found = [match.end() for match in re.finditer(r"\n\t\tSchema: map\[string\]\*schema\.Schema\{", text)]
    return found[-1]


def _go(text: str, at: int) -> tuple[dict[str, Fact], int]:
    """Fields of a Go map literal of schemas, from just behind its opening brace."""
    facts: dict[str, Fact] = {}
    key = re.compile(r'\s*(?://[^\n]*\n\s*)*"([a-z0-9_]+)":\s*(&schema\.Schema)?([^{\n]*\{)?', re.S)
    while True:
        found = key.match(text, at)
        if found is None:
            return facts, at
        if found.group(3) is None or "(" in found.group(3):  # made by a function: nothing is known of it
            facts[found.group(1)] = Fact(path="?")
            at = text.index("\n", found.end() - 1)
            continue
        end = _close(text, found.end())
        body = text[found.end() : end]
        inner = re.search(r"Schema:\s*map\[string\]\*schema\.Schema\{", body)
        own = body[: inner.start()] if inner else body
        own += body[_close(body, inner.end()) :] if inner else ""
        facts[found.group(1)] = Fact(
            path="?",
            immutable=bool(re.search(r"ForceNew:\s*true", own)),
            computed=bool(re.search(r"Computed:\s*true", own)),
            output=bool(re.search(r"Computed:\s*true", own)) and not re.search(r"(Optional|Required):\s*true", own),
            secret=bool(re.search(r"Sensitive:\s*true", own)),
            set=bool(re.search(r"Type:\s*schema\.TypeSet", own)),
            default=_default(own),
            fields=_go(body, inner.end())[0] if inner else {},
        )
        at = end + 1
        comma = re.compile(r",?").match(text, at)
        at = comma.end() if comma else at


def _close(text: str, at: int) -> int:
    """The index of the brace that closes the one before `at`; strings are skipped."""
    depth = 1
    for found in re.compile(r'`[^`]*`|"(?:\\.|[^"\\\n])*"|[{}]|//[^\n]*').finditer(text, at):
        depth += {"{": 1, "}": -1}.get(found.group(0), 0)
        if not depth:
            return found.start()
    raise ValueError("unbalanced braces")


def _default(text: str) -> Any:
    found = re.search(r'Default:\s*("([^"]*)"|true|false|-?\d+)\s*,', text)
    if found is None:
        return None
    word = found.group(1)
    return (
        found.group(2)
        if word.startswith('"')
        else {"true": True, "false": False}.get(word, word if not word.lstrip("-").isdigit() else int(word))
    )
