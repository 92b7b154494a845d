"""decodeplug's own judge of values, for a schema inside another one."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

from decodeplug.constraints.json_value import Judge
from jsonschema.protocols import Validator
from referencing import Registry

__all__ = ["has_references", "judge_of"]

_REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")


def has_references(schema: Any) -> bool:
    """Does a schema refer to anything? Alone it cannot be judged by then."""
    text = json.dumps(schema)
    return any(f'"{keyword}"' in text for keyword in _REFERENCES)


def judge_of(schema: Any, validator: type[Validator]) -> Judge:
    """The judge of a schema without references, whose formats assert."""
    exact = json.loads(json.dumps(schema), parse_float=Decimal)
    return Judge(exact, validator, formats=True, registry=Registry())
