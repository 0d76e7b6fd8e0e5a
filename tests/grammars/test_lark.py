"""Grammars of Lark against Lark itself: ``Lark(text, parser=..., lexer=...)`` decides which texts are right."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import Any

import pytest
from lark import Lark
from lark.exceptions import LarkError

import structgen as sg
from structgen.automata.completion import Completions
from structgen.automata.counting import byte_ranges
from structgen.enumeration import byte_automaton
from structgen.grammars import _lark_basic, _lark_contexts, _lark_lalr, _lark_scanner
from structgen.grammars.lark_grammar import parse_lark

ARITH = r"""
?start: sum
?sum: product | sum "+" product -> add | sum "-" product -> sub
?product: atom | product "*" atom -> mul | product "/" atom -> div
?atom: NUMBER -> number | "-" atom -> neg | NAME -> var | "(" sum ")"
%import common.CNAME -> NAME
%import common.NUMBER
%import common.WS_INLINE
%ignore WS_INLINE
"""

JSON = r"""
?start: value
?value: object | array | string | SIGNED_NUMBER -> number | "true" -> true | "false" -> false | "null" -> null
array: "[" [value ("," value)*] "]"
object: "{" [pair ("," pair)*] "}"
pair: string ":" value
string: ESCAPED_STRING
%import common.ESCAPED_STRING
%import common.SIGNED_NUMBER
%import common.WS
%ignore WS
"""

SQL = r"""
start: (statement ";")*
statement: "select"i columns "from"i CNAME ["where"i condition]
columns: "*" | separated{CNAME, ","}
separated{item, separator}: item (separator item)*
?condition: comparison | condition "and"i comparison | condition "or"i comparison
comparison: CNAME ("=" | "<" | "<>") value
value: STRING | SIGNED_NUMBER | "null"i
STRING: "'" /[^']*/ "'"
%import common (CNAME, SIGNED_NUMBER, WS, SQL_COMMENT)
%ignore WS
%ignore SQL_COMMENT
"""

COMMENTS = r"""
start: ("a" | "b" | "/")*
%import common (WS, C_COMMENT, CPP_COMMENT)
%ignore WS
%ignore C_COMMENT
%ignore CPP_COMMENT
"""

TAGS = """
start: element*
element: "<" NAME attribute* ">" (element | TEXT)* "</" NAME ">"
attribute: NAME "=" ESCAPED_STRING
NAME: ("a".."z")+
TEXT: /[^<>]/+
%import common.ESCAPED_STRING
%ignore " "
"""

LANGUAGES: list[tuple[str, str, str, list[str]]] = [
    # name, grammar, characters of texts, texts worth mutating
    ("arithmetic", ARITH, "1a+-*( )", ["1 + 2*(x - -3.5e4)/ y", "(((a)))"]),
    ("json", JSON, '[]{},:"1 \\', ['{"a": [1, -2.5e3, {}], "b\\"":"\\\\"}', "[true, false , null]", ' "x" ']),
    ("sql", SQL, "se*;'-\n ", ["select a, b from c where d = 'x' and e<1; SELECT * FROM t;", "select*from a--x;\n;"]),
    ("tags", TAGS, '<a>/= "', ['<a b="c"> x <d></d></a>', "<a></a><b>y</b>"]),
    ("comments", COMMENTS, "/*\n a", ["a // b\n a", "a /* // */ b", "/* a // \n */ b", "// /* \n a */ b", "a //b"]),
    ("ignored text is a longest match", 'start: "a" /\\s+/ "b" | "a" /\\s\\sb/\n%ignore /\\s+/', "a b", ["a  b", "a    b"]),
    ("ignored words", 'start: "a" "c"? "b"\n%ignore /x|xa|xac/\n%ignore /ya?/', "abcxy", ["xaxb", "yab", "yaab", "xacb"]),
    ("ignored lines",
     'start: ("a" | NL)*\nNL: "\\r"? "\\n"\n%ignore /#[^\\n]*/\n%ignore /(\\r?\\n)+\\t/', "a\r\n\t#", ["a#a\r\n\ta", "a\n\n\ta"]),
    ("ignored lazily", 'start: "a"+\n%ignore /<.*?>/', "a<>", ["a<a>a", "a<>a>", "<<>a"]),
    ("ignored and start again", 'start: "a" start "b" |\n%ignore " "', "ab ", [" a ab  b "]),
    ("nothing but ignored", 'start: "a"?\n%ignore " "', " a", []),
    ("alternatives in order", "start: A B\nA: /a|ab/\nB: /b|bb|c/", "abc", ["abb", "abbb", "ac"]),
    ("longer alternatives first", 'start: A B\nA: "a" | "ab"\nB: "b" | "bb" | "c"', "abc", ["abb", "abbb"]),
    ("lazy", "start: A B*\nA: /a.*?b/\nB: /c+?/", "abc", ["aabcc", "abab", "aabb"]),
    ("greedy with a tail", "start: A A\nA: /a[ab]*(?<=b)/", "ab", ["abab", "aabbab"]),
    ("joined without brackets", 'start: A+\nA: /a|b/ "c"', "abc", ["abc", "a"]),
    ("any split", 'start: A A B\nA: "a"+\nB: /a?b/', "ab", ["aaab", "aab"]),
    ("flags", 'start: "ab"i /c.d/s /E F/ix "ß"i?', "abcdeß\nAFf", ["aBc\ndEf", "ABcxdefß", "abccdEFẞ"]),
    ("unicode", 'start: WORD ("é" | "—") /[α-ω]/ ["😀".."😃"]\nWORD: /[^\\W\\d]\\w*/', "xé—α😀1", ["xéα😀", "ñ1—ω", "éé—α"]),
    ("escapes", r'start: "\"" "\\" "\t" /\x41\u00e9\// "\n"', '"\\\tAé/\n', ['"\\\tAé/\n']),
    ("ranges", 'start: "a".."c" ("0".."9")~2', "abcd019", ["a12"]),
    ("counts", 'start: "a"~3 "b"~2..4 "c"~0..1', "abc", ["aaabb", "aaabbbbc"]),
    ("great counts", 'start: "a"~60 "b"~2..55', "ab", ["a" * 60 + "b" * 2, "a" * 60 + "b" * 55, "a" * 59 + "bb", "a" * 60 + "b" * 56]),
    ("counted groups", 'start: ("a" | "b" "c")~2 D\nD: "d"~1..3', "abcd", ["abcd", "aaddd", "bcbcdd"]),
    ("templates",
     '_sep{x, s}: x (s x)*\nstart: _sep{"a", ","} ";" _sep{pair{A}, "-"}\npair{y}: y ":" y\nA: "x"', "ax,:;-", ["a,a;x:x-x:x"]),
    ("templates of templates", 'start: twice{bracket, "x"}\ntwice{t, a}: t{a} t{a}\nbracket{b}: "(" b ")"', "(x)", ["(x)(x)"]),
    ("recursive template", 'start: list{"a"}\nlist{x}: x | x "," list{x}', "a,", ["a,a,a"]),
    ("priorities", 'start: (A | B | c)+\nA.2: "a"+\nB.-1: /a|b/\nc.3: "c" | A', "abc", ["abac"]),
    ("modifiers", '!start: _x | y\n_x: "x" [y] -> z\n?y: "y" y | "z"'.replace(" -> z", ""), "xyz", ["xyz", "yyz"]),
    ("extend", '%import common.DIGIT\nstart: a+ DIGIT\na: "a"\n%extend a: "b"\n%extend DIGIT: "x"', "ab1x", ["abx"]),
    ("override", '%import common.DIGIT\n%override DIGIT: "x" | "y"\nstart: DIGIT+', "xy1", ["xy"]),
    ("imports",
     "%import common (INT, NEWLINE)\n%import common.HEXDIGIT -> HEX\n%import python.NAME\nstart: (INT | HEX NAME | NEWLINE)*",
     "1fz\r\n", ["12fz\r\n3"]),
    ("python numbers", "%import python (HEX_NUMBER, FLOAT_NUMBER)\nstart: HEX_NUMBER | FLOAT_NUMBER", "0x1_.e", ["0x1_f", "1_0.5e-3"]),
    ("ambiguous", 'start: start start | "a" | "b" start |', "abc", ["abba"]),
    ("left recursion behind nothing", 'start: e start "b" | "a" | start\ne: "c"?', "abc", ["cab", "abb"]),
    ("unit cycles", 'start: x\nx: y | "a"\ny: x | "b" x', "ab", ["bba"]),
    ("equal width and length", 'start: (B A | "x" B | X "y")+\nB: /[ab]/\nA: /[bc]/\nX: "x" | "y"', "abcxy", ["ac", "xa", "xy", "ab"]),
    ("rules that use each other", 'start: A+\nA: /[a-c]/\nu: "ab" v |\nv: "bc" u', "abc", ["abc", "acb"]),
    ("a rule that uses itself", 'start: A+\nA: /[a-c]/\nu: "ab" u |', "abc", ["abc", "acb"]),
    ("a rule in its own repetition", 'start: A+\nA: /[a-c]/\nu: ("ab" u)* "c"', "abc", ["abc", "acb"]),
    ("templates that nothing uses", 'start: A+\nA: /[a-c]/\nu: t{"ab"} v |\nv: u\nt{x}: x "bc"', "abc", ["abc", "acb"]),
    ("no rounds", 'start: A+ ("ab"~0)\nA: /[a-c]/', "abc", ["abc", "acb"]),
    ("operators", 'start: e\ne: N | e ("+" | "-" | "/" | "*") e | ("+" | "++" | "-" | "*") e | e "++" | "return" N\n'
     "N: /[a-z]+|[0-9]+(\\.[0-9]*)?(e[+-]?[0-9]+)?/\n"
     "%ignore / +/\n%ignore /\\/\\/[^\\n]*/\n%ignore /\\/\\*.*?\\*\\//",
     "a1e+/* .", ["a+++b", "a+ ++b", "1e+1", "1 e", "a/*b", "a/ *b", "a/*b*/+c", "a//b", "returna", "return a", "return/**/a", "a-1.e5"]),
    ("comments in the grammar", '// one\nstart: "a" // two\n  | "b"\n# three\n', "ab/", ["a"]),
]  # fmt: skip


LOOKING: list[tuple[str, str, str, list[str]]] = [
    # as above, for the basic and the contextual lexer: terminals that see the text behind them
    ("keywords",
     'start: (INT | NAME | "(" | ")")*\nINT: /int(?!\\w)/\nNAME: /[a-z]+(?=\\()|x/\n%ignore " "', "intx( )", ["int x int(", "inti("]),
    ("words", 'start: (A | B)*\nA: /a\\b/\nB: /[ab-]/\n%ignore / +(?=a|$)/', "ab- ", ["a-a", "a  a", "ab "]),
    ("possessive", 'start: (A | B)*\nA: /a++b?+/\nB: /c/', "abc", ["aabac"]),
    ("ends of texts", 'start: A | "b" A "b"? | A B\nA: /a$/\nB: "\\n"', "ab\n", ["a", "ba", "a\n"]),
    ("numbers",
     '%import python (DEC_NUMBER, FLOAT_NUMBER)\nstart: (DEC_NUMBER | FLOAT_NUMBER | ".")*\n%ignore " "', "01.e ", ["00 1_0.5e3", "01"]),
    ("strings", '%import python (STRING, LONG_STRING)\nstart: (STRING | LONG_STRING | "b")*\n%ignore " "', "\"'b\\",
     ['"" "a"', '"' * 6, '"""a"b""" \'\'', 'rb"\\""', "'" * 3]),
    ("far", 'start: A (B | C)* "."\nA: /a(?=[^.]*c)/\nB: /b(?!b*c)/\nC: /[a-c]/', "abc.", ["abbc.", "acb.", "ab."]),
]  # fmt: skip


