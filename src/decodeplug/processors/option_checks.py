"""Which option values a processor refuses, and in which words."""

from __future__ import annotations

import math
from collections.abc import Iterable
from numbers import Integral, Real
from typing import Any

from decodeplug.errors import BadOption

__all__ = ["number_between", "positive_number", "token_ids", "whole_number"]


def number_between(
    part: str, low: float, high: float, /, *, open_low: bool = False, open_high: bool = False, **option: Any
) -> None:
    """Check that the option is a number from ``low`` to ``high``.

    :param open_low: ``low`` itself is refused. :param open_high: ``high`` itself is refused.
    :raises BadOption: It is not, or it is no number at all (NaN, text, a truth value).
    """
    (value,) = option.values()
    fits = _is_number(value) and low <= value <= high  # NaN fails both comparisons
    if not fits or (open_low and value == low) or (open_high and value == high):
        interval = f"{'(' if open_low else '['}{low:g}, {high:g}{')' if open_high else ']'}"
        wanted = "a finite number" if math.isinf(low) and math.isinf(high) else f"a number in {interval}"
        raise BadOption(part, wanted=wanted, **option)


def positive_number(part: str, /, **option: Any) -> None:
    """Check that the option is a finite number above zero.

    :raises BadOption: It is not.
    """
    (value,) = option.values()
    if not _is_number(value) or not 0 < value < math.inf:
        raise BadOption(part, wanted="a finite number above 0", **option)


def whole_number(part: str, least: int, /, **option: Any) -> None:
    """Check that the option is a whole number of at least ``least``.

    :raises BadOption: It is not.
    """
    (value,) = option.values()
    if not isinstance(value, Integral) or isinstance(value, bool) or value < least:
        raise BadOption(part, wanted=f"a whole number of at least {least}", **option)


def token_ids(part: str, /, **option: Any) -> tuple[int, ...]:
    """The option as a tuple of token ids; one id alone is taken for a tuple of one.

    :raises BadOption: It holds something else than whole numbers from 0 on.
    """
    (value,) = option.values()
    ids = (value,) if isinstance(value, Integral) else value
    if not isinstance(ids, Iterable) or isinstance(ids, (str, bytes)):
        raise BadOption(part, wanted="token ids", **option)
    ids = tuple(ids)
    if not all(isinstance(token, Integral) and not isinstance(token, bool) and int(token) >= 0 for token in ids):
        raise BadOption(part, wanted="token ids: whole numbers from 0 on", **option)
    return tuple(map(int, ids))


def _is_number(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)
