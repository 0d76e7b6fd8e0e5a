"""A part of C++17: a reader written from the standard, which finds all ends of all readings of every construct.

Where the grammar counts the binary operators as one level and knows >> as one word, this has the levels of the standard (annex A) and
two halves, each of which may close template arguments. That the examples are C++ is checked with tree-sitter in test_library_c.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import ClassVar

from tests.grammars.oracles.c import Wrong, after_comment, after_directive

ESCAPE = r"\\(?:['\"?\\abfnrtv]|[0-7]{1,3}|x[0-9A-Fa-f]+|u[0-9A-Fa-f]{4}|U[0-9A-Fa-f]{8})"
WORD = re.compile(
    rf"""(?P<name>[A-Za-z_][A-Za-z0-9_]*) | (?P<number>\.?[0-9](?:'[A-Za-z0-9_]|[eEpP][+-]|[A-Za-z0-9_.])*)
    | (?P<char>'(?:[^'\\\n]|{ESCAPE})') | (?P<string>"(?:[^"\\\n]|{ESCAPE})*")
    | (?P<mark><:|<%|%:|\.\.\.|<<=|>>=|->|::|\+\+|--|<<|>>|[<>=!*/%+&^|-]=|&&|\|\||[][(){{}}.&*+~!/%<>^|?:;=,-])""",
    re.VERBOSE,
)
SUFFIX = "([uU]|l|L|[uU]l|[uU]L|l[uU]|L[uU]|ll|LL|[uU]ll|[uU]LL|ll[uU]|LL[uU])?"
INTEGER = re.compile(f"(0('?[0-7])*|[1-9]('?[0-9])*|0[xX]H('?H)*|0[bB][01]('?[01])*){SUFFIX}".replace("H", "[0-9a-fA-F]"))
DIGITS, HEX = "([0-9]('?[0-9])*)", "([0-9a-f]('?[0-9a-f])*)"
PIECES = {"D": DIGITS, "H": HEX, "E": f"(e[+-]?{DIGITS})", "P": f"(p[+-]?{DIGITS})"}
FLOAT = re.compile(
    "(DE|(D?[.]D|D[.])E?|0x(H[.]?|H?[.]H)P)[fl]?".translate({ord(key): piece for key, piece in PIECES.items()}), re.IGNORECASE
)
KEYWORDS = """
    alignas alignof and and_eq asm auto bitand bitor bool break case catch char char16_t char32_t class compl const const_cast constexpr
    continue decltype default delete do double dynamic_cast else enum explicit export extern false float for friend goto if inline int long
    mutable namespace new noexcept not not_eq nullptr operator or or_eq private protected public register reinterpret_cast return short
    signed sizeof static static_assert static_cast struct switch template this thread_local throw true try typedef typeid typename union
    unsigned using virtual void volatile wchar_t while xor xor_eq override"""
RESERVED = set(KEYWORDS.split())

Ends = frozenset[int]


def accepts(text: str) -> bool:
    try:
        found = list(words(text))
    except Wrong:
        return False
    return len(found) in Text(found).read("unit", 0)


def words(text: str) -> Iterator[tuple[str, str]]:
    """Kinds and words; the kind of a keyword or mark is itself, that of the halves of >> is `>1` and `>2`."""
    at, fresh = 0, True
    while at < len(text):
        if text[at] in " \t\v\f\r\n":
            fresh |= text[at] == "\n"
            at += 1
        elif text.startswith(("/*", "//"), at):
            at = after_comment(text, at)
        elif text[at] == "#" and fresh:
            at = after_directive(text, at)
        else:
            found = WORD.match(text, at)
            if not found:
                raise Wrong
            word, kind = found[0], str(found.lastgroup)
            if kind == "number":
                if not (INTEGER.fullmatch(word) or FLOAT.fullmatch(word)):
                    raise Wrong
                kind = "zero" if word == "0" else kind
            kind = word if kind == "mark" or word in RESERVED else kind
            yield from [(">1", ">"), (">2", ">")] if word == ">>" else [(kind, word)]
            at, fresh = found.end(), False


Part = tuple[str, str]
"""A construct or a word, and how often: "" for once, ? * + as in regular expressions, a comma for a list with commas."""


class Text:
    rules: ClassVar[dict[str, list[list[Part]]]] = {}
    """The alternatives of each construct."""

    def __init__(self, found: list[tuple[str, str]]) -> None:
        self.kinds = [kind for kind, _ in found] + [""]
        self.known: dict[tuple[str, int], Ends] = {}

    def read(self, name: str, at: int) -> Ends:
        """Where a construct that begins here may end."""
        if name not in self.rules:
            return frozenset({at + 1}) if self.kinds[at] == name else frozenset()
        if (name, at) not in self.known:
            self.known[name, at] = frozenset().union(*(self.sequence(parts, at) for parts in self.rules[name]))
        return self.known[name, at]

    def sequence(self, parts: list[Part], at: int) -> Ends:
        ends = frozenset({at})
        for part in parts:
            ends = frozenset().union(*(self.part(*part, end) for end in ends))
            if not ends:
                break
        return ends

    def part(self, name: str, times: str, at: int) -> Ends:
        ends = set(self.read(name, at))
        todo = list(ends) if times and times != "?" else []
        for end in todo:
            new = () if times == "," and self.kinds[end] != "," else self.read(name, end + (times == ",")) - ends
            ends.update(new)
            todo += new
        return frozenset(ends | {at} if times in ("?", "*") else ends)


def define(name: str, *alternatives: str) -> None:
    """Sequences of parts such as ``name? { item, }``."""
    words = [alternative.split() for alternative in alternatives]
    Text.rules[name] = [
        [(word[:-1], word[-1]) if word[:-1].isidentifier() and word[-1] in "?*+," else (word, "") for word in some] for some in words
    ]


# 9 Basics and types
define("unit", "outer+")
define(
    "outer",
    "alias",
    "klass",
    "enumerated",
    "namespace name? { outer* }",
    "fun",
    "storage* object",
    "template < tparam, > klass",
    "template < tparam, > fun",
)
define("tparam", "typename name", "class name", "int name")
define("storage", "static", "inline", "constexpr", "extern")
define("alias", "using namespace scoped ;", "using name = typeid_ ;", "using name :: scoped ;", "typedef typeid_ name ;")
define("scoped", "name", "name :: scoped")
define("typeid_", "type stars reference?")
define("type", "const? bare const?")
define("bare", "path", "auto", "basic")
define("basic", "void", "bool", "float", "double", "long double", "sign", "integer", "sign integer")
define("sign", "signed", "unsigned")
define("integer", "char", "short", "short int", "int", "long", "long int", "long long", "long long int")
define("stars", "star*")
define("star", "* const?")
define("reference", "&", "&&")
define("path", "segment", "segment :: path")
define("segment", "name", "name < close", "name < targ, close")
define("close", ">", ">1", ">2")
define("targ", "typeid_", "literal")
define("literal", "number", "zero")
# 12 Classes
define("klass", "key name bases? { part* } ;")
define("key", "struct", "class")
define("bases", ": base,")
define("base", "access? path")
define("access", "public", "private", "protected")
define(
    "part",
    "access :",
    "alias",
    "klass",
    "enumerated",
    "making",
    "fieldspec* type field, ;",
    "methodspec* typeid_ name params const? noexcept? override? ending",
)
define("fieldspec", "static", "inline", "constexpr")
define("methodspec", "fieldspec", "virtual")
define("field", "stars reference? name extent* value?", "stars reference? name extent* braces")
define("ending", "block", ";", "= zero ;")
define(
    "making",
    "explicit? name params noexcept? made",
    "explicit? name params noexcept? dropped",
    "virtual? ~ name ( ) noexcept? override? unmade",
)
define("dropped", ";", "= default ;", "= delete ;")
define("made", "block", ": first, block")
define("first", "path args", "path braces")
define("unmade", "block", ";", "= default ;")
define("enumerated", "enum class? name { enumerator, } ;", "enum class? name { enumerator, , } ;")
define("enumerator", "name", "name = constant")
# 11 Functions and declarators
define(
    "fun",
    "storage* typeid_ scoped params const? noexcept? block",
    "storage* typeid_ scoped params const? noexcept? ;",
    "name :: scoped params noexcept? made",
    "owner ~ name ( ) noexcept? block",
)
define("owner", "name ::", "name :: owner")
define("params", "( )", "( param, )")
define("param", "typeid_", "typeid_ name", "typeid_ name value")
define("value", "= init")
define("object", "type item, ;", "const? auto reference? names value ;", "const? auto reference? names braces ;")
define(
    "item",
    "stars reference? name extent*",
    "stars reference? name extent* value",
    "stars reference? name extent* args",
    "stars reference? name extent* braces",
)
define("extent", "[ ]", "[ constant ]")
define("names", "[ name, ]")
define("init", "assigned", "braces", "lambda", "new type")
define("braces", "{ }", "{ init, }", "{ init, , }")
# 9 Statements
define("block", "{ statement* }")
define("local", "static", "constexpr")
define("statement", "local* object", "alias", "klass", "enumerated", "block", "expr? ;", "case constant : statement", "default : statement",
    "if constexpr? ( expr ) statement", "if constexpr? ( expr ) statement else statement", "loop ( expr ) statement",
    "do statement while ( expr ) ;", "for ( object expr? ; expr? ) statement", "for ( expr? ; expr? ; expr? ) statement",
    "for ( typeid_ name : init ) statement", "for ( typeid_ names : init ) statement", "try block catcher+", "jump ;")  # fmt: skip
define("loop", "switch", "while")
define("catcher", "catch ( ... ) block", "catch ( typeid_ name? ) block")
define("jump", "continue", "break", "return", "return init", "throw", "throw init")
# 8 Expressions
define("expr", "assigned,")
define("assigned", "ternary", "l1 assigner init")
define("assigner", "=", "*=", "/=", "%=", "+=", "-=", "<<=", ">>=", "&=", "^=", "|=")
define("constant", "ternary")
define("ternary", "l1", "l1 ? expr : assigned")
LEVELS = ["||", "&&", "|", "^", "&", "== !=", "< > <= >=", "<< shift", "+ -", "* / %"]
for i, operators in enumerate(LEVELS, 1):
    after = f"l{i + 1}" if i < len(LEVELS) else "cast"
    define(f"l{i}", after, *(f"{after} {operator} l{i}" for operator in operators.split()))
define("shift", ">1 >2")
define("cast", "unary", "( typeid_ ) cast")
define("unary", "prefix cast", "sizeof unary", "sizeof ( typeid_ )", "new type args", "new type braces", "new type index+", "delete cast",
    "delete [ ] cast", "literal", "primary operation*")  # fmt: skip
define("prefix", "++", "--", "&", "*", "+", "-", "~", "!")
define("index", "[ expr ]")
define("operation", "args", "index", "arrow name", "arrow name < targ, close args", "arrow name < close args", "++", "--")
define("args", "( )", "( init, )")
define("arrow", ".", "->")
define("qualified", "name", "segment :: qualified")
define("primary", "qualified", "path braces", "path args", "basic args", "basic braces", "this", "nullptr", "true", "false", "char",
    "strings", "( expr )", "( lambda )", "caster < typeid_ close ( expr )")  # fmt: skip
define("strings", "string+")
define("caster", "static_cast", "dynamic_cast", "const_cast", "reinterpret_cast")
define("lambda", "[ ] closure", "[ default_ ] closure", "[ capture, ] closure", "[ default_ , capture, ] closure")
define("default_", "=", "&")
define("capture", "name", "& name", "this")
define("closure", "block", "params mutable? block", "params mutable? -> typeid_ block")
