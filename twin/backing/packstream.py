"""PackStream, the way in which Bolt writes values: https://neo4j.com/docs/bolt/current/packstream/"""

from __future__ import annotations

import datetime
import struct
from dataclasses import dataclass
from typing import Any, Final

from twin.backing.cypher.errors import REQUEST, TYPE, CypherError
from twin.backing.cypher.functions import element_id
from twin.backing.cypher.graph import Edge, Node, Route

_EPOCH: Final = datetime.date(1970, 1, 1).toordinal()
_DEPTH: Final = 100


@dataclass(frozen=True, slots=True)
class Structure:
    tag: int
    fields: list[Any]


def pack(value: Any) -> bytes:
    """CypherError for a value that Bolt has no form for."""
    out = bytearray()
    _pack(out, value)
    return bytes(out)


def _pack(out: bytearray, value: Any) -> None:
    if value is None:
        out.append(0xC0)
    elif isinstance(value, bool):
        out.append(0xC3 if value else 0xC2)
    elif isinstance(value, int):
        _integer(out, value)
    elif isinstance(value, float):
        out += b"\xc1" + struct.pack(">d", value)
    elif isinstance(value, str):
        data = value.encode("utf-8", "surrogatepass")
        _head(out, len(data), 0x80, (0xD0, 0xD1, 0xD2))
        out += data
    elif isinstance(value, (bytes, bytearray)):
        _head(out, len(value), None, (0xCC, 0xCD, 0xCE))
        out += value
    elif isinstance(value, (list, tuple)):
        _head(out, len(value), 0x90, (0xD4, 0xD5, 0xD6))
        for each in value:
            _pack(out, each)
    elif isinstance(value, dict):
        _head(out, len(value), 0xA0, (0xD8, 0xD9, 0xDA))
        for name, each in value.items():
            _pack(out, str(name))
            _pack(out, each)
    else:
        _structure(out, value)


def _integer(out: bytearray, value: int) -> None:
    if -16 <= value <= 127:
        out += struct.pack(">b", value)
        return
    for mark, form, bits in ((0xC8, ">b", 8), (0xC9, ">h", 16), (0xCA, ">i", 32), (0xCB, ">q", 64)):
        if -(1 << (bits - 1)) <= value < 1 << (bits - 1):
            out.append(mark)
            out += struct.pack(form, value)
            return
    raise CypherError(TYPE, f"integer overflow: {value}")


def _head(out: bytearray, size: int, tiny: int | None, marks: tuple[int, int, int]) -> None:
    if tiny is not None and size < 16:
        out.append(tiny + size)
    elif size < 1 << 8:
        out += bytes((marks[0], size))
    elif size < 1 << 16:
        out.append(marks[1])
        out += struct.pack(">H", size)
    else:
        out.append(marks[2])
        out += struct.pack(">I", size)


