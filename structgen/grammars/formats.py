r"""The ``format`` names of JSON Schema as languages of characters, each exactly what its specification's grammar says.

Formats without a regular language are left out (`format_dfa` gives None): ``regex``, and ``idn-email`` and ``idn-hostname``,
which need IDNA tables. Where a specification leaves room the official JSON Schema test suite decides. Deliberately narrower
than their specification: ``hostname`` has no ``xn--`` labels (whether such a label decodes is not regular) and
``relative-json-pointer`` no index manipulation (``0+1``), which only the newest draft has.
Lengths are not unrolled: `format_limits` gives the bounds that belong to the automaton. Automata are built on first use, each in
under 50 ms, and kept.
Sources: RFC 3339, 3986, 3987, 4122, 4291, 5321, 1123, 6570, 6901, and the draft of relative JSON pointers.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from structgen.automata.chardfa import Automaton, CharDfa, Concat, any_char, compile_regex, intersect, repeat

from . import _formats_time
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

ATEXT = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]"
LOCAL_PART = rf"(?:{ATEXT}+(?:\.{ATEXT}+)*|\"(?:[ !#-\[\]-~]|\\[ -~])*\")"
SNUM = "(?:25[0-5]|2[0-4][0-9]|[01]?[0-9]?[0-9])"
MAIL_IPV4 = rf"{SNUM}(?:\.{SNUM}){{3}}"
MAIL_HOST = rf"(?:{LABEL}(?:\.{LABEL})*|\[(?:{MAIL_IPV4}|[Ii][Pp][Vv]6:{_ipv6(f'{HEX}{{1,4}}', MAIL_IPV4, 6)})\])"


def _email() -> CharDfa:
    """RFC 5321 Mailbox; the local part has at most 64 characters (section 4.5.3.1.1)."""
    local = intersect(match_dfa(LOCAL_PART, syntax="ecma"), repeat(any_char(), 1, 64))
    return compile_regex(Concat((Automaton(local), parse_regex(f"@{MAIL_HOST}"))))


BUILDERS: dict[str, Callable[[], CharDfa]] = {
    "date": _formats_time.date,
    "time": _formats_time.time,
    "date-time": _formats_time.date_time,
    "duration": _regex(DURATION),
    "email": _email,
    "hostname": _regex(HOSTNAME),
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
}

FORMATS = frozenset(BUILDERS)
"""The names that `format_dfa` knows."""

LENGTHS = {"hostname": (1, 253), "email": (3, 254)}
"""Bounds on the number of characters beyond the automaton: RFC 1035 section 2.3.4 and RFC 5321 section 4.5.3.1.3 (less the <>)."""


@cache
def format_dfa(name: str) -> CharDfa | None:
    """The texts of this format (apart from `format_limits`), None if there is no such format or it is not regular."""
    return BUILDERS[name]() if name in BUILDERS else None


def format_limits(name: str) -> tuple[CharDfa, int, int | None] | None:
    """The texts of this format: an automaton, and the least and greatest number of characters (None: no greatest).

    >>> format_limits("hostname")[1:]
    (1, 253)
    """
    dfa = format_dfa(name)
    return None if dfa is None else (dfa, *LENGTHS.get(name, (0, None)))
