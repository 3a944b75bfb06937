"""Large results are read in chunks: no whole table is taken into memory just to walk over it.

Reported is a query that can be seen to have no `WHERE`, no limit and no aggregate, and whose result is then held as a
whole: `fetchall()` or `all()` that is only iterated over, `list(….all())`, and pandas' `read_sql` without `chunksize`.
Iterate over the result itself (`yield_per` of SQLAlchemy, `fetchmany`, a server-side cursor), or pass `chunksize`.
Not judged: queries that come from elsewhere, results that are returned, indexed, counted or sorted, and tests.
"""

from __future__ import annotations

import ast
import re
from typing import Final

from regreen.facts.source import Context, Index, Interests, Parents
from regreen.facts.source.aside import is_aside
from regreen.facts.source.context import dotted, last_name
from regreen.model import Example, Severity, Verdict
from regreen.policy import Policy

ID: Final = "code.results-stream"
VERSION: Final = 1
SEVERITY: Final = Severity.WARNING
SOURCE: Final = "https://docs.sqlalchemy.org/en/20/orm/queryguide/api.html#fetching-large-result-sets-with-yield-per"

_WHOLE: Final = re.compile(r"\s*(?:with\b.*?\)\s*)?select\b.*\bfrom\b", re.IGNORECASE | re.DOTALL)
_BOUNDED: Final = re.compile(
    r"\b(?:where|having|limit|fetch\s+(?:first|next)|top|group\s+by|distinct|pragma|show|rownum|tablesample|lateral)\b"
    r"|\b(?:count|sum|max|min|avg)\s*\(|\bfrom\s+\w+\s*\(|information_schema|sqlite_master|sqlite_schema|pg_catalog|\bpg_\w+|\bsys\.",
    re.IGNORECASE,
)
#: What may follow `select(…)` or `query(…)` and leaves the result as large as it was.
_AS_LARGE: Final = frozenset(
    {"order_by", "options", "with_for_update", "unique", "scalars", "mappings", "tuples", "columns"}
)
_AGGREGATES: Final = frozenset({"func", "count", "exists", "literal"})
_EXECUTING: Final = frozenset({"execute", "exec", "scalars", "sql"})
_PANDAS: Final = ("pandas.read_sql", "pandas.read_sql_query", "pandas.read_sql_table")
_KEEPING: Final = frozenset({"append", "extend", "add", "update", "setdefault", "insert", "put", "appendleft"})


def _fetched(node: ast.AST, context: Context, parents: Parents) -> None:
    assert isinstance(node, ast.Call)
    if node.args or node.keywords or not isinstance(node.func, ast.Attribute):
        return
    root = _root(context)
    if _held(node.func.value, node, root, context) and _is_walked(node, parents, root):
        context.emit(context.scope.qualname, context.at(node), f"{node.func.attr}()", context.segment(node)[:200])


def _framed(node: ast.AST, context: Context, parents: Parents) -> None:
    assert isinstance(node, ast.Call)
    origin = context.origin(node.func)
    if origin not in _PANDAS or any(k.arg in (None, "chunksize") for k in node.keywords) or len(node.args) > 5:
        return
    first = node.args[0] if node.args else next((k.value for k in node.keywords if k.arg == "sql"), None)
    if origin.endswith("_table") or (first is not None and _is_whole(first, _root(context), context.tree)):
        context.emit(context.scope.qualname, context.at(node), last_name(node.func), context.segment(node)[:200])


def _root(context: Context) -> ast.AST:
    scope = context.scope.function
    return scope.node if scope is not None else context.tree


def _held(base: ast.expr, call: ast.Call, root: ast.AST, context: Context) -> bool:
    """Whether `base`, of which everything is fetched, is the result of a query for a whole table."""
    while True:
        if isinstance(base, ast.Await):
            base = base.value
        elif isinstance(base, ast.Call) and isinstance(base.func, ast.Attribute):
            if base.func.attr in _EXECUTING and base.args:
                return _is_whole(base.args[0], root, context.tree)
            if base.func.attr == "query" and base.args:
                return _is_whole(base, root, context.tree)
            if base.func.attr not in _AS_LARGE:
                return False
            base = base.func.value
        else:
            break
    name = dotted(base)
    if name.endswith(".query"):
        return isinstance(base, ast.Attribute) and last_name(base.value)[:1].isupper()  # Flask-SQLAlchemy's Model.query
    if not name or last_name(call.func) == "all":
        return False
    asked = [
        n
        for n in ast.walk(root)
        if isinstance(n, ast.Call) and last_name(n.func) in ("execute", "executemany", "callproc")
        and isinstance(n.func, ast.Attribute) and dotted(n.func.value) == name
    ]  # fmt: skip
    if asked:  # a cursor: the last thing that it was asked
        before = [n for n in asked if n.lineno <= call.lineno]
        last = max(before, key=lambda n: n.lineno, default=None)
        return last is not None and bool(last.args) and _is_whole(last.args[0], root, context.tree)
    given = [n for n in _assignments(root, name) if n.lineno <= call.lineno]
    if len(given) != 1:
        return False
    value = given[0].value.value if isinstance(given[0].value, ast.Await) else given[0].value
    return isinstance(value, ast.Call) and last_name(value.func) in _EXECUTING and bool(value.args) and _is_whole(
        value.args[0], root, context.tree
    )  # fmt: skip


