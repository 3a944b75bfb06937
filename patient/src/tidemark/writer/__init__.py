"""From the broker to warehouse, graph and cache, exactly once."""

from tidemark.runtime.errors import DigestMismatch, SequenceGap

__all__ = ["DigestMismatch", "ExactlyOnceWriter", "SequenceGap"]
