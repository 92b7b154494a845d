"""What random writing finds wrong today, one named case each. A test holds that all of it is still so.

Take out what is mended; nothing may be added.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from conformance.random_writing import Fault
from conformance.verdict import BYTES

from decodeplug.constraints import json_schema
from decodeplug.errors import Unsatisfiable, UnsupportedSchema

__all__ = ["KNOWN", "Known", "known_as"]


@dataclass(frozen=True, slots=True)
class Known:
    """A failure with a small example.

    :ivar text: What the masks allow: a whole text, or the beginning of one that cannot be ended.
    :ivar kind: As in :class:`Fault`. :ivar fits: Whether a fault that was found is of this kind.
    """

    name: str
    kind: str
    schema: Any
    text: str
    because: str
    fits: Callable[[Fault], bool] = field(repr=False)


def known_as(fault: Fault) -> Known | None:
    """The known failure that a fault is an example of."""
    return next((known for known in KNOWN if known.fits(fault)), None)


def _has_a_key_twice(fault: Fault) -> bool:
    found: list[bool] = []
    try:
        json.loads(
            fault.text, object_pairs_hook=lambda pairs: found.append(len({key for key, _ in pairs}) < len(pairs))
        )
    except ValueError:
        return False
    return any(found)


def _is_no_such_time(fault: Fault) -> bool:
    return re.search(r"is not a '(date|date-time|time)'", fault.because) is not None


def _is_too_long_a_host(fault: Fault) -> bool:
    return re.search(r"'.{254,}' is not a 'hostname'", fault.because) is not None


def _ends_where_nothing_fits(fault: Fault) -> bool:
    if fault.kind != "dead end":
        return False
    definitions = fault.schema.get("$defs", {})
    return any(_is_empty({"$ref": f"#/$defs/{name}", "$defs": definitions}) for name in definitions)


def _is_empty(schema: Any) -> bool:
    try:
        json_schema(schema).compile(BYTES)
    except Unsatisfiable:
        return True
    except UnsupportedSchema:
        return False
    return False


def _nests_without_end(fault: Fault) -> bool:
    return fault.kind == "endless" and "levels deeper" in fault.because


KNOWN = (
    Known(
        "a number overflows",
        "refused at the end",
        {"type": "number"},
        "1e999",
        "a number without limits may get any exponent; read as a float it is infinite",
        lambda fault: "overflows" in fault.because,
    ),
    Known(
        "a number has an exponent that decimals do not have",
        "refused at the end",
        {"type": "number"},
        "0E2115252073242024253118621800",
        "the last check reads decimals, whose exponents end somewhere; the text is valid, the value is 0",
        lambda fault: "decimal.InvalidOperation" in fault.because,
    ),
    Known(
        "a number has more digits than decimals are divided with",
        "refused at the end",
        {"type": "number", "multipleOf": 0.5},
        "1" + "0" * 40,
        "the last check divides decimals of 28 digits; the text is valid",
        lambda fault: "decimal.DivisionImpossible" in fault.because,
    ),
    Known(
        "an integer has more digits than Python reads",
        "refused at the end",
        {"type": "integer"},
        "1" * 4301,
        "an integer without limits may get any length; Python reads 4,300 digits",
        lambda fault: "Exceeds the limit" in fault.because,
    ),
    Known(
        "an open object gets a key twice",
        "refused at the end",
        {"type": "object"},
        '{"": 1, "": 2}',
        "the mask does not remember which keys were written",
        lambda fault: fault.kind == "refused at the end" and _has_a_key_twice(fault),
    ),
    Known(
        "a key that is written twice counts twice",
        "invalid",
        {"type": "object", "minProperties": 2},
        '{"": null, "": true}',
        "the mask counts what is written, and not how many keys the object has",
        lambda fault: fault.kind == "invalid" and _has_a_key_twice(fault),
    ),
    Known(
        "a limit that is excluded is written",
        "invalid",
        {"type": "number", "exclusiveMinimum": 0, "maximum": 0.5},
        "0",
        "the engine's pattern for numbers between two limits has the excluded one, if both begin with the same integer",
        lambda fault: re.search(r"is (less|greater) than or equal to the (mini|maxi)mum of", fault.because) is not None,
    ),
    Known(
        "a time does not exist",
        "invalid",
        {"type": "string", "format": "date-time"},
        '"7489-12-08T21:15:60Z"',
        "the mask knows neither calendar nor leap seconds",
        _is_no_such_time,
    ),
    Known(
        "a host name is too long",
        "invalid",
        {"type": "string", "format": "hostname"},
        '"' + ".".join(["a" * 60] * 5) + '"',
        "the mask limits each label, and not the whole name",
        _is_too_long_a_host,
    ),
    Known(
        "a key is opened whose value cannot exist",
        "dead end",
        {
            "type": "object",
            "additionalProperties": {"$ref": "#/$defs/x"},
            "$defs": {"x": {"anyOf": [{"$ref": "#/$defs/x"}]}},
        },
        '{"a": ',
        "a definition that refers to itself alone is not recognised as empty where it is used",
        _ends_where_nothing_fits,
    ),
    Known(
        "a schema refers to itself for the same value",
        "refused at the end",
        {"anyOf": [{"$ref": "#"}, {"type": "null"}]},
        "null",
        "the mask reads it as the other options; the last check, and jsonschema, go round in it until they give up",
        lambda fault: fault.kind == "refused at the end" and "recursion" in fault.because,
    ),
    Known(
        "a value would have to contain itself",
        "endless",
        {"type": "array", "minItems": 1, "items": {"$ref": "#"}},
        "[" * 200,
        "a recursion that has no end is not recognised as unsatisfiable; each token may take 70 ms, as the engine gives up",
        _nests_without_end,
    ),
)
