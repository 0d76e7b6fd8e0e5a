"""Free text with constrained regions in it (tool calls, code blocks, thinking), as expressions of the machine.

Free text goes up to the first place where a trigger ends; there one of the tags that begin with this trigger must go on. All of it
is an ordinary constraint: exact, composable, and resumed exactly after each region.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from structgen.automata import chardfa, ir
from structgen.automata.chardfa import CharDfa
from structgen.errors import LimitExceeded, StructgenError

from .constraint import MAX_COUNT, Constraint, literal, repeat, text_or_constraint
from .loops import loops

__all__ = ["Marker", "Tag", "lead", "marker", "tagged", "until", "without"]

Part = Constraint | str
MAX_TRIGGERS = 1_000
"""Different triggers of one text (each is compared with all others)."""


@dataclass(frozen=True, slots=True)
class Marker(Constraint):
    """What `marker` makes: ``text`` is the name of the token, or the text where a vocabulary has no such special token."""

    text: str = ""


def marker(text: str, *, at_end: bool = False) -> Marker:
    """The special token of this name where a vocabulary has one, and this very text where it has none.

    Which of the two is settled when the constraint is compiled for a vocabulary; it is never both. Free text of `tagged` and `until`
    contains neither. A token that ends the output cannot be written inside it (`VocabularyError`); with ``at_end`` nothing is
    written in its place: use this only where the output may end.

    >>> call = marker("<tool_call>") + "{}" + marker("</tool_call>")
    """
    if not isinstance(text, str) or not text:
        raise StructgenError(f"a marker is a text that is not empty, found {text!r:.100}")
    spelled = ir.Seq((ir.named(text, "text"), literal(text).expr))
    token = ir.Seq((ir.named(text, "inside"), ir.Token(text)))
    end = ir.Seq((ir.named(text, "end"), ir.EMPTY if at_end else ir.Token(text)))
    return Marker(ir.Choice((spelled, token, end)), source=f"marker {text}", text=text)


@dataclass(frozen=True, slots=True)
class Tag:
    """A region: ``begin``, what is constrained, ``end``. It begins where free text ends with ``trigger``, a beginning of ``begin`` (all
    of it by default); a ``begin`` that is a `marker` or another constraint (a special token, say) is its own trigger."""

    begin: Part
    content: Part
    end: Part = ""
    trigger: str | None = None

    def __post_init__(self) -> None:
        for part in (self.begin, self.content, self.end):
            text_or_constraint(part)  # an error if it is neither
        if isinstance(self.begin, str) and not self.begin:
            raise StructgenError("a tag begins with a text that is not empty")
        begins = isinstance(self.begin, str) and isinstance(self.trigger, str) and self.begin.startswith(self.trigger)
        if self.trigger is not None and not (self.trigger and begins):
            raise StructgenError(f"the trigger {self.trigger!r:.100} is no beginning of {self.begin!r:.100}")


def tagged(
    tags: Iterable[Tag], *, least: int = 0, most: int | None = None, text_before: bool = True, text_after: bool = True
) -> Constraint:
    """Free text with at least ``least`` and at most ``most`` of these regions in it.

    In free text no trigger occurs except where a region begins. Without ``text_after`` the last region ends the output (``most=1,
    text_after=False``: stop after the first); without ``text_before`` the output begins with a region, and regions follow each
    other directly.

    >>> c = tagged([Tag("<n>", "1", "</n>")])
    """
    tags = list(tags) if isinstance(tags, Iterable) else []
    if not tags or not all(isinstance(tag, Tag) for tag in tags):
        raise StructgenError("tagged takes a list of Tag(begin, content, end), at least one")
    if any(isinstance(n, bool) or not isinstance(n, int) for n in (least, 1 if most is None else most)):
        raise StructgenError(f"at least {least!r:.50} and at most {most!r:.50} regions: need integers, or None for no greatest number")
    if least < 0 or (most is not None and most < max(1, least)):
        raise StructgenError(f"at least {least} and at most {most} regions: need 0 <= least <= most and 1 <= most")
    triggers = _triggers(tags)
    free = without(triggers)
    ways: list[ir.Expr] = []
    for trigger in triggers:
        same = [tag for tag in tags if isinstance(tag.begin, str) and _trigger(tag) == trigger]
        regions = [_region(ir.Bytes(str(tag.begin)[len(trigger) :].encode()), tag) for tag in same]
        start = ir.Regular(_until_one(triggers, trigger)) if text_before else ir.Bytes(trigger.encode())
        ways.append(ir.Seq((start, ir.Choice(tuple(regions)))))
    for tag in tags:
        if isinstance(tag.begin, Marker) and text_before:
            ways.append(_region(lead(triggers, tag.begin), tag))
        elif isinstance(tag.begin, Constraint):
            region = _region(tag.begin.expr, tag)
            ways.append(ir.Seq((free, region)) if text_before else region)
    some = ir.Seq((repeat(Constraint(ir.Choice(tuple(ways))), max(1, least), most).expr, free if text_after else ir.EMPTY))
    none = [free if text_before or text_after else ir.EMPTY] if least == 0 else []
    return Constraint(ir.Choice((some, *none)), source="tagged text")


def until(end: Part, *, most: int | None = None) -> Constraint:
    """Any text up to and with the first ``end``, a text or a `marker`: a thinking section, for example. ``most``: the greatest
    number of characters before the end (counted while they are written, however large).

    >>> c = until("</think>", most=2000) + "42"
    """
    if not isinstance(end, Marker):
        literal(end)  # type: ignore[arg-type]  # an error if it is no text
    text = end.text if isinstance(end, Marker) else str(end)
    if not text:
        raise StructgenError("until takes the text that ends the section, which is not empty")
    if most is not None and (isinstance(most, bool) or not isinstance(most, int) or most < 0):
        raise StructgenError(f"at most {most!r:.50} characters: need an integer from 0 on, or None for no greatest number")
    if most is not None and most > MAX_COUNT:
        raise LimitExceeded("characters of a section", MAX_COUNT)
    expr = lead((text,), end if isinstance(end, Marker) else text, most)
    return Constraint(expr, source=f"text until {text!r}" + ("" if most is None else f" after at most {most} characters"))


def lead(triggers: tuple[str, ...], end: Marker | str, most: int | None = None) -> ir.Expr:
    """Free text up to and with ``end``, in which no trigger occurs before (``end`` is one); ``most`` characters before the end."""
    if isinstance(end, str):
        dfa = _until_one(triggers, end)
        return ir.Regular(dfa) if most is None else ir.Bounded(dfa, 0, most + len(end))
    spelled = ir.Seq((ir.named(end.text, "text"), lead(triggers, end.text, most)))
    return ir.Choice((spelled, ir.Seq((_no(end.text, "text"), without(triggers, most), end.expr))))


def without(triggers: tuple[str, ...], most: int | None = None) -> ir.Expr:
    """Texts of at most ``most`` characters in which no trigger occurs."""
    dfa = _without(triggers)
    return _loops(dfa) if most is None else ir.Bounded(dfa, 0, most)


def _no(text: str, standing: ir.Standing) -> ir.Expr:
    others: list[ir.Standing] = ["text", "inside", "end"]
    return ir.Choice(tuple(ir.named(text, other) for other in others if other != standing))


def _region(begin: ir.Expr, tag: Tag) -> ir.Expr:
    return ir.Seq((begin, text_or_constraint(tag.content).expr, text_or_constraint(tag.end).expr))


def _trigger(tag: Tag) -> str | None:
    """The text that free text must not contain because of this tag."""
    if isinstance(tag.begin, Marker):
        return tag.begin.text
    return (tag.trigger or tag.begin) if isinstance(tag.begin, str) else None


def _triggers(tags: Sequence[Tag]) -> tuple[str, ...]:
    triggers = tuple(dict.fromkeys(trigger for tag in tags if (trigger := _trigger(tag)) is not None))
    if len(triggers) > MAX_TRIGGERS:
        raise LimitExceeded("triggers", MAX_TRIGGERS)
    for one in triggers:
        for other in triggers:
            if one != other and one in other:
                raise StructgenError(f"the trigger {one!r} occurs in the trigger {other!r}: give both tags the shorter one as trigger")
    return triggers


_loops = lru_cache(maxsize=64)(loops)


@lru_cache(maxsize=64)
def _somewhere(triggers: tuple[str, ...]) -> CharDfa:
    """Texts that end with one of the triggers."""
    return chardfa.concat(chardfa.any_text(), chardfa.union(*map(chardfa.literal, triggers))) if triggers else chardfa.none()


@lru_cache(maxsize=64)
def _without(triggers: tuple[str, ...]) -> CharDfa:
    """Texts in which no trigger occurs."""
    return chardfa.complement(chardfa.concat(_somewhere(triggers), chardfa.any_text()))


@lru_cache(maxsize=64)
def _until_one(triggers: tuple[str, ...], trigger: str) -> CharDfa:
    """Texts that end with this trigger, in which no trigger occurs before."""
    earlier = chardfa.concat(_somewhere(triggers), chardfa.any_char(), chardfa.any_text())
    return chardfa.difference(chardfa.concat(chardfa.any_text(), chardfa.literal(trigger)), earlier)