def by_lark(parser: Lark, text: str) -> bool:
    try:
        parser.parse(text)
        return True
    except LarkError:
        return False
    except RuntimeError as error:  # Lark found several parses of the text, and stumbles over them
        assert "multiple start symbol items" in str(error)
        return True


def walk(automaton: Any, letters: str, random: Random, n_steps: int) -> str:
    """A random text along the masks, finished on a shortest way."""
    usual = set(letters.encode())
    state, text = automaton.initial, b""
    for _ in range(n_steps):
        allowed = [int(token) for token in automaton.allowed(state) if token != 256]
        if not allowed:
            break
        token = random.choice([token for token in allowed if token in usual] or allowed)
        state, text = automaton.advance(state, token), text + bytes([token])
    return (text + random.choice(shortest_ends(automaton, [state])[0])).decode()


def shortest_ends(automaton: Any, states: list[int]) -> list[list[bytes]]:
    """The shortest ways to finish each state, one for each way to read the text before it; they are looked for without limits."""
    engine = automaton._engine
    with engine.lock:
        completions = Completions(engine)
        return [[ending.text for ending in completions.of(state)] for state in states]


def reached(automaton: Any, n: int) -> dict[int, bytes]:
    """The first states, breadth first over all bytes, and a text that leads to each."""
    texts = {automaton.initial: b""}
    for state in (todo := [automaton.initial]):  # grows
        for first, _, target in byte_ranges(automaton, state):
            if target not in texts and len(texts) < n:
                texts[target] = texts[state] + bytes([first])
                todo.append(target)
    return texts


