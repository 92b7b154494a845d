"""From what a user passes as ``constraint=`` to a spec."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from decodeplug.constraints.lark_spec import lark
from decodeplug.constraints.schema_source import WANTED, describes_a_type
from decodeplug.constraints.schema_spec import json_schema
from decodeplug.contracts import ConstraintSpec
from decodeplug.errors import BadOption

__all__ = ["as_spec", "as_specs"]


def as_spec(given: Any) -> ConstraintSpec:
    """The spec that ``given`` stands for.

    :param given: A spec as it is; a JSON schema or a Python type for :func:`json_schema`; a path to a ``.lark`` file.
    :raises BadOption: Anything else; says what is possible.
    :raises UnsupportedSchema: The schema is none, or cannot be enforced.
    :raises UnsupportedGrammar: The grammar is none, or cannot be enforced.
    """
    if not isinstance(given, type) and isinstance(given, ConstraintSpec):
        return given
    if isinstance(given, str | Path) and str(given).endswith(".lark"):
        return lark(given)
    if isinstance(given, Mapping | Path) or describes_a_type(given):
        return json_schema(given)
    if isinstance(given, str) and given.endswith(".json"):
        return json_schema(given)
    raise BadOption(
        "constraint",
        constraint=given,
        wanted=f"json_schema(...), regex(...), lark(...), choice([...]), product(...), union(...), phases(...), or {WANTED}",
    )


def as_specs(kind: str, given: Any) -> tuple[ConstraintSpec, ...]:
    """The specs of the parts of a ``kind`` of constraint that is made of others.

    :raises BadOption: There is none, or one is no constraint.
    """
    if isinstance(given, str | Mapping) or not isinstance(given, Iterable):
        raise BadOption(kind, parts=given, wanted="constraints")
    parts = tuple(as_spec(part) for part in given)
    if not parts:
        raise BadOption(kind, parts=parts, wanted="at least one constraint")
    return parts
