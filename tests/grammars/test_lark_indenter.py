"""Grammars of Lark behind an `Indenter` against Lark itself: ``Lark(text, postlex=...)`` decides which texts are right."""

from __future__ import annotations

import sysconfig
import textwrap
from collections.abc import Iterable
from pathlib import Path
from random import Random
from typing import Any

import lark
import pytest
from lark import Lark
from lark.exceptions import LarkError
from lark.indenter import Indenter, PythonIndenter

import structgen as sg
from structgen.enumeration import byte_automaton
from structgen.grammars import _lark_columns
from tests.grammars.test_lark import all_words, mutated, reached, shortest_ends, walk


class TreeIndenter(Indenter):
    """That of Lark's documentation."""

    NL_type = "_NL"
    OPEN_PAREN_types = ()
    CLOSE_PAREN_types = ()
    INDENT_type = "_INDENT"
    DEDENT_type = "_DEDENT"
    tab_len = 8


class BracketIndenter(TreeIndenter):
    OPEN_PAREN_types = ("LPAR", "LSQB")
    CLOSE_PAREN_types = ("RPAR", "RSQB")
    tab_len = 2


TREE = r"""
    ?start: _NL* tree
    tree: NAME _NL [_INDENT tree+ _DEDENT]
    %import common.CNAME -> NAME
    %import common.WS_INLINE
    %declare _INDENT _DEDENT
    %ignore WS_INLINE
    _NL: /(\r?\n[\t ]*)+/
"""

STATEMENTS = r"""
    start: (_NEWLINE | stmt)*
    stmt: simple | "if" test ":" suite ("elif" test ":" suite)* ["else" ":" suite]
    simple: NAME ["=" test] _NEWLINE
    suite: simple | _NEWLINE _INDENT stmt+ _DEDENT
    ?test: atom ("+" atom)*
    ?atom: NAME | "(" [test ("," test)*] ")" | "[" [test] "]"
    NAME: /[a-z]+/
    COMMENT: /#[^\n]*/
    _NEWLINE: ( /\r?\n[\t ]*/ | COMMENT )+
    %ignore /[\t \f]+/
    %ignore /\\[\t \f]*\r?\n/
    %ignore COMMENT
    %declare _INDENT _DEDENT
"""

TREES = ["a\n  b\n    c\n  d\n", "a\n\tb\n        c\n", "a\n  b\n    c\n  ", "\n \na\n \n  b\r\n\r\n  c\n"]
PROGRAMS = [
    "if a:\n  b\n  if c: d\n  else:\n   e\nelse: f\n",
    "a = (b,\nc,\n  #d\n)\n",
    "if a: #b\n\n  #c\n d=[\n(a)+\\\nb]\n#e\n",
    "if a:\n\tb\n        c\n",
    "a\n#b",
]
LANGUAGES: list[tuple[str, str, Indenter, str, list[str]]] = [
    # name, grammar, indenter, characters of texts, texts worth mutating
    ("tree", TREE, TreeIndenter(), "a \n\t", TREES),
    ("statements", STATEMENTS, PythonIndenter(), "ab=:()[] \n#\\", PROGRAMS),
]
BASIC: dict[str, Any] = {"parser": "earley", "lexer": "basic"}
MEANINGS: list[dict[str, Any]] = [BASIC, {"parser": "lalr"}, {"parser": "lalr", "lexer": "basic"}]
NAMES = ["-".join(options.values()) for options in MEANINGS]


def by_lark(parser: Lark, text: str) -> bool:
    try:
        parser.parse(text)
        return True
    except (LarkError, AssertionError, IndexError):  # a bracket closed that was not open; a newline token without a line break
        return False
    except RuntimeError as error:  # Lark found several parses of the text, and stumbles over them
        assert "multiple start symbol items" in str(error)
        return True


@pytest.mark.parametrize(("grammar", "indenter", "letters", "seeds"), [row[1:] for row in LANGUAGES], ids=[row[0] for row in LANGUAGES])
def test_the_texts_are_those_that_lark_parses(grammar: str, indenter: Indenter, letters: str, seeds: list[str]) -> None:
    random = Random(0)
    parser = Lark(grammar, postlex=indenter, **BASIC)
    automaton = byte_automaton(sg.lark(grammar, postlex=indenter, max_column=40, **BASIC))
    walks = [walk(automaton, letters + "".join(seeds), random, random.choice((0, 2, 5, 20))) for _ in range(6)]
    whole = [text for text in [*seeds, *walks] if len(text) < 150]
    texts = {*all_words(letters, 100), *whole, *(mutated(random.choice(whole), letters, random) for _ in range(600))}
    expected = {text: by_lark(parser, text) for text in sorted(texts)}
    assert {text: automaton.accepts(text) for text in expected} == expected
    assert list(expected.values()).count(True) > 100


