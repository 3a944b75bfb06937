"""A Next.js configuration, read with a JavaScript parser: the object that it exports, and what stands in it.

Followed are `module.exports = …` and `export default …`, a name that is declared once, one wrapper call
(`withBundle(config)`), and TypeScript's `as` and `satisfies`. A configuration that a function makes is not known.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Final

from regreen.policy import Policy

if TYPE_CHECKING:
    from tree_sitter import Language, Node

#: Names of the file, which stands beside `package.json`.
FILES: Final = frozenset(f"next.config.{ending}" for ending in ("js", "mjs", "cjs", "ts", "mts"))
_MARK: Final = b"\xef\xbb\xbf"
_TEXTS: Final = frozenset({"string", "template_string"})


def other_host(policy: Policy) -> str:
    """The host of the assets where it is not that of the pages; empty where one host serves both."""
    return policy.asset_host if policy.site_host and policy.asset_host != policy.site_host else ""


class UnknownConfigError(Exception):
    """What the file exports cannot be told from it, and why."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A property of an object: its key, its value, the whole. Offsets count bytes of the file."""

    key: Node
    value: Node
    whole: Node


class NextConfig:
    """The exported object of one file. Raises UnknownConfigError where it is not known."""

    def __init__(self, path: str, source: bytes) -> None:
        from tree_sitter import Parser

        self.path = path
        self.source = source
        plain = b" " * len(_MARK) + source[len(_MARK) :] if source.startswith(_MARK) else source
        root = Parser(_language(path.endswith("ts"))).parse(plain).root_node
        if root.has_error:
            raise UnknownConfigError("the file does not parse as JavaScript")
        self.exported = self._exported(root)

    def text(self, node: Node) -> str:
        """A node's own text."""
        return self.source[node.start_byte : node.end_byte].decode("utf-8", "surrogateescape")

    def pairs(self, node: Node) -> dict[str, Pair]:
        """The properties of an object by name; a computed name or a method is not among them."""
        found: dict[str, Pair] = {}
        for child in node.named_children:
            key, value = child.child_by_field_name("key"), child.child_by_field_name("value")
            if child.type == "pair" and key is not None and value is not None:
                found[self.text(key).strip("'\"")] = Pair(key, value, child)
        return found

    def is_plain(self, node: Node) -> bool:
        """Whether an object holds nothing but written-out properties: a spread may bring or replace any."""
        return all(child.type in ("pair", "comment") for child in node.named_children)

    def literal(self, node: Node) -> str | None:
        """The text that a literal stands for; None for anything else, and for a literal with escapes."""
        if node.type not in _TEXTS or any(child.type != "string_fragment" for child in node.named_children):
            return None
        return self.text(node)[1:-1]

    def hosts(self, array: Node) -> set[str]:
        """The hosts that the literal entries of an array name, as `{ hostname }` or bare."""
        found: set[str | None] = set()
        for element in self.elements(array):
            named = self.pairs(element).get("hostname") if element.type == "object" else None
            found.add(self.literal(element if named is None else named.value))
        return {host for host in found if host}

    def elements(self, node: Node) -> list[Node]:
        """What stands in an array, without comments."""
        return [child for child in node.named_children if child.type != "comment"]

    def _exported(self, root: Node) -> Node:
        given: list[Node] = []
        for statement in root.named_children:
            value = statement.child_by_field_name("value")
            if statement.type == "export_statement" and value is not None:
                given.append(value)
            inner = statement.named_children[0] if statement.type == "expression_statement" else None
            if inner is not None and inner.type == "assignment_expression":
                left, right = inner.child_by_field_name("left"), inner.child_by_field_name("right")
                if left is not None and right is not None and self.text(left) == "module.exports":
                    given.append(right)
        if len(given) != 1:
            raise UnknownConfigError(
                "the file exports no configuration that can be seen" if not given else "it exports twice"
            )
        return self._object(given[0], root)

    def _object(self, node: Node, root: Node, depth: int = 0) -> Node:
        if node.type == "object":
            return node
        if depth < 4:
            if node.type in ("parenthesized_expression", "as_expression", "satisfies_expression"):
                return self._object(node.named_children[0], root, depth + 1)
            arguments = node.child_by_field_name("arguments") if node.type == "call_expression" else None
            if arguments is not None and len(arguments.named_children) == 1:
                return self._object(arguments.named_children[0], root, depth + 1)
            if node.type == "identifier":
                return self._object(self._declared(self.text(node), root), root, depth + 1)
        raise UnknownConfigError("what it exports is made by code")

    def _declared(self, name: str, root: Node) -> Node:
        values: list[Node] = []
        for statement in root.named_children:
            if statement.type not in ("lexical_declaration", "variable_declaration"):
                continue
            for one in statement.named_children:
                label, value = one.child_by_field_name("name"), one.child_by_field_name("value")
                if label is not None and value is not None and self.text(label) == name:
                    values.append(value)
        if len(values) != 1 or self._is_changed(name, root):
            raise UnknownConfigError(f"`{name}` is given its value by code")
        return values[0]

    def _is_changed(self, name: str, root: Node) -> bool:
        """Whether something is assigned to a name, or into what it holds."""
        waiting = [root]
        while waiting:
            node = waiting.pop()
            waiting += node.named_children
            left = node.child_by_field_name("left") if node.type.endswith("assignment_expression") else None
            while left is not None and left.type in ("member_expression", "subscript_expression"):
                left = left.child_by_field_name("object")
            if left is not None and left.type == "identifier" and self.text(left) == name:
                return True
        return False


@cache
def _language(typed: bool) -> Language:
    import tree_sitter_javascript
    import tree_sitter_typescript
    from tree_sitter import Language

    return Language(tree_sitter_typescript.language_typescript() if typed else tree_sitter_javascript.language())
