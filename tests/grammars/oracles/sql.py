"""SQLite's own parser. Preparing a statement says what is wrong with its syntax by some messages and what is wrong otherwise by others.

A message about tables, columns and the like that comes at the end of a statement shows that its syntax was right. Some come before
the end: names are therefore made different from each other first, and CREATE TABLE and ALTER TABLE ... ADD, where this does not help,
are read here, with SQLite for what is in parentheses. What the grammar leaves out is looked for among the tokens.
"""

from __future__ import annotations

import re
import sqlite3
from functools import cache
from itertools import pairwise

SYNTAX = re.compile(
    r'near ".*": syntax error|incomplete input|unrecognized token: .*|(?:ORDER BY|LIMIT) clause should come after .* not before'
    r"|a JOIN clause is required before (?:ON|USING)|unknown join type: .*"
    r"|unsupported frame specification|syntax error after column name .*",
    re.DOTALL,
)
"""What only the form of a text can bring about, whatever the tables are."""
WORD = r"[A-Za-z_\x80-\U0010ffff][A-Za-z0-9_$\x80-\U0010ffff]*"
TOKEN = re.compile(
    rf"""(?P<space>[ \t\n\f\r][ \t-\r]*|\ufeff|--[^\n]*|/\*(?s:.)*?\*/)
    |(?P<string>'(?:[^']|'')*'(?!'))|(?P<quoted>"(?:[^"]|"")*"(?!")|`(?:[^`]|``)*`(?!`)|\[[^\]]*\])
    |(?P<blob>[xX]'(?:[0-9a-fA-F]{{2}})*')|(?P<bad>[xX]'|/\*)
    |(?P<number>(?:0[xX][0-9a-fA-F]+|(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?))
    |(?P<parameter>\?[0-9]*|[$@:](?:[A-Za-z0-9_$\x80-\U0010ffff]|::)+(?:\([^)\s]*\))?)
    |(?P<word>{WORD})
    |(?P<sign>->>?|<=|<>|<<|>=|>>|==|!=|\|\||[-+*/%=<>|&~(),.;])""",
    re.VERBOSE,
)
KEYWORDS = frozenset(
    """ABORT ACTION ADD AFTER ALL ALTER ALWAYS ANALYZE AND AS ASC ATTACH AUTOINCREMENT BEFORE BEGIN BETWEEN BY CASCADE CASE CAST CHECK
    COLLATE COLUMN COMMIT CONFLICT CONSTRAINT CREATE CROSS CURRENT CURRENT_DATE CURRENT_TIME CURRENT_TIMESTAMP DATABASE DEFAULT
    DEFERRABLE DEFERRED DELETE DESC DETACH DISTINCT DO DROP EACH ELSE END ESCAPE EXCEPT EXCLUDE EXCLUSIVE EXISTS EXPLAIN FAIL FILTER
    FIRST FOLLOWING FOR FOREIGN FROM FULL GENERATED GLOB GROUP GROUPS HAVING IF IGNORE IMMEDIATE IN INDEX INDEXED INITIALLY INNER INSERT
    INSTEAD INTERSECT INTO IS ISNULL JOIN KEY LAST LEFT LIKE LIMIT MATCH MATERIALIZED NATURAL NO NOT NOTHING NOTNULL NULL NULLS OF OFFSET
    ON OR ORDER OTHERS OUTER OVER PARTITION PLAN PRAGMA PRECEDING PRIMARY QUERY RAISE RANGE RECURSIVE REFERENCES REGEXP REINDEX RELEASE
    RENAME REPLACE RESTRICT RETURNING RIGHT ROLLBACK ROW ROWS SAVEPOINT SELECT SET TABLE TEMP TEMPORARY THEN TIES TO TRANSACTION TRIGGER
    UNBOUNDED UNION UNIQUE UPDATE USING VACUUM VALUES VIEW VIRTUAL WHEN WHERE WINDOW WITH WITHOUT""".split()  # noqa: SIM905
)
SOFT = KEYWORDS | {"ROWID", "STRICT", "STORED"}
PLACE = re.compile(r"\?(?:[1-9][0-9]{0,3})?")
NO_NAMES = frozenset({"CURRENT", "FILTER", "OVER", "UNBOUNDED", "WINDOW", "WITH"})

