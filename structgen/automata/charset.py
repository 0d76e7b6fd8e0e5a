"""Sets of code points as sorted, disjoint, non-adjacent inclusive ranges, with the classes that regular expressions name.

Every function takes and returns such a tuple of ranges, so equal sets are equal values. Unions and intersections cost
O(n log n) in the number of ranges. Unicode data is that of the running Python (`unicodedata`); the tables are made on
first use (about 30 ms for the categories, 10 ms for Python's ``\\w``) and kept. What Python does not know, scripts and binary
properties, is read from unicode_properties.txt (Unicode 17; made by tests/reference/unicode_properties.py).
Sources: ECMA-262 section 22.2 (``\\d \\w \\s``, Canonicalize), Python's `re` (case folding by `_sre`), UAX 44 (categories).
"""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable
from functools import lru_cache
from importlib import resources
from itertools import accumulate, groupby

__all__ = [
    "ANY",
    "EMPTY",
    "Ranges",
    "category",
    "complement",
    "contains",
    "difference",
    "fold_case",
    "intersect",
    "named",
    "normalize",
    "of_chars",
    "partition",
    "python_class",
    "size",
    "union",
]

Ranges = tuple[tuple[int, int], ...]

MAX = 0x10FFFF
ANY: Ranges = ((0, 0xD7FF), (0xE000, MAX))
"""All characters: surrogate code points are not characters and belong to no text."""
EMPTY: Ranges = ()

ASSIGNED_PLANES = (range(0x40000), range(0xE0000, 0xE1000))
"""Outside these lie only unassigned (Cn) and, from 0xF0000 on, private use (Co) code points."""


def normalize(ranges: Iterable[tuple[int, int]]) -> Ranges:
    """The set covered by these inclusive ranges, given in any order and overlapping freely.

    >>> normalize([(5, 9), (1, 2), (3, 6)])
    ((1, 9),)
    """
    merged: list[tuple[int, int]] = []
    for low, high in sorted(ranges):
        if merged and low <= merged[-1][1] + 1:
            if high > merged[-1][1]:
                merged[-1] = (merged[-1][0], high)
        elif low <= high:
            merged.append((low, high))
    return tuple(merged)


def of_chars(chars: Iterable[str]) -> Ranges:
    """The set of these characters."""
    return normalize((ord(c), ord(c)) for c in chars)


def union(*sets: Ranges) -> Ranges:
    return normalize(r for ranges in sets for r in ranges)


def complement(ranges: Ranges) -> Ranges:
    """All code points (surrogates included) outside the set."""
    bounds = [-1, *(bound for r in ranges for bound in r), MAX + 1]
    return tuple((low + 1, high - 1) for low, high in zip(bounds[::2], bounds[1::2], strict=True) if low + 1 < high)


def intersect(a: Ranges, b: Ranges) -> Ranges:
    found: list[tuple[int, int]] = []
    i = j = 0
    while i < len(a) and j < len(b):
        low, high = max(a[i][0], b[j][0]), min(a[i][1], b[j][1])
        if low <= high:
            found.append((low, high))
        if a[i][1] < b[j][1]:
            i += 1
        else:
            j += 1
    return tuple(found)


def difference(a: Ranges, b: Ranges) -> Ranges:
    return intersect(a, complement(b))


def contains(ranges: Ranges, code_point: int) -> bool:
    return any(low <= code_point <= high for low, high in ranges)


def size(ranges: Ranges) -> int:
    """Number of code points in the set."""
    return sum(high - low + 1 for low, high in ranges)


ASCII_DIGIT = of_chars("0123456789")
ASCII_WORD = normalize([(0x30, 0x39), (0x41, 0x5A), (0x5F, 0x5F), (0x61, 0x7A)])
ASCII_SPACE = of_chars(" \t\n\r\f\v")
ECMA_NEWLINE = of_chars("\n\r\u2028\u2029")
ECMA_SPACE = union(
    of_chars("\t\n\v\f\r \xa0\u1680\u202f\u205f\u3000\ufeff"), ((0x2000, 0x200A),), ECMA_NEWLINE
)  # WhiteSpace and LineTerminator; the Space_Separator category is fixed since Unicode 6.3


