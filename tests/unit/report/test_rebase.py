"""A change of a later tree, said for the first one."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from regreen.model import Change, Splice, compose, splice
from regreen.report.rebase import onto_base

TEXT = b"0123456789" * 3


def change(name: str, *splices: Splice, creates: tuple[tuple[str, bytes], ...] = ()) -> Change:
    return Change(name, name, name, (name,), splices, creates)


class Memory:
    id = ""

    def __init__(self, content: bytes) -> None:
        self.content = content

    def read(self, path: str) -> bytes:
        return self.content

    def exists(self, path: str) -> bool:
        return True

    def paths(self) -> list[str]:
        return ["f"]


def test_offsets_move_back_over_what_earlier_remedies_wrote() -> None:
    first = change("a", Splice("f", 2, 4, b"longer"), Splice("g", 0, 0, b"x"))
    second = change("b", Splice("f", 12, 14, b"!"))  # "89" once "23" has grown by four bytes

    moved = onto_base([("t0", first), ("t1", second)])

    assert moved == (first, change("b", Splice("f", 8, 10, b"!")))


def test_changes_of_one_tree_share_its_offsets() -> None:
    both = (change("a", Splice("f", 0, 1, b"xyz")), change("b", Splice("f", 5, 6, b"q")))

    assert onto_base([("t0", both[0]), ("t0", both[1])]) == both


def test_a_change_to_what_another_wrote_has_no_place_in_the_first_tree() -> None:
    first = change("a", Splice("f", 2, 4, b"longer"), creates=(("new", b"x"),))

    assert onto_base([("t0", first), ("t1", change("b", Splice("f", 3, 5, b"")))]) == (first,)
    assert onto_base([("t0", first), ("t1", change("b", Splice("new", 0, 1, b"")))]) == (first,)


spots = st.lists(st.tuples(st.integers(0, 29), st.integers(1, 3), st.binary(max_size=5)), min_size=1, max_size=3)


@given(st.lists(spots, min_size=2, max_size=4))
def test_applied_at_once_the_moved_changes_give_what_the_steps_gave(layers: list[list[tuple[int, int, bytes]]]) -> None:
    content = TEXT
    steps: list[tuple[str, Change]] = []
    for number, layer in enumerate(layers):
        proposed = [
            change(f"{number}.{n}", Splice("f", min(at, len(content)), min(at + size, len(content)), new))
            for n, (at, size, new) in enumerate(layer)
        ]
        edited, waiting = compose(Memory(content), proposed)
        taken = [one for one in proposed if one not in waiting]
        steps += [(f"t{number}", one) for one in taken]
        content = edited.get("f", content)
    moved = onto_base(steps)

    if len(moved) == len(steps) and all(s.start < s.end for _, one in steps for s in one.splices):
        assert splice(TEXT, [item for one in moved for item in one.splices]) == content
    names = [one.remedy for _, one in steps]
    assert [one.remedy for one in moved] == [name for name in names if name in {one.remedy for one in moved}]
