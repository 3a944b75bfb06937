"""What can be wrong with the stream."""

from __future__ import annotations


class SequenceGap(Exception):
    """A trade is missing: the next one is further on than it should be."""

    def __init__(self, expected: int, found: int) -> None:
        super().__init__(f"expected sequence {expected}, found {found}: publish {expected} again from the outbox")
        self.expected = expected
        self.found = found


class DigestMismatch(ValueError):
    """Two different trades claim one sequence, or a record changed on its way."""

    def __init__(self, sequence: int) -> None:
        super().__init__(f"sequence {sequence}: the digest does not belong to this trade")
        self.sequence = sequence
