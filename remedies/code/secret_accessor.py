"""Read a secret when it is used, by reference, from one lazy and cached place; the literal goes.

A module `secrets_access.py` is made at the top of the package. `SECRETS.NAME` reads the variable NAME when it is first
used and keeps it: nothing is fetched at import, and a missing variable is an error that names it. A constant of a module
goes, and each use of it in a function reads the secret instead.
Unsafe: a process that is not given the variable fails where it ran on the committed value. And it is only half of the
repair: the value is in the history, so **rotate it**.
"""

from __future__ import annotations

import ast
import posixpath
import re
from collections import defaultdict
from collections.abc import Sequence
from typing import Final

from regreen.facts.libraries.editing import Draft, Edit, UndecidedError, one_by_one
from regreen.facts.source import Index
from regreen.facts.source.aside import is_aside
from regreen.facts.source.context import last_name
from regreen.facts.source.modules import FILE, modules
from regreen.model import Example, Finding, Proposal, Risk, Safety, Splice, Undo
from regreen.policy import Policy

ID: Final = "code.secret-accessor"
CHECK: Final = "code.no-secret-literals"
SAFETY: Final = Safety.UNSAFE
UNDO: Final = Undo.EXACT
RISK: Final = Risk.MEDIUM

ACCESSOR: Final = '''"""Secrets by name: read when they are first used, then kept.

The platform puts each value into the environment, as a reference to its secret store.
"""

from __future__ import annotations

import os
from functools import cache


class MissingSecretError(RuntimeError):
    """A secret is not set."""


@cache
def _read(name: str) -> str:
    value = os.environ.get(name, "")
    if not value:
        raise MissingSecretError(f"{name} is not set: give the process this variable, as a reference to a secret")
    return value


def forget() -> None:
    """Read every secret again when it is used next: after a rotation, and between tests."""
    _read.cache_clear()


class _Secrets:
    """`SECRETS.NAME` is the value of the secret NAME. Raises MissingSecretError."""

    def __getattr__(self, name: str) -> str:
        if name.startswith("_"):
            raise AttributeError(name)
        return _read(name)


SECRETS = _Secrets()
'''
_NAME: Final = re.compile(r"[A-Z][A-Z0-9_]*")
_ROTATE: Final = "rotate it: what was committed is known"
_FUNCTIONS: Final = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)


def propose(findings: Sequence[Finding], index: Index, policy: Policy) -> Proposal:
    """One change per literal."""
    meant: dict[str, set[str]] = defaultdict(set)
    for finding in findings:
        meant[_variable(finding)].add(finding.get("digest"))

    def edit(finding: Finding, draft: Draft) -> Edit:
        variable = _variable(finding)
        if not _NAME.fullmatch(variable):
            raise UndecidedError("no name for the variable can be told from the code",
                                 f"how the secret is called; then {_ROTATE}")  # fmt: skip
        if len(meant[variable]) > 1:
            raise UndecidedError(f"two different values would both be read from {variable}",
                                 f"which of them is {variable}, and how the other is called; then {_ROTATE}")  # fmt: skip
        return _Repair(finding, draft, index, variable).edit()

    return one_by_one(ID, findings, index, edit)


def _variable(finding: Finding) -> str:
    """The environment variable that takes the literal's place."""
    name = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", finding.get("name")).replace("-", "_").strip("_").upper()
    vendor = finding.get("vendor")
    if finding.get("how") in ("module", "default") or not vendor or vendor in name:
        return name
    return f"{vendor}_{name}" if name else ""