Token = tuple[str, str]
"""Kind and text: a keyword's kind is itself in capitals, a sign's is the sign, else word, quoted, string, ..."""


def accepts(text: str) -> bool:
    """Whether all statements of a text are right, at least one is there and nothing left out is in them."""
    tokens = read(text)
    if tokens is None:
        return False
    statements: list[list[Token]] = [[]]
    for token in tokens:
        statements[-1].append(token) if token[0] != ";" else statements.append([])
    return any(statements) and all(is_statement(tokens) for tokens in statements if tokens)


def read(text: str) -> list[Token] | None:
    """The tokens of a text; None if SQLite sees something else in it, or what the grammar leaves out."""
    tokens, position = [], 0
    while position < len(text):
        found = TOKEN.match(text, position)
        if not found or found.lastgroup == "bad" or "\0" in found[0]:
            return None
        kind, value, position = str(found.lastgroup), found[0], found.end()
        if kind == "number" and re.match(r"[A-Za-z0-9_$\x80-\U0010ffff]", text[position:]):
            return None
        if kind == "parameter" and not (PLACE.fullmatch(value) if value[0] == "?" else re.search("[^:]", value[1:].partition("(")[0])):
            return None
        if kind == "word":
            if re.search("[\u0130\u0131\u017f\u212a]", value):
                return None
            kind = value.upper() if value.upper() in SOFT else kind
        if kind != "space":
            tokens.append((value if kind == "sign" else kind, value))
    return tokens


def is_statement(tokens: list[Token]) -> bool:
    body = tokens
    if kinds(tokens[:1]) == ["EXPLAIN"]:
        body = tokens[3:] if kinds(tokens[1:3]) == ["QUERY", "PLAN"] else tokens[1:]
    begin = kinds(body[:3])
    if not begin or not begin[0].isupper() or begin[0] in ("ATTACH", "DETACH", "EXPLAIN"):
        return False
    if begin[0] == "CREATE" and {"TRIGGER", "VIRTUAL"} & {*(begin[1:] if begin[1:2] in (["TEMP"], ["TEMPORARY"]) else begin[1:2])}:
        return False
    if (begin[0] == "CREATE" and "TABLE" in begin) or (begin[0] == "ALTER" and "ADD" in kinds(body)):
        return by_reader(body)
    return is_right(body) and not left_out(body)


def by_reader(body: list[Token]) -> bool:
    """Definitions of tables and columns; SQLite must not disagree."""
    right = Reader(body).statement()
    said = complaint(body)
    assert right or said is not None or "TRIGGER" in kinds(body) or odd(body), f"SQLite accepts {body}"
    assert not right or said is None or not SYNTAX.fullmatch(said), f"SQLite says {said} of {body}"
    return right


def kinds(tokens: list[Token]) -> list[str]:
    return [kind for kind, _ in tokens]


@cache
def database() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.execute("CREATE TABLE t (c)")
    return connection


def complaint(tokens: list[Token]) -> str | None:
    """What SQLite says when it prepares a statement."""
    prefix = "" if tokens[0][0] in ("EXPLAIN", "QUERY") else "EXPLAIN "
    try:
        database().execute(prefix + " ".join(value for _, value in tokens)).close()
    except sqlite3.ProgrammingError as error:
        assert "bindings" in str(error), error
    except sqlite3.Error as error:
        return str(error)
    return None


def is_right(tokens: list[Token]) -> bool:
    """Whether there is nothing wrong with the form of a statement; with names that are all different."""
    names = {"word": "n{}", "quoted": '"n{}"', "string": "'n{}'"}
    said = complaint([(kind, names[kind].format(i) if kind in names else value) for i, (kind, value) in enumerate(tokens)])
    if said is not None and re.fullmatch(r"\d+ columns assigned \d+ values", said):
        return is_right(assigning_to_one(tokens))
    if said is not None and said.startswith("IN(...) element has"):
        return is_right(without_in(tokens))
    return said is None or not SYNTAX.fullmatch(said)


