"""Is it a schema at all, and which of its keywords stands in the way of enforcing it?"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from jsonschema import validators
from jsonschema.exceptions import SchemaError
from jsonschema.protocols import Validator

from decodeplug.constraints.compiled import first_line
from decodeplug.constraints.pattern import read_pattern
from decodeplug.constraints.schema_tree import pointer_of, subschemas
from decodeplug.errors import BadOption, DecodeplugError, Unsatisfiable, UnsupportedGrammar, UnsupportedSchema

__all__ = ["DRAFTS", "check_schema", "dialect", "refusal"]

DRAFTS: Mapping[str, type[Validator]] = {
    "2020-12": validators.Draft202012Validator,
    "2019-09": validators.Draft201909Validator,
    "7": validators.Draft7Validator,
    "6": validators.Draft6Validator,
    "4": validators.Draft4Validator,
}
DEEPEST = 100
_LARGEST_BYTES = 1_000_000


def dialect(schema: Any, draft: str | None) -> type[Validator]:
    """The draft by which a schema is read: ``draft``, else its ``$schema``, else 2020-12.

    :raises BadOption: ``draft`` is unknown. :raises UnsupportedSchema: ``$schema`` is.
    """
    if draft is not None:
        if draft not in DRAFTS:
            raise BadOption("json-schema", draft=draft, wanted=f"one of {', '.join(DRAFTS)}")
        return DRAFTS[draft]
    named = schema.get("$schema") if isinstance(schema, dict) else None
    if named is None:
        return DRAFTS["2020-12"]
    known = {_bare(str(_meta(cls).get("$schema"))): cls for cls in DRAFTS.values()}
    if not isinstance(named, str) or _bare(named) not in known:
        raise UnsupportedSchema("$schema", "", because=f"{named!r} is none of the drafts {', '.join(DRAFTS)}")
    return known[_bare(named)]


def _meta(cls: type[Validator]) -> Mapping[str, Any]:
    meta = cls.META_SCHEMA
    return meta if isinstance(meta, Mapping) else {}


def _bare(uri: str) -> str:
    return uri.rstrip("#").replace("https://", "http://")


def check_schema(schema: Any, validator: type[Validator]) -> bool:
    """Check a schema against its draft and against our bounds.

    :returns: True if one of its patterns may explode while text is written, so that it should be tried.
    :raises UnsupportedSchema: With the keyword, the pointer of the schema that has it, and the reason.
    """
    size = len(json.dumps(schema))
    if size > _LARGEST_BYTES:
        raise UnsupportedSchema("", "", because=f"it is {size:,} bytes long; {_LARGEST_BYTES:,} is the limit")
    parts = list(subschemas(schema))
    for path, _ in parts:
        if len(path) > DEEPEST:
            raise UnsupportedSchema(
                str(path[-1]), pointer_of(path[:6]) + "/...", because=f"it is nested deeper than {DEEPEST} steps"
            )
    try:
        validator.check_schema(schema)
    except SchemaError as broken:
        raise _not_a_schema(broken) from None
    except RecursionError:
        raise UnsupportedSchema("", "", because="it is nested too deep to be checked") from None
    may_explode = False
    for path, part in parts:
        for keyword, pattern in _patterns(part):
            may_explode |= _checked_pattern(keyword, pattern, path)
    return may_explode


def _not_a_schema(error: Any) -> UnsupportedSchema:
    path = list(error.absolute_path)
    at = max((index for index, part in enumerate(path) if isinstance(part, str)), default=None)
    if at is None:
        return UnsupportedSchema("", pointer_of(path), because=f"it is not a schema: {error.message}")
    return UnsupportedSchema(str(path[at]), pointer_of(path[:at]), because=f"it is not a schema: {error.message}")


def _patterns(part: Any) -> list[tuple[str, str]]:
    if not isinstance(part, dict):
        return []
    named = part.get("patternProperties")
    found = [("patternProperties", name) for name in named] if isinstance(named, dict) else []
    return found + ([("pattern", part["pattern"])] if isinstance(part.get("pattern"), str) else [])


def _checked_pattern(keyword: str, pattern: str, path: tuple[str | int, ...]) -> bool:
    try:
        return read_pattern(pattern).may_explode
    except UnsupportedGrammar as error:
        where = f" (column {error.column})" if error.column is not None else ""
        raise UnsupportedSchema(
            keyword, pointer_of(path), because=f"pattern {pattern!r}: {error.because}{where}"
        ) from None


def refusal(schema: Any, message: str) -> DecodeplugError:
    """The error for what the engine said, with the keyword that it spoke of and where that is.

    The engine names keywords without their places: the first place in the schema is given.
    """
    because = first_line(message)
    if unsatisfiable := because.startswith("Unsatisfiable schema: "):
        because = because.removeprefix("Unsatisfiable schema: ")
    path, keyword = _blamed(schema, because)
    if unsatisfiable:
        return Unsatisfiable("JSON schema", because=because, pointer=pointer_of(path))
    if because.startswith("Unimplemented keys"):
        because = "this keyword cannot be enforced while the text is written"
    elif because.startswith("Resource "):
        because = "remote references are not fetched"
    return UnsupportedSchema(keyword, pointer_of(path), because=because)


def _blamed(schema: Any, message: str) -> tuple[tuple[str | int, ...], str]:
    """The first place of a keyword that the message names, rather with a value that it names too."""
    words = set(re.findall(r"[$\w-]+", message))
    if message.startswith(("Resource ", "Pointer ", "Anchor ")):
        words.add("$ref")
    if message.startswith("Unknown format"):
        words.add("format")
    best: tuple[int, tuple[str | int, ...], str] = (0, (), "")
    for path, part in subschemas(schema):
        for keyword, value in part.items() if isinstance(part, dict) else ():
            if keyword in words:
                text = str(value).strip("#")
                score = 2 if not isinstance(value, dict | list) and text and text in message else 1
                if score > best[0]:
                    best = (score, path, keyword)
    return best[1], best[2]