class _Repair:
    """The edit of one literal."""

    def __init__(self, finding: Finding, draft: Draft, index: Index, variable: str) -> None:
        self.finding = finding
        self.draft = draft
        self.index = index
        self.variable = variable

    def edit(self) -> Edit:
        """Raises UndecidedError where the value would still be needed at import, or elsewhere."""
        draft = self.draft
        if is_aside(draft.path):
            raise UndecidedError(
                "a test or an example needs no real key", f"a word that is plainly made up; then {_ROTATE}"
            )
        literal = draft.the(self.finding.where, ast.Constant)
        whole = self._whole(literal)
        statement = next((n for n in (whole, *draft.names.above(whole)) if isinstance(n, ast.stmt)), None)
        parent = draft.names.parents.get(whole)
        if isinstance(parent, ast.Assign | ast.AnnAssign) and draft.names.parents.get(parent) is draft.tree:
            targets, splices = self._constant(parent)
        elif self._is_lazy(whole):
            targets, splices = [whole], []
        else:
            raise UndecidedError("the value is needed while the module is imported, and a secret is not fetched then",
                                 f"where {self.variable} is read first; then {_ROTATE}")  # fmt: skip
        if statement is None or any(draft.in_fstring(node) for node in [whole]):
            raise UndecidedError(
                "the literal stands inside an f-string", f"its text without the secret; then {_ROTATE}"
            )
        path, module = self._home()
        known = self.index.files.get(path)
        if known is not None and "SECRETS" not in known.defs:
            raise UndecidedError(f"{path} is there and holds no `SECRETS`", f"where secrets are read; then {_ROTATE}")
        local, imported = draft.bring(module, "SECRETS", avoid=[self.variable])
        for node in targets:
            splices.append(Splice(draft.path, *self._place(node), draft.text.encode(f"{local}.{self.variable}")))
        creates: tuple[tuple[str, bytes], ...] = ()
        if not self.index.tree.exists(path):
            mark = b"\xef\xbb\xbf" if draft.text.source.startswith(b"\xef\xbb\xbf") else b""
            creates = ((path, mark + ACCESSOR.encode().replace(b"\n", draft.text.newline)),)
        summary = f"{self.variable} is read when it is used, by reference; {_ROTATE}"
        return Edit(
            [*splices, *imported], summary, f"{self.finding.observed}; {self.finding.expected}", SAFETY, creates
        )

    def _whole(self, literal: ast.Constant) -> ast.expr:
        """The expression that gives the value: the literal, or the call whose default it is."""
        if self.finding.get("how") != "default":
            return literal
        parent = self.draft.names.parents.get(literal)
        if isinstance(parent, ast.BoolOp):
            return parent
        if isinstance(parent, ast.Call) and last_name(parent.func) in ("getenv", "get"):
            return parent
        raise UndecidedError("what the call does besides reading the variable is not known",
                             f"the call without its default; then {_ROTATE}")  # fmt: skip

    def _is_lazy(self, node: ast.AST) -> bool:
        """Whether the expression runs in a function's body, not while the module is imported."""
        below = node
        for above in self.draft.names.above(node):
            if isinstance(above, _FUNCTIONS):
                body = [above.body] if isinstance(above, ast.Lambda) else above.body
                return below in body
            below = above
        return False

    def _constant(self, statement: ast.Assign | ast.AnnAssign) -> tuple[list[ast.expr], list[Splice]]:
        """The uses of a module's constant, and the removal of its statement."""
        draft, names = self.draft, self.draft.names
        target = statement.targets[0] if isinstance(statement, ast.Assign) else statement.target
        alone = isinstance(target, ast.Name) and (isinstance(statement, ast.AnnAssign) or len(statement.targets) == 1)
        if not alone or not isinstance(target, ast.Name):
            raise UndecidedError("several names are given the value", f"which of them stays; then {_ROTATE}")
        name = target.id
        decide = f"whether `{name}` becomes a function; then {_ROTATE}"
        spaces = set(names.spaces.values())
        if sum(len(space.bound.get(name, ())) for space in spaces) != 1 or name not in names.module.bound:
            raise UndecidedError(f"`{name}` is given a value more than once", decide)
        uses: list[ast.expr] = [node for node in names.loads if node.id == name]
        if not all(self._is_lazy(node) for node in uses):
            raise UndecidedError(
                f"`{name}` is used while the module is imported, and a secret is not fetched then", decide
            )
        mentioned = [n for n in ast.walk(draft.tree) if isinstance(n, ast.Constant) and n.value == name]
        own = {id(n) for n in ast.walk(statement)}
        if any(id(n) not in own for n in mentioned) or self._known_elsewhere(name):
            raise UndecidedError(f"other code asks this module for `{name}`", decide)
        text = draft.text
        assert statement.end_lineno is not None
        start, end = text.line_start(statement.lineno), text.line_start(statement.end_lineno + 1)
        rest = text.source[start : draft.start(statement)] + text.source[draft.end(statement) : end]
        if rest.strip() and not rest.lstrip().startswith(b"#"):
            raise UndecidedError("the line holds more than the constant", f"what stays of it; then {_ROTATE}")
        return uses, [Splice(draft.path, start, end, b"")]

    def _known_elsewhere(self, name: str) -> bool:
        """Whether another file of the tree takes the constant from this module."""
        where = modules(self.index)
        pattern = re.compile(rb"(?:\.|setattr\([^)\n]*)%s\b" % re.escape(name.encode()))
        last = posixpath.basename(self.draft.path).removesuffix(".py")
        if last == "__init__":
            last = posixpath.basename(posixpath.dirname(self.draft.path))
        for path, file in self.index.files.items():
            if path == self.draft.path:
                continue
            knows = False
            for item in file.raw_imports:
                level, module, imported = item[4], item[5], [part for part, _ in item[6]]
                if level >= 0 and (name in imported or "*" in imported):
                    target = where.resolve(path, level, module)
                    if target.state == FILE and target.path == self.draft.path:
                        return True
                knows = knows or last in imported or any(part.endswith(f".{last}") for part in (module, *imported))
            if knows and pattern.search(self.index.tree.read(path)):
                return True
        return False

    def _place(self, node: ast.expr) -> tuple[int, int]:
        """The offsets of a use. Python 3.11 misplaces what stands in an f-string of several lines: then it is refused."""
        start, end = self.draft.start(node), self.draft.end(node)
        spread = any(isinstance(n, ast.JoinedStr) and n.lineno != n.end_lineno for n in self.draft.names.above(node))
        if spread or (
            isinstance(node, ast.Name) and self.draft.text.source[start:end] != node.id.encode(self.draft.text.encoding)
        ):
            raise UndecidedError("a use of the secret stands in an f-string over several lines",
                                 f"that text with `SECRETS.{self.variable}`; then {_ROTATE}")  # fmt: skip
        return start, end

    def _home(self) -> tuple[str, str]:
        """Path and dotted name of the accessor's module: the top of the file's package, or beside a script."""
        folder = posixpath.dirname(self.draft.path)
        top = folder
        while top and self.index.tree.exists(f"{posixpath.dirname(top)}/__init__.py".lstrip("/")):
            top = posixpath.dirname(top)
        if not self.index.tree.exists(f"{top}/__init__.py".lstrip("/")):
            name = modules(self.index).name_of(self.draft.path)
            if "." in name:
                folder_name = name.rpartition(".")[0]
                return f"{folder}/secrets_access.py", f"{folder_name}.secrets_access"
            return f"{folder}/secrets_access.py".lstrip("/"), "secrets_access"
        path = f"{top}/secrets_access.py".lstrip("/")
        return path, f"{posixpath.basename(top)}.secrets_access" if top else "secrets_access"


