"""People: who they were, where and when they were born, what they did and made."""

from __future__ import annotations

from .records import DATE, NULLABLE_STRING, STRING, Facts, Family, Field, array, enum, integer
from .sources import Draw, a_or_an, listed
from .words import NATIONALITIES, OCCUPATIONS

FIELD_OF = {occupation: field for field, occupations in OCCUPATIONS.items() for occupation in occupations}
ALL = tuple(FIELD_OF)
PRONOUNS = {"female": ("she", "her", "her"), "male": ("he", "his", "him"), "unknown": ("they", "their", "them")}

FIELDS = (
    Field("name", "name", STRING, ("full_name", "person", "who")),
    Field("birth", "", {"type": "object"}, ("born", "birth_info"), (
        Field("date", "birth_date", DATE, ("day", "birth_date", "on")),
        Field("city", "birth_city", STRING, ("place", "town", "birthplace")),
        Field("country", "birth_country", NULLABLE_STRING, ("nation", "land")),
    )),
    Field("century", "century", integer(1, 21), ("birth_century",)),
    Field("gender", "gender", enum("female", "male", "unknown"), ("sex",)),
    Field("occupations", "occupations", array(STRING, 1, 4), ("jobs", "professions", "roles", "occupation")),
    Field("field", "field", enum(*OCCUPATIONS), ("area", "domain")),
    Field("works", "works", array(STRING, 0, 4), ("titles", "creations", "notable_works")),
    Field("date_of_birth", "birth_date", DATE, ("birthday", "dob"), canonical=False),
    Field("birth_year", "birth_year", integer(1000, 2030), ("born_year", "year"), canonical=False),
    Field("birthplace", "birth_city", STRING, ("born_in", "home_town", "city"), canonical=False),
    Field("nationality", "nationality", NULLABLE_STRING, canonical=False),
    Field("death", "", {"type": "object"}, ("died",), (
        Field("date", "death_date", DATE, ("day",)),
        Field("city", "death_city", STRING, ("place",)),
    ), canonical=False),
    Field("age", "age", integer(0, 120), ("years",), canonical=False),
    Field("employer", "employer", NULLABLE_STRING, ("company",), canonical=False),
    Field("residence", "residence", NULLABLE_STRING, ("lives_in", "home"), canonical=False),
)  # fmt: skip


def facts(draw: Draw) -> Facts:
    f = Facts()
    name, gender = draw.person(), draw.pick(("female", "female", "male", "male", "unknown"))
    pronoun, possessive, them = PRONOUNS[gender]
    for slot, word in (("he", pronoun), ("his", possessive), ("him", them)):
        f.add(slot, word, tells=("gender",))
    f.add("was", "were" if gender == "unknown" else "was", tells=())
    f.values["gender"] = gender
    f.add("name", name)
    f.add("short", name.split()[-1], tells=())
    _add_life(f, draw)
    _add_occupations(f, draw)
    works = [draw.title() for _ in range(draw.pick((1, 1, 2, 2, 3)))]
    quote = draw.pick(("", "", "", '"', "'", "*"))
    f.add("works", listed([quote + work + quote for work in works]), works)
    f.add("employer", draw.company())
    f.add("residence", draw.city())
    f.add("other", draw.person(), tells=())
    return f


def _add_life(f: Facts, draw: Draw) -> None:
    born = draw.date(*draw.pick(((1450, 1799), (1750, 1899), (1750, 1899), (1900, 2005))))
    died = draw.date(born.year + 18, born.year + 90)
    city, country = draw.city(), draw.country()
    f.add("date", draw.date_text(born), tells=("birth_date", "birth_year", "century"))
    f.values |= {
        "birth_date": born.isoformat(),
        "birth_year": born.year,
        "century": (born.year - 1) // 100 + 1,
        "birth_city": city,
        "birth_country": country,
    }
    f.add("city", city, tells=("birth_city",))
    f.add("country", country, tells=("birth_country",))
    f.add("place", *draw.pick(((city,), (f"{city}, {country}",), (city,))), tells=())
    f.tells["place"] = ("birth_city", "birth_country") if f.texts["place"] != city else ("birth_city",)
    f.add("death", draw.date_text(died), tells=("death_date",))
    f.values["death_date"] = died.isoformat()
    f.add("death_city", draw.city())
    f.add("moved", str(born.year + draw.rng.randint(15, 50)), tells=())
    age = draw.rng.randint(16, 95)
    f.add("age", str(age), age)


def _add_occupations(f: Facts, draw: Draw) -> None:
    jobs = draw.rng.sample(ALL, draw.pick((1, 2, 2, 2, 3)))
    nationality = draw.pick(NATIONALITIES)
    phrase, tells = listed(jobs), ("occupations", "field")
    if draw.chance(0.35):
        phrase, tells = f"{nationality} {phrase}", (*tells, "nationality")
    f.values |= {"occupations": jobs, "field": FIELD_OF[jobs[0]], "nationality": nationality}
    f.add("jobs", phrase, tells=tells)
    f.add("a_job", a_or_an(phrase), tells=tells)


