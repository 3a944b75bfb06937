"""The hierarchy of exception classes, by name."""

from __future__ import annotations

import builtins
from typing import Final

_ALIASES: Final = {
    "EnvironmentError": "OSError",
    "IOError": "OSError",
    "WindowsError": "OSError",
    "socket.error": "OSError",
}
_BUILTIN: Final = {
    name: kind for name, kind in vars(builtins).items() if isinstance(kind, type) and issubclass(kind, BaseException)
}


def canonical(name: str) -> str:
    """The one name of an exception class that has several."""
    return _ALIASES.get(name, name)


def is_subclass(name: str, base: str) -> bool:
    """Whether an exception class is known to be a kind of another.

    A class that is not builtin is taken to derive from Exception, as PEP 8 asks, and from nothing else that is known.
    """
    if name == base:
        return True
    child, parent = _BUILTIN.get(name), _BUILTIN.get(base)
    if child and parent:
        return issubclass(child, parent)
    return child is None and base in {"Exception", "BaseException"}
