"""Walk over a result as it arrives, not over a list of all of it.

SQLAlchemy 2 is asked for `chunk_rows` rows at a time (`yield_per`, which also asks drivers for a server-side cursor); with
sqlite3, pyodbc and oracledb, whose cursors read as they are asked, `fetchall()` goes. A loop that stands right behind the
block that holds the connection moves into it. Unsafe: the connection is held while the loop works, for as long as that
takes, and other writers may see it. Refused: a loop that uses the connection itself, results of asyncio, drivers that fetch
everything anyway, lists that are wanted as lists, and pandas (what is done with a frame is not done with its parts).
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from typing import Final

from regreen.facts.libraries.editing import Draft, Edit, UndecidedError, one_by_one
from regreen.facts.libraries.versions import Side, declared, side
from regreen.facts.source import Index, dotted, last_name
from regreen.model import Example, Finding, Proposal, Risk, Safety, Splice, Undo
from regreen.policy import Policy

ID: Final = "code.stream-results"
CHECK: Final = "code.results-stream"
SAFETY: Final = Safety.UNSAFE
UNDO: Final = Undo.EXACT
RISK: Final = Risk.MEDIUM

_SOURCE: Final = (
    "https://docs.sqlalchemy.org/en/20/core/connections.html#using-server-side-cursors-a-k-a-stream-results"
)
_EXECUTING: Final = frozenset({"execute", "exec", "scalars"})
_BUILDING: Final = frozenset({"select", "text", "SQL"})
#: Drivers whose cursors read rows as they are asked for, and others of note, which take the whole result first.
_LAZY: Final = frozenset({"sqlite3", "pyodbc", "oracledb", "cx_Oracle"})
_EAGER: Final = frozenset({"psycopg", "psycopg2", "pymysql", "MySQLdb", "mysql", "asyncpg", "duckdb", "snowflake"})
#: Calls in a loop that speak to a database, whichever name they go by.
_SPEAKING: Final = frozenset(
    {"commit", "rollback", "flush", "begin", "execute", "executemany", "scalars", "query", "merge", "refresh", "close"}
)
_OPENING: Final = frozenset({"connect", "Session", "session", "sessionmaker", "Connection", "closing", "get_session"})


def propose(findings: Sequence[Finding], index: Index, policy: Policy) -> Proposal:
    """One change per result."""

    def edit(finding: Finding, draft: Draft) -> Edit:
        if finding.get("kind") == "pandas":
            raise UndecidedError("what is computed of a whole frame is not always the sum of what is computed of its parts",
                                 "a loop over `chunksize=` frames, and how their answers are put together")  # fmt: skip
        return _Reading(index, draft, draft.the(finding.where, ast.Call), policy.chunk_rows).edit()

    return one_by_one(ID, findings, index, edit)


class _Reading:
    """One place that fetches everything. Raises UndecidedError where streaming is not sure to say the same."""

    def __init__(self, index: Index, draft: Draft, call: ast.Call, rows: int) -> None:
        assert isinstance(call.func, ast.Attribute)
        self.index = index
        self.draft = draft
        self.call = call
        self.base = call.func.value
        self.rows = rows

    def edit(self) -> Edit:
        """The edit: the result is asked for in chunks, `fetchall()` goes, and the loop stands where it can read."""
        asking = self._asking()
        moved = self._walk(asking)
        if asking is None:
            splices = [self._rest(f".yield_per({self.rows})")]
        elif self._is_sqlalchemy(asking.args[0]):
            if side(self.index, "sqlalchemy", "2.0", self.draft.path) in (Side.BEFORE, Side.EITHER):
                raise UndecidedError(f"`execution_options=` of a call came with SQLAlchemy 2.0, and the tree has "
                                     f"{declared(self.index, 'sqlalchemy', self.draft.path)}",
                                     "when the tree moves to SQLAlchemy 2")  # fmt: skip
            if any(item.arg in (None, "execution_options") for item in asking.keywords):
                raise UndecidedError("the query has options of its own", f"that `yield_per` is {self.rows} among them")
            option = f'execution_options={{"yield_per": {self.rows}}}'
            splices = [self.draft.append_arguments(asking, [option]), self._rest("")]
        else:
            self._require_lazy()
            splices = [self._rest("")]
        return Edit([*splices, *moved], f"`{last_name(self.call.func)}()` becomes a walk over the result",
                    f"the rows are only walked over; {_SOURCE}", SAFETY)  # fmt: skip

    def _asking(self) -> ast.Call | None:
        """The call that runs the query; None where a query object runs itself (`session.query(…)`, `Model.query`)."""
        node = self.base
        while isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            if node.func.attr in _EXECUTING and node.args:
                return node
            if node.func.attr in ("unique", "options"):
                raise UndecidedError(f"`{node.func.attr}` looks at the whole result, or at rows that belong together",
                                     "whether the rows can be told apart one by one")  # fmt: skip
            if node.func.attr == "query":
                return None
            node = node.func.value
        if any(isinstance(inner, ast.Await) for inner in ast.walk(self.base)):
            raise UndecidedError("a result of asyncio has been read when it is there",
                                 "`stream()` or `stream_scalars()`, and an `async for`")  # fmt: skip
        name = dotted(node)
        if name.endswith(".query"):
            return None
        given = [
            one
            for one in ast.walk(self._root())
            if isinstance(one, ast.Call)
            and isinstance(one.func, ast.Attribute)
            and one.func.attr in _EXECUTING
            and one.args
            and (dotted(one.func.value) == name or self._is_given(one, name))
            and one.lineno <= self.call.lineno
        ]
        if not given:
            raise UndecidedError("where the query is run cannot be seen", "the query in chunks")
        return max(given, key=lambda one: one.lineno)

    def _is_given(self, call: ast.Call, name: str) -> bool:
        parent = self.draft.names.parents.get(call)
        return isinstance(parent, ast.Assign) and len(parent.targets) == 1 and dotted(parent.targets[0]) == name

    def _root(self) -> ast.AST:
        functions = (
            n for n in self.draft.names.above(self.call) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)
        )
        return next(functions, self.draft.tree)

    def _is_sqlalchemy(self, query: ast.expr, depth: int = 0) -> bool:
        """Whether a query was built by SQLAlchemy: a text alone is a driver's."""
        node = query
        while isinstance(node, ast.Call):
            if last_name(node.func) in _BUILDING:
                return self.draft.names.origin(node.func).partition(".")[0] in ("sqlalchemy", "sqlmodel")
            if not isinstance(node.func, ast.Attribute):
                return False
            node = node.func.value
        if not isinstance(node, ast.Name) or depth > 4:
            return False
        given = [
            one.value
            for one in (*ast.walk(self._root()), *self.draft.tree.body)
            if isinstance(one, ast.Assign) and [dotted(target) for target in one.targets] == [node.id]
            and not any(isinstance(inner, ast.Name) and inner.id == node.id for inner in ast.walk(one.value))
        ]  # fmt: skip
        return bool(given) and all(self._is_sqlalchemy(value, depth + 1) for value in given)

    def _require_lazy(self) -> None:
        imported = {alias.partition(".")[0] for alias in self._imported()}
        if not imported & _LAZY or imported & _EAGER or "sqlalchemy" in imported:
            raise UndecidedError("whether this driver reads rows as they are asked for cannot be seen here",
                                 "a cursor at the server (psycopg: one with a name; MySQL: SSCursor), or `fetchmany`")  # fmt: skip

    def _imported(self) -> Iterator[str]:
        for node, _ in self.draft.names.imports:
            if isinstance(node, ast.ImportFrom):
                yield node.module or ""
            else:
                yield from (alias.name for alias in node.names)

    def _rest(self, new: str) -> Splice:
        """Replace the `.fetchall()` or `.all()` at the end, with the line that it may have had to itself."""
        start, end = self.draft.end(self.base), self.draft.end(self.call)
        between = self.draft.text.source[start:end]
        dot = between.rindex(b".")
        if not new and b"#" not in between[:dot]:
            dot = len(between[:dot].rstrip())
        return Splice(self.draft.path, start + dot, end, self.draft.text.encode(new))

    def _walk(self, asking: ast.Call | None) -> list[Splice]:
        """The splices that bring the loop to the result; none where it stands there already."""
        parents = self.draft.names.parents
        node: ast.AST = self.call
        parent = parents.get(node)
        while isinstance(parent, ast.Call) and last_name(parent.func) in ("enumerate", "iter") and node in parent.args:
            node, parent = parent, parents.get(parent)
        if isinstance(parent, ast.For) and parent.iter is node:
            self._require_own_connection(parent, asking)
            return []
        if not isinstance(parent, ast.Assign):
            raise UndecidedError("the rows are handed on, and read when the connection may be given back",
                                 "whether a list is wanted, or a loop over the result itself")  # fmt: skip
        name = dotted(parent.targets[0])
        root = self._root()
        loop = next(n for n in ast.walk(root) if isinstance(n, ast.For) and dotted(n.iter) == name)
        self._require_own_connection(loop, asking)
        block = self._block(parent)
        if block[block.index(parent) + 1 :][:1] == [loop]:
            return []
        around = parents.get(parent)
        if not isinstance(around, ast.With) or around.body[-1] is not parent:
            raise UndecidedError(
                "something stands between the query and the loop", "where the connection is held for it"
            )
        beside = self._block(around)
        if beside[beside.index(around) + 1 :][:1] != [loop]:
            raise UndecidedError(
                "the loop does not follow the block that holds the connection", "where it is held for it"
            )
        if not all(_opens(item.context_expr) for item in around.items):
            raise UndecidedError("what else the block around the query means for a loop inside of it is not known",
                                 "whether the loop may stand in there")  # fmt: skip
        return self._indented(loop, around)

    def _block(self, statement: ast.stmt) -> list[ast.stmt]:
        parent = self.draft.names.parents[statement]
        blocks = (getattr(parent, name, None) for name in ("body", "orelse", "finalbody"))
        return next(block for block in blocks if isinstance(block, list) and statement in block)

    def _require_own_connection(self, loop: ast.For, asking: ast.Call | None) -> None:
        """Raises UndecidedError where the loop's body speaks to the database while the rows are still coming."""
        held = {dotted(self.base), self._connection(asking)} - {""}
        for statement in loop.body:
            for node in ast.walk(statement):
                speaks = isinstance(node, ast.Call) and last_name(node.func) in _SPEAKING
                if speaks or (isinstance(node, ast.Name | ast.Attribute) and dotted(node) in held):
                    raise UndecidedError("the loop speaks to the database while its rows are still coming",
                                         "whether it may have a connection of its own")  # fmt: skip

    def _connection(self, asking: ast.Call | None) -> str:
        """The name of what the query is run on, such as `session`."""
        node: ast.expr = self.base if asking is None else asking
        while isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            name = dotted(node.func.value)
            if name:
                return name
            node = node.func.value
        return dotted(node)

    def _indented(self, loop: ast.For, around: ast.With) -> list[Splice]:
        """One step further in, line by line."""
        text = self.draft.text
        for node in ast.walk(loop):
            is_text = isinstance(node, ast.JoinedStr) or (
                isinstance(node, ast.Constant) and isinstance(node.value, str | bytes)
            )
            if is_text and node.lineno != node.end_lineno:  # type: ignore[attr-defined]
                raise UndecidedError(
                    "a text in the loop goes over lines, and would move with it", "where the loop stands"
                )
        outer = text.indent(around.lineno)
        step = text.indent(around.body[0].lineno)[len(outer) :]
        assert loop.end_lineno is not None
        lines = range(loop.lineno, loop.end_lineno + 1)
        starts = [text.line_start(number) for number in lines if text.line(number).strip()]
        return [Splice(self.draft.path, start, start, step) for start in starts]