OPENINGS = (
    "{name}, {a_job}, came from {place}, where {he} {was} born on {date}.",
    "In {place}, {name} was born on {date}. [Later, {he}|{He}] became {a_job}[.| and published {works}.]",
    "[On|It was on] {date} [in {place}, |that in {place} ]{name} was born, {a_job}[.| who wrote {works}.]",
    "{name} was {a_job} who was born on {date} in {place}. {He} [wrote|made|published] {works}.",
    "{name} was {a_job} from {place}, born {date}.",
    "[The author of|The creator of] {works}, {name}, was born in {place} on {date} and was {a_job}.",
    "{works} [is|was] [written|made|created] by {name}, {a_job}, who was born [on |]{date} in {place}.",
    "{date}: {name} is born in {place}. {He} will become {a_job}.",
    "{place}, {date}: birth of {name}, {a_job}. [|{He} wrote {works}.]",
    "Do you know {name}? {He} {was} {a_job}, born on {date} in {place}[.|, and wrote {works}.]",
    "{name} [|was ]born in {place}, {date}, [was|worked as] {a_job}.",
    "As {a_job}, {name} [wrote|made] {works}. {He} {was} born in {place} on {date}.",
    "{name} [began life|started life|grew up] in {place}, [born|where {he} {was} born] on {date}, "
    "and [went on to be|went to work as] {a_job}.",
    "{name}, born {date} in {place}, [was|is] {a_job}.",
    "{name}, born [on |]{date} in {place}, was {a_job}. {He} [wrote|published] {works}.",
    "{name} was born [on |]{date} in {place}. {He} {was} {a_job}.",
    "{name} was born [on|] {date} in {place} and [worked as|became|was] {a_job}. {He} [created|made] {works}.",
    "{name} (born {date} in {place}) [is|was] {a_job}[.|, best known for {works}.|, known for {works}.]",
    "{name} (born {date}, {place}) [is|was] {a_job}.",
    "{name} ({date} – {death}) was {a_job} from {place}.",
    "{name} ({date}, {place} – {death}, {death_city}) was {a_job}.",
    "Born in {place} on {date}, {name} was {a_job}. [|Among {his} works [is|are] {works}.|{His} works include {works}.]",
    "Born on {date} in {place}, {name} [became|was|grew up to be] {a_job}.",
    "{A_job} from {place}, {name} was born on {date}.",
    "On {date}, {name} was born in {place}. {He} became {a_job}[.| and wrote {works}.]",
    "The {jobs} {name} was born in {place} on {date}[.| and is remembered for {works}.]",
    "{name} - {jobs}, born {date}, {place}. [Works: {works}.|Notable works: {works}.|]",
    "Name: {name}. Born: {date}, {place}. Occupation: {jobs}. [Works: {works}.|]",
    "{name}, {a_job}, was born in {place} on {date}[.| and wrote {works}.]",
    "It was in {place} that {name} was born on {date}. {He} later became {a_job}.",
    "{name} came into the world in {place} on {date}. {He} [made a living|earned {his} living|worked] as {a_job}.",
    "{name} is {a_job} [|]who was born in {place} on {date}.",
)
HELD_OUT_OPENINGS = (
    "{name}, {a_job} born in {place} on {date}, [wrote|published] {works}.",
    "{name} [was {a_job}|was {a_job}], born {date} in {place}.",
    "{name} was {a_job}. {He} {was} born in {place} on {date}[.| and wrote {works}.]",
    "In {place}, on {date}, {name} was born. {He} {was} {a_job} and wrote {works}.",
    "{name} [first saw the light of day|was born] in {place} on {date}, and [went on to become|became] {a_job}. {He} published {works}.",
)
FURTHER = (
    "{He} [is|was] the [author|creator|writer] of {works}.",
    "{He} later [lived in|moved to|went to] {residence}.",
    "{He} [taught|met|married|worked with] {other}.",
    "{He} died on {death} in {death_city}, [old|rich|poor|famous].",
    "{He} also [made|published|painted] {works}.",
    "{other} [taught|met|admired] {him}.",
    "{He} [wrote|published|painted|composed|designed] {works}.",
    "{He} [is|was] best known for {works}.",
    "{His} [best-known|most famous|major] works [are|include] {works}.",
    "{He} died on {death} in {death_city}.",
    "{He} died in {death_city} on {death}[.|, aged {age}.]",
    "{He} [worked for|was employed by|joined] {employer}.",
    "{He} [moved|went] to {residence} in {moved}.",
    "{He} lived in {residence} [for many years|until {his} death|with {his} family].",
    "{other} was [a friend|a pupil|a relative] of {short}.",
    "{He} studied with {other}.",
)
HELD_OUT_FURTHER = (
    "{He} [also wrote|is the author of] {works}.",
    "{He} died on {death}.",
    "{He} [later moved to|settled in] {residence}.",
    "{He} taught {other}.",
)
PEOPLE = Family("people", "Person", FIELDS, facts, OPENINGS, HELD_OUT_OPENINGS, FURTHER, HELD_OUT_FURTHER)
