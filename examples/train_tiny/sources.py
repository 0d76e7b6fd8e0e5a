"""Raw material for the synthetic records: names, places, titles, dates and money, in two disjoint halves.

`Draw(rng, held_out)` draws values; a word belongs to the held-out half if its checksum says so (about one in ten), so the split does
not depend on the order of generation and no held-out name, town or title word is ever trained on. Faker fills the pools once, seeded.
"""

from __future__ import annotations

import datetime
import random
import re
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TypeVar

from faker import Faker

from .words import CITIES, COUNTRIES, ENDINGS, LOCALES, MONTHS, SYLLABLES, TITLE_ADJECTIVES, TITLE_NOUNS

T = TypeVar("T")
COMPANY_FORMS = ("Ltd", "Inc", "GmbH", "LLC", "Group", "Partners", "Industries", "Labs", "Systems", "Trading", "& Co", "AG")
COMPANY_KINDS = ("Ltd", "Inc", "Studio", "Works", "Foods", "Books")


def is_held_out(word: str) -> bool:
    """Whether a word is kept for evaluation."""
    return zlib.crc32(word.encode()) % 10 == 0


def a_or_an(phrase: str) -> str:
    return ("an " if phrase[0] in "aeiouAEIO" else "a ") + phrase


def listed(words: Sequence[str]) -> str:
    """The words as English lists them: a, b and c."""
    return words[0] if len(words) == 1 else ", ".join(words[:-1]) + " and " + words[-1]


@dataclass(frozen=True, slots=True)
class Pools:
    first: tuple[str, ...]
    last: tuple[str, ...]
    cities: tuple[str, ...]
    streets: tuple[str, ...]
    nouns: tuple[str, ...]
    adjectives: tuple[str, ...]
    real_cities: tuple[str, ...]


_LATIN = re.compile(r"[A-Za-zÀ-ž.' -]{2,24}")


@cache
def _faked(what: str) -> tuple[str, ...]:
    """All values of one kind that Faker knows for the locales, in a stable order."""
    found: set[str] = set()
    for locale in LOCALES:
        if (what, locale) == ("city", "it_IT"):
            continue  # drawn from a set: not the same twice
        fake = Faker(locale)
        fake.seed_instance(zlib.crc32(f"{what} {locale}".encode()))
        make: Callable[[], str] = getattr(fake, what)
        found |= {value for value in (make() for _ in range(400)) if _LATIN.fullmatch(value)}
    return tuple(sorted(found))


@cache
def _english() -> tuple[str, ...]:
    return tuple(sorted({word.lower() for word in Faker("en_US").get_words_list() if word.isalpha()}))


@cache
def pools(held_out: bool) -> Pools:
    """The values of one half."""

    def half(words: Sequence[str]) -> tuple[str, ...]:
        return tuple(word for word in words if is_held_out(word) == held_out)

    streets = tuple(sorted({name for locale in ("en_US", "en_GB") for name in _streets(locale)}))
    return Pools(
        half(_faked("first_name")), half(_faked("last_name")), half(_faked("city")), half(streets),
        half(TITLE_NOUNS), half(TITLE_ADJECTIVES), half(CITIES),
    )  # fmt: skip


def _streets(locale: str) -> list[str]:
    fake = Faker(locale)
    fake.seed_instance(7)
    return [fake.street_name() for _ in range(1500)]


