"""XML with given names of elements, against expat."""

from __future__ import annotations

import re
from random import Random
from xml.parsers import expat

import pytest

import structgen as sg
from structgen.automaton import TokenAutomaton
from structgen.enumeration import byte_automaton
from structgen.errors import StructgenError
from structgen.grammars.xml import xml
from tests.grammars.test_library import FOREIGN, damaged

ELEMENTS = {"a": ["href", "id"], "ab": [], "note": ["href"], "x:y": []}
RIGHT = [
    "<a/>",
    "<note href='1 &lt; 2'>text <ab>in</ab> it<!-- - --></note >\n",
    '<?xml version="1.0" encoding=\'UTF-8\' standalone="no"?>\n<?style sheet?><!--c--><ab><a\thref = "x>\'"\nid=""/></ab><!--end-->',
    "<x:y><![CDATA[<a>]] ]]]>&#x1F600;&#38;]]&gt;] ]>></x:y>",
    "<ab>]]<!---->></ab>",
    "<ab><?p ??q? ??><?xmla?></ab>",
]
WRONG = [
    "",
    "text",
    "<a>",
    "<a></ab>",
    "<a/><a/>",
    "<b/>",
    "<a><ab></a></ab>",
    "<a id='' href=''/>",
    "<a href='' href=''/>",
    "<a href=x/>",
    "<a href='<'/>",
    "<ab>]]></ab>",
    "<ab>&</ab>",
    "<ab>&nbsp;</ab>",
    "<ab>&#0;</ab>",
    "<ab>&#xD800;</ab>",
    "<ab>&#xFFFE;</ab>",
    "<ab>\x00</ab>",
    "<ab>\ufffe</ab>",
    "<!-- -- --><a/>",
    "<!---><a/>",
    " <?xml version='1.0'?><a/>",
    "<?xml version='1.1'?><a/>",
    "<?XML x?><a/>",
    "<ab><?xml?></ab>",
    "<!DOCTYPE a><a/>",
    "< a/>",
    "<a / >",
    "<ab></ ab>",
    "<ab><![CDATA[]]</ab>",
    "<a href=''id=''/>",
    "&amp;<a/>",
    "<a/>text",
]


@pytest.fixture(scope="module")
def documents() -> TokenAutomaton:
    return byte_automaton(xml(ELEMENTS))


def is_document(text: str) -> bool:
    """By expat, with these elements, attributes in this order, and within what is said of references and the rest."""
    fits = []

    def start(name: str, attributes: list[str]) -> None:
        order = iter(ELEMENTS.get(name, ()))
        fits.append(name in ELEMENTS and all(attribute in order for attribute in attributes[::2]))

    def declaration(version: str, encoding: str | None, standalone: int) -> None:
        fits.append(version == "1.0" and encoding in (None, "UTF-8", "utf-8"))

    parser = expat.ParserCreate(encoding="UTF-8")
    parser.ordered_attributes = True
    parser.StartElementHandler = start
    parser.XmlDeclHandler = declaration
    parser.StartDoctypeDeclHandler = lambda *_: fits.append(False)
    parser.ProcessingInstructionHandler = lambda target, _: fits.append(target.isascii())
    try:
        parser.Parse(text.encode(), True)
    except expat.ExpatError:
        return False
    outside = re.sub(r"<!--.*?-->|<!\[CDATA\[.*?\]\]>|<\?.*?\?>", "", text, flags=re.S)
    return all(fits) and all(int(number) <= 9999 for number in re.findall("&#([0-9]+);", outside))


@pytest.mark.parametrize("text", RIGHT)
def test_documents(documents: TokenAutomaton, text: str) -> None:
    assert is_document(text) and documents.accepts(text)


@pytest.mark.parametrize("text", WRONG)
def test_no_documents(documents: TokenAutomaton, text: str) -> None:
    assert not is_document(text) and not documents.accepts(text)


def test_random_documents_and_damaged_ones(documents: TokenAutomaton) -> None:
    random = Random(1)
    right = [word.decode() for word in sg.random_words(xml(ELEMENTS), 100, seed=2, typical_length=40)]
    assert all(map(is_document, right))
    right += RIGHT * 5
    letters = FOREIGN + "<>&!?-]=ahrefbnotx:y"
    n_wrong = 0
    for _ in range(8000):
        text = damaged(random.choice(right), random, letters)[:150]
        found = documents.accepts(text)
        assert found == is_document(text), text
        if found:
            right.append(text)
        n_wrong += not found
    assert len(set(right)) >= 500 and n_wrong >= 500


def test_the_outermost_element() -> None:
    notes = byte_automaton(xml(["note", "b"], root="note"))
    assert notes.accepts("<note><b/></note>") and not notes.accepts("<b/>") and not notes.accepts("<note a=''/>")


@pytest.mark.parametrize(
    ("elements", "root", "message"),
    [
        ([], None, "at least one element"),
        (["a"], "b", "no element 'b'"),
        (["a b"], None, "no name of XML"),
        (["1"], None, "no name of XML"),
        ([3], None, "no name of XML"),
        (None, None, "expected a list of names"),
        ({"a": None}, None, "expected a list of names"),
        ({"a": "bc"}, None, "expected a list of names"),
        ("ab", None, "a list of names"),
        ({"a": ["x", "x"]}, None, "named twice"),
        ({"a": ["'"]}, None, "no name of XML"),
    ],
)
def test_mistakes(elements: list[str], root: str | None, message: str) -> None:
    with pytest.raises(StructgenError, match=message):
        xml(elements, root)
