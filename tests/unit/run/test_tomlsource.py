"""Lines are found in every way that TOML can be written."""

from __future__ import annotations

import pytest

from regreen.tomlsource import SourceError, load

TEXT = '''# head
a = 1
"quoted.key" = { b = [1, 2], c.d = "]" }
text = """
[not.a.table]
x = "still text\\""
"""
raw = \'\'\'
[[neither]]\'\'\'
list = [
  "one", # ] comment
  [ "in", "ner" ],
  { k = 1 },
]

[table . "sub table"]
key.deep = true

[[row]]
n = 1
[[row.cell]]
v = 1
[[row.cell]]
v = 2
[row.tail]
z = 1

[[row]]
n = 2
[[row.cell]]
v = 3
'''


@pytest.mark.parametrize(
    ("key", "line"),
    [
        (("a",), 2), (("quoted.key", "b", 1), 3), (("quoted.key", "c", "d"), 3), (("text",), 4), (("raw",), 8),
        (("list", 0), 11), (("list", 1, 1), 12), (("list", 2, "k"), 13), (("table", "sub table"), 16),
        (("table", "sub table", "key", "deep"), 17), (("row", 0), 19), (("row", 0, "cell", 1, "v"), 24),
        (("row", 0, "tail", "z"), 26), (("row", 1), 28), (("row", 1, "cell", 0, "v"), 31),
    ],
)  # fmt: skip
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_every_key_has_its_line(key: tuple[str | int, ...], line: int, newline: str) -> None:
    table = load("x.toml", TEXT.replace("\n", newline).encode())

    assert table.lines[key] == line


def test_a_key_that_is_absent_has_the_line_of_its_table() -> None:
    rows = list(load("x.toml", TEXT.encode()).tables("row", "row {number}"))

    with pytest.raises(SourceError, match=r"^x\.toml:28: row 2: the field 'name' is missing$"):
        rows[1].text("name")


def test_a_byte_order_mark_is_no_error() -> None:
    assert load("x.toml", b"\xef\xbb\xbfa = 1\n").integer("a") == 1
