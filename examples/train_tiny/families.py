"""All kinds of records, and the schema files of examples/ that are written from them (`python -m examples.train_tiny.families`)."""

from __future__ import annotations

import json
from pathlib import Path

from .addresses import ADDRESSES
from .events import EVENTS
from .invoices import INVOICES
from .people import PEOPLE
from .products import PRODUCTS
from .records import Family, canonical_schema
from .tickets import TICKETS

FAMILIES: tuple[Family, ...] = (PEOPLE, INVOICES, EVENTS, PRODUCTS, ADDRESSES, TICKETS)


def schema_path(family: Family) -> Path:
    return Path(__file__).parents[1] / f"{family.title.lower()}.schema.json"


def schema_text(family: Family) -> str:
    return json.dumps(canonical_schema(family), indent=2) + "\n"


def main() -> None:
    for family in FAMILIES:
        schema_path(family).write_text(schema_text(family), encoding="utf-8")


if __name__ == "__main__":
    main()
