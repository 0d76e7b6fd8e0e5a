"""Questions to SQL with the database itself as the judge: how many calls per token, how many right answers?

    python -m benchmarks.sampling.sql

Each question has a model of its own: an n-gram over the 4,096 tokens of the embedded model, learnt from the queries of other questions,
which weigh the more the more words they share with this one. It is no model of English, and it often mixes up columns and tables. The
constraint: SQLite prepares the query, runs it, and gives at least one row; for prefixes, that SQLite finds no wrong syntax before the
last word. Beside it, `sg.grammar("sql")` (any tables) and `sg.sql(database)` (these tables). An answer is right if its rows are
those of the query that belongs to the question. Writes its table; about two minutes.
"""

from __future__ import annotations

import math
import re
import sqlite3
from collections.abc import Iterator
from functools import lru_cache, partial
from typing import Any

import structgen as sg
from benchmarks.sampling.models import NGram, tokenizer
from benchmarks.sampling.table import ANYTHING, Row, Task, measure, publish_table
from structgen.sampling import ARS, AWRS, CARS, SMC, Masking, Target

SCHEMA = """
CREATE TABLE book (title TEXT, genre TEXT, pages INTEGER, price REAL);
CREATE TABLE author (name TEXT, country TEXT, born INTEGER, prizes INTEGER);
CREATE TABLE member (name TEXT, city TEXT, age INTEGER, fines REAL);
"""
ROWS_OF = {
    "book": [("Emma", "novel", 474, 8.5), ("Ficciones", "stories", 174, 12), ("Dune", "novel", 612, 9), ("Sonnets", "poetry", 160, 5)],
    "author": [
        ("Austen", "England", 1775, 0),
        ("Borges", "Argentina", 1899, 12),
        ("Herbert", "USA", 1920, 4),
        ("Keats", "England", 1795, 0),
    ],
    "member": [("Ada", "London", 36, 0), ("Ben", "Leeds", 17, 2.5), ("Cem", "London", 71, 0.5), ("Dora", "York", 45, 7)],
}
COLUMNS = {
    "book": (["title", "genre"], ["pages", "price"]),
    "author": (["name", "country"], ["born", "prizes"]),
    "member": (["name", "city"], ["age", "fines"]),
}
ABOUT_TABLES = [("how many {table}s are there", "SELECT count(*) FROM {table}"), ("show every {table}", "SELECT * FROM {table}")]
ABOUT_TEXTS = [
    ("list the {text} of each {table}", "SELECT {text} FROM {table}"),
    ("which different {text} values has {table}", "SELECT DISTINCT {text} FROM {table}"),
    ("how many {table}s for each {text}", "SELECT {text}, count(*) FROM {table} GROUP BY {text}"),
]
ABOUT_NUMBERS = [
    ("what is the highest {number} of a {table}", "SELECT max({number}) FROM {table}"),
    ("what is the average {number} of a {table}", "SELECT avg({number}) FROM {table}"),
    ("show each {table} with {number} above 5", "SELECT * FROM {table} WHERE {number} > 5"),
    ("how many {table}s have {number} below 200", "SELECT count(*) FROM {table} WHERE {number} < 200"),
]
ABOUT_BOTH = [
    ("list the {text} of each {table} sorted by {number}", "SELECT {text} FROM {table} ORDER BY {number}"),
    ("which {text} of a {table} has the lowest {number}", "SELECT {text} FROM {table} ORDER BY {number} LIMIT 1"),
    ("what is the total {number} of {table} for each {text}", "SELECT {text}, sum({number}) FROM {table} GROUP BY {text}"),
]
HELD_OUT = 9  # one question of so many
SHARPNESS = 8.0  # log weight of a query per share of words in common
MAX_TOKENS = 40


def pairs() -> Iterator[tuple[str, str]]:
    """Questions and their queries."""
    for table, (texts, numbers) in COLUMNS.items():
        for templates, fields in [
            (ABOUT_TABLES, [{}]),
            (ABOUT_TEXTS, [{"text": text} for text in texts]),
            (ABOUT_NUMBERS, [{"number": number} for number in numbers]),
            (ABOUT_BOTH, [{"text": text, "number": number} for text in texts for number in numbers]),
        ]:
            for question, query in templates:
                yield from ((question.format(table=table, **names), query.format(table=table, **names)) for names in fields)


