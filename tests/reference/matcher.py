"""The slow twin of the machine: which byte strings an expression matches, and which prefixes can still be completed.

A stack is a linked list of frames, each still to be matched in turn; a state is the set of stacks reachable by the bytes
read (partial derivatives, Antimirov 1996, over stacks). A frame is an expression or one of the tuples below: a
half-read lexeme, the rest of a repetition, or the end of a `Unique` scope with the values recorded in it.
Nothing here is fast; every clause is the definition in `structgen.automata.ir` read aloud.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from fractions import Fraction
from functools import lru_cache
from itertools import islice
from typing import Any, NamedTuple

from structgen.automata.ir import EMPTY, Bytes, Chars, Choice, Expr, Item, Quoted, QuotedText, Regular, Repeat, Rule, Seq, Unique
from tests.reference.characters import overlap, possible, read
from tests.reference.texts import DEAD, Table, bounds, can_finish, content, follow, is_endless, successors, words_by_length

PLENTY = 12  # a captured language with more free values than this counts as inexhaustible when completing a scope


class InChars(NamedTuple):
    ranges: tuple[tuple[int, int], ...]
    pending: bytes


class InText(NamedTuple):
    dfa: Table
    state: int
    pending: bytes


class InString(NamedTuple):
    """Behind the opening quote: the value read so far and the pending spelling of its next character."""

    expr: Quoted | QuotedText
    state: int
    value: str
    pending: bytes


class Again(NamedTuple):
    """The rest of a repetition: between min and max times the separator and the item."""

    item: Expr
    min: int
    max: int | None
    separator: Expr


class OpenItem(NamedTuple):
    """Below the frames of an item: its text so far."""

    text: bytes


class Scope(NamedTuple):
    """The end of a scope and what was recorded in it; None: captures above are not recorded (the body of a rule)."""

    values: frozenset[str] | None


Stack = Any  # () or (frame, Stack)
State = frozenset[Stack]
Used = frozenset[str] | None


class Machine:
    """One expression, ready to read bytes: ``start``, `step`, `is_accepting`, `is_viable`."""

    def __init__(self, expr: Expr) -> None:
        self.start: State = frozenset({(expr, ())})
        self.nullable_rules: set[Rule] = set()
        self.productive_rules: set[Rule] = set()
        rules = rules_of(expr)
        close(self.nullable_rules, rules, lambda rule: self.is_nullable(rule.body))
        close(self.productive_rules, rules, lambda rule: bool(self.endings(rule.body, None)))

    def step(self, state: State, byte: int) -> State:
        return frozenset(after for stack in state for after in self.step_stack(stack, byte))

    def read(self, data: bytes) -> State:
        state = self.start
        for byte in data:
            state = self.step(state, byte)
        return state

    def is_accepting(self, state: State) -> bool:
        return any(self.is_finished(stack) for stack in state)

    def is_finished(self, stack: Stack) -> bool:
        """Whether all frames match the empty string, and no item that ends here was there before."""
        while stack:
            frame, stack = stack
            if isinstance(frame, OpenItem):
                stack = close_item(frame, stack)
                if stack is None:
                    return False
            elif not self.is_nullable(frame):
                return False
        return True

    def is_viable(self, state: State) -> bool:
        return any(self.is_finishable(stack) for stack in state)

    # Reading one byte.

    def step_stack(self, stack: Stack, byte: int) -> set[Stack]:
        result: set[Stack] = set()
        while stack:
            frame, stack = stack
            if isinstance(frame, OpenItem):
                stack = close_item(frame, stack)
                continue
            result |= {with_byte(after, byte) for after in self.consume(frame, stack, byte)}
            if not self.is_nullable(frame):
                break
        return result

    def consume(self, frame: Any, rest: Stack, byte: int) -> set[Stack]:
        """All stacks after a byte that is the first one of a non-empty match of the frame."""
        match frame:
            case Bytes(value):
                return {(Bytes(value[1:]), rest)} if value and value[0] == byte else set()
            case Chars(ranges):
                return consume_chars(InChars(ranges, b""), rest, byte)
            case InChars():
                return consume_chars(frame, rest, byte)
            case Regular(dfa):
                return consume_text(InText(Table(dfa.starts, dfa.classes, dfa.table, dfa.accepting), 0, b""), rest, byte)
            case InText():
                return consume_text(frame, rest, byte)
            case Quoted() | QuotedText():
                return {(InString(frame, 0, "", b""), rest)} if byte == ord('"') else set()
            case InString():
                return consume_string(frame, rest, byte)
            case Seq(items):
                return self.consume_in_order(items, rest, byte)
            case Choice(items):
                return {stack for item in items for stack in self.consume(item, rest, byte)}
            case Repeat(item, low, high, separator):
                if high == 0:
                    return set()
                return self.consume_in_order((item, Again(item, max(low - 1, 0), one_less(high), separator or EMPTY)), rest, byte)
            case Again(item, low, high, separator):
                if high == 0:
                    return set()
                # An empty turn is never needed in front of this one: leaving it out only eases the bounds.
                return self.consume_in_order((separator, item), (frame._replace(min=max(low - 1, 0), max=one_less(high)), rest), byte)
            case Unique(body):
                assert frame == Unique(body), "scopes that want or count names have an enumeration of their own (test_property_order)"
                return self.consume(body, scoped(frozenset(), rest), byte)
            case Rule(body=body):
                return self.consume(body, scoped(None, rest), byte)
            case Item(value):
                return self.consume(value, scoped(None, (OpenItem(b""), rest)), byte)
            case Scope():
                return set()
        raise TypeError(f"not a frame: {frame!r}")

    def consume_in_order(self, items: tuple[Any, ...], rest: Stack, byte: int) -> set[Stack]:
        result: set[Stack] = set()
        for i, item in enumerate(items):
            below = rest
            for later in reversed(items[i + 1 :]):
                below = (later, below)
            result |= self.consume(item, below, byte)
            if not self.is_nullable(item):
                break
        return result

    def is_nullable(self, frame: Any) -> bool:
        """Whether the frame matches the empty string."""
        match frame:
            case Bytes(value):
                return not value
            case Regular(dfa):
                return dfa.accepting[0]
            case InText(dfa, state, pending):
                return not pending and dfa.accepting[state]
            case Seq(items):
                return all(map(self.is_nullable, items))
            case Choice(items):
                return any(map(self.is_nullable, items))
            case Repeat(_, low, high, _) | Again(_, low, high, _) if high is not None and low > high:
                return False
            case Repeat(item, low, _, separator):
                return low == 0 or (self.is_nullable(item) and (low == 1 or self.is_nullable(separator or EMPTY)))
            case Again(item, low, _, separator):
                return low == 0 or (self.is_nullable(item) and self.is_nullable(separator))
            case Unique(body) | Item(body):
                return self.is_nullable(body)
            case Rule():
                return frame in self.nullable_rules
        return isinstance(frame, Scope)

    # Completing what was read.

    def is_finishable(self, stack: Stack) -> bool:
        """Whether some bytes complete every frame; scopes are independent of each other."""
        reached = {recorded(stack)}
        while stack and reached:
            frame, stack = stack
            if isinstance(frame, Scope):
                reached = {recorded(stack)}
            else:
                reached = smallest(after for used in reached for after in self.endings(frame, used))
        return bool(reached)

    def endings(self, frame: Any, used: Used) -> set[Used]:
        """What can be recorded in the scope once the frame is complete, the smallest sets only (recording less is
        never worse); the empty set if the frame cannot be completed. ``used``: recorded so far, None outside scopes."""
        match frame:
            case Quoted() | QuotedText():
                return string_endings(InString(frame, 0, "", b""), used)
            case InString():
                return string_endings(frame, used)
            case Seq(items):
                return self.endings_in_order(items, used)
            case Choice(items):
                return smallest(after for item in items for after in self.endings(item, used))
            case Repeat(_, low, high, _) | Again(_, low, high, _) if high is not None and low > high:
                return set()
            case Repeat(item, low, high, separator):
                if low == 0:
                    return {used}
                return self.endings_in_order((item, Again(item, low - 1, one_less(high), separator or EMPTY)), used)
            case Again(item, low, high, separator):
                reached = {used}
                for _ in range(low):
                    before, reached = reached, smallest(a for u in reached for a in self.endings_in_order((separator, item), u))
                    if reached == before:
                        break
                return reached
            case Unique(body):
                return {used} if self.endings(body, frozenset()) else set()
            case Item(value, None):  # front-ends promise that there is always another value
                return {used} if self.endings(value, None) else set()
            case Item(_, str(only)):
                return {used} if used is None else set() if json_value(only) in used else {used | {json_value(only)}}
            case OpenItem():
                return {used}
            case Rule():
                return {used} if frame in self.productive_rules else set()
        return {used} if can_end(frame) else set()

    def endings_in_order(self, items: Iterable[Any], used: Used) -> set[Used]:
        reached = {used}
        for item in items:
            reached = smallest(after for before in reached for after in self.endings(item, before))
        return reached


def consume_chars(frame: InChars, rest: Stack, byte: int) -> set[Stack]:
    pending = frame.pending + bytes([byte])
    code_point = read(pending, quoted=False)
    if code_point is not None:
        return {rest} if any(low <= code_point <= high for low, high in frame.ranges) else set()
    return {(InChars(frame.ranges, pending), rest)} if possible(pending, quoted=False) else set()


def consume_text(frame: InText, rest: Stack, byte: int) -> set[Stack]:
    pending = frame.pending + bytes([byte])
    code_point = read(pending, quoted=False)
    if code_point is not None:
        state = follow(frame.dfa, frame.state, code_point)
        return {(InText(frame.dfa, state, b""), rest)} if state != DEAD else set()
    return {(frame._replace(pending=pending), rest)} if possible(pending, quoted=False) else set()


def consume_string(frame: InString, rest: Stack, byte: int) -> set[Stack]:
    if byte == ord('"') and not frame.pending:
        return close_string(frame, rest)
    pending = frame.pending + bytes([byte])
    code_point = read(pending, quoted=True)
    if code_point is not None:
        state = follow(content(frame.expr), frame.state, code_point)
        return {(InString(frame.expr, state, frame.value + chr(code_point), b""), rest)} if state != DEAD else set()
    return {(frame._replace(pending=pending), rest)} if possible(pending, quoted=True) else set()


def close_string(frame: InString, rest: Stack) -> set[Stack]:
    low, high = bounds(frame.expr)
    length = len(frame.value)
    if not content(frame.expr).accepting[frame.state] or length < low or (high is not None and length > high):
        return set()
    used = recorded(rest)
    if used is None or isinstance(frame.expr, QuotedText) or not frame.expr.capture:
        return {rest}
    return set() if frame.value in used else {record(rest, frame.value)}


def string_endings(frame: InString, used: Used) -> set[Used]:
    """`Machine.endings` of a half-read string: the value chosen is recorded unless there is always another one."""
    low, high = bounds(frame.expr)
    length = len(frame.value)
    high = None if high is None else high - length
    first = possible(frame.pending, quoted=True) if frame.pending else None
    dfa = content(frame.expr)
    if used is None or isinstance(frame.expr, QuotedText) or not frame.expr.capture:
        return {used} if can_finish_after(dfa, frame.state, low - length, high, first) else set()
    if not can_finish_after(dfa, frame.state, low - length, high, first):
        return set()
    if high is None and is_endless(dfa):
        return {used}  # another name can always be made by going on
    found = (frame.value + w for w in words_by_length(dfa, frame.state, low - length, high, first))
    free = list(islice((w for w in found if w not in used), PLENTY + 1))
    return {used} if len(free) > PLENTY else {used | {w} for w in free}


def close_item(frame: OpenItem, rest: Stack) -> Stack | None:
    """The stack when an item has ended, None if its value was there before."""
    used, value = recorded(rest), json_value(frame.text)
    if used is None:
        return rest
    return None if value in used else record(rest, value)


def with_byte(stack: Stack, byte: int) -> Stack:
    """The stack with one byte more in all open items."""
    if not any(isinstance(frame, OpenItem) for frame in frames(stack)):
        return stack
    frame, rest = stack
    return (OpenItem(frame.text + bytes([byte])) if isinstance(frame, OpenItem) else frame, with_byte(rest, byte))


def json_value(text: str | bytes) -> Any:
    """A JSON value that compares and hashes as JSON Schema compares."""

    def frozen(value: Any) -> Any:
        if isinstance(value, dict):
            return "object", frozenset((name, frozen(item)) for name, item in value.items())
        return ("array", *map(frozen, value)) if isinstance(value, list) else (type(value).__name__, value)

    return frozen(json.loads(text, parse_int=Fraction, parse_float=Fraction))


def can_finish_after(dfa: Table, state: int, low: int, high: int | None, first: list[tuple[int, int]] | None) -> bool:
    if first is None:
        return can_finish(dfa, state, low, high)
    if high is not None and high < 1:
        return False
    return any(can_finish(dfa, target, low - 1, one_less(high)) for _, target in successors(dfa, state, first))


def can_end(frame: Any) -> bool:
    """Whether a lexeme outside strings, half-read or not, has a completion."""
    match frame:
        case Bytes():
            return True
        case Chars(ranges):
            return can_end(InChars(ranges, b""))
        case InChars(ranges, pending):
            wanted = possible(pending, quoted=False) if pending else [(0, 0xD7FF), (0xE000, 0x10FFFF)]
            return any(overlap(w, r) for w in wanted for r in ranges)
        case Regular(dfa):
            return can_finish(Table(dfa.starts, dfa.classes, dfa.table, dfa.accepting), 0)
        case InText(dfa, state, pending):
            return can_finish_after(dfa, state, 0, None, possible(pending, quoted=False) if pending else None)
    raise TypeError(f"not a frame: {frame!r}")


def frames(stack: Stack) -> list[Any]:
    result = []
    while stack:
        frame, stack = stack
        result.append(frame)
    return result


def scoped(values: Used, rest: Stack) -> Stack:
    """Begin a scope on a stack; a scope that has nothing left to match is left behind (tail calls cost no frames)."""
    if rest and isinstance(rest[0], Scope):
        rest = rest[1]
    return (Scope(values), rest) if rest or values is not None else rest


def recorded(stack: Stack) -> Used:
    """The values of the innermost scope."""
    return next((frame.values for frame in frames(stack) if isinstance(frame, Scope)), None)


def record(stack: Stack, value: str) -> Stack:
    frame, rest = stack
    if isinstance(frame, Scope):
        assert frame.values is not None
        return Scope(frame.values | {value}), rest
    return frame, record(rest, value)


def one_less(bound: int | None) -> int | None:
    return None if bound is None else bound - 1


def smallest(sets: Iterable[Used]) -> set[Used]:
    """Without the sets that contain another one."""
    found = set(sets)
    return {a for a in found if a is None or not any(b is not None and b < a for b in found)}


def rules_of(expr: Any) -> list[Rule]:
    """All rules an expression can reach."""
    seen: dict[Rule, None] = {}
    todo = [expr]
    while todo:
        match todo.pop():
            case Rule() as rule if rule not in seen:
                seen[rule] = None
                todo.append(rule.body)
            case Seq(items) | Choice(items):
                todo += items
            case Repeat(item, _, _, separator):
                todo += [item, separator or EMPTY]
            case Unique(body) | Item(body):
                todo.append(body)
    return list(seen)


def close(found: set[Rule], rules: list[Rule], holds: Callable[[Rule], bool]) -> None:
    """Least fixpoint: add rules until no more hold."""
    while more := {rule for rule in rules if rule not in found and holds(rule)}:
        found |= more


@lru_cache(maxsize=16)
def machine(expr: Expr) -> Machine:
    return Machine(expr)


def matches(expr: Expr, data: bytes) -> bool:
    """Whether the expression denotes a set that contains the bytes."""
    m = machine(expr)
    return m.is_accepting(m.read(data))


def viable(expr: Expr, prefix: bytes) -> bool:
    """Whether some continuation of the bytes, possibly empty, is matched."""
    m = machine(expr)
    return m.is_viable(m.read(prefix))
