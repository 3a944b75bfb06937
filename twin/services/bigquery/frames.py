"""Messages between the control process and the DuckDB worker: a length, then a pickle."""

from __future__ import annotations

import pickle
import struct
from typing import IO, Any


def read_frame(stream: IO[bytes]) -> Any:
    """One message; None at the end of the stream."""
    head = stream.read(4)
    if len(head) < 4:
        return None
    return pickle.loads(stream.read(struct.unpack(">I", head)[0]))  # noqa: S301 - both ends are the twin's own


def write_frame(stream: IO[bytes], message: Any) -> None:
    data = pickle.dumps(message)
    stream.write(struct.pack(">I", len(data)) + data)
    stream.flush()
