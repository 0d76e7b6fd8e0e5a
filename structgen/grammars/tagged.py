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
from structgen.errors import StructgenError

from .constraint import Constraint, literal, repeat, text_or_constraint

__all__ = ["Tag", "tagged", "until"]

Part = Constraint | str


@dataclass(frozen=True, slots=True)
class Tag:
    """A region: ``begin``, what is constrained, ``end``. It begins where free text ends with ``trigger``, a beginning of ``begin`` (all
    of it by default); a ``begin`` that is a constraint (a special token, say) is its own trigger."""

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
    free = ir.Regular(_without(triggers))
    ways: list[ir.Expr] = []
    for trigger in triggers:
        same = [tag for tag in tags if isinstance(tag.begin, str) and (tag.trigger or tag.begin) == trigger]
        regions = [_region(ir.Bytes(str(tag.begin)[len(trigger) :].encode()), tag) for tag in same]
        lead = ir.Regular(_until_one(triggers, trigger)) if text_before else ir.Bytes(trigger.encode())
        ways.append(ir.Seq((lead, ir.Choice(tuple(regions)))))
    for tag in tags:
        if not isinstance(tag.begin, str):
            region = _region(tag.begin.expr, tag)
            ways.append(ir.Seq((free, region)) if text_before else region)
    some = ir.Seq((repeat(Constraint(ir.Choice(tuple(ways))), max(1, least), most).expr, free if text_after else ir.EMPTY))
    none = [free if text_before or text_after else ir.EMPTY] if least == 0 else []
    return Constraint(ir.Choice((some, *none)), source="tagged text")


def until(end: str) -> Constraint:
    """Any text up to and with the first ``end``: a thinking section, for example.

    >>> c = until("</think>") + "42"
    """
    literal(end)  # an error if it is no text
    if not end:
        raise StructgenError("until takes the text that ends the section, which is not empty")
    return Constraint(ir.Regular(_until_one((end,), end)), source=f"text until {end!r}")


def _region(begin: ir.Expr, tag: Tag) -> ir.Expr:
    return ir.Seq((begin, text_or_constraint(tag.content).expr, text_or_constraint(tag.end).expr))


def _triggers(tags: Sequence[Tag]) -> tuple[str, ...]:
    triggers = tuple(dict.fromkeys(tag.trigger or tag.begin for tag in tags if isinstance(tag.begin, str)))
    for one in triggers:
        for other in triggers:
            if one != other and one in other:
                raise StructgenError(f"the trigger {one!r} occurs in the trigger {other!r}: give both tags the shorter one as trigger")
    return triggers


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
