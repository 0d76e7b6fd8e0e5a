"""Internationalised host names (IDNA 2008), as far as an automaton can know them.

A label is valid if its characters are, each for itself, next to its neighbours and in its direction of writing, and if its ASCII
form has at most 63 characters. That is the length of its Punycode, which an automaton cannot count; so labels are kept so short
that the ASCII form has at most 61 whatever the characters are (`UNITS`, found by enumeration), and names beyond ASCII have at
most four labels, which keeps them below 253.
Left out, though valid: labels in ASCII form (``xn--``); characters beyond U+FFFF; accents that combine with letters and most
sequences of marks; the Katakana middle dot, the keraia, Arabic-Indic digits; joiners that do not follow a virama; in names with
right-to-left labels, left-to-right ones beyond ASCII.
The properties of characters are those of the running Python's `unicodedata`.
Sources: RFC 5890 to 5893 (IDNA 2008), RFC 3492 (Punycode).
"""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from functools import cache
from itertools import chain
from typing import NamedTuple

from structgen.automata.chardfa import (
    END,
    START,
    Alternation,
    Automaton,
    Char,
    CharDfa,
    Concat,
    Loop,
    Node,
    compile_regex,
    difference,
    intersect,
    search,
)
from structgen.automata.charset import ANY, Ranges, normalize, of_chars, union
from structgen.automata.charset import difference as without
from structgen.automata.charset import intersect as intersection

from ._regex_parser import parse_regex

__all__ = ["hostname", "names", "weighing"]

UNITS = 28
"""Greatest weight of a label beyond ASCII: other characters than ASCII count twice."""
LABEL = "(?!..--)[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
LEFT_TO_RIGHT = "(?!..--)[a-z](?:[a-z0-9-]{0,26}[a-z0-9])?"
"""What may stand beside right-to-left labels (RFC 5893, section 2, rules 1 and 6)."""

CODES = (range(0x80, 0x3400), range(0xA000, 0xAC00), range(0xF900, 0xFFFE))
IDEOGRAPHS: Ranges = ((0x3400, 0x4DBF), (0x4E00, 0x9FFC), (0xAC00, 0xD7A3))
"""Han and Hangul syllables, all valid."""
EXCEPTIONS = "\u00df\u03c2\u06fd\u06fe\u0f0b\u3007" + "".join(map(chr, range(0x6F0, 0x6FA)))
REMOVED = {
    *(0x640, 0x7FA, 0x302E, 0x302F, *range(0x3031, 0x3036), 0x303B, *range(0x660, 0x66A)),  # RFC 5892, section 2.6
    *(0x34F, 0x17B4, 0x17B5, *range(0x180B, 0x1810), *range(0xFE00, 0xFE10), *range(0x20D0, 0x2100)),  # sections 2.3 and 2.4
    *(*range(0x1100, 0x1200), *range(0xA960, 0xA980)),  # section 2.9
}
HYPHEN, DOT, LOW_L, JOINERS = of_chars("-"), of_chars("\u00b7"), of_chars("l"), of_chars("\u200c\u200d")
GERESH, HEBREW = of_chars("\u05f3\u05f4"), of_chars(map(chr, range(0x5D0, 0x5EB)))
DIGITS = of_chars("0123456789" + "".join(map(chr, range(0x6F0, 0x6FA))))


class Alphabet(NamedTuple):
    """The valid characters by what else matters about them."""

    letters: Ranges
    """Letters and digits that are written from left to right."""
    right_to_left: Ranges
    marks: tuple[Ranges, ...]
    """Combining marks of class 0, below 107, below 122, and others: in the order in which they may follow each other."""
    neutral: Ranges
    """Marks without a direction of their own."""
    viramas: Ranges
    pairs: tuple[Ranges, Ranges]
    """Beginnings and ends of pairs that NFC makes one character, the end being no accent."""


@cache
def alphabet() -> Alphabet:
    """RFC 5892, section 3, for the characters up to U+FFFF: letters, digits and marks that case folding and NFKC leave alone."""
    kinds: defaultdict[str | int, list[int]] = defaultdict(list)
    pairs = _pairs()
    ends = {end for _, end in pairs}
    for code in chain.from_iterable(CODES):
        char = chr(code)
        category, order = unicodedata.category(char), unicodedata.combining(char)
        if category not in ("Ll", "Lo", "Lm", "Nd", "Mn", "Mc") or code in REMOVED or (order and char in ends):
            continue
        if unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", char).casefold()) != char:
            continue
        direction = unicodedata.bidirectional(char)
        if category[0] == "M":
            kinds[(order > 0) + (order >= 107) + (order >= 122)].append(code)
            kinds[direction].append(code)
            kinds["virama" if order == 9 else "other"].append(code)
        else:
            kinds["right" if direction in ("R", "AL", "AN") else "left"].append(code)
    for char in EXCEPTIONS:
        kinds["right" if unicodedata.bidirectional(char) == "AL" else "left"].append(ord(char))
    sets = {kind: normalize((code, code) for code in codes) for kind, codes in kinds.items()}
    pairs = [pair for pair in pairs if not unicodedata.combining(pair[1])]
    return Alphabet(
        union(sets["left"], IDEOGRAPHS, of_chars("abcdefghijklmnopqrstuvwxyz0123456789")),
        sets["right"],
        tuple(sets[order] for order in range(4)),
        sets["NSM"],
        sets["virama"],
        (of_chars(first for first, _ in pairs), of_chars(end for _, end in pairs)),
    )


