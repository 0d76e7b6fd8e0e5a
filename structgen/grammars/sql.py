"""SELECT statements for a given SQLite database: only its tables, only columns of the tables that a statement reads.

A *scope* is the set of tables in one FROM clause. What a column may be called depends on it, and the columns of a SELECT come before its
FROM: so every scope has rules of its own, made from one template in Lark's language, and a query is a query of any scope. Names of the
schema are words that no alias may be. docs/sql.md has the statements; the size is in O(scopes * columns).
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable, Mapping
from itertools import combinations, permutations
from typing import Any

from structgen.errors import LimitExceeded, StructgenError
from structgen.grammars.constraint import Constraint

__all__ = ["sql"]

MAX_TABLES = 3
MAX_SCOPES = 200
MAX_COLUMNS = 5_000
"""Columns of all tables together."""
MAX_LENGTH = 1_000_000
"""Characters of definitions."""
TO_DEFINE = {
    sqlite3.SQLITE_CREATE_TABLE, sqlite3.SQLITE_CREATE_VIEW, sqlite3.SQLITE_CREATE_INDEX, sqlite3.SQLITE_REINDEX,
    sqlite3.SQLITE_TRANSACTION,
    sqlite3.SQLITE_INSERT, sqlite3.SQLITE_UPDATE, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION,
}  # fmt: skip
"""What definitions of tables and views do; others might read files or never end."""
KEYWORDS = frozenset(
    """abort action add after all alter always analyze and as asc attach autoincrement before begin between by cascade case cast check
    collate column commit conflict constraint create cross current current_date current_time current_timestamp database default
    deferrable deferred delete desc detach distinct do drop each else end escape except exclude exclusive exists explain fail false
    filter first following for foreign from full generated glob group groups having if ignore immediate in index indexed initially
    inner insert instead intersect into is isnull join key last left like limit match materialized natural no not nothing notnull null
    nulls of offset on or order others outer over partition plan pragma preceding primary query raise range recursive references regexp
    reindex release rename replace restrict returning right rollback row rows savepoint select set table temp temporary then ties to
    transaction trigger true unbounded union unique update using vacuum values view virtual when where window with within
    without""".split()  # noqa: SIM905
)
"""Names that need quotes, here always."""
FUNCTIONS = {
    "abs": (1, 1), "coalesce": (2, None), "date": (1, 2), "datetime": (1, 2), "ifnull": (2, 2), "instr": (2, 2), "julianday": (1, 2),
    "length": (1, 1), "lower": (1, 1), "ltrim": (1, 2), "max": (2, None), "min": (2, None), "nullif": (2, 2), "replace": (3, 3),
    "round": (1, 2), "rtrim": (1, 2), "strftime": (2, 3), "substr": (2, 3), "time": (1, 2), "trim": (1, 2), "typeof": (1, 1),
    "upper": (1, 1),
}  # fmt: skip
"""Least and greatest number of arguments."""
AGGREGATES = ("avg", "count", "group_concat", "max", "min", "sum", "total")
TYPES = ("blob", "integer", "numeric", "real", "text")
COLLATIONS = ("binary", "nocase", "rtrim")

Schema = dict[str, list[str]]


def sql(
    schema: sqlite3.Connection | Mapping[str, Iterable[str]] | str, *, tables: Iterable[str] | None = None, max_tables: int = 2
) -> Constraint:
    """The SELECT statements on a database that docs/sql.md describes: each of them prepares without an error.

    ``schema``: an open connection (its tables and views), the text of CREATE statements, or the names of the columns of each table.
    ``tables``: those of them that may be used, all if None. ``max_tables``: how many one FROM may join, at most 3.
    Raises `StructgenError` for a schema that cannot be read and `LimitExceeded` for one with too many joins.

    >>> sql({"cities": ["name", "country"]}).source
    'SELECT on cities'
    """
    if isinstance(max_tables, bool) or not isinstance(max_tables, int) or not 1 <= max_tables <= MAX_TABLES:
        raise StructgenError(f"max_tables is between 1 and {MAX_TABLES}, found {max_tables!r:.50}")
    found = _chosen(_read(schema), tables)
    scopes = [scope for n in range(1, max_tables + 1) for scope in combinations(found, n)]
    if len(scopes) > MAX_SCOPES:
        raise LimitExceeded("sets of tables that one FROM may join", MAX_SCOPES, "name fewer in tables, or lower max_tables")
    from structgen.grammars.lark_grammar import parse_lark

    return Constraint(parse_lark(_grammar(found, scopes), lexer="basic"), source=f"SELECT on {', '.join(found)}")


# -- the schema ---------------------------------------------------------------------------------------------------------------


def _read(schema: Any) -> Schema:
    if isinstance(schema, sqlite3.Connection):
        return _checked(_tables(schema))
    if isinstance(schema, str):
        return _checked(_defined(schema))
    if isinstance(schema, Mapping):
        for name, columns in schema.items():
            if isinstance(columns, str) or not isinstance(columns, Iterable):
                raise StructgenError(f"the columns of table {name!r:.100} are a list of names, found {columns!r:.100}")
        return _checked({name: list(columns) for name, columns in schema.items()})
    raise StructgenError(f"a schema is a connection, CREATE statements or {{table: columns}}, found {schema!r:.100}")


def _tables(connection: sqlite3.Connection) -> Schema:
    try:
        cursor = connection.cursor()
        cursor.row_factory = None
        listed = "SELECT name FROM main.sqlite_master WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"
        names = [name for (name,) in cursor.execute(listed)]
        return {name: [row[1] for row in cursor.execute(f"PRAGMA table_info({_quoted(name)})")] for name in names}
    except (sqlite3.Error, UnicodeError) as error:
        raise StructgenError(f"the schema of this database cannot be read: {error}") from None


def _defined(text: str) -> Schema:
    if len(text) > MAX_LENGTH:
        raise LimitExceeded("characters of definitions", MAX_LENGTH)
    connection = sqlite3.connect(":memory:", isolation_level=None)
    try:
        connection.set_authorizer(lambda action, *_: sqlite3.SQLITE_OK if action in TO_DEFINE else sqlite3.SQLITE_DENY)
        connection.executescript(text)
        connection.set_authorizer(None)
        return _tables(connection)
    except (sqlite3.Error, sqlite3.Warning, ValueError) as error:
        raise StructgenError(f"these definitions of tables are refused: {error}; only CREATE TABLE, VIEW and INDEX are read") from None
    finally:
        connection.close()


def _checked(schema: Schema) -> Schema:
    for kind, names in (("table", list(schema)), *((f"column in table {table!r:.100}", columns) for table, columns in schema.items())):
        if not names:
            raise StructgenError(f"there is no {kind}: a schema needs at least one")
        seen = set()
        for name in names:
            if not isinstance(name, str) or not name or "\0" in name or re.search("[\ud800-\udfff]", name):
                raise StructgenError(f"not a name of a {kind}: {name!r:.100}")
            if _key(name) in seen:
                raise StructgenError(f"two names of a {kind} differ in nothing or only in case: {name!r:.100}")
            seen.add(_key(name))
    if sum(map(len, schema.values())) > MAX_COLUMNS:
        raise LimitExceeded("columns of all tables", MAX_COLUMNS, "name fewer in tables")
    return schema


def _chosen(schema: Schema, tables: Iterable[str] | None) -> Schema:
    if tables is None:
        return schema
    if isinstance(tables, str) or not isinstance(tables, Iterable):
        raise StructgenError(f"tables is a list of names, found {tables!r:.100}")
    by_key = {_key(name): name for name in schema}
    chosen = {}
    for name in tables:
        if not isinstance(name, str) or _key(name) not in by_key:
            raise StructgenError(f"no table {name!r:.100} in the schema; there are: {', '.join(schema):.500}")
        chosen[by_key[_key(name)]] = schema[by_key[_key(name)]]
    return _checked(chosen)


def _key(name: str) -> str:
    """Names are the same if these are: SQLite lowers the letters of ASCII only."""
    return "".join(char.lower() if char.isascii() else char for char in name)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


# -- the grammar --------------------------------------------------------------------------------------------------------------


TEMPLATE = r"""
start: _query ";"? | _never
_never: (WRONG | WRONG_LONG) _never

