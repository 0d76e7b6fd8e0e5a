r"""The ``format`` names of JSON Schema as languages of characters: all formats of draft 2020-12, section 7.3, and ``uuid``.

Nothing invalid is accepted. What is valid but left out, because no automaton (or none of sensible size) can tell, is listed in
docs/formats.md: ``xn--`` labels, some internationalised names, some regular expressions, and the index manipulation of relative
JSON pointers (``0+1``), which only the newest draft has. Where a specification leaves room the official test suite decides.
Lengths are not unrolled: `format_limits` gives the bounds that belong to the automaton. Automata are built on first use, each in
under 100 ms (internationalised names and addresses: in under a second), and kept.
Sources: RFC 3339, 3986, 3987, 4122, 4291, 5321, 1123, 6531, 6570, 6901, and the draft of relative JSON pointers.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from structgen.automata.chardfa import Alternation, Automaton, CharDfa, Concat, Node, compile_regex, intersect

from . import _formats_idna, _formats_regex, _formats_time
from ._regex_parser import parse_regex
from .regex import match_dfa

__all__ = ["FORMATS", "format_dfa", "format_limits"]


def _regex(pattern: str) -> Callable[[], CharDfa]:
    return lambda: match_dfa(pattern, syntax="ecma")


UCSCHAR = (
    r"\u00A0-\uD7FF\uF900-\uFDCF\uFDF0-\uFFEF" + "".join(rf"\u{{{p:X}0000}}-\u{{{p:X}FFFD}}" for p in range(1, 14)) + r"\u{E1000}-\u{EFFFD}"
)
IPRIVATE = r"\uE000-\uF8FF\u{F0000}-\u{FFFFD}\u{100000}-\u{10FFFD}"
HEX = "[0-9A-Fa-f]"
PCT = f"%{HEX}{{2}}"
SUB_DELIMS = "!$&'()*+,;="
OCTET = "(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
IPV4 = rf"{OCTET}(?:\.{OCTET}){{3}}"
SCHEME = "[A-Za-z][A-Za-z0-9+.-]*"


def _ipv6(h16: str, ipv4: str, most: int) -> str:
    """An address with at most ``most`` groups beside a ``::``, which may stand in their place (RFC 4291, section 2.2)."""
    tail = f"(?:{h16}:{h16}|{ipv4})"
    forms = [f"(?:{h16}:){{6}}{tail}"]
    for after in range(most + 1):  # groups behind the ::, an IPv4 address counting as two
        before = most - after
        head = f"(?:{h16}(?::{h16}){{0,{before - 1}}})?" if before else ""
        rest = "" if after == 0 else h16 if after == 1 else f"(?:{h16}:){{{after - 2}}}{tail}"
        forms.append(f"{head}::{rest}")
    return f"(?:{'|'.join(forms)})"


IPV6 = _ipv6(f"{HEX}{{1,4}}", IPV4, 7)


def _uri(extra: str, private: str) -> tuple[str, str]:
    """The patterns of an absolute reference and of a relative one; ``extra`` characters are unreserved, ``private`` for queries."""
    plain = rf"A-Za-z0-9\-._~{extra}{SUB_DELIMS}"
    pchar = f"(?:[{plain}:@]|{PCT})"
    host = rf"(?:\[(?:{IPV6}|[Vv]{HEX}+\.[A-Za-z0-9\-._~{SUB_DELIMS}:]+)\]|(?:[{plain}]|{PCT})*)"
    authority = f"(?:(?:[{plain}:]|{PCT})*@)?{host}(?::[0-9]*)?"
    segments = f"(?:/{pchar}*)*"
    absolute = f"/(?:{pchar}+{segments})?"
    tail = rf"(?:\?(?:[{plain}:@/?{private}]|{PCT})*)?(?:#(?:[{plain}:@/?]|{PCT})*)?"
    uri = f"{SCHEME}:(?://{authority}{segments}|{absolute}|{pchar}+{segments}|){tail}"
    relative = f"(?://{authority}{segments}|{absolute}|(?:[{plain}@]|{PCT})+{segments}|){tail}"
    return uri, relative


URI, RELATIVE = _uri("", "")
IRI, IRELATIVE = _uri(UCSCHAR, IPRIVATE)

VARCHAR = f"(?:[A-Za-z0-9_]|{PCT})"
VARSPEC = rf"{VARCHAR}+(?:\.{VARCHAR}+)*(?::[1-9][0-9]{{0,3}}|\*)?"
URI_TEMPLATE = (
    rf"(?:[!#$&'()*+,\-./0-9:;=?@A-Z\[\]_a-z~{UCSCHAR}{IPRIVATE}]|{PCT}"
    rf"|\{{[+#./;?&=,!@|]?{VARSPEC}(?:,{VARSPEC})*\}})*"
)  # the apostrophe is an erratum that the test suite follows

POINTER = r"(?:/(?:[^~/]|~[01])*)*"

TIME_DURATION = "T(?:[0-9]+H(?:[0-9]+M(?:[0-9]+S)?)?|[0-9]+M(?:[0-9]+S)?|[0-9]+S)"
DATE_DURATION = "(?:[0-9]+D|[0-9]+M(?:[0-9]+D)?|[0-9]+Y(?:[0-9]+M(?:[0-9]+D)?)?)"
DURATION = f"P(?:{DATE_DURATION}(?:{TIME_DURATION})?|{TIME_DURATION}|[0-9]+W)"

LABEL = "[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
PLAIN_LABEL = f"(?![Xx][Nn]--){LABEL}"
HOSTNAME = rf"{PLAIN_LABEL}(?:\.{PLAIN_LABEL})*"

SNUM = "(?:25[0-5]|2[0-4][0-9]|[01]?[0-9]?[0-9])"
MAIL_IPV4 = rf"{SNUM}(?:\.{SNUM}){{3}}"
MAIL_HOST = rf"(?:{LABEL}(?:\.{LABEL})*|\[(?:{MAIL_IPV4}|[Ii][Pp][Vv]6:{_ipv6(f'{HEX}{{1,4}}', MAIL_IPV4, 6)})\])"


def _mailbox(beyond: str, host: Node) -> CharDfa:
    """RFC 5321 Mailbox with the characters ``beyond`` ASCII; the local part has at most 64 octets (section 4.5.3.1.1)."""
    atom = rf"[A-Za-z0-9!#$%&'*+/=?^_`{{|}}~{beyond}-]+"
    local = match_dfa(rf"{atom}(?:\.{atom})*|\"(?:[ !#-\[\]-~{beyond}]|\\[ -~])*\"", syntax="ecma")
    octets = _formats_idna.weighing(64, {0: 1, 0x80: 2, 0x800: 3, 0xD800: 0, 0xE000: 3, 0x10000: 4})
    return compile_regex(Concat((Automaton(intersect(local, octets)), parse_regex("@"), host)))


def _idn_email() -> CharDfa:
    """RFC 6531, section 3.3: any character beyond ASCII in the local part, and host names beyond ASCII."""
    return _mailbox(r"\u0080-\u{10FFFF}", Alternation((parse_regex(MAIL_HOST), *_formats_idna.names("."))))


BUILDERS: dict[str, Callable[[], CharDfa]] = {
    "date": _formats_time.date,
    "time": _formats_time.time,
    "date-time": _formats_time.date_time,
    "duration": _regex(DURATION),
    "email": lambda: _mailbox("", parse_regex(MAIL_HOST)),
    "idn-email": _idn_email,
    "hostname": _regex(HOSTNAME),
    "idn-hostname": _formats_idna.hostname,
    "ipv4": _regex(IPV4),
    "ipv6": _regex(IPV6),
    "uri": _regex(URI),
    "uri-reference": _regex(f"{URI}|{RELATIVE}"),
    "iri": _regex(IRI),
    "iri-reference": _regex(f"{IRI}|{IRELATIVE}"),
    "uri-template": _regex(URI_TEMPLATE),
    "uuid": _regex(f"{HEX}{{8}}(?:-{HEX}{{4}}){{3}}-{HEX}{{12}}"),
    "json-pointer": _regex(POINTER),
    "relative-json-pointer": _regex(f"(?:0|[1-9][0-9]*)(?:#|{POINTER})"),
    "regex": _formats_regex.regex,
}

FORMATS = frozenset(BUILDERS)
"""The names that `format_dfa` knows."""

LENGTHS = {"hostname": (1, 253), "idn-hostname": (1, 253), "email": (3, 254), "idn-email": (3, 254)}
"""Bounds on the number of characters beyond the automaton: RFC 1035 section 2.3.4 and RFC 5321 section 4.5.3.1.3 (less the <>)."""


@cache
def format_dfa(name: str) -> CharDfa | None:
    """The texts of this format (apart from `format_limits`), None if there is no such format or it is unknown."""
    return BUILDERS[name]() if name in BUILDERS else None


def format_limits(name: str) -> tuple[CharDfa, int, int | None] | None:
    """The texts of this format: an automaton, and the least and greatest number of characters (None: no greatest).

    >>> format_limits("hostname")[1:]
    (1, 253)
    """
    dfa = format_dfa(name)
    return None if dfa is None else (dfa, *LENGTHS.get(name, (0, None)))