def _text(plane: range) -> str:
    return "".join(map(chr, plane))


@lru_cache(maxsize=8)
def python_class(letter: str) -> Ranges:
    r"""What Python's `re` means by ``\d``, ``\w`` or ``\s`` in a str pattern.

    >>> python_class("s")[:2]
    ((9, 13), (28, 32))
    """
    runs = re.compile(rf"\{letter}+").finditer
    return normalize((plane.start + run.start(), plane.start + run.end() - 1) for plane in ASSIGNED_PLANES for run in runs(_text(plane)))


@lru_cache(maxsize=1)
def _categories() -> dict[str, Ranges]:
    """Ranges of each two-letter general category."""
    ranges: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for plane in ASSIGNED_PLANES:
        first = plane.start
        for found, run in groupby(map(unicodedata.category, _text(plane))):
            after = first + sum(1 for _ in run)
            ranges[found].append((first, after - 1))
            first = after
    ranges["Cn"] += [(0x40000, 0xDFFFF), (0xE1000, 0xEFFFF), (0xFFFFE, 0xFFFFF), (0x10FFFE, MAX)]
    ranges["Co"] += [(0xF0000, 0xFFFFD), (0x100000, 0x10FFFD)]
    return {name: normalize(found) for name, found in ranges.items()}


CATEGORY_NAMES = {
    "letter": "L", "casedletter": "LC", "uppercaseletter": "Lu", "lowercaseletter": "Ll", "titlecaseletter": "Lt",
    "modifierletter": "Lm", "otherletter": "Lo", "mark": "M", "combiningmark": "M", "nonspacingmark": "Mn",
    "spacingmark": "Mc", "enclosingmark": "Me", "number": "N", "decimalnumber": "Nd", "digit": "Nd", "letternumber": "Nl",
    "othernumber": "No", "punctuation": "P", "punct": "P", "connectorpunctuation": "Pc", "dashpunctuation": "Pd",
    "openpunctuation": "Ps", "closepunctuation": "Pe", "initialpunctuation": "Pi", "finalpunctuation": "Pf",
    "otherpunctuation": "Po", "symbol": "S", "mathsymbol": "Sm", "currencysymbol": "Sc", "modifiersymbol": "Sk",
    "othersymbol": "So", "separator": "Z", "spaceseparator": "Zs", "lineseparator": "Zl", "paragraphseparator": "Zp",
    "other": "C", "control": "Cc", "cntrl": "Cc", "format": "Cf", "surrogate": "Cs", "privateuse": "Co", "unassigned": "Cn",
}  # fmt: skip


@lru_cache(maxsize=64)
def category(name: str) -> Ranges:
    """A general category by its short or long name: Lu, L, LC, Letter, Decimal_Number."""
    short = CATEGORY_NAMES.get(name.replace("_", "").lower(), name)
    members = ("Lu", "Ll", "Lt") if short == "LC" else [c for c in _categories() if c.startswith(short)]
    if not members or not short:
        raise KeyError(name)
    return union(*(_categories()[c] for c in members))


@lru_cache(maxsize=1)
def _properties() -> dict[str, str]:
    """Scripts and binary properties as they are written in the file, by each of their names."""
    found = {}
    for line in resources.files(__package__).joinpath("unicode_properties.txt").read_text().splitlines():
        names, _, numbers = line.partition(": ")
        found.update(dict.fromkeys(names.split(), numbers))
    return found