def mutated(text: str, letters: Sequence[str], random: Random) -> str:
    chars = list(text)
    for _ in range(random.choice((1, 1, 2))):
        at = random.randrange(len(chars) + 1)
        chars[at : at + random.choice((0, 1))] = random.choice(([], [random.choice(letters)], chars[at : at + 3]))
    return "".join(chars)


def all_words(letters: str, n: int) -> list[str]:
    """The first words over an alphabet, at least ``n`` of them where lengths end."""
    found = [""]
    length = 1
    while len(found) < n:
        found += ["".join(word) for word in itertools.product(letters, repeat=length)]
        length += 1
    return found


def some_texts(automaton: Any, letters: str, seeds: list[str], random: Random) -> list[str]:
    """All short texts, random walks through the masks, and the neighbours of these and of the seeds."""
    short = all_words(letters, 40)
    walks = [walk(automaton, letters + "".join(seeds), random, random.choice((0, 2, 5, 12))) for _ in range(12)]
    whole = [text for text in [*seeds, *walks] if len(text) < 150]
    return list(dict.fromkeys([*short, *whole, *(mutated(random.choice(whole or [""]), letters, random) for _ in range(50))]))


MEANINGS = [
    {"parser": "earley", "lexer": "dynamic_complete"},
    {"parser": "earley", "lexer": "dynamic"},
    {"parser": "earley", "lexer": "basic"},
    {"parser": "lalr", "lexer": "contextual"},
]
NAMES = [str(meaning["lexer"]) for meaning in MEANINGS]


