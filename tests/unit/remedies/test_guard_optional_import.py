"""What a guarded optional import does when the library is there, and when it is not."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from checks.code import optional_imports_guarded
from regreen.facts.source import FolderTree, MemoryTree, survey
from regreen.facts.source.trees import Tree
from regreen.model import Proposal, Safety, compose
from regreen.policy import Policy
from remedies.code import guard_optional_import

TRY = "try:\n    import lib\nexcept ImportError:\n    lib = None\n"
UNBOUND = TRY.replace("lib = None", "pass")
PATIENT = Path(__file__).parents[3] / "patient"


def propose(tree: Tree) -> Proposal:
    policy = Policy.of(tree)
    result = survey(tree, [optional_imports_guarded], policy)
    return guard_optional_import.propose(result.diagnosis.verdicts[0].findings, result.index, policy)


def repaired(source: str) -> str:
    tree = MemoryTree({"a.py": source.encode()})
    edits, waiting = compose(tree, propose(tree).changes)
    assert not waiting
    return edits["a.py"].decode()


def run(source: str, monkeypatch: pytest.MonkeyPatch, library: ModuleType | None) -> dict[str, Any]:
    monkeypatch.setitem(sys.modules, "lib", library)  # None makes the import fail
    names: dict[str, Any] = {"__name__": "a"}
    exec(compile(source, "a.py", "exec"), names)
    return names


@pytest.mark.parametrize(
    ("use", "there"),
    [
        ("X = lib.value + 1\n", 42),
        ("X = (lib.value), lib.value\n", (41, 41)),
        ("X = ((lib.value), lib.value)\n", (41, 41)),
        ("X = lib.value,\n", (41,)),
        ("X = Y = lib.value\n", 41),
        ("X = not lib.value\n", False),
        ("X = f'{lib.value}é'\n", "41é"),
        ("def f(x=lib.value): return x\nX = f()\n", 41),
        ("class C:\n    a: lib.Kind = lib.value\nX = C.a\n", 41),
    ],
)
@pytest.mark.parametrize("before", [TRY, UNBOUND])
def test_the_value_is_as_before_or_none(before: str, use: str, there: object, monkeypatch: pytest.MonkeyPatch) -> None:
    library = ModuleType("lib")
    library.value = 41  # type: ignore[attr-defined]
    library.Kind = int  # type: ignore[attr-defined]
    source = repaired(before + use)
    assert run(before + use, monkeypatch, library)["X"] == there
    assert run(source, monkeypatch, library)["X"] == there
    with pytest.raises((AttributeError, NameError)):
        run(before + use, monkeypatch, None)
    assert run(source, monkeypatch, None)["X"] is None


def test_a_call_for_its_effect_is_made_once_or_not_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    library = ModuleType("lib")
    library.start = calls.append  # type: ignore[attr-defined]
    source = repaired(TRY + "lib.start(\n'''a\n b''')\n")
    run(source, monkeypatch, None)
    assert calls == []
    run(source, monkeypatch, library)
    assert calls == ["a\n b"]


@pytest.mark.parametrize(
    ("files", "safety"),
    [
        ({"a.py": TRY + "X = lib.A\ndef f():\n    return X.b\n"}, Safety.SAFE),
        ({"a.py": TRY + "X = lib.A\nif X is not None:\n    X.b()\n"}, Safety.SAFE),
        ({"a.py": TRY + "X = lib.A\nif __name__ == '__main__':\n    X.b()\n"}, Safety.SAFE),
        ({"a.py": TRY + "X = lib.A\ndef f(x=X): ...\n"}, Safety.SAFE),
        ({"a.py": TRY + "X = lib.A\nprint(X)\n"}, Safety.UNSAFE),
        ({"a.py": TRY + "X = lib.A\nfor x in X: ...\n"}, Safety.UNSAFE),
        ({"a.py": TRY + "X: int = lib.A\n"}, Safety.UNSAFE),
        ({"a.py": TRY + "X: int | None = lib.A\n"}, Safety.SAFE),
        ({"a.py": TRY + "def f(x: int = lib.A): ...\n"}, Safety.UNSAFE),
        ({"a.py": TRY + "class A(Model):\n    x = lib.A\n"}, Safety.UNSAFE),
        ({"a.py": TRY + "@app.get('/')\ndef f(x: lib.A): ...\n"}, Safety.UNSAFE),
        ({"a.py": TRY + "@pytest.fixture\ndef f(x: lib.A): ...\n"}, Safety.SAFE),
        ({"a.py": TRY + "X = lib.A\n", "b.py": "from a import X as Y\nZ = Y.b\n"}, Safety.UNSAFE),
        ({"a.py": TRY + "X = lib.A\n", "b.py": "from a import X\ndef f():\n    return X.b\n"}, Safety.SAFE),
    ],
)
def test_safe_only_where_none_reaches_nothing_at_import(files: dict[str, str], safety: Safety) -> None:
    (change,) = propose(MemoryTree({path: text.encode() for path, text in files.items()})).changes
    assert change.safety is safety


def test_names_that_one_handler_leaves_unbound_are_bound_together() -> None:
    source = "try:\n    import a1, b1\nexcept ImportError: pass\nX = a1.x\nY = b1.y\n"
    assert repaired(source) == (
        "try:\n    import a1, b1\nexcept ImportError: a1 = b1 = None\n"
        "X = a1.x if a1 is not None else None\nY = b1.y if b1 is not None else None\n"
    )


@pytest.mark.parametrize("use", ["def f(x: X | None): ...\n", "class B(X): ...\n", "@X\ndef f(): ...\n", "Y = X()\n"])
def test_a_value_that_import_needs_is_refused_with_the_line(use: str) -> None:
    (refusal,) = propose(MemoryTree({"a.py": (TRY + "X = lib.A\n" + use).encode()})).refusals
    assert refusal.reason.startswith("without lib, X would be None, and `")
    assert "in line " in refusal.reason
    assert "if lib is not None:" in refusal.decide


def test_the_patient_gets_the_guard_a_person_would_write() -> None:
    path = "src/tidemark/runtime/metrics.py"
    tree = MemoryTree({path: FolderTree(PATIENT).read(path)})
    (change,) = propose(tree).changes
    edits, _ = compose(tree, [change])
    assert change.safety is Safety.SAFE
    assert edits[path] == tree.read(path).replace(
        b'statsd.StatsClient(prefix="tidemark")\n',
        b'statsd.StatsClient(prefix="tidemark") if statsd is not None else None\n',
    )