NEWLINES = [r"/(\r?\n[\t ]*)+/", r"/\n[\t ]*/", r"/\n *|\n\t*/", r"/(\n[\t ]*|#[^\n]*)+/", r"/\s*\n\s*/", r"/\n(#a|\t| )*/", r"/[;\n] */"]
IGNORED = ["/ /", "/[ \\t]+/", "/\\\\\\n/", "/#[^\\n]*/", "/#a\\n?/"]
BLOCKS = [
    "_NL _INDENT x+ _DEDENT",
    "_NL _INDENT x* _DEDENT",
    "_NL [_INDENT x+ _DEDENT]",
    "_NL (_INDENT x _DEDENT)*",
    "_INDENT x+ _DEDENT",
    "_INDENT (y _NL)+ _DEDENT y?",
    "_NL _INDENT _NL* x _DEDENT _NL?",
    "_NL _INDENT y _NL _INDENT x+ _DEDENT x* _DEDENT",
    '_NL _INDENT "(" x ")" _DEDENT',
    "_NL x* y?",
]


def random_grammar(random: Random) -> str:
    """Blocks that begin and end in unusual ways, newline tokens that overlap with what is ignored, brackets."""
    statements = ['"a" _NL', '"a" block', '"b" y block', "y _NL", "y ", '"(" y ")" _NL', "A block block", "_NL"]
    values = ['"a"', "A", '"(" y? ")"', '"[" (y | x) "]"', '("(" | "[") y* ")"', "y A", '"(" block ")"', '"b" "(" ")" y |']
    return "\n".join(
        [
            "start: " + random.choice(["x*", "x+", "_NL* x", "(x | _NL)*", "block", "y block", "y? block*"]),
            "x: " + " | ".join(random.sample(statements, random.choice((2, 3, 4)))),
            "y: " + " | ".join(random.sample(values, random.choice((1, 2, 3)))),
            "block: " + " | ".join(random.sample(BLOCKS, random.choice((1, 1, 2, 3)))),
            random.choice(["A: /[ab]+/", "A: /[abc]/", "A: /a|ab|c/", "A.2: /b\\n?/"]),
            f"_NL{random.choice(['', '.2', '.-1'])}: {random.choice(NEWLINES)}",
            *(f"%ignore {piece}" for piece in random.sample(IGNORED, random.choice((0, 1, 2)))),
            "%declare _INDENT _DEDENT",
        ]
    )


