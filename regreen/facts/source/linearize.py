"""C3 linearization of classes, as far as their bases are known.

The order of bases that Python needs exists if and only if no two constraints contradict each other: each class's own order
of its bases, and the order of each base's own linearization. What an unknown base adds are more constraints, never fewer,
so a contradiction among the known ones is proven whatever the unknown bases are (Barrett et al., "A monotonic superclass
linearization for Dylan", 1996; https://docs.python.org/3/howto/mro.html).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence


class NoOrderError(ValueError):
    """The bases of the class `name` have no consistent order. `first` and `second` are asked for in both orders."""

    def __init__(self, name: str, first: str, second: str) -> None:
        super().__init__(f"{name}: {first} before {second}, and {second} before {first}")
        self.name = name
        self.first = first
        self.second = second


def linearize(name: str, bases: Mapping[str, Sequence[str]], known: dict[str, tuple[str, ...]]) -> tuple[str, ...]:
    """The method resolution order of a class. `bases` maps class names to their bases; others have none that are known.

    `known` keeps results between calls. Raises NoOrderError; a class whose own base has none has the base's error, and
    a class that is (wrongly) its own ancestor is taken to end there.
    """
    found = known.get(name)
    if found is not None:
        return found
    known[name] = (name,)  # ends a circle, which no running program has
    own = list(bases.get(name, ()))
    try:
        order = (name, *merge(name, [list(linearize(base, bases, known)) for base in own] + [own]))
    except NoOrderError:
        del known[name]
        raise
    known[name] = order
    return order


def merge(name: str, sequences: Sequence[Sequence[str]]) -> list[str]:
    """C3's merge of linearizations. Raises NoOrderError."""
    waiting = [list(sequence) for sequence in sequences if sequence]
    result: list[str] = []
    while waiting:
        for sequence in waiting:
            head = sequence[0]
            if not any(head in other[1:] for other in waiting):
                break
        else:
            first = waiting[0][0]
            holder = next(other for other in waiting if first in other[1:])
            raise NoOrderError(name, first, holder[0])
        result.append(head)
        waiting = [rest for rest in ([item for item in sequence if item != head] for sequence in waiting) if rest]
    return result