@lru_cache(maxsize=64)
def _property(name: str) -> Ranges:
    """A binary property, or a script as ``sc=...`` or ``scx=...``."""
    bounds = [*accumulate(int(number, 16) for number in _properties()[name].split())]
    return tuple((low, after - 1) for low, after in zip(bounds[::2], bounds[1::2], strict=True))


def named(expression: str) -> Ranges:
    """The set ``\\p{expression}`` of ECMA-262: a general category, a script or a binary property; KeyError for anything else.

    Names are matched without case, spaces and underscores.

    >>> named("Script=Greek")[:2], named("ASCII_Hex_Digit")
    (((880, 883), (885, 887)), ((48, 57), (65, 70), (97, 102)))
    """
    key, _, value = expression.rpartition("=")
    plain = value.replace("_", "").lower()
    if key in ("sc", "Script", "scx", "Script_Extensions"):
        return _property(f"sc={plain}" if key in ("sc", "Script") else f"scx={plain}")
    if key not in ("", "gc", "General_Category"):
        raise KeyError(expression)
    special = {"Any": ((0, MAX),), "ASCII": ((0, 0x7F),), "Assigned": None}
    if not key and value in special:
        return special[value] or complement(category("Cn"))
    return _property(plain) if not key and plain in _properties() else category(value)


CASED = ("LC", "Mn", "Nl", "So")
"""The general categories of all characters that have case variants."""


def _ecma_fold(char: str) -> str:
    """ECMA-262 Canonicalize with the u flag: simple case folding (CaseFolding.txt, status C and S)."""
    folded = char.casefold()
    if len(folded) == 1:
        return folded
    lower = char.lower()
    return lower if len(lower) == 1 else char


def _python_fold(char: str) -> str:
    """Equal for two characters exactly if `re` with IGNORECASE matches one against the other: it compares lower-case
    letters and, beyond that, lower-case letters that share their upper case."""
    return ("i" if char == "\u0130" else char.lower()).upper()


@lru_cache(maxsize=3)
def _case_variants(syntax: str) -> dict[int, tuple[int, ...]]:
    """For each character with case variants, all characters that match it when case is ignored (itself included)."""
    if syntax == "ascii":
        return {c: (c, c ^ 0x20) for low in (0x41, 0x61) for c in range(low, low + 26)}
    fold = _ecma_fold if syntax == "ecma" else _python_fold
    groups: dict[str, list[int]] = defaultdict(list)
    for low, high in union(*map(category, CASED)):
        for char in _text(range(low, high + 1)):
            groups[fold(char)].append(ord(char))
    return {c: tuple(group) for group in groups.values() if len(group) > 1 for c in group}


def fold_case(ranges: Ranges, syntax: str) -> Ranges:
    """The characters that match some character of the set when case is ignored, as the syntax ("ecma", "python") has it,
    or ("ascii") where only the letters A to Z have case.

    >>> fold_case(of_chars("k"), "ecma")  # K, k and the Kelvin sign
    ((75, 75), (107, 107), (8490, 8490))
    """
    variants = _case_variants(syntax)
    if size(ranges) < len(variants):
        cased: Iterable[int] = (c for low, high in ranges for c in range(low, high + 1) if c in variants)
    else:
        cased = (c for c in variants if contains(ranges, c))
    return union(ranges, tuple((v, v) for c in cased for v in variants[c]))


def partition(sets: Iterable[Ranges]) -> tuple[list[int], list[int]]:
    """The coarsest partition of all code points that the sets are unions of.

    Returns the sorted first code points of its intervals and, for each, the bit mask of the sets that contain it.
    """
    toggles: dict[int, int] = {0: 0}
    for i, ranges in enumerate(sets):
        bit = 1 << i
        for low, high in ranges:
            toggles[low] = toggles.get(low, 0) ^ bit
            toggles[high + 1] = toggles.get(high + 1, 0) ^ bit
    toggles.pop(MAX + 1, None)
    starts = sorted(toggles)
    return starts, list(accumulate((toggles[s] for s in starts), int.__xor__))
