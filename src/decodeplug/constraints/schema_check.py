"""Is it a schema at all, and which of its keywords stands in the way of enforcing it?"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jsonschema import validators
from jsonschema.exceptions import ValidationError, best_match
from jsonschema.protocols import Validator

from decodeplug.constraints.character_classes import without_properties
from decodeplug.constraints.compiled import first_line
from decodeplug.constraints.pattern import read_pattern
from decodeplug.constraints.schema_meta import flat_meta, keywords_of
from decodeplug.constraints.schema_tree import pointer_of, subschemas
from decodeplug.errors import BadOption, DecodeplugError, Unsatisfiable, UnsupportedGrammar, UnsupportedSchema

__all__ = ["DRAFTS", "Suspect", "check_schema", "dialect", "refusal"]

DRAFTS: Mapping[str, type[Validator]] = {
    "2020-12": validators.Draft202012Validator,
    "2019-09": validators.Draft201909Validator,
    "7": validators.Draft7Validator,
    "6": validators.Draft6Validator,
    "4": validators.Draft4Validator,
}
DEEPEST = 100
_LARGEST_BYTES = 1_000_000


@dataclass(frozen=True, slots=True)
class Suspect:
    """A pattern that may explode, and the schema that it stands in."""

    keyword: str
    pointer: str
    pattern: str

    def refused(self, error: UnsupportedGrammar) -> UnsupportedSchema:
        """What is wrong with the pattern, as an error of the schema."""
        where = f" (column {error.column})" if error.column is not None else ""
        because = f"pattern {self.pattern!r}: {error.because}{where}"
        return UnsupportedSchema(self.keyword, self.pointer, because=because)


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


def check_schema(schema: Any, validator: type[Validator]) -> list[Suspect]:
    """Check a schema against its draft and against our bounds.

    :returns: Patterns that may explode while text is written, so that they should be tried.
    :raises UnsupportedSchema: With the keyword, its JSON pointer, and the reason.
    """
    size = len(json.dumps(schema))
    if size > _LARGEST_BYTES:
        raise UnsupportedSchema("", "", because=f"it is {size:,} bytes long; {_LARGEST_BYTES:,} is the limit")
    parts = list(subschemas(schema, keywords_of(validator)))
    for path, _ in parts:
        if len(path) > DEEPEST:
            raise UnsupportedSchema(
                str(path[-1]), pointer_of(path[:6]) + "/...", because=f"it is nested deeper than {DEEPEST} steps"
            )
    meta = flat_meta(validator)
    fine: set[str] = set()  # small schemas that were checked: {"type": "string"} is in many places
    for path, part in parts:
        if path and isinstance(part, bool):
            continue  # whether there may be one, the rules for the schema around it say (draft 4 has few)
        small = repr(part) if _is_small(part) else ""
        if small in fine:
            continue
        error = best_match(meta.iter_errors(part))
        if isinstance(error, ValidationError):
            raise _not_a_schema(path, error)
        if small:
            fine.add(small)
    found = (_checked_pattern(keyword, pattern, path) for path, part in parts for keyword, pattern in _patterns(part))
    return [suspect for suspect in found if suspect is not None]


def _is_small(part: Any) -> bool:
    return isinstance(part, dict) and not any(isinstance(value, dict | list) for value in part.values())


def _not_a_schema(path: tuple[str | int, ...], error: ValidationError) -> UnsupportedSchema:
    keyword = next((str(step) for step in error.absolute_path), "")
    return UnsupportedSchema(
        keyword, pointer_of((*path, *error.absolute_path)), because=f"it is not a schema: {error.message}"
    )


def _patterns(part: Any) -> list[tuple[str, str]]:
    if not isinstance(part, dict):
        return []
    named = part.get("patternProperties")
    found = [("patternProperties", name) for name in named] if isinstance(named, dict) else []
    return found + ([("pattern", part["pattern"])] if isinstance(part.get("pattern"), str) else [])


def _checked_pattern(keyword: str, pattern: str, path: tuple[str | int, ...]) -> Suspect | None:
    place = (keyword, pattern) if keyword == "patternProperties" else (keyword,)
    suspect = Suspect(keyword, pointer_of((*path, *place)), pattern)
    try:
        return suspect if read_pattern(without_properties(pattern)).may_explode else None
    except UnsupportedGrammar as error:
        raise suspect.refused(error) from None


def refusal(schema: Any, message: str, form: Any = None) -> DecodeplugError:
    """The error for what the engine said, with the keyword that it spoke of and where that is.

    The engine names keywords without their places: the first place in the schema is given, or else in ``form``,
    which is what the engine was given.
    """
    because = first_line(message)
    if unsatisfiable := because.startswith("Unsatisfiable schema: "):
        because = because.removeprefix("Unsatisfiable schema: ")
    path, keyword = _blamed(schema, because)
    if not keyword and form is not None:
        path, keyword = _blamed(form, because)
    if unsatisfiable:
        return Unsatisfiable("JSON schema", because=because, pointer=pointer_of(path))
    if because.startswith("Unimplemented keys"):
        because = "this keyword cannot be enforced while the text is written"
    return UnsupportedSchema(keyword, pointer_of((*path, keyword) if keyword else path), because=because)


def _blamed(schema: Any, message: str) -> tuple[tuple[str | int, ...], str]:
    """The first place of a keyword that the message names, rather with a value that it names too."""
    words = re.findall(r"[$\w-]+", message)
    if message.startswith("Pointer "):
        words.append("$ref")
    if message.startswith("Unknown format"):
        words.append("format")
    best: tuple[tuple[bool, int], tuple[str | int, ...], str] = ((False, -len(words)), (), "")
    for path, part in subschemas(schema):
        for keyword, value in part.items() if isinstance(part, dict) else ():
            if keyword in words:
                text = "" if isinstance(value, dict | list) else str(value).strip("#")
                score = (bool(text) and text in message, -words.index(keyword))
                if score > best[0]:
                    best = (score, path, keyword)
    return best[1], best[2]
