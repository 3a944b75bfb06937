"""Policy: what a team requires and what may be changed. Passed in, never read globally.

The values come from `[tool.regreen]` in the target's `pyproject.toml`; every one has a default.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Final

from regreen.model import TreeView


class PolicyError(ValueError):
    """The policy table holds a key or a value that is not understood."""


#: Folders whose files are counted and left out (field experience: half of all Python files in some trees).
LEFT_OUT: Final = (
    "backup", "backups", "_backup", "_backups", "archive", "_archive", "archives", "_archived",
    "site-packages", "node_modules", "venv", ".venv", "virtualenv", "env.bak",
    "third_party", "vendor", "_vendor", "vendored", ".semgrep",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Policy:
    """What is required of code. Times are in seconds, sizes in bytes."""

    left_out: tuple[str, ...] = LEFT_OUT
    exclude: tuple[str, ...] = ()
    max_file_bytes: int = 2_000_000
    open_timeout: float = 30.0
    recv_timeout: float = 30.0
    call_timeout: float = 30.0
    #: Clients that stand behind a limiter, a breaker, a cache: `CLIENT`, or `CLIENT -> OBJECT` where the tree has it.
    limited_clients: tuple[str, ...] = ()
    breaker_clients: tuple[str, ...] = ()
    cached_clients: tuple[str, ...] = ()
    chunk_rows: int = 1000
    #: Where browsers find the pages, and the hashed assets: with two hosts, Next.js must be told of the second.
    site_host: str = ""
    asset_host: str = ""
    #: Remedies graded unsafe that the team lets run without being asked each time.
    unsafe: tuple[str, ...] = ()
    pool_size: int = 5
    pool_overflow: int = 10
    pool_timeout: float = 30.0
    pool_recycle: int = 3600
    redis_connections: int = 20
    redis_socket_timeout: float = 5.0
    redis_connect_timeout: float = 10.0

    @classmethod
    def of(cls, tree: TreeView) -> Policy:
        """The policy of a target: `[tool.regreen]` in its `pyproject.toml`, else the defaults.

        Raises PolicyError for an unknown key or a value of the wrong type; a `pyproject.toml` that is not
        valid TOML is a finding of a check, not an error here.
        """
        try:
            document = tomllib.loads(tree.read("pyproject.toml").decode("utf-8"))
        except (FileNotFoundError, UnicodeDecodeError, tomllib.TOMLDecodeError):
            return cls()
        tool = document.get("tool")
        table = tool.get("regreen") if isinstance(tool, dict) else None
        if not isinstance(table, dict):
            return cls()
        defaults = cls()
        values: dict[str, object] = {}
        known = {field.name for field in fields(cls)}
        for key, value in table.items():
            name = key.replace("-", "_")
            if name not in known:
                raise PolicyError(
                    f"pyproject.toml: [tool.regreen] has no key {key!r}; known are {', '.join(sorted(known))}"
                )
            default = getattr(defaults, name)
            if isinstance(default, tuple):
                if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
                    raise PolicyError(f"pyproject.toml: [tool.regreen] {key} must be a list of strings")
                values[name] = tuple(value)
            elif isinstance(default, str):
                if not isinstance(value, str):
                    raise PolicyError(f"pyproject.toml: [tool.regreen] {key} must be a text")
                values[name] = value
            elif isinstance(value, bool) or not isinstance(value, int if isinstance(default, int) else (int, float)):
                raise PolicyError(f"pyproject.toml: [tool.regreen] {key} must be a number, like {default}")
            else:
                values[name] = type(default)(value)
        return cls(**values)  # type: ignore[arg-type]


def objects(clients: Iterable[str]) -> dict[str, str]:
    """The clients of a list of the policy, each with the object of the tree behind its `->`; empty where none is named."""
    pairs = (entry.partition("->") for entry in clients)
    return {client.strip(): known.strip() for client, _, known in pairs}