def _opens(node: ast.expr) -> bool:
    """Whether a `with` opens a connection or a session, and ends with nothing but giving it back."""
    return isinstance(node, ast.Call) and last_name(node.func) in _OPENING


_ALCHEMY: Final = "from sqlalchemy import select\n\n\ndef f(engine, session, User):\n"
_LITE: Final = "import sqlite3\n\n\ndef f(db):\n    cur = db.cursor()\n"
_N: Final = 'execution_options={"yield_per": 1000}'


def _example(title: str, before: str, after: str, policy: str = "") -> Example:
    more = {"pyproject.toml": policy} if policy else {}
    return Example(title, {"a.py": before, **more}, {"a.py": after, **more})


def _refused(title: str, text: str, **more: str) -> Example:
    return Example(
        title, {"a.py": text, **{name.replace("__", "."): content for name, content in more.items()}}, refuses=True
    )


# ruff: noqa: S608 - the examples are queries in sources, nothing is asked
EXAMPLES: Final = (
    _example("a loop behind the block that holds the connection",
             _ALCHEMY + "    with engine.connect() as c:\n        rows = c.execute(select(User.name)).fetchall()\n    # ä\n    for (name,) in rows:\n\n        yield name\n",
             _ALCHEMY + f"    with engine.connect() as c:\n        rows = c.execute(select(User.name), {_N})\n    # ä\n        for (name,) in rows:\n\n            yield name\n"),
    _example("directly walked over, and by a query of old",
             _ALCHEMY + "    for u in session.scalars(select(User)).all():\n        go(u)\n    for u in session.execute(select(User)).scalars().all():\n        go(u)\n"
             "    for n, u in enumerate(session.query(User).all()):\n        go(u)\n    for u in User.query.all():\n        go(u)\n",
             _ALCHEMY + f"    for u in session.scalars(select(User), {_N}):\n        go(u)\n    for u in session.execute(select(User), {_N}).scalars():\n        go(u)\n"
             "    for n, u in enumerate(session.query(User).yield_per(1000)):\n        go(u)\n    for u in User.query.yield_per(1000):\n        go(u)\n"),
    _example("the policy's chunk, over lines", _ALCHEMY + "    rows = (\n        session.query(User)\n        .all()\n    )\n    for u in rows:\n        go(u)\n",
             _ALCHEMY + "    rows = (\n        session.query(User)\n        .yield_per(50)\n    )\n    for u in rows:\n        go(u)\n", "[tool.regreen]\nchunk-rows = 50\n"),
    _example("a cursor of sqlite3", _LITE + "    cur.execute('SELECT a FROM t')\n    for row in cur.fetchall():\n        go(row)\n",
             _LITE + "    cur.execute('SELECT a FROM t')\n    for row in cur:\n        go(row)\n"),
    _refused("the loop uses the connection", _ALCHEMY + "    for u in session.scalars(select(User)).all():\n        session.delete(u)\n"),
    _refused("the loop uses the session", _ALCHEMY + "    for u in session.query(User).order_by(User.id).all():\n        go(session, u)\n"),
    _refused("the loop commits", _ALCHEMY + "    for u in User.query.all():\n        u.seen = 1\n        db.session.commit()\n"),
    _refused("another driver", _LITE.replace("sqlite3", "psycopg") + "    cur.execute('SELECT a FROM t')\n    for row in cur.fetchall():\n        go(row)\n"),
    _refused("asyncio", "from sqlalchemy import select\n\n\nasync def f(s, T):\n    for t in (await s.execute(select(T))).scalars().all():\n        go(t)\n"),
    _refused("a list, a generator", _ALCHEMY + "    x = list(session.query(User).all())\n    return x, (u.id for u in session.query(User).all())\n"),
    _refused("the block commits at its end",
             _ALCHEMY + "    with engine.begin() as c:\n        rows = c.execute(select(User)).fetchall()\n    for r in rows:\n        go(r)\n"),
    _refused("a text over lines would move",
             _ALCHEMY + '    with engine.connect() as c:\n        rows = c.execute(select(User)).fetchall()\n    for r in rows:\n        go("""a\nb""")\n'),
    _refused("an old SQLAlchemy", _ALCHEMY + "    for u in session.scalars(select(User)).all():\n        go(u)\n", requirements__txt="sqlalchemy<2\n"),
    _refused("pandas", "import pandas as pd\n\npd.read_sql('select * from t', c)\n"),
    _example("in chunks already", _ALCHEMY + f"    for u in session.scalars(select(User), {_N}):\n        go(u)\n",
             _ALCHEMY + f"    for u in session.scalars(select(User), {_N}):\n        go(u)\n"),
)  # fmt: skip
