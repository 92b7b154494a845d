"""What a task of the extraction benchmark is: a short text, a form to fill in, and what belongs into it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from schema_shorthand import DATE, TIME

__all__ = ["ExtractionCase", "Shape", "outline"]

_WORDS = {"string": "string", "integer": "whole number", "number": "number", "boolean": "true or false"}


@dataclass(frozen=True)
class Shape:
    """A form that several tasks share.

    :ivar name: Short and unique.
    :ivar schema: JSON Schema (draft 2020-12) of an object.
    :ivar max_new_tokens: The budget, the same for every way to decode; it holds an answer that is indented, too.
    """

    name: str
    schema: dict[str, Any]
    max_new_tokens: int


@dataclass(frozen=True)
class ExtractionCase:
    """One task: everything that the form asks for stands in the text.

    :ivar name: Short and unique.
    :ivar text: Two to five sentences.
    :ivar expected: What the answer should be; it satisfies the schema.
    :ivar said: For each value that is not in the text letter by letter, its JSON pointer and the words that say it.
    """

    name: str
    shape: Shape
    text: str
    expected: dict[str, Any]
    said: Mapping[str, str] = field(default_factory=dict)

    @property
    def messages(self) -> list[dict[str, str]]:
        """The task as chat messages: the same for every way to decode."""
        content = (
            f"Fill in the form from the text.\n\nText: {self.text}\n\nForm: {outline(self.shape.schema)}\n\n"
            "Answer with one JSON object and nothing else."
        )
        return [{"role": "user", "content": content}]


def outline(schema: dict[str, Any]) -> str:
    """The schema in the form of its own values: ``{"name": string, "age": whole number}``.

    Small models copy a JSON schema instead of following it, so this is what they are shown. It names every key,
    type and option; bounds are left out.
    """
    if "enum" in schema:
        return " or ".join(map(json.dumps, schema["enum"]))
    if schema["type"] == "object":
        return "{" + ", ".join(f'"{key}": {outline(value)}' for key, value in schema["properties"].items()) + "}"
    if schema["type"] == "array":
        return f"[{outline(schema['items'])}, ...]"
    if schema in (DATE, TIME):
        return '"YYYY-MM-DD"' if schema == DATE else '"HH:MM"'
    return _WORDS[schema["type"]]
