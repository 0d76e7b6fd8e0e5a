"""Products: what a shop's page or a catalogue says about a thing."""

from __future__ import annotations

from decimal import Decimal

from .records import BOOLEAN, STRING, Facts, Family, Field, array, enum, integer, number
from .sources import Draw, listed
from .words import COLORS, MATERIALS, THINGS, phrases

CATEGORY_OF = {thing: category for category, things in THINGS.items() for thing in things}
SIGNS = {
    "USD": ("${}", "{} USD", "USD {}", "{} dollars"),
    "EUR": ("€{}", "{} EUR", "EUR {}", "{} euros", "{} €"),
    "GBP": ("£{}", "{} GBP", "GBP {}", "{} pounds"),
}

FIELDS = (
    Field("name", "name", STRING, ("product", "product_name", "title", "model")),
    Field("brand", "brand", STRING, ("maker", "manufacturer", "by", "company")),
    Field("category", "category", enum(*THINGS), ("kind", "type", "department")),
    Field("price", "", {"type": "object"}, ("cost",), (
        Field("amount", "amount", number(0, 100000), ("value", "price")),
        Field("currency", "currency", enum(*SIGNS)),
    )),
    Field("colors", "colors", array({"type": "string", "enum": list(COLORS)}, 0, 5), ("available_colors", "colours")),
    Field("rating", "rating", {"type": ["number", "null"], "minimum": 0, "maximum": 5}, ("stars", "score")),
    Field("in_stock", "in_stock", BOOLEAN, ("available", "stock")),
    Field("amount", "amount", number(0, 100000), ("price_value",), canonical=False),
    Field("weight_grams", "grams", integer(1, 100000), ("weight", "grams"), canonical=False),
    Field("material", "material", {"type": ["string", "null"]}, ("made_of",), canonical=False),
    Field("warranty_years", "years", integer(1, 10), ("warranty", "guarantee"), canonical=False),
    Field("thing", "thing", STRING, ("item",), canonical=False),
    Field("made_in", "country", {"type": ["string", "null"]}, ("origin", "country"), canonical=False),
)  # fmt: skip


def facts(draw: Draw) -> Facts:
    f = Facts()
    thing = draw.pick(tuple(CATEGORY_OF))
    name = draw.pick(
        (draw.made_up(), draw.pick(draw.pools.adjectives), draw.pick(draw.pools.nouns), f"{draw.made_up()} {draw.pick(draw.pools.nouns)}")
    )
    name += draw.pick(
        ("", "", f" {draw.rng.randint(1, 99)}", f" {draw.pick('XZSTRE')}{draw.rng.randint(1, 900)}", " Pro", " Mini", " Plus")
    )
    f.add("name", name)
    f.values |= {"category": CATEGORY_OF[thing], "thing": thing}
    f.add("thing", thing, tells=("thing", "category"))
    f.add("brand", draw.last_name() if draw.chance(0.7) else draw.company())
    currency, amount = draw.pick(tuple(SIGNS)), draw.cents(3, draw.pick((60, 900, 4000)))
    f.values |= {"amount": Decimal(amount), "currency": currency}
    f.add("price", draw.pick(SIGNS[currency]).format(amount), tells=("amount", "currency"))
    colors = draw.rng.sample(COLORS, draw.pick((1, 2, 2, 3)))
    f.add("colors", listed(colors), colors)
    rating = f"{draw.rng.randint(1, 4)}.{draw.rng.randint(1, 9)}" if draw.chance(0.8) else str(draw.rng.randint(1, 5))
    f.add("rating", rating, Decimal(rating))
    _add_stock(f, draw)
    grams = draw.rng.randint(30, 4000)
    f.add("grams", str(grams), grams)
    years = draw.rng.randint(2, 10)
    f.add("years", str(years), years)
    f.add("material", draw.pick(MATERIALS))
    f.add("country", draw.country())
    return f


