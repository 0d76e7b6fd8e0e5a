"""Support tickets: who reports which problem of which product, and how badly."""

from __future__ import annotations

from .records import BOOLEAN, DATE, NULLABLE_STRING, STRING, Facts, Family, Field, array, enum
from .sources import Draw, listed
from .words import PROBLEMS, TAGS

CATEGORY_OF = {problem: category for category, problems in PROBLEMS.items() for problem in problems}
PRIORITIES = ("low", "normal", "high", "urgent")

FIELDS = (
    Field("id", "id", STRING, ("ticket", "ticket_id", "number", "case")),
    Field("opened", "date", DATE, ("date", "created", "reported")),
    Field("customer", "", {"type": "object"}, ("reporter", "user", "client"), (
        Field("name", "name", STRING, ("full_name", "person")),
        Field("email", "email", {"type": ["string", "null"], "format": "email"}, ("mail", "contact")),
    )),
    Field("product", "product", STRING, ("app", "software", "system")),
    Field("category", "category", enum(*PROBLEMS), ("kind", "topic", "type")),
    Field("priority", "priority", enum(*PRIORITIES), ("urgency", "severity")),
    Field("affected_users", "users", {"type": ["integer", "null"], "minimum": 1, "maximum": 100000}, ("users", "users_affected")),
    Field("tags", "tags", array({"type": "string", "enum": list(TAGS)}, 0, 5), ("labels", "keywords")),
    Field("solved", "solved", BOOLEAN, ("closed", "resolved", "done"), canonical=False),
    Field("agent", "agent", NULLABLE_STRING, ("assignee", "assigned_to"), canonical=False),
    Field("problem", "problem", STRING, ("issue", "summary"), canonical=False),
    Field("version", "version", NULLABLE_STRING, ("release",), canonical=False),
    Field("email", "email", {"type": ["string", "null"], "format": "email"}, ("mail",), canonical=False),
    Field("company", "company", NULLABLE_STRING, ("organization", "firm"), canonical=False),
)  # fmt: skip


def facts(draw: Draw) -> Facts:
    f = Facts()
    digits = "".join(draw.pick("123456789") for _ in range(draw.pick((2, 3, 4, 5))))
    f.add("id", draw.pick(("#{}", "T-{}", "{}", "SUP-{}", "TK{}", "HD-{}")).format(digits))
    f.values["id"] = f.texts["id"]
    date = draw.date(2010, 2029)
    f.add("date", draw.date_text(date), date.isoformat())
    name = draw.person()
    f.add("name", name)
    f.add("email", _email(name, draw))
    f.add("product", draw.made_up() + draw.pick(("", "", " App", " Cloud", " Pro", " Mail", " Desk", f" {draw.rng.randint(2, 12)}")))
    problem = draw.pick(tuple(CATEGORY_OF))
    f.values |= {"category": CATEGORY_OF[problem]}
    f.add("problem", problem)
    f.tells["problem"] = ("problem", "category")
    priority = draw.pick(PRIORITIES)
    f.add("priority", priority)
    users = draw.pick((draw.rng.randint(2, 40), draw.rng.randint(2, 900), 100 * draw.rng.randint(1, 50)))
    f.add("users", str(users), users)
    tags = draw.rng.sample(TAGS, draw.pick((1, 2, 2, 3)))
    f.add("tags", draw.pick((listed(tags), ", ".join(tags))), tags)
    _add_rest(f, draw)
    return f


def _email(name: str, draw: Draw) -> str:
    """An address in plain ASCII, made from the name or from nothing."""
    plain = [word.lower() for word in name.replace(".", "").replace("-", " ").split() if word.isascii() and word.isalpha()] or ["info"]
    local = draw.pick((".".join(plain), plain[0], plain[-1], f"{plain[0][0]}.{plain[-1]}", f"{plain[0]}{draw.rng.randint(1, 99)}"))
    host = next(word for word in iter(draw.made_up, "") if word.isascii())
    return f"{local}@{host.lower()}.{draw.pick(('com', 'org', 'net', 'de', 'co.uk', 'fr', 'io'))}"


