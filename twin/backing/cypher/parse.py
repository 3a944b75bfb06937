"""From text to a query."""

from __future__ import annotations

from functools import lru_cache

from twin.backing.cypher.errors import unsupported
from twin.backing.cypher.expressions import Words
from twin.backing.cypher.tree import (
    Clause,
    Create,
    Delete,
    Expression,
    Foreach,
    HasLabels,
    Item,
    Match,
    Merge,
    Procedure,
    Property,
    Query,
    Remove,
    Return,
    Schema,
    Set,
    SetItem,
    Unwind,
    Variable,
)  # fmt: skip


@lru_cache(maxsize=512)
def parse(text: str) -> Query:
    """CypherError says where it is wrong, or what is not supported."""
    words = Words(text)
    explain = words.met("EXPLAIN")
    words.met("PROFILE")
    schema = _schema(words)
    parts: list[tuple[Clause, ...]] = []
    union_all = False
    if schema is None:
        parts.append(_clauses(words))
        while words.met("UNION"):
            union_all = words.met("ALL")
            parts.append(_clauses(words))
    words.met(";")
    if words.now.kind != "end":
        raise words.wrong("expected a clause")
    return Query(tuple(parts), union_all, schema, explain)


def _clauses(words: Words) -> tuple[Clause, ...]:
    found: list[Clause] = []
    while not words.now.is_("UNION", ";", ")") and words.now.kind != "end":
        if found and isinstance(found[-1], Return) and found[-1].last:
            raise words.wrong("RETURN can only be used at the end of the query")
        found.append(_clause(words))
    if not found:
        raise words.wrong("expected a clause")
    last = found[-1]
    if isinstance(last, (Match, Unwind)) or (isinstance(last, Return) and not last.last):
        kind = {Match: "MATCH", Unwind: "UNWIND", Return: "WITH"}[type(last)]
        raise words.wrong(f"Query cannot conclude with {kind} (must be a RETURN clause or an update clause)")
    return tuple(found)


def _clause(words: Words) -> Clause:
    if words.met("OPTIONAL"):
        words.need("MATCH")
        return _match(words, optional=True)
    if words.met("MATCH"):
        return _match(words, optional=False)
    if words.met("CREATE"):
        return Create(words.paths())
    if words.met("MERGE"):
        return _merge(words)
    if words.met("SET"):
        return Set(_set_items(words))
    if words.met("REMOVE"):
        return Remove(_remove_items(words))
    if words.now.is_("DELETE", "DETACH"):
        detach = words.met("DETACH")
        words.need("DELETE")
        targets = [words.expression()]
        while words.met(","):
            targets.append(words.expression())
        return Delete(tuple(targets), detach)
    if words.met("UNWIND"):
        of = words.expression()
        words.need("AS")
        return Unwind(of, words.name())
    if words.now.is_("RETURN", "WITH"):
        return _return(words)
    if words.met("FOREACH"):
        return _foreach(words)
    if words.met("CALL"):
        return _call(words)
    if words.now.is_("LOAD", "USE"):
        raise unsupported(words.now.text.upper())
    raise words.wrong("expected a clause")


def _match(words: Words, *, optional: bool) -> Match:
    paths = words.paths()
    return Match(paths, words.expression() if words.met("WHERE") else None, optional)


def _merge(words: Words) -> Merge:
    path = words.path()
    created: tuple[SetItem, ...] = ()
    matched: tuple[SetItem, ...] = ()
    while words.met("ON"):
        on_create = words.met("CREATE")
        if not on_create:
            words.need("MATCH")
        words.need("SET")
        items = _set_items(words)
        created, matched = (created + items, matched) if on_create else (created, matched + items)
    return Merge(path, created, matched)


def _set_items(words: Words) -> tuple[SetItem, ...]:
    found = [_set_item(words)]
    while words.met(","):
        found.append(_set_item(words))
    return tuple(found)


def _set_item(words: Words) -> SetItem:
    target: Expression = Variable(words.name())
    if words.now.is_(":"):
        return SetItem("labels", target, labels=words.labels())
    if words.met("+="):
        return SetItem("merge", target, value=words.expression())
    if words.met("="):
        return SetItem("replace", target, value=words.expression())
    words.need(".")
    key = words.name()
    while words.met("."):
        target, key = Property(target, key), words.name()
    words.need("=")
    return SetItem("property", target, key, words.expression())


def _remove_items(words: Words) -> tuple[SetItem, ...]:
    found = []
    while True:
        what = words.expression()
        if isinstance(what, HasLabels):
            found.append(SetItem("labels", what.of, labels=what.labels))
        elif isinstance(what, Property):
            found.append(SetItem("property", what.of, what.key))
        else:
            raise words.wrong("REMOVE takes a property or a label")
        if not words.met(","):
            return tuple(found)


