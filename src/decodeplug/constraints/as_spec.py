"""From what a user passes as ``constraint=`` to a spec."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from decodeplug.constraints.lark_spec import lark
from decodeplug.constraints.schema_source import WANTED, describes_a_type
from decodeplug.constraints.schema_spec import json_schema
from decodeplug.contracts import ConstraintSpec
from decodeplug.errors import BadOption

__all__ = ["as_spec"]


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
        "constraint", constraint=given, wanted=f"json_schema(...), regex(...), lark(...), choice([...]), or {WANTED}"
    )