@pytest.mark.parametrize("meaning", MEANINGS, ids=NAMES)
@pytest.mark.parametrize(("grammar", "letters", "seeds"), [row[1:] for row in LANGUAGES], ids=[row[0] for row in LANGUAGES])
def test_the_texts_are_those_that_lark_parses(grammar: str, letters: str, seeds: list[str], meaning: Any) -> None:
    try:
        parser = Lark(grammar, **meaning)
    except LarkError:  # not LALR(1)
        with pytest.raises(sg.GrammarSyntaxError):
            sg.lark(grammar, **meaning)
        return
    try:
        automaton = byte_automaton(sg.lark(grammar, **meaning))
    except sg.UnsatisfiableSchema:
        assert not any(by_lark(parser, text) for text in all_words(letters, 300))
        return
    expected = {text: by_lark(parser, text) for text in some_texts(automaton, letters, seeds, Random(0))}
    assert {text: automaton.accepts(text) for text in expected} == expected
    assert set(expected.values()) == {False, True}


@pytest.mark.parametrize(("grammar", "letters", "seeds"), [row[1:] for row in LOOKING], ids=[row[0] for row in LOOKING])
def test_terminals_may_look_at_what_follows(grammar: str, letters: str, seeds: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lark.lexer.has_interegular", False)  # it checks the terminals, and fails here
    for meaning in ({"parser": "earley", "lexer": "basic"}, {"parser": "lalr", "lexer": "basic"}, {"parser": "lalr"}):
        test_the_texts_are_those_that_lark_parses(grammar, letters, seeds, meaning)
    with pytest.raises(sg.StructgenError, match="a lookahead"):
        sg.lark(grammar, lexer="dynamic")


def random_pattern(random: Random, depth: int) -> str:
    kind = random.randrange(4) if depth else 0
    if kind == 0:
        return random.choice(["a", "b", "c", "[ab]", "[bc]", "."])
    parts = [random_pattern(random, depth - 1) for _ in range(2)]
    if kind == 1:
        return "".join(parts)
    return (
        f"(?:{parts[0]}|{parts[1]})" if kind == 2 else f"(?:{parts[0]})" + random.choice(["*", "+", "?", "*?", "+?", "??", "{2}", "{1,2}"])
    )


def random_expansion(random: Random, depth: int) -> str:
    kind = random.randrange(5) if depth else 0
    if kind < 2:
        return random.choice(["start", "x", "y", "A", "B", '"a"', '"b"', '"ab"'])
    parts = [random_expansion(random, depth - 1) for _ in range(2)]
    return [" ".join(parts), f"({parts[0]} | {parts[1]})", f"({parts[0]})" + random.choice(["*", "+", "?", "~2", "~1..2"])][kind - 2]


def random_grammar(random: Random) -> str:
    lines = []
    for rule in ("start", "x", "y"):
        ways = [random.choice(["", '"a" ', '"c" ', "B "]) + random_expansion(random, 2) for _ in range(random.choice((1, 2, 3)))]
        lines.append(f"{rule}: " + " | ".join(ways) + random.choice(["", " |"]))
    lines += [f"{terminal}: /{random_pattern(random, 2)}/" for terminal in "AB"]
    lines += [f"%ignore /{random_pattern(random, 2)}/" for _ in range(random.choice((0, 1, 1, 2)))]
    return "\n".join(lines)


def random_lalr_grammar(random: Random) -> str:
    """Statements with optional tails, so that there are conflicts, and names that overlap with keywords."""
    ways = ['"a" s ["b" s]', '"c"', '"a" x', 'y "b"', 'x "c" x', '"b" y?', "N", 'N "c"']
    return "\n".join(
        [
            "start: s*",
            "s: " + " | ".join(random.sample(ways, random.choice((2, 3, 4)))),
            "x: " + random.choice(["N", '"a"', '"a"+', "N x |", '"b" x | "a"']),
            "y: " + random.choice(["N", '"ab"', '("c" x)*', 'x "a" |']),
            random.choice(["N: /[ab]+/", "N: /[abc]+?/", "N: /a|ab/", "N.2: /[ab]/", 'N: "a"+']),
            random.choice(["", "%ignore /c/", "%ignore /c+/", '%ignore /cb?/\n%ignore "a"']),
        ]
    )


TERMINALS = [
    "A: /[a-z]+/", "A: /[ab]+/", "A: /a|ab/", "B: /[0-9]+(\\.[0-9]+)?/", "B: /[01]+(e[+-]?[01]+)?/", "B: /0b?/", 'B: "a"i "b"',
    "C: /\"[^\"]*\"/", "C: /\"(?:[^\"]|\"\")*\"/", "C: /a.*?b/", 'D: "a" | "ab"', "D: /[a-c]/", "D: /\\/a*\\//", "D.2: /b+/",
]  # fmt: skip
LITERALS = [f'"{text}"' for text in ("+", "++", "+=", "-", "--", "/", "/*", "*", ".", "a", "b", "ab", "e", "1")] + ['"ba"i']
PIECES = [
    "/ /",
    "/ +/",
    "/\\/\\/[^\\n]*/",
    "/\\/\\*.*?\\*\\//",
    "/\\/\\*([^*]|\\*+[^*\\/])*\\*+\\//",
    "/#a?/",
    '"a"',
    "/--[ab]*/",
    "/\\n/",
    "/b/",
]


LETTERS = 'ab01e+-*/". \n#A'


def right_texts(automaton: Any, random: Random) -> list[str]:
    """Texts that are accepted, of up to ten letters, each length a few random steps further."""
    found, states = [], [(automaton.initial, "")]
    for _ in range(10):
        steps = [(automaton.advance(state, ord(letter)), text + letter) for state, text in states for letter in LETTERS]
        states = random.sample(alive := [step for step in steps if step[0] != automaton.dead], min(20, len(alive)))
        found += [text for state, text in states if automaton.is_accepting(state)]
    return found


def random_language(random: Random, terminals: Sequence[str] = TERMINALS, pieces: Sequence[str] = PIECES) -> str:
    """Pieces of programming languages: operators that begin others, numbers, keywords among names, strings, comments."""
    named = dict((line[0], line) for line in random.sample(terminals, random.choice((1, 2, 3))))
    symbols = [*named, *random.sample(LITERALS, random.choice((2, 3, 4, 5))), "x", "y", "x", "y"]

    def expansion(depth: int) -> str:
        kind = random.randrange(7) if depth else 0
        if kind < 2:
            return random.choice(symbols)
        parts = [expansion(depth - 1) for _ in range(3)]
        ways = [" ".join(parts[:2]), " ".join(parts), "({} | {})".format(*parts[1:]), f"({parts[0]})"]
        return ways[min(kind - 2, 3)] + (random.choice(["*", "*", "+", "?", "~2", "~1..2"]) if kind > 4 else "")

    lines = []
    for rule in ("start", "x", "y"):
        ways = [expansion(2) for _ in range(random.choice((1, 2, 3)))]
        lines.append(f"{rule}: " + " | ".join(ways) + random.choice(["", "", "", " |"]))
    lines += random.choice([[], [], [f"unused: {expansion(1)} unused |"]])  # Lark keeps its terminals, for it uses itself
    ignored = random.sample(pieces, random.choice((0, 1, 1, 2, 2)))
    return "\n".join([*lines, *named.values(), *(f"%ignore {piece}" for piece in ignored)])


LOOKING_TERMINALS = [
    "A: /[ab]+(?![ab])/", "A: /[ab]+(?!\\w)/", "A: /a(?=b)/", "A: /a\\b/", "A: /ab?(?! *b)/", "A: /a+$/", "A: /a(?=b|$)|ab/",
    "A: /a*?(?=b)b|a/", "A.2: /a(?=bb)/", "B: /0(?![1e])/", "B: /[01]+(?=e|\\.)|1/", "B: /1(?=.*0)/", "B: /(?=1e?)[^ ]/",
    "B: /1(?!(?=e)e1)/", "B: /1(?=(0|1)*e)/s", 'C: /"(?!"").*?"/', 'C: /"""(?:.|\\n)*?"""/', "C: /a(?!b(?!a))/", "C: /(?:(?=a)|b)a/",
    "D: /(?!ab)[a-z]+/", "D: /(?:a(?=[^b])|b)+/", "D: /[ab]++/", "D: /(?:a|b(?!a))*e/", 'D: "a" /(?=b)/ | "b"', "D: /b(?=a)|b(?=b)/",
]  # fmt: skip
LOOKING_PIECES = ["/ (?! )/", "/ +(?=[^a])/", "/#.*?(?=a|$)/", "/b(?=a)/", "/a(?!b)/", "/--(?=a).*/"]


def random_looking_language(random: Random) -> str:
    """The same with lookaheads at the ends, the beginnings and inside of terminals."""
    return random_language(random, [*LOOKING_TERMINALS, *random.sample(TERMINALS, 4)], [*LOOKING_PIECES, *random.sample(PIECES, 3)])


STANDARD: list[dict[str, Any]] = [
    {"parser": "earley", "lexer": "basic"},
    {"parser": "lalr", "lexer": "contextual"},
    {"parser": "lalr", "lexer": "basic"},
]


@pytest.mark.parametrize("meaning", STANDARD, ids=lambda meaning: "-".join(meaning.values()))
@pytest.mark.parametrize("make", [random_language, random_looking_language])
def test_random_languages(make: Callable[[Random], str], meaning: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Scanners that cut the text into tokens: texts along the masks, the same without spaces and with mistakes, and short ones."""
    monkeypatch.setattr("lark.lexer.has_interegular", False)  # it checks terminals, and fails for lookaheads
    random = Random(7)
    n_right = n_wrong = 0
    for _ in range(70):
        grammar = make(random)
        try:
            parser = Lark(grammar, **meaning)
        except LarkError:
            continue
        letters = "".join(random.sample(LETTERS, 6))
        texts = random.sample(all_words(letters, 1000), 20)
        try:
            automaton = byte_automaton(sg.lark(grammar, **meaning))
        except sg.UnsatisfiableSchema:
            assert not any(by_lark(parser, text) for text in texts), grammar
            continue
        words = random.sample(found := right_texts(automaton, random), min(8, len(found)))
        texts += words
        for text in words:
            texts += [text.replace(" ", ""), text.replace("\n", " "), *(mutated(text, letters, random) for _ in range(4))]
        expected = {text: by_lark(parser, text) for text in texts}
        assert {text: automaton.accepts(text) for text in texts} == expected, grammar
        n_right += sum(expected.values())
        n_wrong += len(expected) - sum(expected.values())
    assert min(n_right, n_wrong) > 100


@pytest.mark.parametrize(
    ("make", "meaning"),
    [
        *((make, meaning) for make in (random_language, random_looking_language) for meaning in STANDARD[:2]),
        *((make, meaning) for make in (random_grammar, random_lalr_grammar) for meaning in MEANINGS),
    ],
)
def test_whatever_is_begun_can_be_finished(make: Callable[[Random], str], meaning: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """No dead ends: from all of the first states a text leads to an end, and Lark reads the whole."""
    monkeypatch.setattr("lark.lexer.has_interegular", False)
    random = Random(3)
    n_states = 0
    for _ in range(25):
        grammar = make(random)
        try:
            parser = Lark(grammar, **{"parser": "earley", **meaning})
            automaton = byte_automaton(sg.lark(grammar, **meaning))
        except (LarkError, sg.UnsatisfiableSchema):
            continue
        texts = reached(automaton, 150)
        whole = []
        for state, ends in zip(texts, shortest_ends(automaton, list(texts)), strict=True):
            assert ends and all(automaton.is_accepting(automaton.advance_bytes(state, end)) for end in ends), (grammar, texts[state])
            whole.append(texts[state] + ends[0])
        assert all(by_lark(parser, text.decode()) for text in random.sample(whole, min(len(whole), 12)) if len(text) < 60), grammar
        n_states += len(texts)
    assert n_states > 60


@pytest.mark.parametrize("meaning", MEANINGS, ids=NAMES)
@pytest.mark.parametrize("make", [random_grammar, random_lalr_grammar])
def test_random_grammars(make: Callable[[Random], str], meaning: Any) -> None:
    """Left recursion, ambiguity, conflicts, terminals that overlap, and ignored text that overlaps with them."""
    random = Random(5)
    n_texts = 0
    for _ in range(60):
        grammar = make(random)
        try:
            parser = Lark(grammar, **meaning)
        except LarkError:  # rules defined twice, terminals that may be empty
            continue
        texts = random.sample(all_words("abc", 364), 30)
        expected = {text: by_lark(parser, text) for text in texts}
        try:
            automaton = byte_automaton(sg.lark(grammar, **meaning))
        except sg.UnsatisfiableSchema:
            assert True not in expected.values(), grammar
            continue
        assert {text: automaton.accepts(text) for text in texts} == expected, grammar
        n_texts += len(texts)
    assert n_texts > 500


REFUSED = [
    ('start: "a', 1, 8, "Unexpected input"),
    ('start: a\na: "x"\n  | @', 3, 5, "Unexpected input"),
    ("start: (", 1, 9, "Unclosed parenthesis"),
    ('start: "a" -> A', 1, 15, "Alias expects lowercase name"),
    ("start: b", 1, 8, "'b' used but not defined"),
    ("start: A", 1, 8, "'A' used but not defined"),
    ('a: "x"', 1, 1, "no rule 'start' to start with; there are: a"),
    ('start: "x"\nstart: "y"', 1, 1, "defined more than once"),
    ('%override x: "a"\nstart: x', 1, 11, "override a nonexisting rule"),
    ('start: "a" A\nA: B\nB: A', 2, 1, "Recursion in terminal 'A'"),
    ('start: A\nA: "a" b\nb: "c"', 3, 1, "Rules aren't allowed inside terminals"),
    ('start: "a"~3..2', 1, 11, "bad repetition"),
    ('start: "a" ~ -3', 1, 12, "bad repetition"),
    ('start: A\nA: ""', 2, 1, "Empty terminals"),
    ("start: A\nA: /a*/", 2, 1, "may be empty"),
    ('start: "a"\n%ignore /b*/', 1, 1, "may be empty"),
    ("start: A\nA: /[/", 2, 1, "unterminated character set"),
    ("start: A\nA: /(a)\\1/", 2, 1, "back-references"),
    ("start: A\nA: /a(?=b)/", 2, 1, "a lookahead"),
    ("start: A\nA: /a\\b/", 2, 1, "a lookahead"),
    ("start: A\nA: /a$/", 2, 1, "a lookahead"),
    ("start: A\nA: /a++/", 2, 1, "a lookahead"),
    ("start: A\nA: /^a/", 2, 1, "a lookbehind"),
    ("start: A\nA: /b?(?<=b)a/", 2, 1, "a lookbehind"),
    ("start: A\nA: /(?:a??|b)*c/", 2, 1, "may be empty"),
    ("start: A\n%declare A", 1, 8, "has no pattern"),
    ("start: b\n%declare b", 1, 8, "declared but not defined"),
    ("start: t\nt{x}: x", 2, 1, "without arguments"),
    ('start: t{"a"}\nt{x}: x{"a"}', 2, 3, "is no template"),
    ('start: t{u}\nt{f}: f{"a", "b"}\nu{x}: x', 3, 1, "takes 1 arguments, found 2"),
    ("%import foo.BAR\nstart: BAR", 1, 1, "cannot import 'foo'"),
    ("start: WS\n%import .common.WS", 2, 1, "cannot import 'common'"),
    ("%import common.NOPE\nstart: NOPE", 1, 16, "'NOPE' used but not defined"),
    ('start: "a"\n// \ud800', 2, 4, "a lone surrogate"),
]


REFUSED_BY_BASIC = [
    ("start: A\nA: /^a/", 2, 1, "a lookbehind"),
    ('start: "x" A\nA: /(?<!x)y/', 2, 1, "a lookbehind"),
    ('start: B\nB: "b"? /\\ba/', 2, 1, "a lookbehind"),
    ("start: B A\nB: /b/\nA: /a(?=b(?<=ab))/", 3, 1, "inside a lookahead"),
    ("start: A\nA: /(?=a)/", 2, 1, "may be empty"),
]


@pytest.mark.parametrize(("grammar", "line", "column", "message"), REFUSED_BY_BASIC)
def test_errors_of_the_basic_lexer_say_where(grammar: str, line: int, column: int, message: str) -> None:
    with pytest.raises(sg.GrammarSyntaxError, match=re.escape(message)) as error:
        parse_lark(grammar, lexer="basic")
    assert (error.value.line, error.value.column) == (line, column)


@pytest.mark.parametrize(("grammar", "line", "column", "message"), REFUSED)
def test_errors_say_where(grammar: str, line: int, column: int, message: str) -> None:
    with pytest.raises(sg.GrammarSyntaxError, match=re.escape(message)) as error:
        parse_lark(grammar)
    assert (error.value.line, error.value.column) == (line, column)


@pytest.mark.parametrize("options", [{"parser": []}, {"parser": None}, {"lexer": 1}, {"import_paths": [None]}, {"import_paths": "x"}])
def test_options_that_are_none(options: dict[str, Any]) -> None:
    with pytest.raises(sg.StructgenError, match=r"is not supported|list of folders"):
        parse_lark('start: "a"', **options)


DOUBLING = "start: A0\n" + "".join(f"A{i}: A{i + 1} A{i + 1}\n" for i in range(40)) + 'A40: "a"'
TOO_LARGE = [
    ("start: " + "(" * 3000 + '"a"' + ")" * 3000, "nesting"),
    ("start: A\nA: " + "(" * 3000 + '"a"' + ")" * 3000, "nesting"),
    ("start: A\nA: /" + "(" * 3000 + "a" + ")" * 3000 + "/", "nesting"),
    (DOUBLING, "nodes of a terminal"),
    ('start: t{"a"}\nt{x}: "a" t{u{x}}\nu{x}: x', "rules, a template counted once for each different use"),
    ('start: A\nA: "a"~5000000', "regular expression size"),
]


@pytest.mark.parametrize(("grammar", "message"), TOO_LARGE)
def test_too_large_grammars_are_refused(grammar: str, message: str) -> None:
    with pytest.raises(sg.LimitExceeded, match=message):
        parse_lark(grammar)


def test_what_lexers_have_to_check_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    grammar = 'start: ("[" | "a".."p")*\n' + "".join(f"%ignore /\\[{x}.*?{x}\\]/\n" for x in "abcdef")
    assert byte_automaton(sg.lark(grammar, lexer="basic")).accepts("[a[b[cc][")
    for module, limit, message in (
        (_lark_basic, "MAX_TABLES", "table entries"),
        (_lark_contexts, "MAX_CONTEXTS", "expressions, each counted"),
    ):
        with monkeypatch.context() as patch, pytest.raises(sg.LimitExceeded, match=message):
            patch.setattr(module, limit, 100)
            sg.lark(grammar, lexer="basic")


@pytest.mark.parametrize(
    ("module", "limit", "message"),
    [(_lark_scanner, "MAX_ENTRIES", "table entries of the scanners"), (_lark_lalr, "MAX_STEPS", "rules in different parser states")],
)
def test_what_parser_states_need_is_bounded(module: Any, limit: str, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, limit, 50)
    with pytest.raises(sg.LimitExceeded, match=message):
        sg.lark(ARITH, parser="lalr")


def test_templates_are_bounded_in_rules_that_nothing_uses() -> None:
    for arguments in ("x", "x, x, x, x"):
        grammar = 'start: "a"\nb: t{"a"}\nt{x}: "a" t{u{' + arguments + "}}\nu{" + ", ".join("pqrs"[: len(arguments.split())]) + "}: p"
        with pytest.raises(sg.LimitExceeded, match="characters of a template"):
            sg.lark(grammar, lexer="basic")


def test_what_takes_lark_exponential_time_is_fine() -> None:
    optional = " ".join(f'"x{i}"?' for i in range(60))
    assert byte_automaton(sg.lark(f'start: {optional} (("a"~40)~40)~2')).accepts("x3x7" + "a" * 3200)


@pytest.mark.parametrize(
    "grammar", [" ".join(f'"x{i}"?' for i in range(60)), " ".join(['("a" | "b")'] * 40), '((("a"~40)~40)~40)~40', '("a" | "b")~45']
)
def test_what_lark_writes_out_at_length_is_refused_for_lalr(grammar: str) -> None:
    with pytest.raises(sg.LimitExceeded, match="symbols in the alternatives"):
        sg.lark(f"start: {grammar}", parser="lalr")


def test_lr_automata_of_exponential_size_are_refused() -> None:
    rules = "".join(f"r{i}: " + " | ".join(f'"x{j}" r{i}' for j in range(20) if j != i) + f' | "y{i}"\n' for i in range(20))
    with pytest.raises(sg.LimitExceeded, match="items in the states"):
        sg.lark("start: " + " | ".join(f"r{i}" for i in range(20)) + "\n" + rules, parser="lalr")


CONFLICTS = [
    # grammar, a text, a text that only the grammar has: the parser shifts, or prefers a rule, where it reduces them
    ('start: ("x" "y"?)* "y"', "xyy", "xy"),
    ('start: x "a" "b" | "a" "a" "c"\nx: "a"', "aac", "aab"),
    ('start: list "," "." | "c"\nlist: "a" ("," "a")*', "c", "a,."),
    ('start: x "b" y "b"\nx.2: "a" |\ny: "a"? ("b" "c")?', "babcb", "abab"),
    ('start: x "b" | "a" "b" "c"\nx.2: "a"', "abc", "ab"),
    ('start: x "b" | y "b" "b"\nx.2: "a"\ny: "a"', "ab", "abb"),
]


@pytest.mark.parametrize("lexer", ["contextual", "basic"])
@pytest.mark.parametrize(("grammar", "right", "wrong"), CONFLICTS)
def test_conflicts_are_resolved_as_lark_does(grammar: str, right: str, wrong: str, lexer: str) -> None:
    parser = Lark(grammar, parser="lalr", lexer=lexer)
    automaton = byte_automaton(sg.lark(grammar, parser="lalr", lexer=lexer))
    expected = {text: by_lark(parser, text) for text in [right, wrong, *all_words("abcxy,.", 400)]}
    assert {text: automaton.accepts(text) for text in expected} == expected
    assert automaton.accepts(right) and not automaton.accepts(wrong) and byte_automaton(sg.lark(grammar)).accepts(wrong)


def test_conflicts_that_lark_does_not_resolve_are_refused() -> None:
    with pytest.raises(sg.GrammarSyntaxError, match="Reduce/Reduce collision"):
        sg.lark('start: x | y\nx: "a"\ny: "a"', parser="lalr")


def test_keywords_and_context() -> None:
    """A name that is a keyword elsewhere is a name where the parser cannot use the keyword; a longest match is never split."""
    grammar = 'start: "if" NAME "then" NAME\nNAME: /[a-z]+/\n%ignore " "'
    accepts = byte_automaton(sg.lark(grammar, parser="lalr")).accepts
    assert [accepts(text) for text in ("if a then b", "if if then then", "ifa then b", "if a thenb")] == [True, True, True, True]
    assert [accepts(text) for text in ("if athen b", "if then b", "if a then")] == [False, False, False]


def test_terminals_without_text_match_nothing() -> None:
    assert byte_automaton(sg.lark('start: "a" | A\nA: /[^\\s\\S]/')).accepts("a")
    with pytest.raises(sg.UnsatisfiableSchema):
        byte_automaton(sg.lark('start: "\\ud800"'))


def test_imports_read_only_the_folders_named(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    (tmp_path / "words.lark").write_text('WORD: "x"+\npair: WORD other\n%import .inner.more.other\n')
    (tmp_path / "inner" / "more.lark").write_text('other: "y" | last\n%import .last.last\n')
    (tmp_path / "inner" / "last.lark").write_text('last: "z"\n')
    grammar = "start: pair\n%import .words.pair"
    automaton = byte_automaton(sg.lark(grammar, import_paths=[tmp_path]))
    assert [automaton.accepts(text) for text in ("xxy", "xz", "y")] == [True, True, False]
    (tmp_path / "bad.lark").write_text("a:\n\n  | @")
    with pytest.raises(sg.GrammarSyntaxError, match="Unexpected input"):
        sg.lark("start: a\n%import bad.a", import_paths=[tmp_path])
    for folders in ((), (tmp_path / "inner",)):
        with pytest.raises(sg.GrammarSyntaxError, match="cannot import 'words'"):
            sg.lark(grammar, import_paths=folders)


@pytest.mark.parametrize("options", [{"parser": "cyk"}, {"lexer": "contextual"}, {"parser": "lalr", "lexer": "dynamic"}])
def test_other_meanings_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(sg.StructgenError, match="not supported"):
        sg.lark('start: "a"', **options)


def test_any_split_is_the_default() -> None:
    grammar = 'start: A A\nA: "a"+'
    assert byte_automaton(sg.lark(grammar)).accepts("aaa")
    with pytest.raises(sg.UnsatisfiableSchema):
        byte_automaton(sg.lark(grammar, lexer="dynamic"))
