"""Formats to the letter, where jsonschema's checks are less or more than the letter."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date
from typing import Any

import idna
from jsonschema import FormatChecker
from jsonschema.protocols import Validator

__all__ = ["format_checker"]

_TIME = re.compile(r"(\d\d):(\d\d):(\d\d)(?:\.\d+)?(?:[Zz]|([+-])(\d\d):(\d\d))", re.ASCII)
_LABEL = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?", re.ASCII)
_LONGEST_HOST = 253  # characters; RFC 1123, section 2.1, and RFC 1035, section 2.3.4


def format_checker(validator: type[Validator]) -> FormatChecker:
    """The format checks of a draft, with our own for times, dates with times and host names."""
    known = validator.FORMAT_CHECKER.checkers
    checker = FormatChecker(())
    checker.checkers = {**known}
    for name, check in _OWN.items():
        if name in known:
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


_OWN: dict[str, Callable[[Any], bool]] = {
    "date-time": _is_date_time,
    "hostname": _is_host_name,
    "time": _is_time,
}