def _add_rest(f: Facts, draw: Draw) -> None:
    solved = draw.chance(0.5)
    f.values["solved"] = solved
    f.add(
        "state",
        draw.pick(("has been solved", "is solved", "is closed") if solved else ("is not solved yet", "is still open", "is open")),
        tells=("solved",),
    )
    f.add("agent", draw.person())
    f.add("company", draw.company())
    f.add("version", f"{draw.rng.randint(1, 20)}.{draw.rng.randint(0, 30)}" + draw.pick(("", f".{draw.rng.randint(0, 12)}")))


OPENINGS = (
    "{date}: ticket {id} [from|by] {name}[ ({email})|], who {problem} in {product}. [It has|We gave it] {priority} priority.",
    "{name} opened [a ticket|a case|ticket {id}] on {date}[ about {product}|]: the user {problem}. "
    "Number {id}, product {product}, {priority} priority.",
    "Since {date}, {name}, a customer of {company}, {problem} in {product}. [Number|Ticket]: {id}. [Priority|Urgency]: {priority}.",
    "Since [the morning of |]{date} the user {name} {problem} ({product}, ticket {id}, priority {priority}).",
    "{name} {problem} in {product} since {date}. [The number is|It is number|Ticket number] {id}[,| and the] priority {priority}.",
    "[In {product}|With {product}], {name} [({email}) |]{problem}. The ticket got the number {id} on {date} and {priority} priority.",
    "We [got|received|have] ticket {id} for {product} [from|by] {name} on {date}: the customer {problem}. {Priority} priority.",
    "{id}, {product}: {name} {problem}. {date}. {Priority}.",
    "Ticket {id}, opened on {date}: {name} ({email}) {problem} in {product}. Priority: {priority}.",
    "Ticket {id} [of|from] {date}. {name} {problem}. Product: {product}. Priority: {priority}.",
    "On {date}, {name} [wrote|reported|wrote to us] about {product}: the customer {problem}. This is ticket {id}, {priority} priority.",
    "[Support ticket|Case|Ticket] {id} - {product} - {priority} priority. "
    "{name} [<{email}>|] {problem}. [Received|Opened|Reported] {date}.",
    "{name} from {company} {problem} with {product}. Ticket {id}, {date}, priority {priority}.",
    "{name} <{email}> {problem} ({product}). [Opened|Reported|Created] on {date} as ticket {id} with {priority} priority.",
    "{Priority} priority: {name} {problem} in {product}. Ticket {id} was opened on {date}.",
    "[{id}|Ticket {id}] ({date}, {priority}): {name}, a user of {product}, {problem}.",
    "A user of {product}, {name}, {problem}. The ticket {id} of {date} has {priority} priority.",
    "{product} ticket {id}. Date: {date}. Customer: {name}[, {email}|]. Problem: the user {problem}. Priority: {priority}.",
)
HELD_OUT_OPENINGS = (
    "{date}: {name} [({email}) |]{problem} in {product}. We gave it the number {id} and {priority} priority.",
    "{name} opened ticket {id} for {product} on {date} with {priority} priority. The customer {problem}.",
    "Since {date} {name} {problem} in {product} (ticket {id}, priority {priority}).",
)
FURTHER = (
    "[Its|The] [labels|tags] are {tags}.",
    "The number of [users|people] [affected |]is {users}.",
    "[You can write|Please write|Send mail] to {email}.",
    "{agent} [works on it|is on it|cares for it|will help].",
    "[Its address is|The e-mail address is] {email}.",
    "[Tags|Labels|Tagged]: {tags}.",
    "[It is|The ticket is] tagged {tags}.",
    "[It affects|This affects|About] {users} users[.| are affected.]",
    "{users} [users|people|colleagues] [have the same problem|are affected].",
    "[Affected users|Users affected]: {users}.",
    "[Contact|Reply to|Mail|E-mail]: {email}.",
    "[Assigned to|The agent is|It is handled by] {agent}.",
    "The [ticket|case|problem] {state}.",
    "[The version is|Version|They use version] {version}.",
)
HELD_OUT_FURTHER = ("The tags are {tags}.", "The number of affected users is {users}.", "Write to {email}.", "{agent} takes care of it.")
TICKETS = Family("tickets", "Ticket", FIELDS, facts, OPENINGS, HELD_OUT_OPENINGS, FURTHER, HELD_OUT_FURTHER, most_further=3)
