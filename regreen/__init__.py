"""The machinery of Regreen: it knows no particular check, remedy, cloud or codemod."""

from __future__ import annotations

__version__ = "0.1.0"
