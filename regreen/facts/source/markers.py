"""pytest marks: where they are used, and what registers them besides the configuration file.

The worker's half is `INTERESTS`; several checks read the same records, so each of them lists it as its own.
Registered are the names in `markers =`, those that code adds by `config.addinivalue_line("markers", …)`, pytest's own
and those of plugins that many suites install (their documentation names them).
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass, field
from typing import Any, Final

from regreen.facts.source.context import Context, Parents, Position
from regreen.facts.source.contract import Interests
from regreen.facts.source.index import FileFacts, Index
from regreen.facts.source.pytest_config import ConfigFile, Configuration, marker_name

#: pytest's own marks (`pytest --markers`).
BUILTIN: Final = frozenset(
    {"filterwarnings", "parametrize", "skip", "skipif", "tryfirst", "trylast", "usefixtures", "xfail"}
)

#: Marks that published plugins register.
PLUGINS: Final = frozenset(
    {
        "aiohttp", "allow_hosts", "anyio", "app", "array_compare", "asyncio", "asyncio_concurrent", "asyncio_cooperative",
        "asyncio_mode", "benchmark", "block_network", "browser_context_args", "callspec", "capabilities", "celery", "client_class",
        "codspeed", "codspeed_benchmark", "datafiles", "default_cassette", "dependency", "disable_socket",
        "django_db", "doctest_plus", "embedded", "enable_socket", "firefox_arguments", "first", "flaky", "forked",
        "freeze_time", "gen_test", "group", "httpx_mock", "hypothesis", "ignore_template_errors", "incremental_once",
        "internet_off", "isolate", "iterations", "last", "limit_leaks", "limit_memory", "line_profile", "live",
        "mpl_image_compare", "mypy_testing", "mysql", "no_cover", "no_qt_log", "nondestructive", "only_browser",
        "openfiles_ignore", "options", "order", "pact", "parallel_threads", "parallel_threads_limit", "postgresql",
        "qt_log_ignore", "qt_log_level_fail", "qt_no_exception_capture", "random_order", "remote_data", "repeat",
        "respx", "run", "second", "skip_browser", "skipif_offline", "smtpd", "snapshot", "sphinx", "subtests",
        "testinfra_hosts", "testrail", "thread_unsafe", "time_machine", "timeout", "tornado", "trio", "twisted",
        "urls", "vcr", "xdist_group", "xray", "zap",
    }
)  # fmt: skip

KNOWN: Final = BUILTIN | PLUGINS
_MEMO: Final = "markers"
_LINE: Final = re.compile(r"[A-Za-z_][\w.-]*(?:\(.*\))?(?::|$)")
_EXPRESSION: Final = re.compile(r"-m(?:=|\s+|)(\"[^\"]*\"|'[^']*'|[\w]+)")
_WORD: Final = re.compile(r"[A-Za-z_]\w*")


class _Found:
    __slots__ = ("registered", "seen", "sent", "uses")

    def __init__(self) -> None:
        self.seen: set[int] = set()
        self.uses: dict[str, list[Any]] = {}
        self.registered: set[str] = set()
        self.sent: tuple[Any, ...] = ()


def _found(ctx: Context) -> _Found:
    found = ctx.memo.get(_MEMO)
    if found is None:
        found = ctx.memo[_MEMO] = _Found()
    assert isinstance(found, _Found)
    return found


def _mark(node: ast.AST, ctx: Context, parents: Parents) -> None:
    if parents is None or not isinstance(parents[0], ast.Attribute):
        return
    name = parents[0].attr
    if name in KNOWN or name.startswith("_") or ctx.origin(node) != "pytest.mark":
        return
    found = _found(ctx)
    if id(node) in found.seen:
        return
    found.seen.add(id(node))
    scope = ctx.scope.qualname
    above = parents[1]
    while above is not None:
        if isinstance(above[0], ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            scope = f"{scope}.{above[0].name}" if scope else above[0].name
            break
        above = above[1]
    use = found.uses.get(name)
    early = int(ctx.scope.kind != "function")
    if use is None:
        found.uses[name] = [1, ctx.at(parents[0]), [scope], early]
    else:
        use[0] += 1
        use[3] += early
        if len(use[2]) < 3:
            use[2].append(scope)


def _register(node: ast.AST, ctx: Context, _: Parents) -> None:
    assert isinstance(node, ast.Call)
    arguments = [*node.args, *(keyword.value for keyword in node.keywords)]
    if len(arguments) != 2:
        return
    first, second = arguments
    if not (isinstance(first, ast.Constant) and first.value == "markers"):
        return
    registered = _found(ctx).registered
    if isinstance(second, ast.Constant) and isinstance(second.value, str):
        registered.add(marker_name(second.value))
        return
    # A loop over a list, or an f-string: every text of the file that looks like a marker line may be registered.
    for inner in ast.walk(ctx.tree):
        if isinstance(inner, ast.Constant) and isinstance(inner.value, str) and _LINE.match(inner.value):
            registered.add(marker_name(inner.value))


def _finish(ctx: Context) -> None:
    found = ctx.memo.get(_MEMO)
    if isinstance(found, _Found):
        for name, (count, position, scopes, early) in sorted(found.uses.items()):
            ctx.emit("use", name, count, position, scopes, early)
        if found.registered:
            ctx.emit("registers", sorted(found.registered))


INTERESTS: Final = Interests(
    attributes={"mark": _mark},
    names={"mark": _mark},
    calls={"addinivalue_line": _register},
    finish=_finish,
    needles=("mark",),
)


@dataclass(frozen=True, slots=True)
class Use:
    """A mark's uses in one file: how many, where the first stands, up to three scopes (qualified names).

    `early` counts those that run when the module is imported: decorators and `pytestmark`, not the bodies of functions.
    """

    file: FileFacts
    name: str
    count: int
    position: Position
    scopes: tuple[str, ...]
    early: int = 0


@dataclass(frozen=True, slots=True)
class Markers:
    """Every custom mark of a tree. `in_code` are names that code registers."""

    configuration: Configuration
    uses: dict[str, list[Use]] = field(default_factory=dict)
    in_code: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, index: Index, check: str) -> Markers:
        """From the records of one of the checks that share `INTERESTS`."""
        markers = cls(Configuration.of(index))
        for file, record in index.records(check):
            if record[0] == "registers":
                markers.in_code.update(record[1])
            else:
                use = Use(file, record[1], record[2], record[3], tuple(record[4]), record[5])
                markers.uses.setdefault(use.name, []).append(use)
        return markers

    def registered(self, use: Use) -> bool:
        """Whether the mark is registered for a run that reaches this file."""
        return use.name in self.names(use.file.path)

    def names(self, path: str) -> set[str]:
        """The custom names that are registered for a file."""
        names = set(self.in_code)
        for config in (self.configuration.governing(path), self.configuration.nearest(path)):
            if config is not None:
                names.update(config.markers)
        return names

    def unregistered(self) -> dict[tuple[str, str], list[Use]]:
        """Uses of unregistered names by (path of the configuration file pytest reads, or "", and name)."""
        table: dict[tuple[str, str], list[Use]] = {}
        for name in sorted(self.uses):
            for use in self.uses[name]:
                if not self.registered(use):
                    config = self.configuration.governing(use.file.path)
                    table.setdefault((config.path if config else "", name), []).append(use)
        return table

    def misspelt(self, name: str, uses: list[Use]) -> tuple[str, ...]:
        """The registered names that an unregistered one stands for; none where it is a name of its own.

        A name that is used in three files or more, and more often than the one it resembles, is its own.
        """
        candidates = meant(name, self.names(uses[0].file.path))
        if candidates and len(uses) >= 3:
            count, known = self.total(name), self.total(candidates[0])
            return candidates if count <= known else ()
        return candidates

    def total(self, name: str) -> int:
        """How often a mark is used in the whole tree."""
        return sum(use.count for use in self.uses.get(name, ()))


def selected(config: ConfigFile) -> tuple[str, ...]:
    """The names that `-m` expressions in a configuration's `addopts` mention, in order."""
    value = config.values.get("addopts")
    text = " ".join(map(_quoted, value)) if isinstance(value, list) else str(value or "")
    names: list[str] = []
    for match in _EXPRESSION.finditer(f" {text}"):
        if match.start() and not f" {text}"[match.start() - 1].isspace():
            continue
        for word in _WORD.findall(match[1]):
            if word not in ("and", "or", "not", "True", "False") and word not in names:
                names.append(word)
    return tuple(names)