# Put together here, so that no scanner takes this file for a leak.
_STRIPE: Final = "sk_" + "live_" + "51HqLyjWDarjtT1zdp7dcXQ9"
_SLACK: Final = "xoxb-" + "2488371902-884721930022-" + "qWmB7Yt2xKvP0sLdReZu9cNa"
_HOME: Final = {"app/secrets_access.py": ACCESSOR, "app/__init__.py": ""}


def _example(title: str, before: str, after: str, refuses: bool = False, **more: str) -> Example:
    beside = {**_HOME, **{path.replace("__", "/") + ".py": text for path, text in more.items()}}
    return Example(title, {**beside, "app/pay.py": before}, {**beside, "app/pay.py": after}, refuses=refuses)


def _refused(title: str, before: str, **more: str) -> Example:
    return _example(title, before, before, refuses=True, **more)


_FROM: Final = "from app.secrets_access import SECRETS\n"

EXAMPLES: Final = (
    Example("the module is made, once",
        {"src/app/__init__.py": "", "src/app/api/__init__.py": "",
         "src/app/api/pay.py": f'import os\n\nKEY = "{_STRIPE}"\n\n\ndef f(go):\n    return go(KEY)\n'},
        {"src/app/__init__.py": "", "src/app/api/__init__.py": "", "src/app/secrets_access.py": ACCESSOR,
         "src/app/api/pay.py": f"import os\n{_FROM}\n\n\ndef f(go):\n    return go(SECRETS.KEY)\n"}),
    Example("a script",
        {"pay.py": f'import os\n\n\ndef f(go):\n    return go(api_key="{_STRIPE}", name=os.name)\n'},
        {"secrets_access.py": ACCESSOR,
         "pay.py": "import os\nfrom secrets_access import SECRETS\n\n\ndef f(go):\n    return go(api_key=SECRETS.STRIPE_API_KEY, name=os.name)\n"}),
    _example("a default in a function", f'import os\n\n\ndef f():\n    return os.getenv("SLACK_BOT_TOKEN", "{_SLACK}")\n',
             f"import os\n{_FROM}\n\ndef f():\n    return SECRETS.SLACK_BOT_TOKEN\n"),
    _example("a constant with a default, used in an f-string",
             f'import os\n\nTOKEN = os.environ.get("SLACK_BOT_TOKEN") or "{_SLACK}"  # ä\nURL = "ä"\n\n\ndef f():\n    return f"Bearer {{TOKEN}} ä"\n',
             f'import os\n{_FROM}\nURL = "ä"\n\n\ndef f():\n    return f"Bearer {{SECRETS.SLACK_BOT_TOKEN}} ä"\n'),
    _refused("used at import", f'KEY = "{_STRIPE}"\nCLIENT = make(KEY)\n'),
    _refused("in a class, and as a parameter's default", f'class C:\n    api_key = "{_STRIPE}"\n\n\ndef f(token="{_SLACK}"):\n    pass\n'),
    _refused("taken by another module", f'KEY = "{_STRIPE}"\n', app__other="from app.pay import KEY\n"),
    _refused("replaced by another module", f'KEY = "{_STRIPE}"\n', app__other='from app import pay\n\nsetattr(pay, "KEY", 1)\nprint(pay.KEY)\n'),
    _refused("two values for one name", f'def f(go):\n    go(api_key="{_STRIPE}")\n    go(api_key="{_STRIPE[:-4]}Wq2Z")\n'),
    _refused("inside a text", f'def f(x):\n    return f"Bearer {_STRIPE} {{x}}"\n'),
    _example("nothing to do", f"{_FROM}\n\ndef f():\n    return SECRETS.KEY\n", f"{_FROM}\n\ndef f():\n    return SECRETS.KEY\n"),
)  # fmt: skip