def random_text(random: Random) -> str:
    """Lines that are indented more or less as they should be."""
    stack, text = [0], ""
    for _ in range(random.choice((1, 2, 3, 5))):
        words = [
            random.choice(["a", "b", "ab", "(", ")", "[", "]", "(a)", "c", "#a", ";", "(\n  b)"]) for _ in range(random.choice((1, 1, 2)))
        ]
        text += random.choice(["", " "]).join(words) + random.choice(["\n", "\n", "\n", "\n\n", "\n \n", ""])
        change = random.randrange(4)
        stack = [*stack, stack[-1] + random.choice((1, 2))] if change == 0 else stack[: max(1, len(stack) - max(0, change - 1))]
        column = max(0, stack[-1] + random.choice((0, 0, 0, 0, 0, 1, -1)))
        text += random.choice([" " * column, " " * column, "\t" * (column // 2) + " " * (column % 2)])
    return text


def agree(grammar: str, automaton: Any, parser: Lark, texts: Iterable[str]) -> list[bool]:
    expected = {text: by_lark(parser, text) for text in texts}
    assert {text: automaton.accepts(text) for text in expected} == expected, grammar
    return list(expected.values())


def random_cases(seed: int, n: int, options: Any) -> Iterable[tuple[str, Lark, Any, Random]]:
    random = Random(seed)
    for _ in range(n):
        grammar = random_grammar(random)
        try:
            parser = Lark(grammar, postlex=BracketIndenter(), **options)
            constraint = sg.lark(grammar, postlex=BracketIndenter(), max_column=30, **options)
            yield grammar, parser, byte_automaton(constraint), random
        except LarkError:  # two expansions that are equal, or not LALR(1)
            continue
        except sg.UnsatisfiableSchema:
            assert not any(by_lark(parser, random_text(random)) for _ in range(20)), grammar


@pytest.mark.parametrize("options", MEANINGS, ids=NAMES)
def test_random_grammars(options: Any) -> None:
    results = []
    for grammar, parser, automaton, random in random_cases(1, 16, options):
        walks = [walk(automaton, "ab( )[]\n\t#;", random, random.choice((2, 5, 10))) for _ in range(3)]
        whole = [text for text in walks if len(text) < 80]
        near = [mutated(text, "ab( )\n\t", random) for text in whole for _ in range(12)]
        results += agree(grammar, automaton, parser, [*whole, *near, *(random_text(random) for _ in range(15))])
    assert min(results.count(True), results.count(False)) > 60


@pytest.mark.parametrize("options", MEANINGS, ids=NAMES)
def test_whatever_is_begun_can_be_finished(options: Any) -> None:
    n_states = 0
    for grammar, parser, automaton, random in random_cases(2, 8, options):
        texts = reached(automaton, 150)
        whole = []
        for state, ends in zip(texts, shortest_ends(automaton, list(texts)), strict=True):
            assert ends and all(automaton.is_accepting(automaton.advance_bytes(state, end)) for end in ends), (grammar, texts[state])
            whole.append((texts[state] + ends[0]).decode())
        assert all(agree(grammar, automaton, parser, random.sample(whole, min(len(whole), 12)))), grammar
        n_states += len(texts)
    assert n_states > 150


PYTHON = (Path(lark.__file__).parent / "grammars" / "python.lark").read_text(encoding="utf-8")
PYTHON_TEXTS = [
    "def f(a, *b, c=1, **d) -> int:\n    '''a\n  b'''\n    return a\\\n  + b\n",
    "class A(B):\n  x: int = 1\n  @property\n  def y(self): pass\n\n  # c\n  z = [\n1,\n   # d\n  2]\n",
    "try:\n\tf(x)\nexcept (A, B) as e:\n        raise\nelse:\n    pass\nfinally: x **= 2\n",
    "for i, j in x:\n  while a < b and not c is not d:\n    if e: break\n    elif f: continue\n",
    "match a:\n case [1, x, *y]: pass\n case {'a': b} if c:\n  pass\n",
    "async def f():\n  async with a as b, c: await x\n  return lambda x, *y: (yield)\n",
    "import a.b as c, d\nfrom . import (e,\n f as g)\n\nx = {a: b for a in c if d}\ny = a[1:2, ::3].b(*c, **d)\n",
    'x = "a" b\'c\' r"\\d"\ny = 0x1F + 0o17 + 1_000 + 1.5e3 + 2j + 0_0 + ...\n',
    "if a:\n  b\n   ",
    "a = 01\n", "a = '''b\n'''c\n", "if a:\n  b\n c\n", "x = (a\n", "def f()\n", "a # b",
]  # fmt: skip


PYTHON_WORDS = [
    "if", "else", "match", "case", "_", "async", "await", " ", "  ", "\n", "\n    ", "(", ")", "[", "]", "{", "}", ":", ",", "=", "*",
    "**", "#", "'", '"', '"""', "not", "in", "is", "lambda", "yield", "0", "1e5", "0x", "\\\n", "\t", "@", "->", ":=", "for", "print",
    "None", ";", ".",
]  # fmt: skip
SOFT_KEYWORDS = [
    "match = case\n", "_ = not + lambda\n", "print(match(case), await_)\n", "x = y + yield\n", "match _:\n case _: case = _\n",
    "if a:b;if\n",
]  # fmt: skip


def library_files(n: int) -> list[str]:
    """Some files of the standard library."""
    found = [path for path in sorted(Path(sysconfig.get_path("stdlib")).glob("*.py")) if 500 < path.stat().st_size < 30_000]
    return [path.read_text(encoding="utf-8") for path in found[:: max(1, len(found) // n)]]


def damaged(text: str, random: Random) -> str:
    """Some lines, some characters of which are words that stand elsewhere."""
    lines = text.splitlines(keepends=True)
    at = random.randrange(len(lines))
    return mutated(textwrap.dedent("".join(lines[at : at + random.choice((1, 2, 5, 10, 25))])), PYTHON_WORDS, random)


def python(options: dict[str, Any], max_column: int) -> tuple[Lark, Any]:
    """The grammar that comes with Lark."""
    options = {"start": "file_input", "postlex": PythonIndenter(), **options}
    return Lark(PYTHON, **options), byte_automaton(sg.lark(PYTHON, max_column=max_column, **options))


@pytest.mark.parametrize("options", MEANINGS[:2], ids=NAMES[:2])
def test_python(options: dict[str, Any]) -> None:
    random = Random(4)
    parser, automaton = python(options, 16)
    texts = [*PYTHON_TEXTS, *SOFT_KEYWORDS, *(mutated(random.choice(PYTHON_TEXTS), "ab(:) \n\t#'\"=0_,", random) for _ in range(60))]
    results = agree("python.lark", automaton, parser, texts)
    assert min(results.count(True), results.count(False)) > 15


@pytest.mark.long
@pytest.mark.parametrize("options", MEANINGS[1:], ids=NAMES[1:])
def test_python_on_the_standard_library(options: dict[str, Any]) -> None:
    random = Random(5)
    parser, automaton = python(options, 80)
    files = library_files(60)
    results = agree("python.lark", automaton, parser, files)
    assert results.count(True) > 40
    results = agree("python.lark", automaton, parser, [damaged(random.choice(files), random) for _ in range(1500)])
    assert min(results.count(True), results.count(False)) > 300


@pytest.mark.parametrize("options", [{}, {"lexer": "basic"}])
def test_lalr(options: dict[str, Any]) -> None:
    """Keywords are names where the parser cannot use them; an "else" belongs to the last "if"."""
    random = Random(1)
    grammar = STATEMENTS.replace(' | "if" test', ' | "x" "if" NAME stmt ["else" stmt] | "if" test')
    options = {"parser": "lalr", "postlex": PythonIndenter(), **options}
    parser, automaton = Lark(grammar, **options), byte_automaton(sg.lark(grammar, **options))
    seeds = [*PROGRAMS, "x if a x if b c\nelse d\nelse e\n", "x if if if if:\n  b\nelse: c\n", "if=a\na=(x\n if)\n", "a = else\n"]
    words = ["if ", "else", "elif", ":", "\n", "\n  ", "\n ", "#", "x ", "=", "(", ")", " "]
    texts = [*seeds, *(mutated(random.choice(seeds), words, random) for _ in range(1000))]
    results = agree(grammar, automaton, parser, texts)
    assert min(results.count(True), results.count(False)) > 100
    assert automaton.accepts("x if if b\n") == ("lexer" not in options)


class OwnProcess(TreeIndenter):
    def process(self, stream: Any) -> Any:
        return stream


class NoTab(TreeIndenter):
    tab_len = 1_000


class OneText(TreeIndenter):
    OPEN_PAREN_types = "LPAR"  # type: ignore[assignment]


class TwoNames(TreeIndenter):
    DEDENT_type = "_INDENT"


BLOCK = '\n_NL: /\\n */\n%declare _INDENT _DEDENT\nx: "a"\n'
REFUSED: list[tuple[str, dict[str, Any], str]] = [
    (TREE, {"postlex": "indenter"}, "expected an instance of a subclass of lark.indenter.Indenter, found 'indenter'"),
    (TREE, {"postlex": TreeIndenter}, "expected an instance"),
    (TREE, {"postlex": OwnProcess()}, r"OwnProcess has a method process\(\) of its own"),
    (TREE, {"postlex": NoTab()}, "tab_len is a number from 1 to 100, found 1000"),
    (TREE, {"postlex": OneText()}, "are lists of names, found a text"),
    (TREE, {"postlex": TwoNames()}, "must be different terminals"),
    (TREE, {"max_column": 0}, "max_column is a number from 1 to 1000, found 0"),
    (TREE, {"lexer": "dynamic"}, "postlex needs parser='earley' with lexer='basic'"),
    (TREE, {"parser": "cyk"}, "postlex needs"),
    (TREE.replace("%declare _INDENT _DEDENT", '_INDENT: "<"\n_DEDENT: ">"'), {}, "terminal _INDENT is made by the postlex"),
    ("start: _NL _INDENT x\ny: _DEDENT" + BLOCK, {}, "rule 'start' has _INDENT without _DEDENT in the same alternative"),
    ("start: _NL x _DEDENT" + BLOCK, {}, "rule 'start' has _DEDENT without its counterpart"),
    ('start: "(" x | x' + BLOCK, {}, "rule 'start' has brackets that are closed in some alternatives"),
    ('start: "(" x' + BLOCK, {}, "rule 'start' has brackets .LPAR, LSQB. that are not closed in the same alternative"),
    ('start: x ")" "("' + BLOCK, {}, "that are not closed in the same alternative"),
    ("start: _NL _INDENT (x | y) _DEDENT\ny: \"a\"" + BLOCK, {"parser": "lalr"}, "Reduce/Reduce collision"),
]  # fmt: skip


@pytest.mark.parametrize(("grammar", "options", "message"), REFUSED)
def test_refused(grammar: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(sg.StructgenError, match=message):
        sg.lark(grammar, **{"postlex": BracketIndenter(), **options})


def test_budgets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_lark_columns, "MAX_COPIES", 100)
    with pytest.raises(sg.LimitExceeded, match="expressions, each counted for the columns of blocks"):
        sg.lark(TREE, postlex=TreeIndenter())
