"""Import a name from the one place where it is defined now.

What moved is re-used, never copied. Git's own renames come first: a module that a commit renamed is imported by its new
name, with its patch targets. Without one, a class or function that the tree defines exactly once is taken from there; the
other names of the statement stay where they are. A package whose `__all__` promises a name that one of its own modules
defines gets the import that is missing, which repairs every importer at once.

Refused, with what was found: no definition, several of them, a name that many modules have, one that the importer cannot
reach, an import that would close a cycle. A class that has another name now is not a moved one.
"""

from __future__ import annotations

import ast
import posixpath
from collections.abc import Sequence
from typing import Final

from regreen.facts.libraries.editing import Draft, UndecidedError
from regreen.facts.libraries.import_statements import other_import, relative, split, statement_at, strings
from regreen.facts.source import Index
from regreen.facts.source.definitions import GENERIC, Home, definers, leads_back, moved, needs, old_keys, reachable
from regreen.facts.source.distributions import declared
from regreen.facts.source.history import dropped
from regreen.facts.source.metadata import metadata
from regreen.facts.source.modules import ABSENT, FILE, FOLDER, modules
from regreen.model import Change, Example, Finding, Proposal, Refusal, Risk, Safety, Splice, Undo
from regreen.policy import Policy

ID: Final = "code.rewrite-import"
CHECK: Final = "code.imports-resolve"
SAFETY: Final = Safety.SAFE
UNDO: Final = Undo.EXACT
RISK: Final = Risk.LOW

_TELLING: Final = 14  # letters of a function's name from which on it hardly means two things
_APP: Final = {"app/__init__.py": "", "app/a.py": "X = 1\n\n\ndef digest_of(x): ...\n\n\nclass Ledger: ...\n"}


