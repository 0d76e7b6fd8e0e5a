"""Queries on a given database against SQLite, which prepares them; what the documentation promises to accept; refused schemas."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import pytest

import structgen as sg
from structgen.automaton import TokenAutomaton
from structgen.enumeration import byte_automaton, random_walk
from structgen.errors import LimitExceeded, StructgenError
from structgen.grammars import library
from tests.grammars.oracles.sql import KEYWORDS, accepts
from tests.grammars.test_library import FOREIGN, damaged

SCHEMAS = {
    "shop": """
        CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT, "order" INT, date TEXT);
        CREATE TABLE posts (id INTEGER PRIMARY KEY, user_id INT, title TEXT, count INT);
        CREATE VIEW names AS SELECT id, name FROM users;
        CREATE INDEX by_name ON users (name);
    """,
    "odd": 'CREATE TABLE "a""b c" ("select" INT, "x\\y" TEXT, É INT, "é" INT); CREATE TABLE t (a, b, x1); CREATE TABLE u (A, d, "t");',
    "one": "CREATE TABLE text (max INT)",
}


@contextmanager
def database(name: str) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        connection.executescript(SCHEMAS[name])
        yield connection


@cache
def automaton(name: str, max_tables: int = 2) -> TokenAutomaton:
    return byte_automaton(sg.sql(SCHEMAS[name], max_tables=max_tables))


@pytest.mark.parametrize(("name", "max_tables"), [("shop", 2), ("odd", 3), ("one", 1)])
def test_whatever_is_accepted_can_be_prepared(name: str, max_tables: int) -> None:
    random, found = Random(name), automaton(name, max_tables)
    right = RIGHT[name] * 3 + [random_walk(found, random, 15).decode() for _ in range(8)]
    letters = FOREIGN + "".join(sorted({char for text in right for char in text}))
    words = [word for text in right for word in text.replace("(", " ( ").split(" ")]
    n_wrong = 0
    with database(name) as connection:
        for text in right:
            connection.execute(f"EXPLAIN {text}")
        for i in range(5000):
            text = random.choice(right)
            if i % 2:
                text = damaged(text, random, letters)
            else:
                parts = text.split(" ")
                at = random.randrange(len(parts))
                text = " ".join([*parts[:at], *random.choices(words, k=random.randrange(3)), *parts[at + random.randrange(2) :]])
            if len(text) < 300 and found.accepts(text):
                right.append(text)
                connection.execute(f"EXPLAIN {text}")
            else:
                n_wrong += 1
    assert len(set(right)) > 1000 and n_wrong > 500


RIGHT = {
    "shop": [
        "SELECT * FROM users",
        "select Name, users.*, COUNT(*) AS n FROM Users GROUP BY name\n HAVING count(*) > 1 ORDER BY count(*) DESC LIMIT 5 OFFSET 2;",
        "SELECT users.id, title FROM users JOIN posts ON users.id = posts.user_id AND title LIKE 'a%' WHERE date >= '2020-01-01'",
        "SELECT DISTINCT title FROM posts LEFT JOIN users USING (id) ORDER BY title COLLATE nocase, date(date) DESC",
        'SELECT "order", date, date(date) FROM users WHERE id NOT IN (SELECT id FROM posts WHERE count > (SELECT avg(count) FROM posts))',
        "SELECT count, count(count), max(id), max(id, 2), -(- id) FROM posts, names WHERE EXISTS (SELECT * FROM users) -- all".replace(
            "id", "posts.id"
        ),
        "SELECT CASE name WHEN 'a' THEN 1 ELSE CAST(id AS real) END AS kind FROM names ORDER BY CASE WHEN id THEN 1 END",
        "SELECT replace(name, 'it''s', upper(name)) /* x */ , id BETWEEN 1 AND 2 AND 3.5e1 FROM users WHERE name ISNULL OR NOT id IN (1)",
        "SELECT group_concat(name, ', '), sum(DISTINCT id) FROM users",
    ],
    "odd": [
        'SELECT "a""b c"."select", "x\\y", "É", "é" FROM "a""b c"',
        "SELECT t.a, u.a, d, x1 FROM t CROSS JOIN u",
        'SELECT u."t", d FROM u, "a""b c", t WHERE b'.replace('"t"', "t"),
        'SELECT*FROM"a""b c"',
    ],
    "one": ["SELECT max(max), text.max, CAST(max AS text) FROM text", "SELECT total(max) FROM text WHERE max < 1 + - + ~ 1"],
}
WRONG = {
    "shop": [
        "",
        "SELECT",
        "SELECT *",
        "SELECT * FROM",
        "SELECT * FROM user",
        "SELECT id FROM users, posts",
        "SELECT title FROM users",
        "SELECT posts.id FROM users",
        "SELECT name AS title FROM users",
        "SELECT name AS count FROM users",
        "SELECT 1a FROM users",
        "SELECT sum(count(id)) FROM users",
        "SELECT id FROM users WHERE count(*) > 1",
        "SELECT id FROM users HAVING id",
        "SELECT id FROM users ORDER BY 2",
        "SELECT id FROM users GROUP BY count(*)",
        "SELECT id FROM users ORDER BY count(*)",
        "SELECT max() FROM users",
        "SELECT lower(name, 1) FROM users",
        "SELECT id FROM users WHERE id IN (SELECT id, name FROM users)",
        "SELECT (SELECT * FROM users) FROM users",
        "SELECT order FROM users",
        "SELECT id FROM users WHERE 1 BETWEEN 2 OR 3 AND 4",
        "SELECT id FROM users LIMIT 1.5",
        "SELECT users.id FROM users JOIN posts USING (name)",
        "SELECT * FROM users JOIN users",
        "SELECT * FROM users LEFT JOIN posts",
        "SELECT * FROM users; SELECT * FROM users",
        "DROP TABLE users",
        "SELECT * FROM posts, users, names",
        "SELECT * FROM sqlite_master",
        "SELECT name FROM uſers",
        "SELECT id--1 FROM users",
        "SELECT /* FROM users",
    ],
    "odd": ["SELECT É FROM t", "SELECT a FROM t, u", 'SELECT "A" FROM u', 'SELECT "T".a FROM t'],
    "one": ["SELECT rowid FROM text", "SELECT max(*) FROM text"],
}


@pytest.mark.parametrize(("name", "text"), [(name, text) for name, texts in RIGHT.items() for text in texts])
def test_documented_statements(name: str, text: str) -> None:
    assert automaton(name, 3 if name == "odd" else 2).accepts(text)


@pytest.mark.parametrize(("name", "text"), [(name, text) for name, texts in WRONG.items() for text in texts])
def test_other_statements(name: str, text: str) -> None:
    assert not automaton(name).accepts(text)


def test_the_three_ways_to_give_a_schema() -> None:
    with database("shop") as connection:
        columns = {"users": ["id", "name", "order", "date"], "posts": ["id", "user_id", "title", "count"], "names": ["id", "name"]}
        for schema in (connection, columns):
            found: Any = byte_automaton(sg.sql(schema, tables=["USERS", "posts"]))
            assert found.accepts(RIGHT["shop"][1]) and not found.accepts(RIGHT["shop"][6])
    assert sg.sql(columns, tables=["POSTS"]).source == "SELECT on posts"


@pytest.mark.parametrize(
    ("schema", "options", "message"),
    [
        (None, {}, "a schema is"),
        ("shop.db", {}, "refused"),
        ("SELECT 1", {}, "refused"),
        ("ATTACH '/tmp/x.db' AS x", {}, "refused"),
        ("CREATE TABLE t AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n", {}, "refused"),
        ("PRAGMA user_version = 1", {}, "refused"),
        ("CREATE TABLE t (a); DROP TABLE t", {}, "refused"),
        ("CREATE VIRTUAL TABLE t USING fts5(a)", {}, "refused"),
        ("CREATE VIEW v AS SELECT * FROM nowhere", {}, "cannot be read"),
        ("\0", {}, "refused"),
        ("", {}, "no table"),
        (" " * 1_000_001, {}, "characters of definitions"),
        ({}, {}, "no table"),
        ({"t": []}, {}, "no column"),
        ({"t": "abc"}, {}, "list of names"),
        ({"t": ["a", "A"]}, {}, "only in case"),
        ({"t": ["a"], "T": ["a"]}, {}, "only in case"),
        ({"t": ["a\0"]}, {}, "not a name"),
        ({"t": ["\ud800"]}, {}, "not a name"),
        ({"": ["a"]}, {}, "not a name"),
        ({1: ["a"]}, {}, "not a name"),
        ({"t": [None]}, {}, "not a name"),
        ({"t": [f"c{i}" for i in range(5001)]}, {}, "columns of all tables"),
        ({f"t{i}": ["a"] for i in range(30)}, {}, "fewer in tables"),
        ({"t": ["a"]}, {"tables": ["u"]}, "no table 'u'"),
        ({"t": ["a"]}, {"tables": "t"}, "list of names"),
        ({"t": ["a"]}, {"tables": []}, "no table"),
        ({"t": ["a"]}, {"max_tables": 4}, "between 1 and 3"),
        ({"t": ["a"]}, {"max_tables": True}, "between 1 and 3"),
    ],
)
def test_refused_schemas(schema: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(StructgenError, match=message):
        sg.sql(schema, **options)


def test_too_many_joins_are_a_limit() -> None:
    with pytest.raises(LimitExceeded):
        sg.sql({f"t{i}": ["a"] for i in range(30)})


# -- the grammar of the library -----------------------------------------------------------------------------------------------


@pytest.mark.skipif(sqlite3.sqlite_version_info[:2] != (3, 40), reason="the grammar is that of SQLite 3.40")
def test_keywords_in_the_places_of_names() -> None:
    """Each text has places @ for a name; an eighth of the keywords is tried in each, another one in the next."""
    found, keywords = byte_automaton(library.grammar("sql")), sorted(KEYWORDS)
    for i, text in enumerate(json.loads((Path(__file__).parents[1] / "data" / "sql_names.json").read_text("utf-8"))):
        assert found.accepts(text.replace("@", "n")) and accepts(text.replace("@", "n")), text
        for keyword in keywords[i % 8 :: 8]:
            changed = text.replace("@", keyword)
            assert found.accepts(changed) == accepts(changed), changed