def _add_stock(f: Facts, draw: Draw) -> None:
    if draw.held_out:
        texts = {True: ("It is on stock", "We can deliver it now"), False: ("There are none left", "It cannot be delivered now")}
    else:
        texts = {
            True: phrases("""
                In stock, It is in stock, Currently in stock, It is available now, Available immediately, Ready to ship,
                It can be delivered at once,
                We have it on stock, We can ship it now, We deliver it today, On stock now, You can have it now, There are many left
            """),
            False: phrases("""
                Out of stock, It is out of stock, Currently out of stock, It is sold out, Sold out, Not available at the moment,
                It is not available now,
                There is nothing left, None left, We have none left in the shop, It cannot be ordered now,
                We cannot deliver it, Cannot be shipped now
            """),
        }
    in_stock = draw.chance(0.5)
    f.add("stock", draw.pick(texts[in_stock]), tells=("in_stock",))
    f.values["in_stock"] = in_stock


OPENINGS = (
    "With the {name}, a {thing} for {price}, {brand} [has something new|starts the season]. {stock}.",
    "{brand} [brings|brings out|shows] the {name}, a [new|small|great|fine] {thing} for {price}. {stock}.",
    "You [get|can buy|can have] the {name} {thing} by {brand} for {price}. {stock}.",
    "You pay [only|just] {price} for the {brand} {name}, a {thing}. {stock}.",
    "A {thing} for {price}: {name} [by|from] {brand}. {stock}.",
    "The {thing} by {brand} is called {name} and [costs|is sold for|can be had for] {price}. {stock}.",
    "{brand} [makes|builds|is proud of] the {thing} {name}. {stock}. It [costs|is] {price}.",
    "{price} [is the price of|is what you pay for] the {name}, a {thing} from {brand}. {stock}.",
    "The {name}, {brand}'s [new|latest] {thing}, is [sold|offered] at {price}. {stock}.",
    "The {name} is a {thing} by {brand} for {price}. {stock}.",
    "{brand} {name}: a {thing} in {colors} for {price}. {stock}.",
    "The {thing} {name} [by|from|made by] {brand} costs {price}[.| and comes in {colors}.] {stock}.",
    "{brand} [sells|offers] the {name}, a {thing}, for {price}. {stock}.",
    "New: the {name} {thing} [from|by] {brand}, [now|only] {price}. {stock}.",
    "{name} {thing}. Brand: {brand}. Price: {price}. [Colours: {colors}.|Available in {colors}.|] {stock}.",
    "For {price}, the {name} {thing} by {brand} [comes in|is available in] {colors}. {stock}.",
    "{name} by {brand}, {thing}, {price}. [Rated {rating} out of 5.|Rating: {rating}.|] {stock}.",
    "{brand} has launched the {name}. The {thing} [costs|is priced at|sells for] {price}. {stock}.",
    "Buy the {name} ({thing}, {brand}) for {price}. {stock}.",
    "{stock}: the {brand} {name} {thing}. Price {price}.",
)
HELD_OUT_OPENINGS = (
    "With the {name}, {brand} brings a {thing} to the shops for {price}. {stock}.",
    "The {name}, a {thing} from {brand}, [can be bought|is sold] for {price}. {stock}.",
    "You pay {price} for the {thing} {name} by {brand}. {stock}.",
)
FURTHER = (
    "There are [models|kinds|ones] in {colors}.",
    "[You can choose between|Versions:|Choose from] {colors}.",
    "[Users|Reviewers|Our customers] [gave|give] it {rating} [stars|of 5|points].",
    "The [weight|whole weight] is {grams} [g|grams].",
    "The material [used is|is called] {material}.",
    "[It comes in|Available in|You can have it in|Colours:|We have it in] {colors}.",
    "[Customers rate it|It is rated|Rated|Buyers give it] {rating} [out of 5|stars|of 5 stars].",
    "[Rating|Average rating]: {rating}.",
    "[It weighs|Weight:|It has a weight of] {grams} [g|grams].",
    "[It is made of|Made of|Material:] {material}.",
    "[It has a|It comes with a|There is a] {years} year warranty.",
    "It is made in {country}.",
)
HELD_OUT_FURTHER = (
    "There are versions in {colors}.",
    "Reviewers gave it {rating} stars.",
    "The weight is {grams} grams.",
    "The material is {material}.",
)
PRODUCTS = Family("products", "Product", FIELDS, facts, OPENINGS, HELD_OUT_OPENINGS, FURTHER, HELD_OUT_FURTHER, most_further=3)
