"""Addresses: who lives or works where, in the forms of several countries."""

from __future__ import annotations

from .records import NULLABLE_STRING, STRING, Facts, Family, Field, array, enum, integer
from .sources import Draw

KINDS = ("home", "work", "billing", "shipping", "unknown")
PHONE = {"type": "string", "pattern": r"^\+?[0-9][0-9 ()-]{4,20}$"}

FIELDS = (
    Field("recipient", "name", STRING, ("name", "person", "who", "addressee")),
    Field("kind", "kind", enum(*KINDS), ("type", "use")),
    Field("address", "", {"type": "object"}, ("location", "place"), (
        Field("street", "street", STRING, ("road", "street_name")),
        Field("number", "number", integer(1, 9999), ("house_number", "house")),
        Field("city", "city", STRING, ("town",)),
        Field("postal_code", "code", {"type": "string", "pattern": "^[A-Z0-9][A-Z0-9 -]{2,9}$"}, ("zip", "postcode", "zip_code")),
        Field("country", "country", NULLABLE_STRING, ("nation",)),
    )),
    Field("phones", "phones", array(PHONE, 0, 2), ("phone_numbers", "tel", "telephone")),
    Field("company", "company", NULLABLE_STRING, ("firm", "employer"), canonical=False),
    Field("floor", "floor", integer(1, 60), ("level", "storey"), canonical=False),
    Field("city", "city", STRING, ("town",), canonical=False),
    Field("postal_code", "code", STRING, ("zip", "postcode"), canonical=False),
    Field("street", "street", STRING, ("road",), canonical=False),
)  # fmt: skip


def facts(draw: Draw) -> Facts:
    f = Facts()
    kind = draw.pick(KINDS[:-1])
    f.add("kind", draw.pick({"home": ("home", "private"), "work": ("work", "office")}.get(kind, (kind,))), kind)
    f.values["kind"] = kind
    f.add("lives", {"home": "lives at", "work": "works at"}.get(kind, "lives at"), tells=("kind",))
    f.values["name"] = f.texts["name"] = draw.person()
    street, number, city, country = (
        draw.street(),
        draw.pick((draw.rng.randint(1, 99), draw.rng.randint(1, 999), draw.rng.randint(1, 9999))),
        draw.city(),
        draw.country(),
    )
    code = _postal_code(draw)
    f.values |= {"street": street, "number": number, "city": city, "code": code, "country": country}
    line = draw.pick(("{n} {s}, {c} {p}", "{s} {n}, {p} {c}", "{n} {s}, {c}, {p}", "{n} {s}, {p} {c}")).format(
        n=number, s=street, c=city, p=code
    )
    if abroad := draw.chance(0.6):
        line += ", " + country
    f.add("line", line, tells=("street", "number", "city", "code", *(("country",) if abroad else ())))
    f.texts |= {slot: str(f.values[slot]) for slot in ("street", "number", "city", "code", "country")}
    phones = [_phone(draw) for _ in range(draw.pick((1, 1, 2)))]
    f.add("phones", " or ".join(phones), phones)
    f.add("company", draw.company())
    floor = draw.rng.randint(1, 40)
    f.add("floor", str(floor), floor)
    if kind in ("billing", "shipping"):
        f.values["kind"] = kind
        f.texts["lives"], f.tells["lives"] = draw.pick((f"has the {kind} address", f"uses the {kind} address")), ("kind",)
    return f


def _postal_code(draw: Draw) -> str:
    def digits(n: int) -> str:
        return "".join(draw.pick("0123456789") for _ in range(n))

    def letter() -> str:
        return draw.pick("ABCDEFGHJKLMNPRSTUVWXY")

    form = draw.pick(("us", "us", "de", "de", "uk", "uk", "nl", "four", "ca"))
    if form == "uk":
        return f"{letter()}{draw.pick((letter(), ''))}{digits(1)} {digits(1)}{letter()}{letter()}"
    if form == "ca":
        return f"{letter()}{digits(1)}{letter()} {digits(1)}{letter()}{digits(1)}"
    return {"us": digits(5), "de": digits(5), "nl": f"{digits(4)} {letter()}{letter()}", "four": digits(4)}[form]


def _phone(draw: Draw) -> str:
    def digits(n: int) -> str:
        return draw.pick("123456789") + "".join(draw.pick("0123456789") for _ in range(n - 1))

    forms = (
        f"{digits(3)}-{digits(3)}-{digits(4)}",
        f"+{digits(2)} {digits(3)} {digits(6)}",
        f"0{digits(3)} {digits(6)}",
        f"({digits(3)}) {digits(3)}-{digits(4)}",
        f"+{digits(2)} {digits(8)}",
        digits(6),
    )
    return draw.pick(forms[:3] + forms[4:])


OPENINGS = (
    "Mail [to|for] {name}: {line}. [This|It] is the {kind} address.",
    "[Letters|Parcels|Everything] for {name} [should go|must go|are sent] to {line}.",
    "{name} can be [reached|visited|met] at {line}.",
    "{name} gave {line} as [the|a] {kind} address.",
    "As [a|the] {kind} address, {name} [uses|has|wrote] {line}.",
    "[Use|Write down|Note] {line} as the {kind} address of {name}.",
    "{line} is the {kind} address of {name}.",
    "{line}: [here lives {name}|that is where {name} lives|this is {name}'s address].",
    "{name} {lives} {number} {street}, {city} {code}[, {country}|].",
    "In {city}, {country}, {name} {lives} {street} {number}, {code}.",
    "{name} {lives} {line}.",
    "{name}, {line}.",
    "[Please send|Send|Deliver|Ship] the [parcel|letter|books|package] to {name}, {line}. It is the {kind} address.",
    "[The|Our] {kind} address of {name} is {line}.",
    "{name}'s {kind} address is {line}.",
    "[{Kind}|{kind}] address: {name}, {line}.",
    "Address of {name} ({kind}): {line}.",
    "You [can find|will find|can reach|can write to] {name} at {line}.",
    "{name} [has moved to|moved to|is now at] {number} {street} in {city}, {code}.",
    "{name} {lives} {street} {number} in {city}, {country} ({code}).",
    "[Recipient|Name]: {name}. Street: {street} {number}. City: {city}. [Postal code|Postcode|Zip]: {code}. [Country: {country}.|]",
    "The house of {name} is number {number}, {street}, in {city}. The postal code is {code}.",
    "{company}, attn. {name}, {line}. [Kind: {kind}.|]",
)
HELD_OUT_OPENINGS = (
    "Mail for {name} goes to {line}. This is the {kind} address.",
    "{name} can be found at {line}.",
    "{name} {lives} {number} {street}, {code} {city}, {country}.",
    "As {kind} address {name} gave {line}.",
)
FURTHER = (
    "The [phone|number to call|telephone] is {phones}.",
    "[Floor|Floor number|Level] {floor}[|, please].",
    "[Use|Take|Note] it [only |]as the {kind} address.",
    "[Phone|Tel.|Telephone|Call]: {phones}.",
    "[The phone number is|Call|You can call|Reach me on] {phones}.",
    "[This|It] is [a|the] {kind} address.",
    "[The flat|The office|It] is on floor {floor}.",
    "[The company is|Company:|c/o] {company}.",
)
HELD_OUT_FURTHER = ("The phone is {phones}.", "Use it as the {kind} address.", "Floor {floor}.")
ADDRESSES = Family("addresses", "Address", FIELDS, facts, OPENINGS, HELD_OUT_OPENINGS, FURTHER, HELD_OUT_FURTHER)
