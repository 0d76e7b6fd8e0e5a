"""Invoices: number, dates, parties, amounts, and sometimes their lines."""

from __future__ import annotations

import datetime
from decimal import Decimal

from .records import BOOLEAN, DATE, STRING, Facts, Family, Field, array, enum, integer, number
from .sources import Draw, listed
from .words import GOODS

SIGNS = {
    "USD": ("$", "USD ", "US$"),
    "EUR": ("€", "EUR ", "€"),
    "GBP": ("£", "GBP ", "£"),
    "CHF": ("CHF ", "CHF ", "Fr. "),
    "JPY": ("¥", "JPY ", "¥"),
}

LINE = (
    Field("description", "description", STRING, ("what", "product")),
    Field("quantity", "quantity", integer(1, 1000), ("count", "qty")),
    Field("unit_price", "unit_price", number(0, 100000), ("price",)),
)
FIELDS = (
    Field("number", "number", STRING, ("invoice_number", "invoice", "id", "reference")),
    Field("date", "date", DATE, ("issued", "invoice_date")),
    Field("seller", "seller", STRING, ("from", "supplier", "vendor", "issuer")),
    Field("customer", "customer", STRING, ("to", "buyer", "client", "billed_to")),
    Field("items", "items", array({"type": "object"}, 0, 4), ("lines", "positions"), LINE),
    Field("currency", "currency", enum(*SIGNS)),
    Field("total", "total", number(0, 10000000), ("amount", "sum", "amount_due")),
    Field("status", "status", enum("paid", "open", "overdue", "unknown"), ("state", "payment_status")),
    Field("due", "due", DATE, ("due_date", "pay_by"), canonical=False),
    Field("paid", "is_paid", BOOLEAN, ("settled",), canonical=False),
    Field("contact", "contact", STRING, ("person", "signed_by"), canonical=False),
)


def facts(draw: Draw) -> Facts:
    f = Facts()
    _add_header(f, draw)
    _add_money(f, draw)
    status = draw.pick(("paid", "open", "overdue"))
    f.values |= {"status": status, "is_paid": status == "paid"}
    for slot, text in _status_texts(draw)[status].items():
        f.add(slot, text, tells=("status", "is_paid"))
    return f


def _status_texts(draw: Draw) -> dict[str, dict[str, str]]:
    held_out = draw.held_out
    paid = (
        ("has been settled", "was settled in full")
        if held_out
        else (
            "has been paid",
            "is paid",
            "was paid",
            "is settled",
            "has now been settled",
            "was settled last week",
            "has already been paid",
            "was paid in full",
        )
    )
    unpaid = (
        ("has not been paid so far", "is not settled yet")
        if held_out
        else (
            "is still open",
            "is not settled",
            "has not been settled so far",
            "has still not been paid",
            "is open",
            "is unpaid",
            "has not been paid yet",
            "is not paid yet",
        )
    )
    late = (
        ("has been overdue for a week",)
        if held_out
        else ("is overdue", "has been overdue since last month", "is a week overdue", "is now overdue", "is past due", "is long overdue")
    )
    return {"paid": {"state": draw.pick(paid)}, "open": {"state": draw.pick(unpaid)}, "overdue": {"state": draw.pick(late)}}


def _add_header(f: Facts, draw: Draw) -> None:
    digits = "".join(draw.pick("0123456789") for _ in range(draw.pick((2, 3, 4, 5, 6))))
    date = draw.date(2005, 2029)
    due = date + datetime.timedelta(days=draw.pick((7, 10, 14, 30, 45, 60)))
    pattern = draw.pick(
        (
            "INV-{}",
            "{}",
            "R{}",
            "INV{}",
            f"{date.year}-{{}}",
            f"{date.year}/{{}}",
            "A-{}",
            "{}-B",
            "RE-{}",
            f"{draw.made_up()[:2].upper()}-{{}}",
        )
    )
    f.add("number", pattern.format(digits))
    f.add("date", draw.date_text(date), date.isoformat())
    f.add("due", draw.date_text(due), due.isoformat())
    f.add("seller", draw.company())
    f.add("customer", draw.person() if draw.chance(0.3) else draw.company())
    f.add("contact", draw.person())