def _pair(before: dict[str, str], after: dict[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    return {**_APP, **before}, {**_APP, **before, **after}


EXAMPLES: Final = (
    Example("a module that is gone", *_pair(
        {"t.py": "from app.gone import digest_of  # why\n\ndigest_of(1)\n"},
        {"t.py": "from app.a import digest_of  # why\n\ndigest_of(1)\n"},
    )),
    Example("one name of several moved", *_pair(
        {"app/b.py": "class Trade: ...\n", "t.py": "from app.b import Trade, digest_of\n"},
        {"t.py": "from app.b import Trade\nfrom app.a import digest_of\n"},
    )),
    Example("all names of a package that exports nothing", *_pair(
        {"t.py": "from app import Ledger, digest_of as d\n"},
        {"t.py": "from app.a import Ledger, digest_of as d\n"},
    )),
    Example("names that went to two places", *_pair(
        {"app/b.py": "class Trade: ...\n", "t.py": "def f():\n    from app.gone import Trade, digest_of\n"},
        {"t.py": "def f():\n    from app.b import Trade\n    from app.a import digest_of\n"},
    )),
    Example("a relative import stays relative", *_pair(
        {"app/c.py": "from .gone import Ledger\n"}, {"app/c.py": "from .a import Ledger\n"},
    )),
    Example("an absolute import of a sibling", *_pair(
        {"app/c.py": "from a import Ledger\n", "t.py": "import app.c\n"}, {"app/c.py": "from app.a import Ledger\n"},
    )),
    Example("a patch of the name follows", *_pair(
        {"t.py": "from unittest.mock import patch\nfrom app.gone import digest_of\n\n\ndef test_a():\n    with patch('app.gone.digest_of'):\n        digest_of(1)\n"},
        {"t.py": "from unittest.mock import patch\nfrom app.a import digest_of\n\n\ndef test_a():\n    with patch('app.a.digest_of'):\n        digest_of(1)\n"},
    )),
    Example("a package promises what it does not import", *_pair(
        {"app/w/__init__.py": "from app.a import X\n\n__all__ = ['Writer', 'X']\n", "app/w/once.py": "class Writer: ...\n", "t.py": "from app.w import Writer\n"},
        {"app/w/__init__.py": "from app.a import X\nfrom app.w.once import Writer\n\n__all__ = ['Writer', 'X']\n"},
    )),
    Example("two definitions", {**_APP, "app/b.py": "class Ledger: ...\n", "t.py": "from app.gone import Ledger\n"}, refuses=True),
    Example("no definition", {**_APP, "t.py": "from app.gone import Nothing\n"}, refuses=True),
    Example("a name that many modules have", {**_APP, "app/b.py": "def main(): ...\n", "t.py": "from app.gone import main\n"}, refuses=True),
    Example("only a test defines it", {**_APP, "tests/test_x.py": "class Trade: ...\n", "app/b.py": "from app.gone import Trade\n"}, refuses=True),
    Example("it would close a cycle", {**_APP, "app/b.py": "from app.c import f\n\n\nclass Trade: ...\n", "app/c.py": "from app.gone import Trade\n\n\ndef f(): ...\n"}, refuses=True),
    Example("a module without names", {**_APP, "t.py": "import app.gone\n"}, refuses=True),
    Example("beyond the top", {**_APP, "app/b.py": "from ...x import digest_of\n"}, refuses=True),
    Example("a short name in another package", {**_APP, "other/__init__.py": "", "other/m.py": "def crawl(): ...\n", "t.py": "from app.gone import crawl\n"}, refuses=True),
    Example("a promise that would need another package", {"p/__init__.py": "__all__ = ['Driver']\n", "p/d.py": "import radical.pilot\n\n\nclass Driver: ...\n"}, refuses=True),
    Example("a variable", {**_APP, "app/b.py": "limit = 1\n", "t.py": "from app.gone import limit\n"}, refuses=True),
    Example("all is well", {**_APP, "t.py": "from app.a import digest_of\n"}, {**_APP, "t.py": "from app.a import digest_of\n"}),
)  # fmt: skip


def propose(findings: Sequence[Finding], index: Index, policy: Policy) -> Proposal:
    """One change per import statement, or per name that a package promises; a refusal where there is no one answer."""
    changes: list[Change] = []
    refusals: list[Refusal] = []
    promises, rest = _promises(findings, index)
    for (path, name), group in promises.items():
        try:
            changes.append(_keep(index, path, name, group))
        except UndecidedError as why:
            refusals += (_refusal(finding, why) for finding in group)
    statements: dict[tuple[str, int, int], list[Finding]] = {}
    for finding in rest:
        place = (finding.path, getattr(finding.where, "line", 0), getattr(finding.where, "column", 0))
        statements.setdefault(place, []).append(finding)
    for group in statements.values():
        done, refused = _statement(index, group)
        changes += done
        refusals += refused
    return Proposal(tuple(changes), tuple(refusals))


def _refusal(finding: Finding, why: UndecidedError) -> Refusal:
    return Refusal(ID, finding.fingerprint, finding.subject, finding.where, str(why), why.decide)


def _promises(findings: Sequence[Finding], index: Index) -> tuple[dict[tuple[str, str], list[Finding]], list[Finding]]:
    """Findings about names that a module's `__all__` promises, by module and name; and the others."""
    promised = {(f.get("path"), f.get("name")) for f in findings if f.get("kind") == "promise"}
    groups: dict[tuple[str, str], list[Finding]] = {}
    rest: list[Finding] = []
    for finding in findings:
        key = (finding.get("path"), finding.get("name"))
        if key in promised and (finding.get("kind") == "promise" or _one_inside(index, *key)):
            groups.setdefault(key, []).append(finding)
        else:
            rest.append(finding)
    return groups, rest


def _one_inside(index: Index, path: str, name: str) -> str:
    """The one module below a package that defines a name; empty if there is none, or several."""
    folder = posixpath.dirname(path)
    inside = [p for p in definers(index, path, name) if p.startswith(f"{folder}/" if folder else "")]
    return inside[0] if len(inside) == 1 and path.endswith("__init__.py") else ""


def _keep(index: Index, path: str, name: str, group: Sequence[Finding]) -> Change:
    """The import that makes a package's `__all__` true."""
    home = _one_inside(index, path, name)
    if not home:
        raise UndecidedError(
            f"`__all__` of {path} promises {name}, and {_listed(definers(index, path, name))}",
            "import it there, or take it out of `__all__`",
        )
    draft = Draft.of(index, path)
    assert draft is not None  # the check read its `__all__`
    found = modules(index)
    module = reachable(found, path, home)
    if not module:
        raise UndecidedError(f"{home} cannot be imported from {path}", "where its package starts")
    more = {name for name in needs(index, home) - needs(index, path) if not declared(name, metadata(index).required)}
    if more:
        raise UndecidedError(
            f"{home} has {name}, but importing it there would make the whole package need {', '.join(sorted(more))}",
            f"whether {name} is loaded on demand (a module-level `__getattr__`), or leaves `__all__`",
        )
    own = [n for n in draft.tree.body if isinstance(n, ast.ImportFrom)]
    if any(n.level for n in own) and not any(
        n.level == 0 and (n.module or "").partition(".")[0] == module.partition(".")[0] for n in own
    ):
        module = relative(path, module, f"{found.name_of(path)}") or module
        last = next(n for n in reversed(own) if n.level)
        offset = draft.text.line_start((last.end_lineno or last.lineno) + 1)
        splices = [Splice(path, offset, offset, draft.text.encode(f"from {module} import {name}\n"))]
    else:
        _, splices = draft.bring(module, name)
    return Change(
        ID,
        path,
        f"import {name}, which `__all__` promises, from {module}",
        tuple(finding.fingerprint for finding in group),
        tuple(splices),
        evidence=f"{home} holds the one definition of {name} below {path}; docs.python.org/3/reference/import.html",
    )


def _statement(index: Index, group: list[Finding]) -> tuple[list[Change], list[Refusal]]:
    first = group[0]
    draft = Draft.of(index, first.path)
    try:
        if draft is None:
            raise UndecidedError("the file does not parse", "its syntax comes first")
        node = statement_at(draft, first)
        if first.get("kind") == "beyond":
            raise UndecidedError("a relative import cannot leave the tree", "which module is meant")
        if isinstance(node, ast.Import):
            return [_plain(index, draft, node, first)], []
        homes: dict[str, Home] = {}
        refused: list[Refusal] = []
        closed: list[Finding] = []
        if first.get("kind") == "missing":
            homes = _homes(index, first, node)
            closed = [first]
        else:
            for finding in group:
                name = finding.get("name")
                try:
                    homes[name] = _home(index, finding, name)
                    closed.append(finding)
                except UndecidedError as why:
                    refused.append(_refusal(finding, why))
        if not homes:
            return [], refused
        return [_change(index, draft, node, homes, closed)], refused
    except UndecidedError as why:
        return [], [_refusal(finding, why) for finding in group]


def _plain(index: Index, draft: Draft, node: ast.Import, finding: Finding) -> Change:
    old = finding.get("module")
    for key in old_keys(index, draft.path, 0, old):
        home = moved(index, draft.path, key, ())
        if home is not None:
            splices = [*other_import(draft, node, old, home.module), *strings(draft, old, home.module)]
            return Change(
                ID,
                finding.subject,
                f"{old} → {home.module}",
                (finding.fingerprint,),
                tuple(splices),
                evidence=home.evidence,
            )
    leaf = old.rpartition(".")[2]
    alike = [
        modules(index).sources[key] for key in modules(index).by_name.get(leaf, ()) if key in modules(index).sources
    ]
    raise UndecidedError(
        f"the history tells of no rename of {old}"
        + (f"; modules of that name are {', '.join(alike[:5])}" if alike else ""),
        "which module is meant, or that the import goes",
    )


def _homes(index: Index, finding: Finding, node: ast.ImportFrom) -> dict[str, Home]:
    """For each name of a from-import whose module is gone, where it is now. Raises UndecidedError for the first without."""
    names = [alias.name for alias in node.names]
    for key in old_keys(index, finding.path, node.level, node.module or ""):
        home = moved(index, finding.path, key, names)
        if home is not None:
            return dict.fromkeys(names, home)
    found = modules(index)
    tail = (node.module or "").replace(".", "/")
    alike = [
        found.sources[key]
        for key in found.by_name.get(tail.rpartition("/")[2], ())
        if tail and f"/{key}".endswith(f"/{tail}") and found.sources.get(key, finding.path) != finding.path
    ]
    fitting = [p for p in alike if all(n != "*" and found.symbol(p, n).state != ABSENT for n in names)]
    if len(fitting) == 1 and (module := reachable(found, finding.path, fitting[0])):
        home = Home(
            fitting[0], module, f"{fitting[0]} is the one module {node.module} of the tree, and has {', '.join(names)}"
        )
        _no_cycle(index, finding.path, home)
        return dict.fromkeys(names, home)
    return {name: _home(index, finding, name) for name in names}


def _home(index: Index, finding: Finding, name: str) -> Home:
    """The one place where a name is defined. Raises UndecidedError."""
    if name == "*":
        raise UndecidedError("a star import says nothing about the names that are meant", "which module has them now")
    where = definers(index, finding.path, name)
    target = modules(index).resolve(finding.path, int(finding.get("level", "0")), finding.get("module").lstrip("."))
    if not where:
        gone = dropped(index, target.path, name) if target.state == FILE else ""
        raise UndecidedError(
            f"nothing in the tree defines {name}" + (f"; {gone} took it out of {target.path}" if gone else ""),
            f"what replaces {name}, or that this import and what uses it go",
        )
    if len(where) > 1:
        raise UndecidedError(f"{name} is defined in several places: {_listed(where)}", f"which {name} is meant")
    if name in GENERIC or len(name) < 3:
        raise UndecidedError(
            f"{where[0]} has the only {name}, but that is a name that many modules have",
            f"whether that {name} is meant",
        )
    module = reachable(modules(index), finding.path, where[0])
    if not module:
        raise UndecidedError(
            f"{where[0]} has the only {name}, but cannot be imported from here", "how it gets on the path"
        )
    if not _close(index, finding, module, name):
        raise UndecidedError(
            f"{where[0]} has the only {name}, but in another package, where it may be another thing of that name",
            f"whether that {name} is meant",
        )
    home = Home(where[0], module, f"{where[0]} holds the only definition of {name} in the tree")
    _no_cycle(index, finding.path, home)
    return home


def _close(index: Index, finding: Finding, module: str, name: str) -> bool:
    """Whether a definition is in the package that the import names, or its own name is telling enough elsewhere."""
    found = modules(index)
    old = finding.get("module").lstrip(".") if finding.get("level") in ("0", "-1") else found.name_of(finding.path)
    top = old.partition(".")[0]
    if module.partition(".")[0] == top or found.resolve(finding.path, 0, top).state not in (FILE, FOLDER):
        return not found.is_external(module)
    return not found.is_external(module) and (name[:1].isupper() or len(name) >= _TELLING)


def _no_cycle(index: Index, importer: str, home: Home) -> None:
    if leads_back(index, home.path, importer):
        raise UndecidedError(
            f"importing {home.module} from here would close a cycle", "which of the two modules needs the other"
        )


def _listed(paths: Sequence[str]) -> str:
    return ", ".join(paths[:6]) if paths else "nothing in the tree defines it"


def _change(index: Index, draft: Draft, node: ast.ImportFrom, homes: dict[str, Home], closed: list[Finding]) -> Change:
    old = "." * node.level + (node.module or "")
    own = modules(index).name_of(draft.path)
    spelled = {
        name: (relative(draft.path, home.module, own) if node.level else "") or home.module
        for name, home in homes.items()
    }
    splices = split(draft, node, spelled, old)
    if not node.level:
        whole = all(home.by_history for home in homes.values()) and len(set(spelled.values())) == 1
        for module in dict.fromkeys(spelled.values()):
            names = () if whole else [name for name, other in spelled.items() if other == module]
            splices += strings(draft, old, module, names)
    modules_ = dict.fromkeys(spelled.values())
    summary = "; ".join(f"{', '.join(n for n in homes if spelled[n] == module)} from {module}" for module in modules_)
    evidence = "; ".join(dict.fromkeys(home.evidence for home in homes.values()))
    return Change(
        ID,
        closed[0].subject,
        f"{old} → {summary}",
        tuple(f.fingerprint for f in closed),
        tuple(splices),
        evidence=evidence,
    )
