"""Which other files take a name from a module that only imported it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from regreen.facts.libraries.editing import UndecidedError
from regreen.facts.source import Index
from regreen.facts.source.modules import FILE, modules
from remedies.untangling.uses import LEAF


def taken_from_here(index: Index, wanted: Mapping[tuple[str, str], list[str]]) -> dict[str, UndecidedError]:
    """Marks of names that another file takes from the module that imports them: by an import, an attribute, or a patch.

    `wanted` holds the marks of each (path, name).
    """
    if not wanted:
        return {}
    found = modules(index)
    refused: dict[str, UndecidedError] = {}
    spelled: dict[tuple[bytes, bytes], tuple[str, list[str]]] = {}
    for (path, name), marks in wanted.items():
        module = (found.name_of(path) or path.removesuffix(".py")).rpartition(".")[2]
        spelled.setdefault((module.encode(), name.encode()), (path, []))[1].extend(marks)
    called = {module.decode() for module, _ in spelled}
    names = {name for _, name in wanted}
    for path, file in index.files.items():
        for item in file.raw_imports:
            level, module, bound = item[4], item[5], item[6]
            if level >= 0 and (bound[0][0] == "*" or any(name in names for name, _ in bound)):
                target = found.resolve(path, level, module)
                if target.state == FILE:
                    taken = [name for _, name in wanted if bound[0][0] == "*"] or [name for name, _ in bound]
                    for name in taken:
                        for mark in wanted.get((target.path, name), ()):
                            refused[mark] = UndecidedError(f"{path} takes {name} from this module", LEAF)
        try:
            source = index.tree.read(path)
        except OSError:
            continue
        aliases = {
            alias.encode(): name.rpartition(".")[2].encode()
            for item in file.raw_imports
            for name, alias in item[6]
            if alias and name.rpartition(".")[2] in called
        }
        for owner, local in set(_attributes(source, {*aliases, *(name for name, _ in spelled)})):
            own, marks = spelled.get((aliases.get(owner, owner), local), (path, []))
            if own != path:
                reason = f"{path} names {owner.decode()}.{local.decode()}, perhaps as this module's"
                refused.update({mark: UndecidedError(reason, LEAF) for mark in marks})
    return refused


def _attributes(source: bytes, owners: set[bytes]) -> Iterator[tuple[bytes, bytes]]:
    """What a file takes from names: `module.name`, also in text (a patch), and `module, "name"` (setattr, patch.object)."""
    either = b"|".join(re.escape(name) for name in sorted(owners))
    for match in re.finditer(rb"\b(%b)(?:\.|\s*,\s*[\"'])(\w+)" % either, source):
        yield match[1], match[2]