def _quoted(word: object) -> str:
    text = str(word)
    return f"'{text}'" if " " in text else text


def distance(left: str, right: str, limit: int = 2) -> int:
    """Edit distance (insert, delete, replace, swap neighbours), or `limit + 1` when it is larger."""
    if abs(len(left) - len(right)) > limit:
        return limit + 1
    before: list[int] = []
    row = list(range(len(right) + 1))
    for i, a in enumerate(left, 1):
        last, row, older = row, [i], before
        before = last
        for j, b in enumerate(right, 1):
            cost = min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (a != b))
            if i > 1 and j > 1 and a == right[j - 2] and left[i - 2] == b:
                cost = min(cost, older[j - 2] + 1)
            row.append(cost)
    return min(row[-1], limit + 1)


def meant(name: str, registered: set[str]) -> tuple[str, ...]:
    """Registered names that a misspelt one may stand for, nearest first.

    Short names need to be nearer, and names that differ in digits alone (`tier1`, `tier2`) are different names.
    """
    near: list[tuple[int, str]] = []
    for known in registered | BUILTIN:
        far = distance(name, known)
        if 0 < far <= min(2, min(len(name), len(known)) // 3) and _letters(name) != _letters(known):
            near.append((far, known))
    return tuple(known for _, known in sorted(near))


def _letters(name: str) -> str:
    return re.sub(r"\d", "", name)
