"""The last judge of a JSON text: strict parsing, then exact validation."""

from __future__ import annotations

import itertools
import json
import math
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal, localcontext
from functools import cache
from typing import Any, NoReturn

from jsonschema import validators
from jsonschema.exceptions import ValidationError
from jsonschema.protocols import Validator
from referencing import Registry

from decodeplug.constraints.formats import format_checker
from decodeplug.constraints.mending import mended
from decodeplug.constraints.pattern import found_in
from decodeplug.constraints.schema_tree import pointer_of
from decodeplug.errors import InvalidResult

__all__ = ["Judge", "strict_loads"]

_LONG_NUMBER = re.compile(r"[0-9.]{17}")  # may have more digits than a double
_MENDED = 4  # faults of one text that are looked at
_LARGEST_QUOTIENT = 700  # digits beside those of the text that a number divided by a multiple may have: 1e308 / 1e-323


def strict_loads(text: str) -> Any:
    """The value of a JSON text.

    :raises InvalidResult: It is no JSON; or it has what JSON readers disagree about: NaN and infinities,
        numbers that overflow, one key twice, lone surrogates.
    """
    try:
        return _loads(text, float)
    except RecursionError as error:
        raise InvalidResult(text, because=f"it is not JSON: {error}") from None


def _loads(text: str, fraction: Callable[[str], Any]) -> Any:
    """As ``strict_loads``, with what numbers that are no integers are read by."""

    def refuse(because: str) -> NoReturn:
        raise InvalidResult(text, because=because)

    def number(digits: str) -> Any:
        return fraction(digits) if math.isfinite(float(digits)) else refuse(f"the number {digits} overflows")

    def integer(digits: str) -> int:
        return int(digits) if math.isfinite(float(digits)) else refuse(f"the number {digits} overflows")

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        value = dict(items)
        return value if len(value) == len(items) else refuse("an object has a key twice")

    try:
        value = json.loads(
            text,
            parse_float=number,
            parse_int=integer,
            parse_constant=lambda name: refuse(f"{name} is no JSON"),
            object_pairs_hook=pairs,
        )
    except (ArithmeticError, ValueError) as error:  # ValueError: also integers of over 4,300 digits
        raise InvalidResult(text, because=f"it is not JSON: {error}") from None
    if _has_surrogates(text):
        refuse("a string has a lone surrogate")
    return value


def _has_surrogates(text: str) -> bool:
    """Has a JSON text half of a character that is written as two, itself or by an escape?"""
    if not text.isascii() and any("\ud800" <= char <= "\udfff" for char in text):
        return True
    if "\\u" not in text:
        return False
    try:
        json.dumps(json.loads(text), ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return True
    return False


class Judge:
    """Says of whole JSON texts whether a schema allows them. Decimals are compared exactly: 0.3 is a multiple of 0.1.

    :param schema: Its numbers that are no integers are ``Decimal``; so are those of the documents.
    :param formats: Check formats as well, as far as the installed libraries can.
    :param registry: The documents that it refers to.
    """

    def __init__(self, schema: Any, validator: type[Validator], formats: bool, registry: Registry[Any]) -> None:
        self._validator = _exact_kind(validator)(
            schema,
            registry=registry,
            format_checker=format_checker(validator) if formats else None,
        )

    def check(self, text: str) -> Any:
        """The value of a text, if it is valid.

        :raises InvalidResult: It is no strict JSON, or with the pointer of the value that does not satisfy the schema.
        """
        self._validate(text)
        return strict_loads(text)

    def accepts(self, raw: bytes) -> bool:
        """Is this text, as UTF-8, valid? Also for a reader to whom a number with more digits is the nearest double."""
        try:
            text = raw.decode()
            self._validate(text)
            if _LONG_NUMBER.search(text):
                self._validate(text, _nearest)
        except (InvalidResult, UnicodeDecodeError):
            return False
        return True

    def closer(self, raw: bytes) -> Iterator[Any]:
        """Values that come closer to the schema than this text, which is not valid."""
        try:
            value = _loads(raw.decode(), Decimal)
            with localcontext(prec=len(raw) + _LARGEST_QUOTIENT):
                errors = list(itertools.islice(self._validator.iter_errors(value), _MENDED))
                better = [one for error in errors if isinstance(error, ValidationError) for one in mended(value, error)]
        except (ArithmeticError, RecursionError, InvalidResult, UnicodeDecodeError, _UndecidedError):
            return
        except (AttributeError, LookupError, TypeError, ValueError):
            return  # the schema has something there that no draft allows, or one mended fault hides the next
        yield from better

    def _validate(self, text: str, fraction: Callable[[str], Any] = Decimal) -> None:
        try:
            try:
                error = self._first_error(text, fraction)
            except RecursionError:  # the caller's own stack may be deep: on a fresh one the answer is always the same
                with ThreadPoolExecutor(1) as fresh:
                    error = fresh.submit(self._first_error, text, fraction).result()
        except (ArithmeticError, RecursionError, _UndecidedError) as failure:
            raise InvalidResult(text, because=f"it could not be validated: {failure}") from None
        if isinstance(error, ValidationError):
            where = pointer_of(list(error.absolute_path)) or "the top"
            raise InvalidResult(text, because=f"{error.message} (at {where})")

    def _first_error(self, text: str, fraction: Callable[[str], Any]) -> Any:
        value = _loads(text, fraction)
        with localcontext(prec=len(text) + _LARGEST_QUOTIENT):
            return next(self._validator.iter_errors(value), None)


def _nearest(digits: str) -> Decimal:
    return Decimal(repr(float(digits)))


class _UndecidedError(Exception):
    """A pattern took too long."""


def _pattern(judge: Any, pattern: str, instance: Any, schema: Any) -> Any:
    if isinstance(instance, str):
        found = found_in(pattern, instance)
        if found is None:
            raise _UndecidedError(f"pattern {pattern!r} took over a second")
        if not found:
            yield ValidationError(f"{instance!r} does not match {pattern!r}")


@cache
def _exact_kind(validator: type[Validator]) -> Any:
    def is_number(checker: Any, instance: Any) -> bool:
        return isinstance(instance, int | float | Decimal) and not isinstance(instance, bool)

    def is_integer(checker: Any, instance: Any) -> bool:
        if isinstance(instance, Decimal):  # 1.0 is an integer, except in draft 4
            return validator is not validators.Draft4Validator and instance == instance.to_integral_value()
        return isinstance(instance, int) and not isinstance(instance, bool)

    types = validator.TYPE_CHECKER.redefine("number", is_number).redefine("integer", is_integer)
    return validators.extend(validator, {"pattern": _pattern}, type_checker=types)