// x is what an expression is made of: in some places there are aggregates, in others not.
_expr{x}: _condition{x} ((AND | OR) _condition{x})*
_condition{x}: _unary{x} (_rest{x})*
_unary{x}: (NOT | "+" | "-" | "~")* x
_rest{x}: _operator _unary{x} | COLLATE _collation | IS NOT? _unary{x} | ISNULL | NOTNULL | NOT NULL | NOT? (LIKE | GLOB) _unary{x}
    | NOT? IN "(" (_expr{x} ("," _expr{x})* | _one) ")" | NOT? BETWEEN _condition{x} AND _unary{x}
_operator: "<" | "<=" | ">" | ">=" | "=" | "==" | "<>" | "!=" | "&" | "|" | "<<" | ">>" | "+" | "-" | "*" | "/" | "%" | "||"
_simple{x}: _literal | "(" (_expr{x} | _one) ")" | EXISTS "(" _query ")" | CAST "(" _expr{x} AS _type ")" | _special{x}
_special{x}: CASE _expr{x}? (WHEN _expr{x} THEN _expr{x})+ (ELSE _expr{x})? END | FUNCTIONS
_more{x}: "," _expr{x}
_literal: INTEGER | DECIMAL | LONG | STRING | NULL | TRUE | FALSE | CURRENT_DATE | CURRENT_TIME | CURRENT_TIMESTAMP
_aggregate{x}: _counted "(" DISTINCT? _expr{x} ")" | W_COUNT "(" "*" ")" | W_GROUP_CONCAT "(" _expr{x} "," _expr{x} ")"

