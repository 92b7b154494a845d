"""Normal forms of strings and numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Any

from decodeplug.plugin import UnsupportedGrammar

from decodeplug_xgrammar.ebnf import JSON_CHARACTER, repeated
from decodeplug_xgrammar.forms import COUNTS, Normal, Path, Walk
from decodeplug_xgrammar.patterns import found_in_string

__all__ = ["integer", "number", "string"]

_INTEGERS = 2**63 - 1  # XGrammar's integers have 64 bits
_LARGEST_MULTIPLE = 1024  # beyond these two XGrammar drops multipleOf
_WIDEST_RANGE = 10_000
_LARGEST_LIMIT = 10**9  # with six decimals, what a double still keeps apart from its neighbours
_BLOCK = 64  # characters: each takes some ms to compile, and tokens that go on in the next block are looked at anew
_DECIMALS = Decimal("0.000001")  # what XGrammar writes at most behind the point of a number with limits

_HEX = "[0-9A-Fa-f]"
_BYTE = "(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_YEAR = "([0-9]{3}[1-9]|[0-9]{2}[1-9][0-9]|[0-9][1-9][0-9]{2}|[1-9][0-9]{3})"
_FOURTH = "(0[48]|[2468][048]|[13579][26])"
_LEAP_YEAR = f"([0-9]{{2}}{_FOURTH}|{_FOURTH}00)"
_DAY = "((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)|02-(0[1-9]|1[0-9]|2[0-8]))"
_FORMATS: Mapping[str, str] = {  # that a pattern says exactly; XGrammar's own also allow the 31st of February
    "date": f"^({_YEAR}-{_DAY}|{_LEAP_YEAR}-02-29)$",
    "ipv4": rf"^{_BYTE}(\.{_BYTE}){{3}}$",
    "uuid": f"^{_HEX}{{8}}-{_HEX}{{4}}-{_HEX}{{4}}-{_HEX}{{4}}-{_HEX}{{12}}$",
}


def string(walk: Walk, part: Mapping[str, Any], path: Path) -> Normal:
    """XGrammar reads the format, else the pattern, else the lengths, and drops the others."""
    low, high = int(part.get("minLength", 0)), part.get("maxLength")
    lengths = (["minLength"] if low else []) + (["maxLength"] if high is not None else [])
    read = [keyword for keyword in ("format", "pattern") if keyword in part]
    for keyword in [*read[1:], *(lengths if read else [])]:
        walk.refuse(path, keyword, f"XGrammar drops what stands beside {read[0]}")
    if not read and not lengths:
        return {"type": "string"}
    if not read:
        if high is not None and low > high:
            return False
        if max(low, high or 0) > COUNTS:
            walk.refuse(path, lengths[-1], "XGrammar does not count so far")
            return {"type": "string"}
        return walk.rule(_of_length(walk, low, None if high is None else int(high)))
    pattern = part["pattern"] if read[0] == "pattern" else _FORMATS.get(part["format"])
    if pattern is None:
        walk.refuse(path, "format", f"XGrammar allows texts that are no {part['format']}")
        return {"type": "string"}
    try:
        return walk.rule(found_in_string(pattern))
    except UnsupportedGrammar as error:
        walk.refuse(path, read[0], error.because)
        return {"type": "string"}


def _of_length(walk: Walk, low: int, high: int | None) -> str:
    """The EBNF of strings with so many characters.

    XGrammar keeps masks for places in a rule. It has none for a character with escapes that is merely repeated, and
    looks at each token anew: 30 ms to seconds a mask. So the places of one block are written out, and it is repeated.
    """
    blocks, first = divmod(low, _BLOCK)
    begin = f'"\\"" {repeated(_exactly(walk, _BLOCK), blocks, blocks)} {_exactly(walk, first)}'
    if high is None:
        return f'{begin} ({JSON_CHARACTER})* "\\""'
    blocks, last = divmod(high - low, _BLOCK)
    if not blocks:
        return f"{begin} {_up_to(walk, last)}"
    block = _exactly(walk, _BLOCK)
    fewer = f"{repeated(block, 0, blocks - 1)} {_up_to(walk, _BLOCK - 1)}"
    return f"{begin} ({fewer} | {repeated(block, blocks, blocks)} {_up_to(walk, last)})"


def _exactly(walk: Walk, count: int) -> str:
    rest = '""'
    for _ in range(count):
        rest = walk.name(f"{JSON_CHARACTER} {rest}")
    return rest


def _up_to(walk: Walk, most: int) -> str:
    """At most so many characters, and the quote behind them."""
    rest = '"\\""'
    for _ in range(most):
        rest = walk.name(f'"\\"" | {JSON_CHARACTER} {rest}')
    return rest


def integer(walk: Walk, part: Mapping[str, Any], path: Path) -> Normal:
    """XGrammar follows limits exactly, and ``multipleOf`` where it has both limits or none."""
    low, low_open = _limit(part, "minimum", "exclusiveMinimum", max)
    high, high_open = _limit(part, "maximum", "exclusiveMaximum", min)
    first = None if low is None else math.floor(low) + 1 if low_open else math.ceil(low)
    last = None if high is None else math.ceil(high) - 1 if high_open else math.floor(high)
    for limit, keyword in ((first, "minimum"), (last, "maximum")):
        if limit is not None and abs(limit) > _INTEGERS:
            walk.refuse(path, _present(part, keyword), "XGrammar counts in 64 bits")
            return {"type": "integer"}
    if first is not None and last is not None and first > last:
        return False
    form: dict[str, Any] = {"type": "integer"}
    form |= {} if first is None else {"minimum": first}
    form |= {} if last is None else {"maximum": last}
    # An integer that is a multiple of 3/2 is one of 3.
    multiple = Fraction(repr(part["multipleOf"])).numerator if "multipleOf" in part else 1
    if multiple == 1:
        return form
    if because := _why_no_multiple(multiple, first, last):
        walk.refuse(path, "multipleOf", because)
        return form
    if first is not None and last is not None and first + -first % multiple > last:
        return False
    return {**form, "multipleOf": multiple}


def _why_no_multiple(multiple: int, first: int | None, last: int | None) -> str:
    if multiple > _LARGEST_MULTIPLE:
        return f"XGrammar drops it above {_LARGEST_MULTIPLE}"
    if (first is None) != (last is None):
        return "XGrammar drops it where only one side has a limit"
    if first is not None and last is not None and last - first >= _WIDEST_RANGE:
        return f"XGrammar drops it where the limits are over {_WIDEST_RANGE:,} apart"
    return ""


def number(walk: Walk, part: Mapping[str, Any], path: Path) -> Normal:
    """XGrammar follows limits of at most six decimals; numbers between limits have as many, and no exponent."""
    if "multipleOf" in part:
        walk.refuse(path, "multipleOf", "XGrammar drops it for numbers; it follows it for integers")
    low, low_open = _limit(part, "minimum", "exclusiveMinimum", max)
    high, high_open = _limit(part, "maximum", "exclusiveMaximum", min)
    for limit, keyword in ((low, "minimum"), (high, "maximum")):
        if limit is not None and (limit.copy_abs() >= _LARGEST_LIMIT or limit % _DECIMALS):
            walk.refuse(path, _present(part, keyword), "XGrammar rounds limits of more than 9 digits and 6 decimals")
            return {"type": "number"}
    if low is not None and high is not None and (low > high or (low == high and (low_open or high_open))):
        return False
    if low is not None and high is not None and low_open and high_open and high - low <= _DECIMALS:
        walk.refuse(path, "exclusiveMaximum", "XGrammar writes six decimals, and no such number is between the limits")
        return {"type": "number"}
    form: dict[str, Any] = {"type": "number"}
    form |= {} if low is None else {"exclusiveMinimum" if low_open else "minimum": float(low)}
    return form | ({} if high is None else {"exclusiveMaximum" if high_open else "maximum": float(high)})


def _limit(part: Mapping[str, Any], closed: str, open_: str, stricter: Any) -> tuple[Decimal | None, bool]:
    """The stricter of two limits, and whether it is an open one. In draft 4 the open one is a yes or no."""
    inclusive = None if closed not in part else Decimal(repr(part[closed]))
    exclusive = part.get(open_)
    if isinstance(exclusive, bool):
        return inclusive, exclusive
    if exclusive is None:
        return inclusive, False
    beyond = Decimal(repr(exclusive))
    if inclusive is None or stricter(inclusive, beyond) == beyond:
        return beyond, True
    return inclusive, False


def _present(part: Mapping[str, Any], keyword: str) -> str:
    """``minimum``, or ``exclusiveMinimum`` where only that is there."""
    return keyword if keyword in part else f"exclusive{keyword.capitalize()}"
