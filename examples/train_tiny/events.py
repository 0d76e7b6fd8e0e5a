"""Events: what, when, where, with whom, and for how much."""

from __future__ import annotations

from .records import BOOLEAN, DATE, NULLABLE_STRING, STRING, Facts, Family, Field, array, enum
from .sources import Draw, a_or_an, listed
from .words import VENUES

KINDS = ("conference", "concert", "workshop", "exhibition", "festival", "lecture", "meeting", "race")
TIME = {"type": ["string", "null"], "pattern": "^([01][0-9]|2[0-3]):[0-5][0-9]$"}

FIELDS = (
    Field("title", "title", STRING, ("name", "event", "what")),
    Field("kind", "kind", enum(*KINDS), ("type", "category", "event_type")),
    Field("date", "date", DATE, ("day", "when", "on")),
    Field("start", "time", TIME, ("time", "starts_at", "begins")),
    Field("venue", "", {"type": "object"}, ("location", "place", "where"), (
        Field("name", "venue", STRING, ("hall", "building", "venue")),
        Field("city", "city", STRING, ("town",)),
    )),
    Field("speakers", "people", array(STRING, 0, 5), ("guests", "performers", "people", "artists")),
    Field("capacity", "capacity", {"type": ["integer", "null"], "minimum": 1, "maximum": 100000}, ("seats", "max_guests", "places")),
    Field("free", "free", BOOLEAN, ("free_entry", "no_charge")),
    Field("organizer", "organizer", NULLABLE_STRING, ("host", "organised_by"), canonical=False),
    Field("city", "city", STRING, ("town",), canonical=False),
    Field("price", "price", {"type": "integer", "minimum": 0, "maximum": 1000}, ("ticket_price", "entry"), canonical=False),
    Field("end", "end", DATE, ("end_date", "until", "last_day"), canonical=False),
)  # fmt: skip


def facts(draw: Draw) -> Facts:
    f = Facts()
    kind = draw.pick(KINDS)
    f.add("kind", kind)
    f.add("a_kind", a_or_an(kind), tells=("kind",))
    title = draw.title()
    f.add("title", f'"{title}"' if draw.chance(0.3) else title, title)
    date = draw.date(2000, 2032)
    weekday = date.strftime("%A") + ", " if draw.chance(0.2) else ""
    f.add("date", weekday + draw.date_text(date), date.isoformat())
    end = date.replace(day=min(date.day + draw.rng.randint(1, 5), 28))
    f.add("end", draw.date_text(end), end.isoformat())
    _add_time(f, draw)
    venue = (
        f"{draw.pick(('', '', 'the '))}{draw.pick((draw.last_name(), draw.pick(draw.pools.adjectives), draw.city()))} {draw.pick(VENUES)}"
    )
    f.add("venue", venue, venue.removeprefix("the "))
    f.add("city", draw.city())
    people = [draw.person() for _ in range(draw.pick((1, 1, 2, 3)))]
    f.add("people", listed(people), people)
    f.add("organizer", draw.company())
    capacity = draw.pick((draw.rng.randint(8, 99), 10 * draw.rng.randint(5, 80), 100 * draw.rng.randint(2, 60)))
    f.add("capacity", f"{capacity:,}" if draw.chance(0.3) else str(capacity), capacity)
    _add_price(f, draw)
    return f


def _add_time(f: Facts, draw: Draw) -> None:
    """A time of day as 19:30, 7:30 pm or 7 pm."""
    hour, minute = draw.rng.randint(7, 22), draw.pick((0, 0, 30, 15, 45))
    minutes = f":{minute:02}" if minute else draw.pick(("", ":00"))
    half = f"{(hour - 1) % 12 + 1}{minutes} {draw.pick(('am', 'a.m.') if hour < 12 else ('pm', 'p.m.'))}"
    f.add("time", draw.pick((f"{hour}:{minute:02}", f"{hour:02}:{minute:02}", half.replace(".m.", "m"))), f"{hour:02}:{minute:02}")


def _add_price(f: Facts, draw: Draw) -> None:
    """Every text says whether the entry is free, or how much it costs."""
    free = draw.chance(0.5)
    price = 0 if free else draw.rng.randint(3, 180)
    f.values |= {"free": free, "price": price}
    if free:
        texts = ("There is no charge", "Nobody has to pay", "Entry costs nothing") if draw.held_out else (
            "Entry is free", "You do not have to pay", "Nobody pays anything", "It costs nothing at all", "No charge",
            "Entry without charge", "Admission is free", "Free entry", "Tickets are free", "It is free", "It is free of charge",
            "No tickets are needed, entry is free",
        )  # fmt: skip
    else:
        money = draw.pick(("${}", "€{}", "£{}", "{} euros", "{} dollars", "EUR {}")).format(price)
        texts = ("Entry is {}", "One ticket costs {}") if draw.held_out else (
            "Tickets cost {}", "A ticket is {}", "One ticket: {}", "Entry: {}", "The ticket costs {}", "You pay {}",
            "Tickets: {}", "Admission is {}", "The entry fee is {}", "Tickets are {} each", "Entry costs {}",
        )  # fmt: skip
        texts = tuple(text.format(money) for text in texts)
    f.add("price", draw.pick(texts), tells=("free", "price"))


