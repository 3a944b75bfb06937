"""Tidemark: a trade stream from feed to warehouse, and a council that allocates by vote."""

__version__ = "3.2.0"