def _structure(out: bytearray, value: Any) -> None:
    if isinstance(value, Structure):
        tag, fields = value.tag, value.fields
    elif isinstance(value, Node):
        tag, fields = 0x4E, [value.id, sorted(value.labels), value.properties, element_id(value)]
    elif isinstance(value, Edge):
        ends = [value.start.id, value.end.id]
        names = [element_id(value), element_id(value.start), element_id(value.end)]
        tag, fields = 0x52, [value.id, *ends, value.type, value.properties, *names]
    elif isinstance(value, Route):
        tag, fields = 0x50, _path(value)
    elif isinstance(value, datetime.datetime):
        moment = value if value.tzinfo else value.replace(tzinfo=datetime.UTC)
        seconds = int(moment.timestamp() // 1)
        if value.tzinfo is None:
            tag, fields = 0x64, [seconds, value.microsecond * 1000]
        else:
            offset = value.utcoffset() or datetime.timedelta()
            tag, fields = 0x49, [seconds, value.microsecond * 1000, int(offset.total_seconds())]
    elif isinstance(value, datetime.date):
        tag, fields = 0x44, [value.toordinal() - _EPOCH]
    else:
        raise CypherError(TYPE, f"a {type(value).__name__} cannot be sent over Bolt")
    out += bytes((0xB0 + len(fields), tag))
    for each in fields:
        _pack(out, each)


def _path(route: Route) -> list[Any]:
    nodes: dict[int, int] = {}
    edges: dict[int, int] = {}
    unique_nodes, unique_edges, steps = [], [], []
    for node in route.nodes:
        if node.id not in nodes:
            nodes[node.id] = len(nodes)
            unique_nodes.append(node)
    for number, edge in enumerate(route.edges):
        if edge.id not in edges:
            edges[edge.id] = len(edges) + 1
            unique_edges.append(Structure(0x72, [edge.id, edge.type, edge.properties, element_id(edge)]))
        forward = edge.start is route.nodes[number]
        steps += [edges[edge.id] if forward else -edges[edge.id], nodes[route.nodes[number + 1].id]]
    return [unique_nodes, unique_edges, steps]


class Reader:
    """Reads values. CypherError for what is not PackStream."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def value(self, depth: int = 0) -> Any:
        if depth > _DEPTH:
            raise CypherError(REQUEST, "a message is nested too deeply")
        mark = self._take(1)[0]
        if mark < 0x80:
            return mark
        if mark >= 0xF0:
            return mark - 0x100
        high, low = mark & 0xF0, mark & 0x0F
        if high == 0x80:
            return self._text(low)
        if high == 0x90:
            return [self.value(depth + 1) for _ in range(low)]
        if high == 0xA0:
            return self._map(low, depth)
        if high == 0xB0:
            tag = self._take(1)[0]
            return _known(Structure(tag, [self.value(depth + 1) for _ in range(low)]))
        if mark in (0xC0, 0xC2, 0xC3):
            return {0xC0: None, 0xC2: False, 0xC3: True}[mark]
        for code, form in ((0xC1, ">d"), (0xC8, ">b"), (0xC9, ">h"), (0xCA, ">i"), (0xCB, ">q")):
            if mark == code:
                return struct.unpack(form, self._take(struct.calcsize(form)))[0]
        return self._sized(mark, depth)

    def _sized(self, mark: int, depth: int) -> Any:
        family, width = mark & 0xFC, mark & 0x03
        if width > 2 or family not in (0xCC, 0xD0, 0xD4, 0xD8):
            raise CypherError(REQUEST, f"unknown marker {mark:#x}")
        size = int.from_bytes(self._take(1 << width), "big")
        if family == 0xCC:
            return self._take(size)
        if family == 0xD0:
            return self._text(size)
        if size > len(self._data):
            raise CypherError(REQUEST, "a message is shorter than it says")
        return [self.value(depth + 1) for _ in range(size)] if family == 0xD4 else self._map(size, depth)

    def _map(self, size: int, depth: int) -> dict[str, Any]:
        return {str(self.value(depth + 1)): self.value(depth + 1) for _ in range(size)}

    def _text(self, size: int) -> str:
        return self._take(size).decode("utf-8", "replace")

    def _take(self, size: int) -> bytes:
        if self._at + size > len(self._data):
            raise CypherError(REQUEST, "a message is shorter than it says")
        self._at += size
        return self._data[self._at - size : self._at]


def _known(found: Structure) -> Any:
    """Dates and times become Python's; other structures stay."""
    if found.tag == 0x44:
        return datetime.date.fromordinal(found.fields[0] + _EPOCH)
    if found.tag in (0x49, 0x64):
        zone = datetime.timezone(datetime.timedelta(seconds=found.fields[2])) if found.tag == 0x49 else datetime.UTC
        moment = datetime.datetime.fromtimestamp(found.fields[0], zone).replace(microsecond=found.fields[1] // 1000)
        return moment if found.tag == 0x49 else moment.replace(tzinfo=None)
    return found
