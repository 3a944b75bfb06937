"""A client of httpx and what the policy puts it behind, as the examples of those remedies have them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from regreen.model import Example

HEAD: Final = "import httpx\n\n\n"
CLASS: Final = "class Prices:\n    def __init__(self, client: httpx.{}):\n        self._client = client\n\n"


@dataclass(frozen=True, slots=True)
class Scene:
    """A tree whose `app/guards.py` holds `guards`, and whose policy is `policy`."""

    guards: str
    policy: str

    def files(self, text: str, guards: str = "", policy: str = "") -> dict[str, str]:
        """The tree with this text in `app/prices.py`."""
        return {
            "app/__init__.py": "",
            "app/guards.py": guards or self.guards,
            "app/prices.py": text,
            "pyproject.toml": policy or self.policy,
        }

    def refused(self, title: str, body: str, guards: str = "", policy: str = "", kind: str = "AsyncClient") -> Example:
        """A class with this body, for which the remedy says what a person must decide."""
        return Example(title, self.files(HEAD + CLASS.format(kind) + body, guards, policy), refuses=True)