class Draw:
    """Random values from one half of the pools; everything a family needs is a method here."""

    def __init__(self, rng: random.Random, held_out: bool) -> None:
        self.rng = rng
        self.held_out = held_out
        self.pools = pools(held_out)

    def pick(self, values: Sequence[T]) -> T:
        return values[int(self.rng.random() * len(values))]

    def chance(self, p: float) -> bool:
        return self.rng.random() < p

    def made_up(self) -> str:
        """A pronounceable word that nobody has seen, so that names are copied and not remembered."""
        while True:
            if self.chance(0.5):
                word = "".join(self.pick(SYLLABLES) for _ in range(self.pick((1, 2, 2, 3)))) + self.pick(ENDINGS)
            else:
                head, tail = self.pick(self.pools.last), self.pick(self.pools.cities)
                word = head[: self.rng.randint(2, 5)] + tail[-self.rng.randint(2, 6) :]
            word = word.capitalize()
            if len(word) > 2 and word.isalpha() and is_held_out(word) == self.held_out:
                return word

    def title_word(self, words: Sequence[str]) -> str:
        """One of the words, or one that is not among them."""
        roll = self.rng.random()
        if roll < 0.6:
            return self.pick(words)
        while True:
            word = self.made_up() if roll < 0.75 else self.pick(_english()).capitalize()
            if is_held_out(word) == self.held_out:
                return word

    def first_name(self) -> str:
        return self.made_up() if self.chance(0.25) else self.pick(self.pools.first)

    def last_name(self) -> str:
        return self.made_up() if self.chance(0.35) else self.pick(self.pools.last)

    def person(self) -> str:
        roll = self.rng.random()
        first, last = self.first_name(), self.last_name()
        if roll < 0.7:
            return f"{first} {last}"
        if roll < 0.8:
            return f"{first} {self.first_name()} {last}"
        if roll < 0.88:
            return f"{first} {self.pick('ABCDEFGHJKLMNPRSTVW')}. {last}"
        if roll < 0.94:
            return f"{first} {self.pick(('von', 'van', 'de', 'di', 'da', 'van der', 'de la', 'al'))} {last}"
        return f"{first} {last}-{self.last_name()}" if roll < 0.97 else last

    def city(self) -> str:
        roll = self.rng.random()
        if roll < 0.35:
            return self.pick(self.pools.real_cities)
        return self.made_up() if roll < 0.65 else self.pick(self.pools.cities)

    def country(self) -> str:
        return self.pick(COUNTRIES)

    def street(self) -> str:
        street = self.pick(self.pools.streets)
        return f"{self.made_up()} {street.split()[-1]}" if self.chance(0.3) else street

    def noise(self) -> str:
        """A sentence that says nothing, of common English words, some of them capitalised or followed by a number."""
        words = [self.pick(_english()) for _ in range(self.rng.randint(3, 10))]
        if self.chance(0.2):
            words.insert(self.rng.randrange(len(words)), str(self.rng.randint(2, 2000)))
        if self.chance(0.2):
            words.append(self.last_name())
        return " ".join([words[0].capitalize(), *words[1:]]) + "."

    def company(self) -> str:
        name = self.last_name()
        roll = self.rng.random()
        if roll < 0.5:
            return f"{name} {self.pick(COMPANY_FORMS)}"
        if roll < 0.8:
            return f"{name} {self.pick(('&', 'and'))} {self.last_name()}" + self.pick(("", " Ltd", " Inc"))
        return f"{self.pick(self.pools.adjectives)} {self.pick(self.pools.nouns)} {self.pick(COMPANY_KINDS)}"

    def title(self) -> str:
        """The title of a book, a painting or a talk."""
        nouns, adjectives = self.pools.nouns, self.pools.adjectives
        noun, other, adjective = self.title_word(nouns), self.title_word(nouns), self.title_word(adjectives)
        name = self.last_name()
        return self.pick((
            f"The {adjective} {noun}", f"{adjective} {noun}", f"On the {noun} of {other}", f"{noun} on the {adjective} {other}",
            f"The {noun}",
f"A {noun} of {other}", f"The {noun} of {name}", f"{noun} of the {adjective} {other}", f"{name}", f"In the {noun}",
            f"{name}'s {noun}", f"{noun} for {other}", f"The {noun} of the {other}", f"{noun} on {other}", f"{noun} in {adjective} {other}",
        ))  # fmt: skip

    def date(self, first_year: int, last_year: int) -> datetime.date:
        year = self.rng.randint(first_year, last_year)
        return datetime.date(year, 1, 1) + datetime.timedelta(days=self.rng.randrange(365))

    def date_text(self, day: datetime.date) -> str:
        """One of the ways in which a date is written."""
        month = MONTHS[day.month - 1]
        short = month[:3] + (self.pick(("", "", ".")) if len(month) > 4 else "")
        suffix = "th" if 10 <= day.day <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(day.day % 10, "th")
        forms = (
            f"{day.day} {month} {day.year}", f"{month} {day.day}, {day.year}", f"{day.day} {month} {day.year}",
            f"{month} {day.day}, {day.year}",
            day.isoformat(), f"{day.day} {short} {day.year}", f"{short} {day.day}, {day.year}", f"{day.day}{suffix} {month} {day.year}",
            f"{month} {day.day}{suffix}, {day.year}", f"the {day.day}{suffix} of {month} {day.year}", f"{day.day:02} {month} {day.year}",
        )  # fmt: skip
        return self.pick(forms)

    def cents(self, low: int, high: int) -> str:
        """A price as digits: 45, 45.50 or 1250.00."""
        whole = self.rng.randint(low, high)
        return str(whole) if self.chance(0.25) else f"{whole}.{self.pick(('00', '50', '99', '95', f'{self.rng.randrange(100):02}'))}"
