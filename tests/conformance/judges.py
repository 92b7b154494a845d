"""jsonschema as the judge of what was written: a reading of the schema that owes nothing to ours."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from fractions import Fraction
from functools import cache
from typing import Any

import jsonschema_specifications
from jsonschema import Draft7Validator, Draft202012Validator, validators
from jsonschema.exceptions import ValidationError
from jsonschema.protocols import Validator

__all__ = ["judge_of"]

_DRAFTS: dict[str, Any] = {"2020-12": Draft202012Validator, "7": Draft7Validator}
_ROUND_TRIP = 15  # significant digits that a float keeps


def judge_of(schema: Any, *, draft: str = "2020-12", formats: str = "assert", registry: Any = None) -> Validator:
    """A validator of the draft. Its one difference from plain jsonschema: multiples are those of the digits.

    jsonschema divides binary floats, for which 24.1649 is no multiple of 0.0001. A float of over 15 digits
    may not be what was written, so that it is left to the last check, which reads decimals.
    """
    kind = _exact(draft)
    checker = _DRAFTS[draft].FORMAT_CHECKER if formats == "assert" else None
    return kind(schema, registry=registry or jsonschema_specifications.REGISTRY, format_checker=checker)


@cache
def _exact(draft: str) -> Any:
    return validators.extend(_DRAFTS[draft], {"multipleOf": _multiple_of})


def _multiple_of(judge: Any, step: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
    if not judge.is_type(instance, "number"):
        return
    if isinstance(instance, float) and len(Decimal(repr(instance)).as_tuple().digits) > _ROUND_TRIP:
        return
    if Fraction(repr(instance)) % Fraction(repr(step)):
        yield ValidationError(f"{instance!r} is not a multiple of {step!r}")