_column{x}: _expr{x} (AS NAME)?
_group{c, x}: GROUP BY _term{c, x} ("," _term{c, x})*
_order{c, x}: ORDER BY _key{c, x} ("," _key{c, x})*
_key{c, x}: _term{c, x} (ASC | DESC)? (NULLS (FIRST | LAST))?
// Never a number, which would count columns.
_term{c, x}: (c | _special{x}) _rest{x}*
_limit: LIMIT INTEGER (OFFSET INTEGER)?
_rows{from, x, a, c, h}: FROM from (WHERE _expr{x})? (_order{c, x} | _group{c, x} (HAVING _expr{a})? (_order{h, a})?)? _limit?
_comma_or_cross: "," | CROSS JOIN
_on: (INNER | LEFT OUTER?)? JOIN

NAME: /(?-i:[A-Za-z_][A-Za-z0-9_]*)/i
STRING: /'(?:[^'\0]|'')*'/
WRONG_LONG.4: /(?:[0-9]+\.?[0-9]*|\.[0-9]+)[eE][+-]?[0-9]+[A-Za-z_]/
LONG.3: /(?:[0-9]+\.?[0-9]*|\.[0-9]+)[eE][+-]?[0-9]+/
WRONG.2: /(?:[0-9]+\.?[0-9]*|\.[0-9]+)[A-Za-z_]/
DECIMAL.1: /[0-9]+\.[0-9]*|\.[0-9]+/
INTEGER: /[0-9]+/

