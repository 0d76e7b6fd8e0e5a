"""partialsmiles reads the structure; bracket atoms, which it knows less well, are read here and handed to it as ``*``."""

from __future__ import annotations

import re

from partialsmiles import exceptions, smiparser
from rdkit.Chem import GetPeriodicTable

ELEMENTS = {GetPeriodicTable().GetElementSymbol(number) for number in range(1, 119)}
AROMATIC = {"b", "c", "n", "o", "p", "s", "as", "se"}
CHIRAL = {"", "@", "@@", "@TH1", "@TH2", "@AL1", "@AL2", "@SP1", "@SP2", "@SP3"}
CHIRAL |= {f"@TB{number}" for number in range(1, 21)} | {f"@OH{number}" for number in range(1, 31)}
CHARGES = {"", "+", "-", "++", "--"} | {f"{sign}{number}" for sign in "+-" for number in range(16)}
BRACKET = re.compile(
    r"""(?:0|[1-9][0-9]{0,2})?([A-Z][a-z]?|[a-z]{1,2}|\*)(@(?:@|[A-Z]{2}[0-9]+)?)?(H[0-9]?)?([-+][-+0-9]*)?
    (?::(?:0|[1-9][0-9]{0,3}))?""",
    re.VERBOSE,
)
IGNORED = 4 | 64
"""Of the rules of partialsmiles: no branch at the end, no colons. Dots it reads as bonds, for it has none in branches."""


class Molecule(smiparser.Molecule):
    def getBond(self, *_: object) -> None:
        """No atoms are neighbours: a second bond between two atoms is not checked."""


def accepts(text: str) -> bool:
    brackets = re.findall(r"\[([^\[\]]*)\]", text)
    plain = re.sub(r"\[[^\[\]]*\]", "*", text)
    if not (all(map(is_atom, brackets)) and re.fullmatch(r"(Cl|Br|[BCNOPSFIbcnops*]|[1-9]|[-=#$:/\\()]|(?<!\()\.(?![1-9]))+", plain)):
        return False
    standard, smiparser.Molecule = smiparser.Molecule, Molecule
    try:
        smiparser.ParseSmiles(plain.replace(".", "-"), rulesToIgnore=IGNORED)
    except exceptions.SMILESSyntaxError:
        return False
    except (exceptions.ValenceError, exceptions.KekulizationFailure):
        pass
    finally:
        smiparser.Molecule = standard
    return in_bounds(plain)


def is_atom(text: str) -> bool:
    found = BRACKET.fullmatch(text)
    if found is None:
        return False
    symbol, chiral, hydrogens, charge = (group or "" for group in found.groups())
    known = symbol in ELEMENTS | AROMATIC | {"*"}
    return known and chiral in CHIRAL and charge in CHARGES and not (symbol == "H" and chiral + hydrogens)


def in_bounds(plain: str) -> bool:
    """Rings and branches as few as the grammar has them, bond symbols where rings close, closing before opening."""
    open_: set[str] = set()
    depth, opens = 0, False
    for before, char in zip(" " + plain, plain, strict=False):
        if char in "()":
            depth += 1 if char == "(" else -1
        elif char.isdigit():
            if (char in open_ and opens) or (char not in open_ and before in "-=#$:/\\"):
                return False
            opens = char not in open_
            open_ ^= {char}
        elif char not in "-=#$:/\\":
            opens = False
        if depth > 5 or len(open_) > 5:
            return False
    return True
