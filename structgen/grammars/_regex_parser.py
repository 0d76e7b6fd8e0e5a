r"""Regular expression text (ECMA-262 or Python `re`) to the trees of `structgen.automata.chardfa`.

Only the language matters: groups capture nothing and lazy quantifiers are ordinary ones. Anchors and word boundaries become
look-arounds. Possessive quantifiers and atomic groups are read where their language is known exactly, else refused; so are
back-references and conditionals. One loop with an explicit stack of open groups; cost O(length).
Sources: ECMA-262 section 22.2.1 with annex B.1.2, the Python library reference, module `re`.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from dataclasses import dataclass, field

from structgen.automata import charset
from structgen.automata.chardfa import END, EPSILON, START, Alternation, Char, Concat, Look, Loop, Node
from structgen.automata.charset import Ranges
from structgen.errors import LimitExceeded

from ._regex_escapes import DIGITS, Assertion, Reader, Syntax
from ._regex_sets import read_class

__all__ = ["MAX_NESTING", "parse_regex"]

MAX_NESTING = 100
FLAGS = {"ecma": frozenset("imsudgyv"), "python": frozenset("imsxau")}
INCOMPATIBLE = {"ecma": frozenset("uv"), "python": frozenset("au")}
LOCAL_FLAGS = {"ecma": frozenset("ims"), "python": frozenset("imsxau")}
UNSUPPORTED_FLAGS = {"L": "locale dependent matching (flag L) is not supported"}
PLAIN = re.compile(r"[^\\^$.|?*+()\[{]+")
VERBOSE_PLAIN = re.compile(r"[^\\^$.|?*+()\[{# \t\n\r\f\v]+")
"""Characters that stand for themselves; between them, in verbose patterns, space and comments stand for nothing."""


def parse_regex(pattern: str, *, syntax: Syntax = "ecma", flags: str = "") -> Node:
    """The tree of a regular expression.

    ``flags`` are letters: i, m, s for both syntaxes, x and a for Python (others that do not change the language are
    ignored). Raises `GrammarSyntaxError` with the position of what is wrong or not supported.
    """
    return _Parser(pattern, syntax, frozenset(flags)).parse()


@dataclass(slots=True)
class _Group:
    """An open group: what to do with its content when it closes, and the alternatives and items read so far."""

    start: int
    finish: Callable[[Node], Node]
    flags: frozenset[str]
    """The flags to return to after the group."""
    behind: bool = False
    quantifiable: bool = True
    branches: list[Node] = field(default_factory=list)
    items: list[Node] = field(default_factory=list)
    names: set[str] = field(default_factory=set)
    """The names of groups in the alternative being read, and below in the others."""
    other_names: set[str] = field(default_factory=set)
    last: str = ""
    """What the last item is, for quantifiers: nothing (""), an "atom", an "assertion", or already "quantified"."""


class _Parser(Reader):
    def __init__(self, pattern: str, syntax: Syntax, flags: frozenset[str]) -> None:
        super().__init__(pattern, syntax, flags)
        for flag in sorted(flags):
            if flag in UNSUPPORTED_FLAGS:
                raise self.error(UNSUPPORTED_FLAGS[flag])
            if flag not in FLAGS[syntax]:
                raise self.error(f"unknown flag {flag!r}")
        self._check_flags(flags, 0)
        self.groups = [_Group(0, lambda node: node, flags)]
        self.chars: dict[Ranges, Char] = {}
        self.literals: dict[frozenset[str], dict[str, Char]] = {}
        self.looks: dict[tuple[Ranges, bool, bool], Look] = {}
        self.n_behind = 0

    def parse(self) -> Node:
        handlers = {
            "(": self._open, ")": self._close, "|": self._branch, "[": self._class, "\\": self._escaped, ".": self._dot,
            "^": self._caret, "$": self._dollar, "*": self._quantifier, "+": self._quantifier, "?": self._quantifier,
            "{": self._brace,
        }  # fmt: skip
        if self.syntax == "python":
            self._global_flags()
        while self.position < len(self.text):
            if run := (VERBOSE_PLAIN if "x" in self.flags else PLAIN).match(self.text, self.position):
                self.position = run.end()
                self._literals(run[0])
                continue
            char = self.text[self.position]
            self.position += 1
            if char in handlers:
                handlers[char]()
            elif char == "#":
                end = self.text.find("\n", self.position)
                self.position = len(self.text) if end < 0 else end
        if len(self.groups) > 1:
            raise self.error("group is not closed: missing ')'", self.groups[-1].start)
        return _content(self.groups[0])

    # Items

    def _add(self, node: Node, kind: str) -> None:
        group = self.groups[-1]
        group.items.append(node)
        group.last = kind

    def _char(self, ranges: Ranges) -> None:
        node = self.chars.get(ranges)
        if node is None:
            node = self.chars[ranges] = Char(ranges)
        self._add(node, "atom")

    def _literals(self, text: str) -> None:
        """The characters of a run one after the other."""
        known = self.literals.setdefault(self.flags, {})
        for char in set(text) - known.keys():
            known[char] = Char(self.literal(ord(char)))
        group = self.groups[-1]
        group.items += map(known.__getitem__, text)
        group.last = "atom"

    def _dot(self) -> None:
        self._char(charset.ANY if "s" in self.flags else charset.complement(self.newline()))

    def _class(self) -> None:
        if "v" not in self.flags:
            self._char(self.char_class())
            return
        found = read_class(self)
        self._char(found.ranges)
        if found.strings:
            words = [_sequence([Char(ranges) for ranges in string]) for string in sorted(found.strings)]
            self.groups[-1].items[-1] = Alternation((Char(found.ranges), *words))

    def _escaped(self) -> None:
        start = self.position - 1
        found = self.escape(in_class=False)
        if isinstance(found, Assertion):
            self._assertion(found.letter, start)
        elif isinstance(found, int):
            self._literals(chr(found))
        else:
            self._char(found)

    # Assertions

    def _look(self, ranges: Ranges, *, behind: bool, negative: bool) -> Look:
        """Whether a character of the set is next to this place; equal ones are the same node."""
        key = (ranges, behind, negative)
        if key not in self.looks:
            self.looks[key] = Look(Char(ranges), behind, negative)
        return self.looks[key]

    def _caret(self) -> None:
        lines = self._look(charset.complement(self.newline()), behind=True, negative=True)
        self._add(lines if "m" in self.flags else START, "assertion")

    def _dollar(self) -> None:
        self._refuse_behind("$", self.position - 1)
        if "m" in self.flags:
            self._add(self._look(charset.complement(self.newline()), behind=False, negative=True), "assertion")
        elif self.syntax == "ecma":
            self._add(END, "assertion")
        else:  # before a newline that ends the text, too
            other = Char(charset.complement(self.newline()))
            more = Concat((Char(self.newline()), Char(charset.ANY)))
            self._add(Look(Alternation((other, more)), behind=False, negative=True), "assertion")

    def _assertion(self, letter: str, start: int) -> None:
        if letter != "A":
            self._refuse_behind(f"\\{letter}", start)
        if letter in "AZz":
            self._add(START if letter == "A" else END, "assertion")
            return
        word = self.word()
        sides = [[self._look(word, behind=behind, negative=negative) for negative in (False, True)] for behind in (True, False)]
        (word_before, none_before), (word_after, none_after) = sides
        if letter == "b":
            branches = [Concat((word_before, none_after)), Concat((none_before, word_after))]
        else:
            branches = [Concat((word_before, word_after)), *self._no_word(none_before, none_after)]
        self._add(Alternation(tuple(branches)), "assertion")

    def _no_word(self, before: Look, after: Look) -> list[Concat]:
        r"""``\B`` between two non-word characters; before Python 3.14 it did not match in the empty text."""
        if self.syntax == "ecma" or sys.version_info >= (3, 14):
            return [Concat((before, after))]
        not_empty = [self._look(charset.ANY, behind=behind, negative=False) for behind in (True, False)]
        return [Concat((look, before, after)) for look in not_empty]

    def _refuse_behind(self, what: str, start: int) -> None:
        if self.n_behind:
            raise self.error(f"{what} looks ahead, which is not supported inside a lookbehind", start)

    # Groups

    def _branch(self) -> None:
        group = self.groups[-1]
        group.branches.append(_sequence(group.items))
        group.items = []
        group.last = ""
        group.other_names |= group.names
        group.names = set()

    def _close(self) -> None:
        if len(self.groups) == 1:
            raise self.error("')' closes no group", self.position - 1)
        group = self.groups.pop()
        self.flags = group.flags
        self.n_behind -= group.behind
        self.groups[-1].names |= group.names | group.other_names
        self._add(group.finish(_content(group)), "atom" if group.quantifiable else "assertion")

    def _push(self, start: int, finish: Callable[[Node], Node] | None = None, *, behind: bool = False, quantifiable: bool = True) -> None:
        if len(self.groups) > MAX_NESTING:
            raise LimitExceeded("nesting of groups", MAX_NESTING, "a regular expression")
        self.groups.append(_Group(start, finish or (lambda node: node), self.flags, behind, quantifiable))
        self.n_behind += behind

    def _open(self) -> None:
        start = self.position - 1
        if not self.take("?") or self.take(":"):
            self._push(start)
        elif self.take("="):
            self._look_group(start, behind=False, negative=False)
        elif self.take("!"):
            self._look_group(start, behind=False, negative=True)
        elif self.take("<="):
            self._look_group(start, behind=True, negative=False)
        elif self.take("<!"):
            self._look_group(start, behind=True, negative=True)
        elif self.syntax == "ecma":
            self._ecma_group(start)
        else:
            self._python_group(start)

    def _look_group(self, start: int, *, behind: bool, negative: bool) -> None:
        if not behind:
            self._refuse_behind("this group", start)
        quantifiable = self.syntax == "python" or not behind
        self._push(start, lambda body: Look(body, behind, negative), behind=behind, quantifiable=quantifiable)

    def _ecma_group(self, start: int) -> None:
        if self.take("<"):
            self._name(start)
            self._push(start)
        else:
            self._flag_group(start)

    def _python_group(self, start: int) -> None:
        if self.take("P<"):
            self._name(start)
            self._push(start)
        elif self.take("P="):
            raise self.error("back-references are not regular and not supported", start)
        elif self.take("#"):
            self.take_until(")", "comment")
        elif self.take("("):
            raise self.error("conditional groups are not supported", start)
        elif self.take(">"):
            self._push(start, lambda body: self._atomic(body, start))
        else:
            self._flag_group(start)

    def _name(self, start: int) -> None:
        name = self.take_until(">", "group name")
        if not (name.replace("$", "_") if self.syntax == "ecma" else name).isidentifier():
            raise self.error(f"bad group name {name!r}", start)
        if any(name in group.names or (self.syntax == "python" and name in group.other_names) for group in self.groups):
            raise self.error(f"group name {name!r} is used twice", start)
        self.groups[-1].names.add(name)

    def _atomic(self, body: Node, start: int) -> Node:
        """A group that is never entered again: exact for characters in a row, and a repeated one after them."""
        *before, last = body.items if isinstance(body, Concat) and body.items else (body,)
        if isinstance(last, Loop) and isinstance(last.item, Char):
            last = Loop(last.item, last.min, last.min) if last.lazy else self._possessive(last.item, last.min, last.max, start)
        elif not isinstance(last, Char) and body != EPSILON:
            before = [last]
        if not all(isinstance(part, Char) for part in before):
            raise self.error("an atomic group with a choice inside changes what matches and is not supported", start)
        return _sequence([*before, last])

    def _flag_group(self, start: int) -> None:
        """``(?i-s:...)``: flags for one group."""
        letters = frozenset("aiLmsux")
        added, removed = self.take_all(letters, 20), ""
        if self.take("-"):
            removed = self.take_all(letters, 20)
        if not self.take(":") or not added + removed:
            raise self.error("unknown kind of group", start)
        for flag in added + removed:
            if flag not in LOCAL_FLAGS[self.syntax]:
                raise self.error(UNSUPPORTED_FLAGS.get(flag, f"unknown flag {flag!r}"), start)
        if set(added) & set(removed) or set(removed) & set("auL"):
            raise self.error("flags cannot be turned on and off at once", start)
        if self.syntax == "ecma" and len(set(added + removed)) < len(added + removed):
            raise self.error("a flag is given twice", start)
        self._check_flags(frozenset(added), start)
        self._push(start)
        self.flags = self.flags - set(removed) - set("a" if "u" in added else "") | set(added)

    def _global_flags(self) -> None:
        """``(?i)`` at the very beginning (Python)."""
        while self.text.startswith("(?", self.position):
            start = self.position
            self.position += 2
            letters = self.take_all(frozenset("aiLmsux"), 20)
            if not letters or not self.take(")"):
                self.position = start
                return
            if "L" in letters:
                raise self.error(UNSUPPORTED_FLAGS["L"], start)
            self.flags |= set(letters)
            self._check_flags(self.flags, start)

    def _check_flags(self, flags: frozenset[str], start: int) -> None:
        if flags >= INCOMPATIBLE[self.syntax]:
            raise self.error(f"the flags {' and '.join(sorted(INCOMPATIBLE[self.syntax]))} exclude each other", start)

    # Quantifiers

    def _brace(self) -> None:
        start = self.position - 1
        low = self.take_all(DIGITS, 1000)
        high = low
        if comma := self.take(","):
            high = self.take_all(DIGITS, 1000)
        closed = self.take("}")
        if not closed or not (low or comma):
            self.position = start + 1
            self._literals("{")
            return
        if not low and self.syntax == "ecma":
            raise self.error("a repetition needs its least count: write {0,n}", start)
        if max(len(low), len(high)) > 18:
            raise self.error("repetition count is too large", start)
        self._repeat(start, int(low or 0), int(high) if high else None)

    def _quantifier(self) -> None:
        start = self.position - 1
        self._repeat(start, *{"*": (0, None), "+": (1, None), "?": (0, 1)}[self.text[start]])

    def _repeat(self, start: int, low: int, high: int | None) -> None:
        group = self.groups[-1]
        if group.last == "quantified":
            raise self.error("a quantifier directly after a quantifier", start)
        if group.last != "atom":
            raise self.error("nothing to repeat before this quantifier", start)
        if high is not None and high < low:
            raise self.error("the counts of the repetition are in the wrong order", start)
        item = group.items[-1]
        if self.syntax == "python" and self.take("+"):
            group.items[-1] = self._possessive(item, low, high, start)
        else:
            group.items[-1] = Loop(item, low, high, lazy=self.take("?"))
        group.last = "quantified"

    def _possessive(self, item: Node, low: int, high: int | None, start: int) -> Node:
        """As many as possible, never fewer later: exact for single characters, where the next one must be another."""
        if not isinstance(item, Char):
            raise self.error("a possessive quantifier after more than one character is not supported", start)
        if low == high:
            return Loop(item, low, high)
        self._refuse_behind("a possessive quantifier", start)
        ended = Look(item, behind=False, negative=True)
        if high is None:
            return Concat((Loop(item, low), ended))
        return Alternation((Loop(item, high, high), Concat((Loop(item, low, high - 1), ended))))


def _sequence(items: list[Node]) -> Node:
    if len(items) == 1:
        return items[0]
    return Concat(tuple(items)) if items else EPSILON


def _content(group: _Group) -> Node:
    branches = [*group.branches, _sequence(group.items)]
    if len(branches) == 1:
        return branches[0]
    sets = [branch.ranges for branch in branches if isinstance(branch, Char)]
    return Char(charset.union(*sets)) if len(sets) == len(branches) else Alternation(tuple(branches))
