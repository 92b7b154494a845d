"""From what a user calls a schema to a JSON schema, and to the class of the value where there is one."""

from __future__ import annotations

import enum
import functools
import json
import operator
import sys
import types
import typing
from collections.abc import Mapping
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any, Literal

import typing_extensions
from pydantic import BaseModel, PydanticSchemaGenerationError, PydanticUserError, TypeAdapter
from pydantic.errors import PydanticInvalidForJsonSchema, PydanticUndefinedAnnotation

from decodeplug.constraints.schema_tree import changed
from decodeplug.errors import BadOption, UnsupportedSchema

__all__ = ["WANTED", "describes_a_type", "schema_of"]

WANTED = (
    "a JSON schema (dict, JSON text, or a path to a .json file), a pydantic model, a dataclass, a TypedDict, "
    "an Enum, a Literal, or a type such as list[Model]"
)
_PLAIN_TYPES = (bool, int, float, str, list, dict)


def describes_a_type(given: object) -> bool:
    """True for what pydantic can make a schema of: models, dataclasses, TypedDicts, enums, ``list[int]``, ..."""
    if isinstance(given, TypeAdapter):
        return True
    if typing.get_origin(given) is not None or isinstance(given, types.UnionType):
        return True
    if not isinstance(given, type):
        return False
    own = is_dataclass(given) or typing.is_typeddict(given) or issubclass(given, BaseModel | enum.Enum)
    return own or given in _PLAIN_TYPES


def schema_of(given: Any) -> tuple[Any, TypeAdapter[Any] | None]:
    """The schema, and the adapter that makes the value where a type was given.

    Objects of a type have its fields only: a schema from pydantic leaves other keys open because
    pydantic ignores them, but writing them would serve nobody.

    :raises BadOption: Nothing of the kind. :raises UnsupportedSchema: The type has no JSON schema.
    """
    if isinstance(given, Mapping):
        return dict(given), None
    if isinstance(given, bool):
        return given, None
    if isinstance(given, str | Path):
        return _read(given), None
    if describes_a_type(given):
        adapter = _adapter(given)
        try:
            return changed(adapter.json_schema(), _closed), adapter
        except PydanticInvalidForJsonSchema as error:
            raise UnsupportedSchema("", "", because=f"the type has no JSON schema: {error.message}") from None
    raise BadOption("json-schema", schema=given, wanted=WANTED)


def _read(given: str | Path) -> Any:
    if isinstance(given, str) and not given.endswith(".json"):
        text, name = given, "schema"
    else:
        name = "path"
        try:
            text = Path(given).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise BadOption("json-schema", path=str(given), wanted=f"a file that can be read ({error})") from None
    try:
        schema = json.loads(text)
    except ValueError as error:
        raise BadOption("json-schema", wanted=f"{WANTED}; {error}", **{name: str(given)[:80]}) from None
    if not isinstance(schema, dict | bool):
        raise BadOption("json-schema", wanted="a JSON schema: an object, true or false", **{name: str(given)[:80]})
    return schema


def _adapter(given: Any) -> TypeAdapter[Any]:
    if isinstance(given, TypeAdapter):
        return given
    try:
        return TypeAdapter(_readable(given))
    except (PydanticSchemaGenerationError, PydanticUserError, PydanticUndefinedAnnotation) as error:
        raise BadOption(
            "json-schema", type=given, wanted=f"a type that pydantic understands ({error.message})"
        ) from None


def _readable(given: Any) -> Any:
    """The type itself, but before Python 3.12 pydantic wants another kind of TypedDict than ``typing``'s."""
    if sys.version_info >= (3, 12):
        return given
    if typing.is_typeddict(given) and type(given).__module__ == "typing":
        optional: frozenset[str] = given.__optional_keys__
        fields = {
            name: typing_extensions.NotRequired[_readable(kind)] if name in optional else _readable(kind)
            for name, kind in typing.get_type_hints(given).items()
        }
        functional: Any = typing_extensions.TypedDict
        return functional(given.__name__, fields)
    arguments = typing.get_args(given)
    if typing.get_origin(given) is Literal or not arguments:
        return given
    readable = tuple(_readable(argument) if not isinstance(argument, list) else argument for argument in arguments)
    if all(new is old for new, old in zip(readable, arguments, strict=True)):
        return given
    if isinstance(given, types.UnionType):
        return functools.reduce(operator.or_, readable)
    return given.copy_with(readable) if hasattr(given, "copy_with") else typing.get_origin(given)[readable]


def _closed(schema: dict[str, Any]) -> dict[str, Any]:
    if schema.get("type") == "object" and "properties" in schema:
        schema.setdefault("additionalProperties", False)
    return schema