def _add_money(f: Facts, draw: Draw) -> None:
    currency = draw.pick(tuple(SIGNS))
    sign = draw.pick(SIGNS[currency])
    after = draw.chance(0.25)

    def money(amount: str) -> str:
        whole, _, cents = amount.partition(".")
        whole = f"{int(whole):,}" if draw.chance(0.5) else whole
        shown = whole + ("." + cents if cents else "")
        return f"{shown} {currency}" if after else f"{sign}{shown}"

    items = []
    for goods in draw.rng.sample(GOODS, draw.pick((1, 1, 2, 2, 3))):
        items.append(
            {
                "description": goods,
                "quantity": draw.pick((draw.rng.randint(1, 12), draw.rng.randint(1, 200))),
                "unit_price": Decimal(draw.cents(2, 400)),
            }
        )
    style = draw.pick(("{q} {d} at {p}", "{q} {d} at {p} each", "{q} x {d} ({p})", "{q} {d} ({p} each)", "{q} {d} for {p} each"))
    lines = [style.format(q=item["quantity"], d=item["description"], p=money(str(item["unit_price"]))) for item in items]
    f.add("items", listed(lines) if draw.chance(0.6) else "; ".join(lines), items)
    total = sum((item["quantity"] * item["unit_price"] for item in items), Decimal(0))
    f.values |= {"currency": currency, "total": total}
    f.add("total", money(str(total)), total)
    f.tells["total"] = ("total", "currency")
    f.tells["items"] = ("items", "currency")


OPENINGS = (
    "{seller} wrote [to {customer} on {date}|on {date} to {customer}], invoice {number}: {items}. Total: {total}.",
    "{seller} [made out|wrote|prepared] invoice {number} for {customer} on {date}. [The sum is|Sum:|Amount:] {total}. [{items}.|]",
    "On {date}, invoice {number} was [sent|written|issued] by {seller} for {customer}: {items}, [sum|total] {total}.",
    "For {items}, {customer} [pays|owes|has to pay] {total} to {seller}. [The number of the invoice is {number}|Invoice {number}], {date}.",
    "From {seller} to {customer}, {date}, invoice {number}: {items}. [Total|Sum|Altogether] {total}.",
    "Invoice number {number} [of|from] {seller} [for|to] {customer}, "
    "[written|made out] on {date}, [asks for|is over|comes to] {total}. [{items}.|]",
    "{customer} [has to pay|must pay|paid] {total} to {seller} for {items}. The invoice has the number {number} and the date {date}.",
    "[Dated {date}, the|The] invoice {number} [from|by] {seller} to {customer}[|, dated {date}] "
    "is dated {date} and [charges|asks] {total}.",
    "Invoice {number} [dated|of|from] {date}: {seller} bills {customer} for {items}. [The total is|Total:|Total due:] {total}.",
    "Invoice [no. |number |]{number}, {date}. From: {seller}. To: {customer}. {items}. Total: {total}.",
    "{seller} [sent|issued] invoice {number} to {customer} on {date} for {items}, [in total|a total of|altogether] {total}.",
    "On {date}, {seller} [invoiced|billed|charged] {customer} {total} for {items} (invoice {number}).",
    "[On {date}, |]{customer} [received|got] invoice {number} from {seller}, dated {date}, [over|for] {total}.",
    "Invoice {number}, [issued|dated] {date}. {seller} to {customer}. Amount due: {total}.",
    "Dear {customer}, [please find|here is] our invoice {number} of {date} for {items}. "
    "The total [comes to|is|amounts to] {total}. Regards, {seller}",
    "{customer} owes {seller} {total} for {items}; see invoice {number} of {date}.",
    "[Bill|Invoice] {number}. Date: {date}. Seller: {seller}. Customer: {customer}. Items: {items}. Total {total}.",
    "{customer} bought {items} from {seller} on {date}. Invoice {number}, total {total}.",
)
HELD_OUT_OPENINGS = (
    "{seller} wrote invoice {number} on {date} for {customer}: {items}. [Sum|Total amount]: {total}.",
    "Dated {date}, invoice {number} from {seller} [asks|charges] {customer} for {total}.",
    "For {items}, {seller} billed {customer} {total} on {date}. The invoice number is {number}.",
    "Invoice {number} ({date}) from {seller} to {customer}, total {total}: {items}.",
)
FURTHER = (
    "The [sum|amount|bill|total] {state}.",
    "[It is|The bill is|It was] [signed|checked|written] by {contact}.",
    "It [falls due|has to be paid|is due] [on|by] {due}.",
    "[It|The invoice|This invoice] {state}.",
    "[It|The invoice] {state}.",
    "[Payment is due|Please pay|It is payable|Due] by {due}.",
    "[Contact|Questions to|Your contact is] {contact}.",
    "Thank you for your business.",
)
HELD_OUT_FURTHER = ("[The amount|The bill] {state}.", "It is due on {due}.", "It was signed by {contact}.")
INVOICES = Family("invoices", "Invoice", FIELDS, facts, OPENINGS, HELD_OUT_OPENINGS, FURTHER, HELD_OUT_FURTHER)