def assigning_to_one(tokens: list[Token]) -> list[Token]:
    """With ``(a, b) =`` as ``a =``, so that SQLite does not count the values."""
    found = kinds(tokens)
    for i, kind in enumerate(found):
        if kind == "(" and i and found[i - 1] in ("SET", ",") and ")" in found[i:]:
            end = found.index(")", i)
            if found[end + 1 : end + 2] in (["="], ["=="]) and is_right([*INSERT, *tokens[i : end + 1], *VALUES]):
                return assigning_to_one([*tokens[:i], ("word", "n"), *tokens[end + 1 :]])
    return tokens


def without_in(tokens: list[Token]) -> list[Token]:
    """With the first ``IN (a, b)`` as ``= (VALUES (a, b))``, an operator as strong: SQLite counts in the first."""
    found = kinds(tokens)
    for i, kind in enumerate(found):
        if kind == "IN" and found[i + 1 : i + 2] == ["("] and found[i + 2] not in ("SELECT", "VALUES", "WITH"):
            depths = [found[i:j].count("(") - found[i:j].count(")") for j in range(i + 2, len(found) + 1)]
            end = i + 1 + depths.index(0) if 0 in depths else len(tokens) - 1
            inner = [("VALUES", "VALUES"), *tokens[i + 1 : end + 1]] if end > i + 2 else [("number", "1")]
            return [*tokens[: i - (found[i - 1] == "NOT")], ("=", "="), ("(", "("), *inner, (")", ")"), *tokens[end + 1 :]]
    return tokens


INSERT = [("INSERT", "INSERT"), ("INTO", "INTO"), ("word", "n")]
VALUES = [("VALUES", "VALUES"), ("(", "("), ("number", "1"), (")", ")")]


def left_out(tokens: list[Token]) -> bool:
    """Whether something right is in none of the forms that the grammar has."""
    found, outer, depth = kinds(tokens), [], 0
    for i, kind in enumerate(found):
        depth += (kind == "(") - (kind == ")")
        if depth == 0 and (i == 0 or found[i - 1] not in (".", "AS")):
            outer.append(kind)
        if kind in NO_NAMES and is_name_here(tokens, i):
            return True
        if kind == "RAISE" and found[i + 1 : i + 2] == ["("] and not is_right([*tokens[:i], ("string", "'n'"), *tokens[i + 1 :]]):
            return True
    verbs = [
        kind for kind in outer if kind in ("SELECT", "VALUES", "INSERT", "UPDATE", "DELETE") or (kind == "REPLACE" and "INTO" in outer)
    ]
    if verbs and found[0] != "CREATE":
        if verbs[0] in ("UPDATE", "DELETE") and {"ORDER", "LIMIT"} & {*outer}:
            return True
        if verbs[0] in ("INSERT", "REPLACE") and ("ON", "CONFLICT") in pairwise(outer):
            first = next(i for i, kind in enumerate(outer) if kind == "CONFLICT" and outer[i - 1] == "ON")
            source = outer[outer.index("INTO") + 2 : first]
            return bool({"SELECT", "WITH", "UNION", "EXCEPT", "INTERSECT"} & {*source})
    return False


def is_name_here(tokens: list[Token], i: int) -> bool:
    """Whether a keyword is a name: then it may have quotes. A bound of a frame is one even if it looks like a name and an alias."""
    if tokens[i][0] == "UNBOUNDED" and kinds(tokens[i + 1 : i + 2]) in (["PRECEDING"], ["FOLLOWING"]):
        said = complaint([*tokens[:i], ("CURRENT", "CURRENT"), ("ROW", "ROW"), *tokens[i + 2 :]])
        return is_right(quoted(tokens, i, 2)) or (said is not None and said.startswith(("near", "incomplete")))
    return is_right(quoted(tokens, i, 1))


def quoted(tokens: list[Token], i: int, n: int) -> list[Token]:
    return [
        *tokens[:i],
        *(("quoted", f'"{value}"') if kind.isupper() else (kind, value) for kind, value in tokens[i : i + n]),
        *tokens[i + n :],
    ]


