"""How the extraction benchmark counts: the fields of an answer, and which of them are right.

An answer is the first JSON object in the text, in a code fence or not. Its *fields* are

- every string, number, boolean and null inside it, found by its JSON pointer;
- every array without an object in it, as one list: all items in their order, no more and no less;
- of every array with an object in it, its length; what is in the objects counts by the position in the array.

A field is right if its *normalised* value is the expected one. Strings are stripped of whitespace around them
and case-folded; numbers are compared by value (3 is 3.0); and a string that reads as a JSON number, true or false is that
number or boolean. So it is the reading that is judged, and not whether a text without a constraint has the types of
JSON right. Keys are taken as they are, and keys that nobody asked for are ignored.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from jsonschema import Draft202012Validator

__all__ = ["Score", "fields", "first_object", "normalised", "score"]

_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?")
_ABSENT = "(absent)"


@dataclass(frozen=True)
class Score:
    """One answer beside what was expected.

    :ivar total: How many fields are expected.
    :ivar wrong: The JSON pointer of each field that is not right: what was expected and what is there, normalised.
    :ivar parses: Whether there is a JSON object in the text.
    :ivar fits: Whether that object satisfies the schema.
    """

    total: int
    wrong: dict[str, tuple[Any, Any]]
    parses: bool
    fits: bool

    @property
    def right(self) -> int:
        return self.total - len(self.wrong)


def score(expected: dict[str, Any], schema: dict[str, Any], text: str) -> Score:
    """Compare the answer in ``text`` with ``expected``; if there is none, all fields are wrong."""
    answer = first_object(text)
    wanted, found = fields(expected), {} if answer is None else fields(answer)
    got = {pointer: found.get(pointer, _ABSENT) for pointer in wanted}
    return Score(
        total=len(wanted),
        wrong={pointer: (value, got[pointer]) for pointer, value in wanted.items() if got[pointer] != value},
        parses=answer is not None,
        fits=answer is not None and Draft202012Validator(schema).is_valid(answer),
    )


def first_object(text: str) -> dict[str, Any] | None:
    """What begins with the first brace of ``text``; None if that is not a whole JSON object."""
    start = text.find("{")
    if start < 0:
        return None
    try:
        return json.JSONDecoder().raw_decode(text, start)[0]
    except (ValueError, RecursionError):
        return None


def fields(value: Any, pointer: str = "") -> dict[str, Any]:
    """The fields of a JSON value, normalised, by their JSON pointers; an array of objects has its own for its length."""
    if isinstance(value, dict):
        return {place: leaf for key, part in value.items() for place, leaf in fields(part, f"{pointer}/{key}").items()}
    if isinstance(value, list) and any(isinstance(item, dict) for item in value):
        inside = [fields(item, f"{pointer}/{number}") for number, item in enumerate(value)]
        return {pointer: f"{len(value)} items"} | {place: leaf for item in inside for place, leaf in item.items()}
    return {pointer: normalised(value)}


def normalised(value: Any) -> Any:
    """A value in the form in which it is compared; see the module."""
    if isinstance(value, list):
        return [normalised(item) for item in value]
    if isinstance(value, bool):
        return str(value).casefold()  # not the bool: True == 1
    if not isinstance(value, str):
        return value
    plain = value.strip().casefold()
    return json.loads(plain) if _NUMBER.fullmatch(plain) else plain
