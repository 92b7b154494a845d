"""Formats that are regular languages, as regular expressions: masks enforce them, and the judge reads the same ones.

They are put together as the grammars of the specifications are: RFC 3986 and RFC 3987 (appendix A and section 2.2),
RFC 6570 (section 2, with erratum 6937), RFC 5321 (section 4.1.2) and RFC 6531 (section 3.3), RFC 6901 (section 3), and draft-bhutton-relative-json-pointer-00 (section 3).
"""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["FORMAT_PATTERNS"]

_UCS = (
    "\u00a0-\ud7ff\uf900-\ufdcf\ufdf0-\uffef"
    + "".join(f"{chr(plane << 16)}-{chr((plane << 16) + 0xFFFD)}" for plane in range(1, 14))
    + "\U000e1000-\U000efffd"
)
_PRIVATE = "\ue000-\uf8ff\U000f0000-\U000ffffd\U00100000-\U0010fffd"
_PERCENT = "%[0-9A-Fa-f]{2}"
_UNRESERVED = "A-Za-z0-9._~"
_SUB_DELIMITERS = "!$&'()*+,;="
_OCTET = "(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_IPV4 = rf"{_OCTET}(?:\.{_OCTET}){{3}}"


def _any_of(characters: str) -> str:
    """One of these characters, or one that is written as its code."""
    return f"(?:[{characters}-]|{_PERCENT})"


def _ipv6() -> str:
    """RFC 3986, appendix A: ``IPv6address``."""
    group = "[0-9A-Fa-f]{1,4}"
    last = f"(?:{group}:{group}|{_IPV4})"
    forms = [f"(?:{group}:){{6}}{last}", f"::(?:{group}:){{5}}{last}"]
    for before, after in enumerate(range(4, -1, -1)):
        groups = f"(?:(?:{group}:){{0,{before}}}{group})?" if before else f"(?:{group})?"
        forms.append(f"{groups}::(?:{group}:){{{after}}}{last}")
    forms += [f"(?:(?:{group}:){{0,5}}{group})?::{group}", f"(?:(?:{group}:){{0,6}}{group})?::"]
    return f"(?:{'|'.join(forms)})"


def _references(beyond: str, private: str) -> tuple[str, str]:
    """An absolute URI or IRI, and a reference to one. :param beyond: Characters beyond ASCII. :param private: In queries."""
    segment = f"{_any_of(_UNRESERVED + beyond + _SUB_DELIMITERS + ':@')}*"
    first = f"{_any_of(_UNRESERVED + beyond + _SUB_DELIMITERS + ':@')}+"
    first_without_colon = f"{_any_of(_UNRESERVED + beyond + _SUB_DELIMITERS + '@')}+"
    literal = rf"\[(?:{_ipv6()}|[vV][0-9A-Fa-f]+\.[{_UNRESERVED}{_SUB_DELIMITERS}:-]+)\]"
    host = f"(?:{literal}|{_any_of(_UNRESERVED + beyond + _SUB_DELIMITERS)}*)"
    authority = f"(?:{_any_of(_UNRESERVED + beyond + _SUB_DELIMITERS + ':')}*@)?{host}(?::[0-9]*)?"
    rooted = f"//{authority}(?:/{segment})*|/(?:{first}(?:/{segment})*)?"
    query = rf"(?:\?{_any_of(_UNRESERVED + beyond + private + _SUB_DELIMITERS + ':@/?')}*)?"
    fragment = f"(?:#{_any_of(_UNRESERVED + beyond + _SUB_DELIMITERS + ':@/?')}*)?"
    whole = rf"[A-Za-z][A-Za-z0-9+.-]*:(?:{rooted}|{first}(?:/{segment})*)?{query}{fragment}"
    relative = f"(?:{rooted}|{first_without_colon}(?:/{segment})*)?{query}{fragment}"
    return whole, f"(?:{whole}|{relative})"


def _template() -> str:
    literal = rf"(?:[!#$&-;=?-\[\]_a-z~{_UCS}{_PRIVATE}]|{_PERCENT})"
    letter = f"(?:[A-Za-z0-9_]|{_PERCENT})"
    variable = rf"{letter}(?:\.?{letter})*(?:\*|:[1-9][0-9]{{0,3}})?"
    expression = rf"\{{[+#./;?&=,!@|]?{variable}(?:,{variable})*\}}"
    return f"(?:{literal}|{expression})*"


def _mailbox(beyond: str) -> str:
    """RFC 5321, section 4.1.2: ``Mailbox``. :param beyond: Characters beyond ASCII: those of RFC 6531, section 3.3."""
    atom = f"[A-Za-z0-9!#$%&'*+/=?^_`{{|}}~{beyond}-]+"
    quoted = rf"\"(?:[ !#-\[\]-~{beyond}]|\\[ -~])*\""
    label = f"[A-Za-z0-9{beyond}](?:[A-Za-z0-9{beyond}-]*[A-Za-z0-9{beyond}])?"
    literal = rf"\[(?:{_IPV4}|IPv6:{_ipv6()})\]"
    return rf"(?:{atom}(?:\.{atom})*|{quoted})@(?:{label}(?:\.{label})*|{literal})"


_POINTER = "(?:/(?:[^~/]|~[01])*)*"
_, _URI_REFERENCE = _references("", "")
_IRI, _IRI_REFERENCE = _references(_UCS, _PRIVATE)

FORMAT_PATTERNS: Mapping[str, str] = {
    "email": _mailbox(""),
    "idn-email": _mailbox("\u0080-\ud7ff\ue000-\U0010ffff"),
    "ipv6": _ipv6(),
    "iri": _IRI,
    "iri-reference": _IRI_REFERENCE,
    "json-pointer": _POINTER,
    "relative-json-pointer": f"(?:0|[1-9][0-9]*)(?:[+-][1-9][0-9]*)?(?:#|{_POINTER})",
    "uri-reference": _URI_REFERENCE,
    "uri-template": _template(),
}
"""By name, expressions that match whole strings; in the syntax that Python and the mask engine have in common."""