def _pairs() -> list[tuple[str, str]]:
    """The pairs that NFC makes one character."""
    parts = ((code, unicodedata.decomposition(chr(code)).split()) for code in chain(range(0xC0, 0x3400), range(0xF900, 0xFB50)))
    pairs = [(code, chr(int(pair[0], 16)), chr(int(pair[1], 16))) for code, pair in parts if len(pair) == 2 and pair[0][0] != "<"]
    return [(first, end) for code, first, end in pairs if unicodedata.normalize("NFC", first + end) == chr(code)]


def weighing(limit: int, weights: dict[int, int]) -> CharDfa:
    """The texts of at most this weight, ``weights`` giving that of the characters from each number on (0: not allowed).

    >>> from structgen.automata.chardfa import accepts
    >>> [accepts(weighing(4, {0: 1, 0x80: 2}), text) for text in ("aaé", "aéé")]
    [True, False]
    """
    column = {weight: i for i, weight in enumerate(dict.fromkeys(weights.values()))}
    rows = [tuple(n + weight if 0 < weight <= limit - n else -1 for weight in column) for n in range(limit + 1)]
    return CharDfa(tuple(weights), tuple(column[weight] for weight in weights.values()), tuple(rows), (True,) * (limit + 1))


def _label(letters: Ranges, marks: list[Ranges], signs: Ranges, wrong: list[Node]) -> CharDfa:
    """Labels of these characters, short enough, without what is wrong: places are those of RFC 5891, section 4.2.3."""
    begin = Char(union(letters, signs))
    end = Char(union(letters, signs, *marks))
    shape = Alternation((begin, Concat((begin, Loop(Char(union(letters, signs, *marks, HYPHEN))), end))))
    first, second = alphabet().pairs
    wrong = [
        *wrong,
        Concat((START, Char(ANY), Char(ANY), Char(HYPHEN), Char(HYPHEN))),
        Concat((Char(first), Char(second))),
        *(Concat((Char(marks[i]), Char(union(*marks[1 : i + 1])))) for i in (1, 2, 3)),
    ]
    weight = weighing(UNITS, {0: 1, 0x80: 2, 0xD800: 0, 0xE000: 2})
    return intersect(difference(compile_regex(shape), compile_regex(search(Alternation(tuple(wrong))))), weight)


def _unless_after(signs: Ranges, before: Ranges) -> list[Node]:
    """The signs where they do not follow one of these characters."""
    return [Concat((Char(without(ANY, before)), Char(signs))), Concat((START, Char(signs)))]


def _left_to_right() -> CharDfa:
    """Labels without right-to-left characters (RFC 5892, appendices A.1 to A.3)."""
    known = alphabet()
    wrong = [*_unless_after(DOT, LOW_L), *_unless_after(JOINERS, known.viramas)]
    wrong += [Concat((Char(DOT), Char(without(ANY, LOW_L)))), Concat((Char(DOT), END))]
    return _label(known.letters, list(known.marks), union(DOT, JOINERS), wrong)


def _right_to_left() -> CharDfa:
    """Labels that begin with a right-to-left letter (RFC 5893, section 2, rules 1 to 4; RFC 5892, appendices A.5 and A.6)."""
    known = alphabet()
    marks = [intersection(group, known.neutral) for group in known.marks]
    wrong = [*_unless_after(GERESH, HEBREW), Concat((START, Char(DIGITS))), Concat((Char(HYPHEN), Char(union(*marks))))]
    return _label(union(known.right_to_left, DIGITS), marks, GERESH, wrong)


def names(separators: str) -> tuple[Node, ...]:
    """Names of up to four labels, some of which may be beyond ASCII."""
    beside = Alternation((Automaton(_right_to_left()), parse_regex(LEFT_TO_RIGHT)))
    return tuple(_name(label, separators, 3) for label in (Automaton(_left_to_right()), beside))


def _name(label: Node, separators: str, more: int | None) -> Node:
    return Concat((label, Loop(Concat((Char(of_chars(separators)), label)), 0, more)))


def hostname() -> CharDfa:
    """Host names; labels may be separated by the full stops of RFC 3490, section 3.1."""
    separators = ".\u3002\uff0e\uff61"
    return compile_regex(Alternation((*names(separators), _name(parse_regex(LABEL), separators, None))))