OPENINGS = (
    "{title} will be [held|shown|given] on {date} in {city} at {venue}. It is {a_kind}. {price}.",
    "We [are happy to announce|announce|present] {a_kind}, {title}, on {date}[ at {time}|] at {venue} in {city}. {price}.",
    "At {venue} in {city}[, on {date},| on {date}] you can [see|hear|attend] {title}, {a_kind}[ from {time}|]. {price}.",
    "At {venue}, {city}, the {kind} {title} [starts|takes place] on {date}[ from {time} on|]. {price}.",
    "[You are invited|We invite all of you|Come] to {title}, {a_kind} at {venue} in {city} on {date}. {price}.",
    "The {kind} is called {title} and will be at {venue}, {city}, on {date}[, from {time}|]. {price}.",
    "{date}, {city}: {a_kind} called {title}[, {time}|] in {venue}. {price}.",
    "In {city}, at {venue}, [we will have|there will be] {a_kind} on {date}: {title}. {price}.",
    "Visit the {kind} {title} in {city} on {date}! {venue} [waits for you|opens its doors at {time}]. {price}.",
    "[{people}|{organizer}] [invite you|will take you] to {title}, {a_kind} on {date}, at {venue}, {city}. {price}.",
    "The {kind} {title} takes place on {date} at {venue} in {city}. {price}.",
    "{title}, {a_kind} with {people}, [takes place|is held|will be held] at {venue}, {city}, on {date}[ at {time}|]. {price}.",
    "Join us for the {kind} {title} on {date} at {venue}, {city}[, starting at {time}|]. {price}.",
    "On {date}[ at {time}|], {venue} in {city} hosts the {kind} {title}[ with {people}|]. {price}.",
    "{people} [will appear|appear] at the {kind} {title} at {venue} in {city} on {date}. {price}.",
    "{title} is {a_kind} at {venue} in {city} on {date}. [It starts at {time}.|Start: {time}.|] {price}.",
    "[{kind}|{Kind}]: {title}. {date}[, {time}|]. {venue}, {city}. [With {people}.|Guests: {people}.|] {price}.",
    "[In {city}, the|The] {kind} {title} [opens|begins|starts] on {date}[ at {time}|] in {venue}, {city}. {price}.",
    "{venue} in {city} [announces|presents] {title}, {a_kind} on {date}. {price}.",
    "Save the date: {date}, {title} ({kind}), {venue}, {city}. {price}.",
    "Do not miss {title}! The {kind} is on {date} at {venue} in {city}. {price}.",
)
HELD_OUT_OPENINGS = (
    "{title} will be {a_kind} on {date} in {city}, at {venue}[, at {time}|]. {price}.",
    "We invite you to the {kind} {title} at {venue} in {city} on {date}. {price}.",
    "At {venue}, {city}, you can visit the {kind} {title} on {date}[ from {time}|]. {price}.",
)
FURTHER = (
    "{people} will [speak|perform|come|be present|be on stage].",
    "{people} [is|are] [there|here] [|too].",
    "The [hall|room|house|place] [holds|seats|can hold] {capacity} [people|guests|visitors].",
    "The [beginning|start|opening] is [at|set for] {time}.",
    "{organizer} [organises it|is the host|is responsible|runs it].",
    "[Speakers are|Speakers:|With|Guests include|On stage:] {people}.",
    "There [are|is room for|are seats for] {capacity} [seats|guests|people].",
    "[Capacity|Seats|Places]: {capacity}.",
    "[Up to|At most|No more than] {capacity} [people|guests|visitors] can attend.",
    "[Doors open|It starts|It begins|We start] at {time}.",
    "[It is organised by|Organised by|The organiser is|The host is] {organizer}.",
    "It [ends on|runs until|lasts until] {end}.",
)
HELD_OUT_FURTHER = (
    "The venue holds {capacity} people.",
    "The start is at {time}.",
    "{people} will be there.",
    "{organizer} is the organiser.",
)
EVENTS = Family("events", "Event", FIELDS, facts, OPENINGS, HELD_OUT_OPENINGS, FURTHER, HELD_OUT_FURTHER, most_further=3)