def _return(words: Words) -> Return:
    last = words.take().text.upper() == "RETURN"
    distinct = words.met("DISTINCT")
    everything = words.met("*")
    items: list[Item] = []
    if not everything or words.met(","):
        items.append(_item(words, last))
        while words.met(","):
            items.append(_item(words, last))
    order: list[tuple[Expression, bool]] = []
    if words.met("ORDER"):
        words.need("BY")
        while True:
            key = words.expression()
            down = words.met("DESC") or words.met("DESCENDING")
            if not down and not words.met("ASC"):
                words.met("ASCENDING")
            order.append((key, down))
            if not words.met(","):
                break
    skip = words.expression() if words.met("SKIP") or words.met("OFFSET") else None
    limit = words.expression() if words.met("LIMIT") else None
    where = words.expression() if not last and words.met("WHERE") else None
    return Return(tuple(items), everything, distinct, tuple(order), skip, limit, where, last)


def _item(words: Words, last: bool) -> Item:
    start = words.now.at
    of = words.expression()
    if words.met("AS"):
        return Item(of, words.name())
    if isinstance(of, Variable):
        return Item(of, of.name)
    if not last:
        raise words.wrong("Expression in WITH must be aliased (use AS)")
    before = words.words[words.at - 1]
    end = words.now.at if words.now.kind != "end" else len(words.text)
    return Item(of, words.text[start:end].strip() or before.text)


def _foreach(words: Words) -> Foreach:
    words.need("(")
    name = words.name()
    words.need("IN")
    of = words.expression()
    words.need("|")
    clauses = _clauses(words)
    words.need(")")
    return Foreach(name, of, clauses)


def _call(words: Words) -> Procedure:
    if words.now.is_("{", "("):
        raise unsupported("CALL { … } subqueries")
    name = words.name()
    while words.met("."):
        name += "." + words.name()
    arguments: list[Expression] = []
    if words.met("("):
        while not words.met(")"):
            arguments.append(words.expression())
            if not words.now.is_(")"):
                words.need(",")
    yields: list[tuple[str, str]] = []
    if words.met("YIELD") and not words.met("*"):
        while True:
            column = words.name()
            yields.append((column, words.name() if words.met("AS") else column))
            if not words.met(","):
                break
    where = words.expression() if words.met("WHERE") else None
    return Procedure(name, tuple(arguments), tuple(yields), where)


def _schema(words: Words) -> Schema | None:
    start = words.at
    if words.met("SHOW"):
        for kind, texts in (("CONSTRAINT", ("CONSTRAINTS", "CONSTRAINT")), ("INDEX", ("INDEXES", "INDEX"))):
            if words.now.is_(*texts):
                words.take()
                if words.met("YIELD"):
                    words.need("*")
                return Schema("SHOW", kind)
        if words.met("DATABASES"):
            return Schema("SHOW", "DATABASE")
        raise unsupported(f"SHOW {words.now.text.upper()}")
    for verb in ("CREATE", "DROP"):
        if words.met(verb):
            words.met("RANGE")
            for kind in ("CONSTRAINT", "INDEX"):
                if words.met(kind):
                    return _made(words, kind) if verb == "CREATE" else _dropped(words, kind)
            if words.now.is_("TEXT", "POINT", "FULLTEXT", "VECTOR", "LOOKUP", "DATABASE", "USER", "ROLE"):
                raise unsupported(f"{verb} {words.now.text.upper()}")
    words.at = start
    return None


def _dropped(words: Words, kind: str) -> Schema:
    name = words.name()
    return Schema("DROP", kind, name, lenient=words.met("IF", "EXISTS"))


def _made(words: Words, kind: str) -> Schema:
    name = "" if words.now.is_("IF", "FOR", "ON") else words.name()
    lenient = words.met("IF", "NOT", "EXISTS")
    if words.met("ON"):
        raise unsupported("CREATE … ON …; write FOR … REQUIRE")
    words.need("FOR")
    pattern = words.path()
    label = pattern.edges[0].types[0] if pattern.edges else pattern.nodes[0].labels[0]
    edge = bool(pattern.edges)
    words.need("REQUIRE" if kind == "CONSTRAINT" else "ON")
    keys: list[str] = []
    words.met("(")
    while True:
        words.name()
        words.need(".")
        keys.append(words.name())
        if not words.met(","):
            break
    words.met(")")
    rule = ""
    if kind == "CONSTRAINT":
        words.need("IS")
        if words.met("UNIQUE"):
            rule = "UNIQUENESS"
        elif words.met("NOT", "NULL"):
            rule = "NODE_PROPERTY_EXISTENCE"
        elif words.met("NODE", "KEY"):
            rule = "NODE_KEY"
        else:
            raise unsupported(f"IS {words.now.text.upper()}")
        if edge:
            raise unsupported("constraints on relationships")
    return Schema("CREATE", kind, name, label, tuple(keys), rule, edge, lenient)
