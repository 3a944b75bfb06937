"""CRC32C (Castagnoli), which Cloud KMS, Secret Manager and Cloud Storage put beside their bytes."""

from __future__ import annotations

import base64
from typing import Any

_native: Any = None
try:
    import google_crc32c

    _native = google_crc32c
except ImportError:  # pragma: no cover - the pure version below then serves
    pass


def _table() -> tuple[int, ...]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = (value >> 1) ^ 0x82F63B78 if value & 1 else value >> 1
        table.append(value)
    return tuple(table)


_TABLE = _table()


def crc32c(data: bytes) -> int:
    """RFC 3720, appendix B.4."""
    if _native is not None:
        return int(_native.value(data))
    return pure_crc32c(data)


def pure_crc32c(data: bytes) -> int:
    crc = 0xFFFFFFFF
    for byte in data:
        crc = (crc >> 8) ^ _TABLE[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


def crc32c_base64(data: bytes) -> str:
    """Big-endian base64, as Cloud Storage prints it."""
    return base64.b64encode(crc32c(data).to_bytes(4, "big")).decode()
