"""No cycle of imports breaks, whichever of its modules is imported first.

Most cycles work: `import a` with use at call time does, so does an import inside a function. One kind breaks: a top-level
`from a import name` that runs while `a` is still being imported and has not bound the name yet. The order of imports is
replayed for every module of a cycle, packages' `__init__` first as Python does, and only what fails is reported, with the
cycle as a path. It is an error if a module outside the cycle fails by its own imports, or every way in does; a warning if
it waits for somebody to import a certain module first.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from regreen.facts.source import Index, Interests
from regreen.facts.source.initialization import Early, Initialization, initialization, package_in
from regreen.facts.source.modules import modules
from regreen.model import Example, Finding, Severity, Verdict
from regreen.policy import Policy

ID: Final = "code.imports-acyclic"
VERSION: Final = 2
SEVERITY: Final = Severity.ERROR
SOURCE: Final = (
    "https://docs.python.org/3/faq/programming.html#what-are-the-best-practices-for-using-import-in-a-module"
)
INTERESTS: Final = Interests()

_OUTSIDERS: Final = 25  # importers from outside that are replayed for one cycle

EXAMPLES: Final = (
    Example("two modules that need each other", {"p/__init__.py": "", "p/a.py": "from p.b import g\ndef f(): ...\n", "p/b.py": "from p.a import f\ndef g(): ...\n"}, fires=2),
    Example("a class that is bound after the import", {"a.py": "X = 1\nfrom b import Y\nclass Z: ...\n", "b.py": "from a import Z\nY = 1\n", "t.py": "import a\n"}, fires=2),
    Example("three modules", {"a.py": "from b import B\nclass A: ...\n", "b.py": "from c import C\nclass B: ...\n", "c.py": "from a import A\nclass C: ...\n"}, fires=3),
    Example("through a package", {"p/__init__.py": "from .a import A\nVERSION = '1'\n", "p/a.py": "from p import VERSION\nclass A: ...\n"}, fires=1),
    Example("a name that is being imported itself", {"a.py": "from b import B\n", "b.py": "B = 1\nimport c\n", "c.py": "from a import B\n", "t.py": "import a\n"}, fires=1),
    Example("relative imports", {"p/__init__.py": "", "p/a.py": "from .b import g\ndef f(): ...\n", "p/b.py": "from . import a\nfrom .a import f\ndef g(): ...\n", "t.py": "import p.a\n"}, fires=2),
    Example("modules, used at call time", {"a.py": "import b\ndef f(): return b.g()\n", "b.py": "import a\ndef g(): return a.f()\n"}),
    Example("bound before the import", {"a.py": "X = 1\nfrom b import g\n", "b.py": "def g(): ...\nimport a\nfrom a import X\n", "t.py": "import a\n"}),
    Example("inside a function", {"a.py": "from b import g\ndef f(): ...\n", "b.py": "def g():\n    from a import f\n    return f()\n"}),
    Example("for type checkers only", {"a.py": "from b import g\nclass A: ...\n", "b.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from a import A\ndef g(x: 'A'): ...\n"}),
    Example("the package sets the order", {"p/__init__.py": "from .a import f\n", "p/a.py": "f = 1\nfrom p.b import g\n", "p/b.py": "from p.a import f\ng = 2\n"}),
    Example("a module of the package", {"p/__init__.py": "from .a import A\n", "p/a.py": "from p import b\nclass A: ...\n", "p/b.py": "import p\n"}),
    Example("guarded", {"a.py": "from b import g\ndef f(): ...\n", "b.py": "try:\n    from a import f\nexcept ImportError:\n    f = None\ndef g(): ...\n", "t.py": "import a\n"}, fires=1),
    Example("a script's own tail", {"a.py": "from b import g\ndef f(): ...\n", "b.py": "def g(): ...\nif __name__ == '__main__':\n    from a import f\n"}),
    Example("a package that imports its own module by name", {"p/__init__.py": "from p import b\nfrom p.a import A\n", "p/a.py": "from p.b import B\nclass A: ...\n", "p/b.py": "class B: ...\nfrom p.a import A\n"}),
    Example("a module-level __getattr__", {"a.py": "import b\ndef __getattr__(name): return 1\n", "b.py": "from a import f\ng = 1\n", "t.py": "import a\n"}),
    Example("a plugin named like the library it wraps", {"pyproject.toml": "[project]\nname = 'p'\ndependencies = ['lib']\n[tool.hatch.build.targets.wheel]\npackages = ['ns']\n", "ns/plugins/lib/__init__.py": "from .a import A\n", "ns/plugins/lib/a.py": "from lib import A as B\nclass A(B): ...\n"}),
    Example("no cycle", {"a.py": "from b import g\n", "b.py": "g = 1\n"}),
)  # fmt: skip


def judge(index: Index, policy: Policy) -> Verdict:
    """One finding per from-import that takes names too early, with the cycle as a path."""
    start = initialization(index)
    findings: list[Finding] = []
    for group in start.circles:
        findings += _circle(index, start, group)
    note = "too many cycles to replay all of them" if start.cut_short else ""
    return Verdict.of(ID, len(index.files), findings, note)


def _circle(index: Index, start: Initialization, group: frozenset[str]) -> list[Finding]:
    early: dict[tuple[str, int], list[Early]] = {}
    entries: dict[tuple[str, int], set[str]] = {}
    complete, ways = start.entrances(group)
    for path, found_early in ways:
        for item in found_early:
            key = (item.path, item.item[0])
            if item.name not in [other.name for other in early.setdefault(key, [])]:
                early[key].append(item)
            entries.setdefault(key, set()).add(path)
    if not early:
        return []
    failing = _failing_outside(start, group, complete)
    found = modules(index)
    return [
        _finding(
            index,
            items,
            [found.name_of(path) or path for path in (*items[0].chain, items[0].source)],
            found.name_of(items[0].entry) or items[0].entry,
            key in failing or entries[key] == set(group),
        )
        for key, items in early.items()
    ]


def _failing_outside(
    start: Initialization, group: frozenset[str], complete: Mapping[str, frozenset[str]]
) -> set[tuple[str, int]]:
    """What comes too early when a module outside the cycle runs its own imports, one after another."""
    failing: set[tuple[str, int]] = set()
    for path, runs in sorted(start.outside(group).items())[:_OUTSIDERS]:
        done = complete.get(package_in(group, path), frozenset())
        for entry in runs:
            done, found = start.run(entry, group, done)
            failing.update((item.path, item.item[0]) for item in found)
            if found:
                break
    return failing


def _finding(index: Index, items: list[Early], chain: list[str], entry: str, surely: bool) -> Finding:
    item = items[0]
    level, module = item.item[4], item.item[5]
    names = ", ".join(early.name for early in items)
    snippet = f"from {'.' * level}{module} import {names}"
    bound = "is" if len(items) == 1 else "are"
    return index.finding(
        ID,
        SEVERITY if surely else Severity.WARNING,
        index.files[item.path],
        item.item[:4],
        observed=f"`{snippet}` runs before {names} {bound} bound when {entry} is imported first: {' → '.join(chain)}",
        expected="an import at the point of use, under TYPE_CHECKING, or from a module that needs neither",
        snippet=snippet,
        data={"cycle": " → ".join(chain), "names": names, "source": item.source, "entry": entry},
    )
