"""The replay of imports and of base orders agrees with Python itself, on made-up programs that are really imported."""

from __future__ import annotations

import importlib
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from checks.code import bases_linearize, imports_acyclic
from regreen.facts.source import MemoryTree, survey
from regreen.facts.source.initialization import initialization
from regreen.facts.source.linearize import NoOrderError, linearize
from regreen.policy import Policy

_NUMBER = count()
MODULES = ("a", "b", "c", "d")


@contextmanager
def written(files: dict[str, str]) -> Iterator[None]:
    """The files on disk and on the path, and nothing of them left in the process afterwards."""
    before = set(sys.modules)
    with tempfile.TemporaryDirectory() as folder:
        for path, text in files.items():
            (Path(folder) / path).parent.mkdir(parents=True, exist_ok=True)
            (Path(folder) / path).write_text(text)
        sys.path.insert(0, folder)
        sys.dont_write_bytecode, kept = True, sys.dont_write_bytecode
        importlib.invalidate_caches()
        try:
            yield
        finally:
            sys.dont_write_bytecode = kept
            sys.path.remove(folder)
            for name in set(sys.modules) - before:
                del sys.modules[name]


def imports(entry: str) -> bool:
    """Whether importing a module first works. What it left behind is removed."""
    before = set(sys.modules)
    try:
        importlib.import_module(entry)
    except ImportError:
        return False
    else:
        return True
    finally:
        for name in set(sys.modules) - before:
            del sys.modules[name]


@st.composite
def programs(draw: st.DrawFn) -> dict[str, str]:
    """A package of four modules that import each other in all the ways there are, before or after they bind their name."""
    package = f"made{next(_NUMBER)}"
    files: dict[str, str] = {}
    for module in MODULES:
        lines = [f"{module.upper()} = 1"]
        for other in draw(st.lists(st.sampled_from([m for m in MODULES if m != module]), unique=True, max_size=2)):
            form = draw(st.sampled_from(["from {p}.{o} import {O}", "from .{o} import {O}", "import {p}.{o}", "from {p} import {o}", "def f():\n    from {p}.{o} import {O}"]))  # fmt: skip
            line = form.format(p=package, o=other, O=other.upper())
            lines.insert(draw(st.integers(0, len(lines))), line)
        files[f"{package}/{module}.py"] = "\n".join(lines) + "\n"
    start = draw(st.lists(st.sampled_from(MODULES), unique=True, max_size=2))
    files[f"{package}/__init__.py"] = "".join(f"from .{m} import {m.upper()}\n" for m in start)
    return files


@settings(max_examples=60, deadline=None)
@given(programs())
def test_the_replay_says_which_imports_fail(files: dict[str, str]) -> None:
    package = next(iter(files)).partition("/")[0]
    result = survey(MemoryTree(files), [imports_acyclic], Policy())
    replay = initialization(result.index)
    everything = frozenset(files)
    init = f"{package}/__init__.py"
    with written(files):
        start, broken = replay.run(init, everything, frozenset())
        assert imports(package) is not bool(broken)
        if not broken:
            for module in MODULES:
                _, early = replay.run(f"{package}/{module}.py", everything, start)
                assert imports(f"{package}.{module}") is not bool(early)
    fails = {finding.path for finding in result.diagnosis.verdicts[0].findings}
    assert bool(fails) >= bool(broken)


@st.composite
def hierarchies(draw: st.DrawFn) -> dict[str, list[str]]:
    """Up to eight classes, each with some earlier ones as bases, in any order."""
    bases: dict[str, list[str]] = {}
    for number in range(draw(st.integers(3, 8))):
        bases[f"C{number}"] = draw(st.lists(st.sampled_from(sorted(bases)), unique=True, max_size=3)) if bases else []
    return bases


@settings(max_examples=200, deadline=None)
@given(hierarchies())
def test_the_linearization_is_pythons(bases: dict[str, list[str]]) -> None:
    real: dict[str, type] = {}
    known: dict[str, tuple[str, ...]] = {}
    for name, above in bases.items():
        if any(base not in real for base in above):
            continue
        try:
            real[name] = type(name, tuple(real[base] for base in above), {})
        except TypeError:
            with pytest.raises(NoOrderError) as caught:
                linearize(name, bases, known)
            assert caught.value.name == name
        else:
            assert linearize(name, bases, known) == tuple(c.__name__ for c in real[name].__mro__[:-1])


@settings(max_examples=60, deadline=None)
@given(hierarchies())
def test_the_check_reports_the_classes_that_python_refuses(bases: dict[str, list[str]]) -> None:
    text = "".join(f"class {name}({', '.join(above)}): ...\n" for name, above in bases.items())
    real: dict[str, type] = {}
    refused = set()
    for name, above in bases.items():
        try:
            real[name] = type(name, tuple(real[base] for base in above), {})
        except TypeError:
            refused.add(name)
        except KeyError:
            continue  # below a class that does not exist

    found = survey(MemoryTree({"a.py": text}), [bases_linearize], Policy()).diagnosis.verdicts[0].findings

    assert {finding.subject.partition("::")[2] for finding in found} == refused