def _assignments(root: ast.AST, name: str) -> list[ast.Assign]:
    return [
        n for n in ast.walk(root) if isinstance(n, ast.Assign) and len(n.targets) == 1 and dotted(n.targets[0]) == name
    ]


def _is_whole(query: ast.expr, root: ast.AST, tree: ast.Module, depth: int = 0) -> bool:
    """Whether a query can be seen to ask for every row of a table."""
    if depth > 4:
        return False
    if isinstance(query, ast.Constant):
        return isinstance(query.value, str) and bool(_WHOLE.match(query.value)) and not _BOUNDED.search(query.value)
    if isinstance(query, ast.Call):
        if last_name(query.func) in ("text", "SQL") and query.args:
            return _is_whole(query.args[0], root, tree, depth + 1)
        return _is_whole_chain(query, root, tree, depth)
    if not isinstance(query, ast.Name):
        return False
    given = _assignments(root, query.id) or [
        n
        for n in tree.body  # the top level alone: walking a whole file for every query is slow on large ones
        if isinstance(n, ast.Assign) and len(n.targets) == 1 and dotted(n.targets[0]) == query.id
    ]
    others = sum(isinstance(n, ast.Name) and n.id == query.id and isinstance(n.ctx, ast.Store) for n in ast.walk(root))
    if not given or others > len(given):
        return False
    perhaps = {
        id(inner)
        for branch in ast.walk(root)
        if isinstance(branch, ast.If) and not branch.orelse
        for inner in branch.body
    }
    certain = [n for n in given if id(n) not in perhaps]
    return bool(certain) and all(_is_whole(n.value, root, tree, depth + 1) for n in certain)


def _is_whole_chain(query: ast.Call, root: ast.AST, tree: ast.Module, depth: int) -> bool:
    node: ast.expr = query
    while isinstance(node, ast.Call):
        name = last_name(node.func)
        if name == "select" or (name == "query" and isinstance(node.func, ast.Attribute)):
            if not node.args or isinstance(node.args[0], ast.Constant):
                return False
            inner = (n for argument in node.args for n in ast.walk(argument))
            return not any(
                last_name(n) in _AGGREGATES or (isinstance(n, ast.Call) and isinstance(n.func, ast.Attribute))
                for n in inner
                if isinstance(n, ast.expr) and isinstance(n, ast.Name | ast.Attribute | ast.Call)
            )
        if name not in _AS_LARGE or not isinstance(node.func, ast.Attribute):
            return False
        node = node.func.value
    return isinstance(node, ast.Name) and _is_whole(node, root, tree, depth + 1)


def _is_walked(call: ast.Call, parents: Parents, root: ast.AST) -> bool:
    """Whether the rows are only walked over, or copied into a list at once."""
    if parents is None:
        return False
    parent, above = parents
    if isinstance(parent, ast.Call):
        if parent.args != [call] or not isinstance(parent.func, ast.Name):
            return False
        if parent.func.id == "list":
            return last_name(call.func) == "all"
        return parent.func.id in ("enumerate", "iter") and _is_walked(parent, above, root)
    if isinstance(parent, ast.For):
        return parent.iter is call and not _keeps(parent)
    if isinstance(parent, ast.comprehension):
        return parent.iter is call and above is not None and isinstance(above[0], ast.GeneratorExp)
    if not isinstance(parent, ast.Assign) or len(parent.targets) != 1 or not isinstance(parent.targets[0], ast.Name):
        return False
    name = parent.targets[0].id
    if len(_assignments(root, name)) != 1:
        return False
    loads = sum(isinstance(n, ast.Name) and n.id == name and isinstance(n.ctx, ast.Load) for n in ast.walk(root))
    loops = [n for n in ast.walk(root) if isinstance(n, ast.For) and isinstance(n.iter, ast.Name) and n.iter.id == name]
    return len(loops) == loads == 1 and not _keeps(loops[0])


def _keeps(loop: ast.For) -> bool:
    """Whether a loop collects what it walks over: it is as large in the end."""
    return any(
        (isinstance(n, ast.Attribute) and n.attr in _KEEPING)
        or (isinstance(n, ast.Subscript) and isinstance(n.ctx, ast.Store))
        for statement in loop.body
        for n in ast.walk(statement)
    )


INTERESTS: Final = Interests(
    calls={
        "fetchall": _fetched, "all": _fetched,
        "read_sql": _framed, "read_sql_query": _framed, "read_sql_table": _framed,
    },
    needles=("fetchall(", ".all()", "read_sql"),
)  # fmt: skip


