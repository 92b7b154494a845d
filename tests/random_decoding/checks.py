"""Is a finished text valid, by rules that are not ours?"""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any, NoReturn

import jsonschema
from jsonschema.protocols import Validator
from random_decoding.chooser import Written, texts_of
from referencing import Registry

from decodeplug.errors import Unsatisfiable, UnsupportedGrammar, UnsupportedSchema
from decodeplug.vocabulary import Vocabulary

__all__ = ["DRAFTS", "JsonCheck", "check_promise", "check_texts"]

DRAFTS: Mapping[str, type[Validator]] = {
    "2020-12": jsonschema.Draft202012Validator,
    "7": jsonschema.Draft7Validator,
}


def check_promise(written: Written, *, may_be_cut: bool = False) -> None:
    """A text keeps to its budget, and is whole where that was promised.

    :param may_be_cut: By a grammar or pattern of which the search finds no end in some places, as the docs say.
    """
    assert written.count <= written.budget
    is_kept = written.is_whole or not written.is_promised or may_be_cut
    assert is_kept, f"cut at {written.budget} tokens: {written.text!r}"


class JsonCheck:
    """The plain validator of jsonschema, and a plain reader of JSON: neither is our judge.

    :param asserts: Check formats too, with the library's own checker; by RFC 3339 there is a year 0 as well.
    """

    def __init__(
        self, schema: Any, draft: str = "2020-12", *, asserts: bool, registry: Registry[Any] | None = None
    ) -> None:
        kind = DRAFTS[draft]
        given = {} if registry is None else {"registry": registry}
        plain = json.loads(json.dumps(schema), parse_float=_exact)
        self._validator = kind(plain, format_checker=_with_year_0(kind.FORMAT_CHECKER) if asserts else None, **given)

    def __call__(self, text: str) -> None:
        """:raises ValueError: It is no strict JSON. :raises jsonschema.ValidationError: It is not valid."""
        text.encode()  # no lone surrogates
        value = json.loads(text, parse_float=_exact, parse_constant=_no_json, object_pairs_hook=_without_doubles)
        self._validator.validate(value)


def _with_year_0(known: jsonschema.FormatChecker) -> jsonschema.FormatChecker:
    checker = jsonschema.FormatChecker(())
    checker.checkers = {**known.checkers}
    is_date_time, raises = known.checkers["date-time"]

    def is_later_or_not(value: object) -> Any:
        return is_date_time(f"2000{value[4:]}" if isinstance(value, str) and value.startswith("0000-") else value)

    checker.checkers["date-time"] = (is_later_or_not, raises)
    return checker


def _exact(digits: str) -> float | Fraction:
    """What the digits say, as a float where one is just that: 0.5, but not 0.1."""
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError(f"{digits} overflows")
    if number == 0 or not 1e-300 < abs(number) < 1e300:
        return number  # an exponent may be too large to write out
    exact = Fraction(digits)
    if exact == number:
        return number
    return int(exact) if exact.denominator == 1 else exact


def _no_json(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        raise ValueError(f"a key twice: {pairs}")
    return value


def check_texts(
    make: Callable[[], Any],
    check: Callable[[str], object],
    vocabulary: Vocabulary,
    chance: random.Random,
    count: int,
    *,
    may_be_cut: bool = False,
) -> int | None:
    """Hold random texts against ``check(text)``, which raises, and against the spec's own last judge.

    :param make: Makes the spec. :param may_be_cut: As for :func:`check_promise`.
    :returns: How many texts were whole; None if the spec is refused before the first token.
    """
    try:
        spec = make()
        compiled = spec.compile(vocabulary)
    except (UnsupportedSchema, UnsupportedGrammar, Unsatisfiable):
        return None
    whole = 0
    for written in texts_of(spec, compiled, vocabulary, chance, count):
        check_promise(written, may_be_cut=may_be_cut)
        if written.is_whole:
            whole += 1
            check(written.text)
            spec.value(written.text)
    return whole
