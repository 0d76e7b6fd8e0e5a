"""The word lists from which names, titles and texts are made."""

from __future__ import annotations


def words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


def phrases(text: str) -> tuple[str, ...]:
    """Phrases are separated by commas and may run over a line's end."""
    return tuple(" ".join(phrase.split()) for phrase in text.split(","))


LOCALES = words("""
    en_US en_GB de_DE fr_FR it_IT es_ES nl_NL pl_PL sv_SE pt_PT cs_CZ fi_FI da_DK tr_TR hu_HU en_IN
""")
COUNTRIES = phrases("""
    England, Scotland, Wales, Ireland, France, Germany, Italy, Spain, Portugal, Poland, Austria, Switzerland, Belgium, Denmark,
    Norway, Sweden, Finland, Iceland, Greece, Turkey, Russia, Ukraine, Hungary, Romania, Serbia, Croatia, Slovenia, Bulgaria, Egypt,
    Morocco, Algeria, Tunisia, Nigeria, Ghana, Kenya, Ethiopia, Uganda, Senegal, India, Pakistan, Iran, Iraq, Israel, Lebanon,
    Japan, China, Korea, Vietnam, Thailand, Indonesia, Malaysia, Singapore, Philippines, Australia, Canada, Mexico, Cuba, Jamaica,
    Brazil, Argentina, Chile, Peru, Colombia, Venezuela, Uruguay, Netherlands, Prussia, Bohemia, Persia, the United States, the
    United Kingdom, New Zealand, South Africa, Saudi Arabia, the Netherlands, Sri Lanka, Czech Republic
""")
CITIES = phrases("""
    London, Paris, Berlin, Vienna, Rome, Madrid, Lisbon, Warsaw, Prague, Budapest, Amsterdam, Brussels, Copenhagen, Oslo, Stockholm,
    Helsinki, Dublin, Edinburgh, Glasgow, Cardiff, Manchester, Liverpool, Birmingham, Oxford, Cambridge, Bath, York, Shrewsbury,
    Woolsthorpe, Ulm, Bonn, Hamburg, Munich, Leipzig, Dresden, Frankfurt, Göttingen, Königsberg, Zürich, Geneva, Basel, Bern, Lyon,
    Marseille, Toulouse, Bordeaux, Rouen, Dijon, Florence, Venice, Milan, Naples, Turin, Bologna, Pisa, Seville, Barcelona,
    Valencia, Porto, Athens, Istanbul, Cairo, Alexandria, Tunis, Lagos, Accra, Nairobi, Delhi, Mumbai, Kolkata, Chennai, Lahore,
    Tehran, Baghdad, Tokyo, Kyoto, Osaka, Beijing, Shanghai, Seoul, Hanoi, Bangkok, Jakarta, Sydney, Melbourne, Auckland, Toronto,
    Montreal, Boston, Chicago, Philadelphia, Baltimore, Detroit, Seattle, Denver, Houston, Dallas, Atlanta, Miami, Cleveland,
    Havana, Lima, Bogotá, Santiago, Caracas, Montevideo, Salzburg, Kraków, Gdańsk, Toruń, Moscow, Odessa, Kiev, Riga, Vilnius,
    Smiljan, Zagreb, Belgrade, Sofia, Bucharest, Sarajevo, Weimar, Eisenach, Heidelberg, Eisleben, Vinci, Delft, Leiden, Antwerp,
    Bruges, Ghent, New York, New Orleans, San Francisco, Los Angeles, Buenos Aires, Rio de Janeiro, São Paulo, Mexico City, Cape
    Town, St. Petersburg, The Hague
""")
TITLE_NOUNS = words("""
    Engine Method Nature Species Motion Light Stars Heavens Numbers Logic Machine Garden River Mountain Night Morning Winter Summer
    Sea Island Road House City Kingdom War Peace Love Death Time Memory Dream Shadow Mirror Bird Horse Wolf Lion Rose Tree Forest
    Stone Gold Silver Fire Water Wind Storm Music Song Dance Letters Poems Essays History Geometry Algebra Mechanics Electricity
    Magnetism Chemistry Anatomy Medicine Economy Society Government Liberty Justice Mind Soul Reason Language Grammar Painting
    Theory Principles Elements Notes Studies Travels Voyage Journey Portrait Symphony Sonata Concerto Prelude Suite Waltz Planet
    Moon Sun Earth Ocean Desert Valley Bridge Tower Castle Women Men Children Mother Father Daughter Son Brothers Sister King Queen
    Soldier Sailor Stranger Traveller Computation Intelligence Information Heat Gravity Relativity Cells Plants
""")
TITLE_ADJECTIVES = words("""
    Analytical Great Little Last First Lost Golden Silent Dark Bright Secret Modern Ancient Natural Political Mathematical Celestial
    General Special New Old Red Blue Green White Black Lonely Hidden Broken Endless Northern Southern Eastern Western Common Quiet
    Wild Distant Forgotten Eternal Human Moral Practical Experimental Electric Organic Universal
""")
MONTHS = words("""
    January February March April May June July August September October November December
""")
SYLLABLES = words("""
    ba be bi bo bra cal car che da del den do dor el en fa fer gal gar gri ha hel ho jo ka kel ki kor la len li lo lov lu ma mar mel
    mi mo na nel ni no or pa per po ra rei ro sa sel shi sko so ta tel thor ti to tur u va ver vi vo wa wel wi xa ya za zel zo
""")
ENDINGS = words("""
    n r s l ck ne ni ska ski son sen tt rd lace ton ley ham burg stein mann ova ing wood well ford field a o e
""")
NATIONALITIES = words("""
    English Scottish Irish Welsh British French German Italian Spanish Polish Austrian Swiss Dutch Danish Norwegian Swedish Finnish
    Greek Turkish Russian Hungarian Indian Japanese Chinese Korean American Canadian Mexican Brazilian Argentine Chilean Australian
    Egyptian Nigerian Kenyan Serbian Croatian Czech Portuguese Belgian Romanian Persian Cuban
""")
GOODS = phrases("""
    hours of consulting, office chairs, desks, printer cartridges, laptop stands, boxes of paper, licences, monitors, keyboards, web
    pages, translations, days of training, cables, bags of coffee, cleaning visits, steel pipes, wooden crates, server racks, light
    bulbs, uniforms, hours of legal advice, pallets of bricks, rolls of fabric, books, photographs, flight tickets, hotel nights,
    safety helmets, solar panels, batteries, tyres, tents, pumps
""")
COLORS = words("""
    red blue green black white yellow orange purple pink brown grey silver gold beige navy turquoise
""")
MATERIALS = words("""
    oak steel cotton leather wool bamboo aluminium plastic glass ceramic linen silk pine copper rubber
""")
TAGS = words("""
    mobile desktop android ios windows linux mac browser chrome firefox safari api email payment account update vip beta security
    network
""")
VENUES = words("""
    Hall Arena Museum Theatre Gallery Library Centre Park Stadium Auditorium Institute Club College Hotel
""")
OCCUPATIONS = {
    "science": phrases("""
        mathematician, physicist, chemist, astronomer, biologist, botanist, geologist, engineer, inventor, computer scientist,
        physician, surgeon, naturalist, statistician, logician, astrophysicist, geneticist, programmer, psychologist, zoologist,
        economist, nurse, anatomist, crystallographer, electrical engineer, meteorologist, neurologist, scientist, polymath,
        philosopher, historian, linguist, anthropologist
    """),
    "arts": phrases("""
        writer, poet, novelist, painter, composer, sculptor, architect, playwright, singer, actor, dancer, photographer, film
        director, illustrator, pianist, violinist, translator, essayist, musician, artist, designer, screenwriter, conductor,
        author, short story writer
    """),
    "politics": phrases("""
        politician, diplomat, lawyer, judge, senator, activist, revolutionary, statesman, mayor, suffragist, civil rights leader,
        emperor, general
    """),
    "business": phrases("""
        entrepreneur, banker, merchant, industrialist, publisher, investor, businessman, accountant, manufacturer
    """),
    "sports": phrases("""
        footballer, tennis player, swimmer, cyclist, boxer, sprinter, chess player, gymnast, racing driver, fencer, skier,
        mountaineer
    """),
    "other": phrases("""
        teacher, explorer, journalist, priest, monk, aviator, farmer, chef, librarian, carpenter, gardener, sailor, theologian,
        missionary, pilot
    """),
}
PROBLEMS = {
    "login": phrases("""
        cannot log in, forgot the password, is locked out of the account, cannot reset the password, gets no login code, cannot sign
        in
    """),
    "billing": phrases("""
        was charged twice, got a wrong invoice, wants a refund, was billed for a cancelled plan, cannot change the credit card, sees
        a wrong price on the bill
    """),
    "shipping": phrases("""
        has not received the parcel, got a damaged package, received the wrong item, wants to change the delivery address, is
        waiting for a late delivery
    """),
    "crash": phrases("""
        sees the app crash on start, gets a blank screen, has an app that freezes, sees an error message when saving, loses data
        after a crash
    """),
    "performance": phrases("""
        finds the app very slow, waits minutes for every page, sees long loading times, has slow uploads, gets timeouts all day
    """),
    "feature": phrases("""
        asks for a dark mode, would like an export to PDF, wishes for more languages, asks for a calendar view, suggests a search
        field
    """),
}
THINGS = {
    "electronics": phrases("""
        headphones, laptop, keyboard, monitor, smartphone, camera, speaker, tablet, mouse, router, printer, charger
    """),
    "furniture": phrases("""
        chair, desk, sofa, bookshelf, lamp, table, bed, wardrobe, stool, cabinet
    """),
    "clothing": phrases("""
        jacket, shirt, scarf, coat, sweater, dress, boots, hat, gloves, socks, trousers
    """),
    "kitchen": phrases("""
        kettle, knife, frying pan, toaster, blender, mug, teapot, coffee grinder, cutting board, bowl
    """),
    "toys": phrases("""
        puzzle, doll, board game, kite, train set, teddy bear, building blocks, robot
    """),
    "sports": phrases("""
        bicycle, tennis racket, football, yoga mat, tent, skateboard, backpack, helmet, kayak
    """),
}