@lru_cache(1)
def database() -> sqlite3.Connection:
    """In memory, from now on only to be read."""
    connection = sqlite3.connect(":memory:")
    connection.executescript(SCHEMA)
    for table, rows in ROWS_OF.items():
        connection.executemany(f"INSERT INTO {table} VALUES (?, ?, ?, ?)", rows)
    reading = {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE}
    connection.set_authorizer(lambda action, *_: sqlite3.SQLITE_OK if action in reading else sqlite3.SQLITE_DENY)
    connection.set_progress_handler(lambda: 1, 1_000_000)  # ends what runs longer than so many instructions
    return connection


def complaint(text: str) -> str:
    """What SQLite finds when it prepares a text; nothing if it is a statement."""
    try:
        database().execute("EXPLAIN " + text)
    except (sqlite3.Error, sqlite3.Warning, ValueError) as error:
        return str(error)
    return ""


def may_go_on(text: str) -> bool:
    """No wrong syntax but in the last word, which may be unfinished. Names are not looked at: their table may come later."""
    found = complaint(text)
    wrong = re.fullmatch(r'(?:near|unrecognized token:) "(.*?)"(?:: syntax error)?', found, re.DOTALL)
    if wrong:
        return text.endswith(wrong[1]) and wrong[1][-1:] not in ("", "(", ")", ",", ";")
    return "one statement" not in found and "null character" not in found


@lru_cache(10_000)
def answer(text: str) -> list[Any] | None:
    """The rows in any order, None if the query fails."""
    try:
        return sorted(database().execute(text).fetchmany(100), key=repr)
    except (sqlite3.Error, sqlite3.Warning, ValueError):
        return None


RUNS = sg.potential(may_go_on, lambda text: bool(answer(text)))
HAS_ROWS = sg.potential(complete_check=lambda text: bool(answer(text)))


def language_model(question: str, known: list[tuple[str, str]]) -> NGram:
    words = set(question.split())
    shared = [len(words & set(other.split())) / len(words | set(other.split())) for other, _ in known]
    return NGram([query for _, query in known], weights=[math.exp(SHARPNESS * (share - 1)) for share in shared], prior=0.02)


def task(question: str, query: str, known: list[tuple[str, str]]) -> Task:
    model, expected = language_model(question, known), answer(query)
    columns = {"runs": lambda text: answer(text) is not None, "right": lambda text: answer(text) == expected}
    return Task(partial(Target, model, vocab=tokenizer(), max_tokens=MAX_TOKENS), columns)


def main() -> None:
    everything = list(pairs())
    asked = everything[::HELD_OUT]
    known = [pair for pair in everything if pair not in asked]
    tasks = [task(question, query, known) for question, query in asked]
    syntax, these = sg.compile(sg.grammar("sql"), tokenizer()), sg.compile(sg.sql(SCHEMA), tokenizer())
    rows = [
        Row("the model alone", ANYTHING, SMC(50, step=AWRS(), ess_threshold=0)),
        Row("SQLite; masking, its tokens drawn by AWRS", RUNS, SMC(50, step=AWRS(), ess_threshold=0), is_weighted=False),
        Row("SQLite; SMC(50), AWRS", RUNS, SMC(50, step=AWRS())),
        Row("SQLite; ARS(50)", RUNS, ARS(50)),
        Row("`sg.grammar`, then SQLite; SMC(50), AWRS", syntax & HAS_ROWS, SMC(50, step=AWRS())),
        Row("`sg.sql`; masking", these, Masking(50), is_weighted=False),
        Row("`sg.sql`; CARS(50)", these, CARS(50)),
        Row("`sg.sql`, then SQLite; SMC(50), AWRS", these & HAS_ROWS, SMC(50, step=AWRS())),
    ]
    publish_table("sql", "python -m benchmarks.sampling.sql", tasks[0].columns, [measure(row, tasks) for row in rows])


if __name__ == "__main__":
    main()