%ignore /[ \t\n\f\r]+/
%ignore /--[^\n\0]*/
%ignore /\/\*(?:[^*\0]|\*+[^*\/\0])*\*+\//
"""
SCOPE = """
_from_{i}: {sources}
_name_{i}: {columns}
_plain_{i}: _name_{i} | _simple{{_plain_{i}}}
_grouped_{i}: _name_{i} | _simple{{_grouped_{i}}} | _aggregate{{_plain_{i}}}
_item_{i}: _column{{_grouped_{i}}} | "*" | {stars}
_rows_{i}: _rows{{_from_{i}, _plain_{i}, _grouped_{i}, _name_{i}, _key_{i}}}
_key_{i}: _name_{i} | _aggregate{{_plain_{i}}}
_query_{i}: SELECT (DISTINCT | ALL)? _item_{i} ("," _item_{i})* _rows_{i}
_one_{i}: SELECT (DISTINCT | ALL)? _column{{_grouped_{i}}} _rows_{i}
"""


def _grammar(schema: Schema, scopes: list[tuple[str, ...]]) -> str:
    words = _Words()
    parts = [TEMPLATE.replace("FUNCTIONS", " | ".join(_function(words, *item) for item in FUNCTIONS.items()))]
    for rule, names in (("counted", AGGREGATES), ("type", TYPES), ("collation", COLLATIONS)):
        parts.append(f"_{rule}: {' | '.join(words(name) for name in names)}")
    for kind in ("query", "one"):
        parts.append(f"_{kind}: {' | '.join(f'_{kind}_{i}' for i in range(len(scopes)))}")
    parts += [_scope(i, scope, schema, words) for i, scope in enumerate(scopes)]
    parts += words.terminals()
    return "\n".join(parts)


def _function(words: _Words, name: str, bounds: tuple[int, int | None]) -> str:
    least, most = bounds
    more = " _more{x}" * (least - 1) + ("" if most == least else " _more{x}*" if most is None else " _more{x}?")
    return f'{words(name)} "(" _expr{{x}}{more} ")"'


def _scope(i: int, scope: tuple[str, ...], schema: Schema, words: _Words) -> str:
    counts: dict[str, int] = {}
    for column in (column for table in scope for column in schema[table]):
        counts[_key(column)] = counts.get(_key(column), 0) + 1
    columns = [words(column) for table in scope for column in schema[table] if counts[_key(column)] == 1]
    columns += [f'{words(table)} "." {words(column)}' for table in scope for column in schema[table]]
    shared = [words(column) for column in schema[scope[0]] if counts[_key(column)] == 2] if len(scope) == 2 else []
    using = f' | USING "(" ({" | ".join(shared)}) ")"' if shared else ""
    sources = []
    for order in permutations(scope):
        first, *others = (words(table) for table in order)
        joins = " ".join(f"(_comma_or_cross {other} | _on {other} (ON _expr{{_plain_{i}}}{using}))" for other in others)
        sources.append(f"{first} {joins}")
    stars = " | ".join(f'{words(table)} "." "*"' for table in scope)
    return SCOPE.format(i=i, sources=" | ".join(sources), columns=" | ".join(columns), stars=stars)


class _Words:
    """The terminals of keywords, functions and names: one for each word, whatever parts it plays."""

    def __init__(self) -> None:
        self.names: dict[str, str] = {}
        self.lines: list[str] = []

    def __call__(self, name: str) -> str:
        plain = re.fullmatch("[A-Za-z_][A-Za-z0-9_]*", name) is not None and (name.lower() not in KEYWORDS or name in FUNCTIONS)
        key = name.lower() if plain else _quoted(name)
        if key not in self.names:
            self.names[key] = f"W_{key}" if key in FUNCTIONS or key in AGGREGATES else f"N_{len(self.names)}"
            literal = "".join(char if char.isascii() and char.isalnum() else f"\\U{ord(char):08x}" for char in key)
            self.lines.append(f'{self.names[key].upper()}: "{literal}"{"i" if plain else ""}')
        return self.names[key].upper()

    def terminals(self) -> list[str]:
        rules = re.sub(r"(?m)^(//|%|[A-Z]).*", "", f"{TEMPLATE}{SCOPE} ON USING")
        keywords = sorted({*re.findall(r"\b[A-Z_]+\b", rules)} & {key.upper() for key in KEYWORDS})
        return [*self.lines, *(f'{keyword}: "{keyword}"i' for keyword in keywords)]