def odd(tokens: list[Token]) -> bool:
    """What SQLite takes in definitions, but neither the grammar nor the reader."""
    found = kinds(tokens)
    adjacent = [*pairwise(found)]
    return bool(
        "CONSTRAINT" in found
        or {*found} & NO_NAMES
        or "AUTOINCREMENT" in found
        or {(")", key) for key in ("PRIMARY", "UNIQUE", "CHECK", "FOREIGN")} & {*adjacent}
    )


class Reader:
    """CREATE TABLE and ALTER TABLE ... ADD, by recursive descent."""

    def __init__(self, tokens: list[Token]) -> None:
        self.tokens, self.kinds, self.i = tokens, [*kinds(tokens), "end"], 0

    def statement(self) -> bool:
        try:
            if self.take("ALTER", "TABLE"):
                self.table()
                self.need("ADD")
                self.take("COLUMN")
                self.column()
            else:
                self.create()
            self.need("end")
        except Wrong:
            return False
        return True

    def take(self, *found: str) -> bool:
        if taken := self.kinds[self.i : self.i + len(found)] == [*found]:
            self.i += len(found)
        return taken

    def need(self, *found: str) -> None:
        if not self.take(*found):
            raise Wrong(self.i)

    def one_of(self, *found: str) -> bool:
        return any(self.take(kind) for kind in found)

    def group(self) -> list[Token]:
        """What is in the parentheses here."""
        start, depth = self.i, 0
        while True:
            kind = self.kinds[self.i]
            depth += (kind == "(") - (kind == ")")
            self.i += 1
            if kind == "end" or (depth <= 0 and kind != ")"):
                raise Wrong(self.i)
            if depth == 0:
                return self.tokens[start + 1 : self.i - 1]

    def expression(self) -> None:
        found = self.group()
        if not embedded("SELECT CAST ( {} AS n )", found):
            raise Wrong(self.i)

    def orders(self) -> None:
        found = self.group()
        if not embedded("SELECT 1 ORDER BY {}", found) or not embedded("SELECT f ( ) OVER ( ORDER BY {} )", found):
            raise Wrong(self.i)

    def name(self, *, also: tuple[str, ...] = ("string",), but: tuple[str, ...] = ()) -> None:
        """Keywords are names where SQLite takes them for a name after AS."""
        kind = self.kinds[self.i]
        fine = kind in ("word", "quoted") or kind in also or kind in ("ROWID", "STRICT", "STORED")
        if kind in KEYWORDS and kind not in NO_NAMES:
            fine = fine or (is_name(kind, "string" in also) and (kind not in JOINS or ("string" in also and also[-1] != "type")))
        if not fine or kind in but:
            raise Wrong(self.i)
        self.i += 1

    def table(self) -> None:
        self.name()
        if self.take("."):
            self.name()

    def names(self) -> None:
        self.need("(")
        self.name()
        while self.take(","):
            self.name()
        self.need(")")

    def create(self) -> None:
        self.need("CREATE")
        temporary = self.one_of("TEMP", "TEMPORARY")
        self.need("TABLE")
        if self.take("IF"):
            self.need("NOT", "EXISTS")
        self.name()
        if not temporary and self.take("."):
            self.name()
        if self.take("AS"):
            rest, self.i = self.tokens[self.i :], len(self.tokens)
            if not rest or not is_statement([("CREATE", "CREATE"), ("VIEW", "VIEW"), ("word", "n"), ("AS", "AS"), *rest]):
                raise Wrong(self.i)
            return
        self.need("(")
        self.column()
        constrained = False
        while self.take(","):
            if self.kinds[self.i] in ("CONSTRAINT", "PRIMARY", "UNIQUE", "CHECK", "FOREIGN"):
                constrained = True
                self.constraint()
            elif constrained:
                raise Wrong(self.i)
            else:
                self.column()
        self.need(")")
        if self.i < len(self.tokens):
            self.option()
        while self.take(","):
            self.option()

    def option(self) -> None:
        if not self.take("STRICT"):
            self.need("WITHOUT", "ROWID")

    def column(self) -> None:
        self.name()
        n_words = 0
        while self.kinds[self.i] not in (*STARTS[1:], ",", ")", "(", "end"):
            self.name(also=("string", "type"), but=("INDEXED",))
            n_words += 1
        if n_words and self.take("("):
            self.number()
            if self.take(","):
                self.number()
            self.need(")")
        while self.kinds[self.i] in STARTS:
            self.rule()

    def number(self) -> None:
        self.one_of("+", "-")
        self.need("number")

    def conflict(self) -> None:
        if self.take("ON"):
            self.need("CONFLICT")
            if not self.one_of("ROLLBACK", "ABORT", "FAIL", "IGNORE", "REPLACE"):
                raise Wrong(self.i)

    def rule(self) -> None:
        if self.take("CONSTRAINT"):
            self.name()
        if self.take("PRIMARY", "KEY"):
            self.one_of("ASC", "DESC")
            self.conflict()
            self.take("AUTOINCREMENT")
        elif self.take("NOT", "NULL") or self.take("NULL") or self.take("UNIQUE"):
            self.conflict()
        elif self.take("CHECK"):
            self.expression()
        elif self.take("DEFAULT"):
            self.default()
        elif self.take("COLLATE"):
            self.name(also=("string", "type"), but=("INDEXED",))
        elif self.kinds[self.i] == "REFERENCES":
            self.references()
        elif self.take("GENERATED", "ALWAYS", "AS") or self.take("AS"):
            self.expression()
            self.one_of("STORED", "VIRTUAL")
        elif not self.deferrable():
            raise Wrong(self.i)

    def default(self) -> None:
        if self.kinds[self.i] == "(":
            return self.expression()
        signed = self.one_of("+", "-")
        if not self.one_of("NULL", "number", "string", "blob", "CURRENT_DATE", "CURRENT_TIME", "CURRENT_TIMESTAMP"):
            if signed:
                raise Wrong(self.i)
            self.name(also=())

    def references(self) -> None:
        self.need("REFERENCES")
        self.name()
        if self.kinds[self.i] == "(":
            self.names()
        while True:
            if self.take("MATCH"):
                self.name()
            elif self.take("ON"):
                done = self.one_of("INSERT", "DELETE", "UPDATE") and (
                    self.take("SET", "NULL")
                    or self.take("SET", "DEFAULT")
                    or self.one_of("CASCADE", "RESTRICT")
                    or self.take("NO", "ACTION")
                )
                if not done:
                    raise Wrong(self.i)
            else:
                return

    def deferrable(self) -> bool:
        if found := self.take("NOT", "DEFERRABLE") or self.take("DEFERRABLE"):
            self.when()
        return found

    def when(self) -> None:
        if self.take("INITIALLY") and not self.one_of("DEFERRED", "IMMEDIATE"):
            raise Wrong(self.i)

    def constraint(self) -> None:
        if self.take("CONSTRAINT"):
            self.name()
        if self.take("PRIMARY", "KEY") or self.take("UNIQUE"):
            self.orders()
            self.conflict()
        elif self.take("CHECK"):
            self.expression()
            self.conflict()
        else:
            self.need("FOREIGN", "KEY")
            self.names()
            self.references()
            self.deferrable()


STARTS = ("GENERATED", "CONSTRAINT", "PRIMARY", "NOT", "NULL", "UNIQUE", "CHECK", "DEFAULT", "COLLATE", "REFERENCES", "AS", "DEFERRABLE")
JOINS = ("NATURAL", "LEFT", "RIGHT", "FULL", "OUTER", "INNER", "CROSS")


class Wrong(Exception):
    """The reader expected something else."""


@cache
def is_name(keyword: str, _: bool) -> bool:
    return complaint([("SELECT", f"SELECT 1 AS {keyword}")]) is None


def embedded(frame: str, tokens: list[Token]) -> bool:
    """Whether tokens make a right statement in a place of another."""
    before, _, after = frame.partition("{}")
    return is_statement([*(read(before) or []), *tokens, *(read(after) or [])])
