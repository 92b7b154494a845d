"""Formats to the letter, where jsonschema's checks are less or more than the letter."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from datetime import date
from typing import Any

import idna
import regress
from jsonschema import FormatChecker
from jsonschema.protocols import Validator

from decodeplug.constraints.format_patterns import FORMAT_PATTERNS

__all__ = ["JUDGED_FORMATS", "WIDE_FORMATS", "asserted", "format_checker"]

WIDE_FORMATS = frozenset({"date", "date-time", "hostname", "time"})
"""Formats of which the mask engine knows the form, but no calendar, no leap seconds, and no rules of international names."""
JUDGED_FORMATS = frozenset({"idn-hostname", "regex"})
"""Formats that no mask knows."""
_MASKED_FORMATS = WIDE_FORMATS | {"duration", "ipv4", "uri", "uuid"} | FORMAT_PATTERNS.keys()

_TIME = re.compile(r"(\d\d):(\d\d):(\d\d)(?:\.\d+)?(?:[Zz]|([+-])(\d\d):(\d\d))", re.ASCII)
_LABEL = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?", re.ASCII)
_DOTS = re.compile("[.\u3002\uff0e\uff61]")  # what separates labels: RFC 3490, section 3.1
_LONGEST_HOST = 253  # characters; RFC 1123, section 2.1, and RFC 1035, section 2.3.4


def asserted(validator: type[Validator]) -> frozenset[str]:
    """The formats that are enforced for a draft: those that a mask knows, and of the others those that the draft names."""
    return _MASKED_FORMATS | (JUDGED_FORMATS & validator.FORMAT_CHECKER.checkers.keys())


def format_checker(validator: type[Validator]) -> FormatChecker:
    """The format checks of a draft, with our own where they are to the letter."""
    known = validator.FORMAT_CHECKER.checkers
    checker = FormatChecker(())
    checker.checkers = {**known}
    for name, check in _OWN.items():
        if name in known or name in FORMAT_PATTERNS:
            checker.checkers[name] = (check, ())
    return checker


def _is_time(value: object) -> bool:
    """RFC 3339, ``full-time``: a leap second is one only in the last minute of a day in UTC."""
    found = _TIME.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        return not isinstance(value, str)
    hour, minute, second = (int(part) for part in found.groups()[:3])
    sign, off_hours, off_minutes = found[4], int(found[5] or 0), int(found[6] or 0)
    if hour > 23 or minute > 59 or second > 60 or off_hours > 23 or off_minutes > 59:
        return False
    shift = (off_hours * 60 + off_minutes) * (-1 if sign == "+" else 1)
    return second < 60 or (hour * 60 + minute + shift) % (24 * 60) == 24 * 60 - 1


def _is_date_time(value: object) -> bool:
    """RFC 3339, ``date-time``."""
    if not isinstance(value, str):
        return True
    return value[10:11] in ("T", "t") and _is_date(value[:10]) and _is_time(value[11:])


def _is_date(value: str) -> bool:
    if not re.fullmatch(r"\d{4}-\d\d-\d\d", value, re.ASCII):
        return False
    try:
        date.fromisoformat(value if value[:4] != "0000" else f"2000{value[4:]}")  # year 0 leaps like 2000
    except ValueError:
        return False
    return True


def _is_host_name(value: object) -> bool:
    """RFC 1123, section 2.1; labels that begin with ``xn--`` are those of RFC 5890."""
    if not isinstance(value, str):
        return True
    return len(value) <= _LONGEST_HOST and all(map(_is_label, value.split(".")))


def _is_label(label: str) -> bool:
    if not _LABEL.fullmatch(label):
        return False
    if label[2:4] != "--":
        return True
    try:
        return label[:4].lower() == "xn--" and bool(idna.decode(label, strict=True))
    except (idna.IDNAError, UnicodeError):
        return False


def _is_international_host_name(value: object) -> bool:
    """RFC 5890, section 2.3.2.3; where a label is written from right to left, RFC 5893, section 2, is for all of them."""
    if not isinstance(value, str):
        return True
    labels = _DOTS.split(value)
    try:
        encoded = [idna.encode(label) for label in labels]
        if any(unicodedata.bidirectional(char) in ("R", "AL", "AN") for char in value):
            is_right = all(idna.check_bidi(label, check_ltr=True) for label in labels)
        else:
            is_right = True
    except (idna.IDNAError, UnicodeError):
        return False
    return is_right and len(b".".join(encoded)) <= _LONGEST_HOST


def _is_regex(value: object) -> bool:
    """ECMA 262, with the flag u: what JSON Schema, section 6.3.3, means by a regular expression."""
    try:
        return not isinstance(value, str) or bool(regress.Regex(value, "u"))
    except regress.RegressError:
        return False


def _matches(pattern: str) -> Callable[[object], bool]:
    compiled = re.compile(pattern)
    return lambda value: not isinstance(value, str) or compiled.fullmatch(value) is not None


_OWN: dict[str, Callable[[Any], bool]] = {
    **{name: _matches(pattern) for name, pattern in FORMAT_PATTERNS.items()},
    "date-time": _is_date_time,
    "hostname": _is_host_name,
    "idn-hostname": _is_international_host_name,
    "regex": _is_regex,
    "time": _is_time,
}
