"""Constraints of every kind, and constraints made of constraints."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from decodeplug import choice, json_schema, lark, phases, product, regex, tools, union
from decodeplug.plugin import CharacterConstraint

__all__ = ["MIXTURES"]


@dataclass(frozen=True)
class Balanced(CharacterConstraint):
    """Round and square brackets that are closed in order, at most four deep."""

    characters = "()[]"

    def start(self) -> str:
        return ""

    def step(self, open_: str, char: str) -> str | None:
        if char in "([":
            return open_ + char if len(open_) < 4 else None
        return open_[:-1] if open_.endswith("(" if char == ")" else "[") else None

    def is_accepting(self, open_: str) -> bool:
        return not open_


SMALL = {"type": "integer", "minimum": 0, "maximum": 40}
UNIQUE = {"type": "array", "items": SMALL, "uniqueItems": True, "minItems": 1, "maxItems": 4}
BEAR = {
    "type": "object",
    "properties": {"name": {"type": "string", "maxLength": 8}, "ages": UNIQUE, "kind": {"enum": ["brown", "ice"]}},
    "required": ["name"],
    "additionalProperties": False,
}
WEATHER: Any = {"name": "weather", "parameters": {"type": "object", "properties": {"city": {"enum": ["Rome", "Bonn"]}}}}
SORT: Any = {"name": "sort", "parameters": {"type": "object", "properties": {"by": UNIQUE}, "required": ["by"]}}

MIXTURES: dict[str, Any] = {
    "json": json_schema(BEAR),
    "choice": choice(["no", "yes", "yes, please", "größer"]),
    "own": Balanced(),
    "union": union(json_schema(UNIQUE), regex("[a-f]{2,9}"), Balanced()),
    "union of a union": union(choice(["x"]), union(json_schema(BEAR, "compact"), lark("iso8601_date"))),
    "product of patterns": product(regex("[A-Z0-9]{6}"), regex(".*[0-9].*"), regex(".*[A-Z].*")),
    "product with a schema": product(json_schema(UNIQUE), regex(r"\[.{1,14}\]")),
    "product with an own one": product(Balanced(), regex("(?:..){1,5}")),
    "product with a grammar": product(lark("arithmetic"), regex(".{1,12}")),
    "phases": phases(json_schema(BEAR), marker="##", budget=6),
    "phases of a union": phases(union(json_schema(UNIQUE), choice(["none"])), marker="</think>", budget=3),
    "phases of tools": phases(tools([WEATHER], choice="required"), budget=4),
    "tools": tools([WEATHER, SORT]),
    "required tools": tools([WEATHER, SORT], choice="required"),
    "one tool": tools([SORT], choice="sort", parallel=False),
    "llama's tools": tools([WEATHER, SORT], choice="required", form="llama3"),
    "mistral's tools": tools([WEATHER, SORT], choice="required", form="mistral"),
    "a union of tools": union(tools([WEATHER], choice="required"), json_schema(BEAR)),
}