def judge(index: Index, policy: Policy) -> Verdict:
    """One finding per place that holds a whole table."""
    findings = []
    for file, (scope, position, how, text) in index.records(ID):
        if is_aside(file.path):
            continue
        pandas = how.startswith("read_")
        findings.append(
            index.finding(
                ID,
                SEVERITY,
                file,
                position,
                scope=scope,
                observed=f"`{how}` takes a whole table into memory at once: no condition, no limit",
                expected="`chunksize=`, and a loop over the chunks"
                if pandas
                else "a loop over the result itself, in chunks (`yield_per`, `fetchmany`, or a server-side cursor)",
                snippet=text,
                data={"kind": "pandas" if pandas else "rows"},
            )
        )
    return Verdict.of(ID, len(index.files), findings)


_CURSOR: Final = "import sqlite3\n\n\ndef f(db):\n    cur = db.cursor()\n"
_ORM: Final = "from sqlalchemy import func, select\n\n\ndef f(session, User, x):\n"

# ruff: noqa: S608 - the examples are queries in sources, nothing is asked
EXAMPLES: Final = (
    Example("fetchall, walked over", {
        "a.py": _CURSOR + "    cur.execute('SELECT a, b FROM trades ORDER BY a')\n    for row in cur.fetchall():\n        send(row)\n"}, fires=1),
    Example("fetchall into a name, with a condition that may not apply", {
        "a.py": _ORM + "    query = select(User.name).order_by(User.id)\n    if x:\n        query = query.where(User.id == x)\n"
        "    with session.connect() as c:\n        rows = c.execute(query).fetchall()\n    for (text,) in rows:\n        yield text\n"}, fires=1),
    Example("all() of a query, of select, of Model.query", {
        "a.py": _ORM + "    for u in session.query(User).all():\n        u.touch()\n    for u in session.scalars(select(User)).all():\n        u.touch()\n"
        "    for u in session.execute(select(User)).scalars().all():\n        u.touch()\n    for u in User.query.all():\n        u.touch()\n"
        "    return list(session.query(User).all())\n"}, fires=5),
    Example("awaited", {
        "a.py": "from sqlalchemy import select\n\n\nasync def f(s, T):\n    for t in (await s.execute(select(T))).scalars().all():\n        t.go()\n"}, fires=1),
    Example("pandas", {
        "a.py": "import pandas as pd\nfrom pandas import read_sql_table\n\nSQL = 'select * from trades'\npd.read_sql(SQL, c)\nread_sql_table('trades', c)\n"}, fires=2),
    Example("conditions and limits", {
        "a.py": _CURSOR + "    cur.execute('SELECT a FROM t WHERE b = ?', (1,))\n    for r in cur.fetchall():\n        go(r)\n"
        "    for r in db.execute('SELECT a FROM t LIMIT 10').fetchall():\n        go(r)\n    for r in db.execute('PRAGMA table_info(t)').fetchall():\n        go(r)\n"
        "    for r in db.execute('select count(*) from t').fetchall():\n        go(r)\n    for r in db.execute('select name from sqlite_master').fetchall():\n        go(r)\n"}),
    Example("conditions of an ORM", {
        "a.py": _ORM + "    for u in session.query(User).filter(User.id > x).all():\n        u.go()\n    for u in session.scalars(select(User).limit(9)).all():\n        u.go()\n"
        "    for n in session.execute(select(func.count(User.id))).all():\n        go(n)\n    for u in session.query(User).mine(x).all():\n        u.go()\n"}),
    Example("needed as a whole", {
        "a.py": _ORM + "    rows = session.query(User).all()\n    if len(rows) > 3:\n        return rows[0]\n    other = session.query(User).all()\n    return other\n"}),
    Example("collected by the loop", {
        "a.py": _CURSOR + "    out = []\n    cur.execute('SELECT a FROM t')\n    for r in cur.fetchall():\n        out.append(r[0])\n    return out\n"}),
    Example("a query from elsewhere", {
        "a.py": "def f(cur, sql, table, where):\n    cur.execute(sql)\n    for r in cur.fetchall():\n        go(r)\n"
        "    for r in cur.execute(f'SELECT * FROM {table} {where}').fetchall():\n        go(r)\n"}),
    Example("in chunks", {
        "a.py": "import pandas as pd\n\nfor part in pd.read_sql('select * from t', c, chunksize=1000):\n    go(part)\npd.read_sql('select * from t where a = 1', c)\n"
        "for row in c.execute('select * from t'):\n    go(row)\n"}),
    Example("the built-in all, numpy, a test", {
        "a.py": "for x in mask.all():\n    go(x)\nall(mask)\n",
        "tests/test_a.py": "def test_a(c):\n    for r in c.execute('select * from t').fetchall():\n        assert r\n"}),
)  # fmt: skip
