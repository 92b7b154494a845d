"""What the benchmark of masks walks along: constraints with texts that they allow, and what must be refused.

They were written before the code that they judge and are not tuned to it. The schemas of json_cases.py have a
value here; other keywords, patterns and choices have cases of their own.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from json_cases import JSON_CASES
from mask_values import VALUES
from schema_shorthand import FLAG, closed, list_of, number, one_of, text, whole

__all__ = [
    "CHOICES",
    "LAID_OUT",
    "PATTERNS",
    "PLAIN",
    "REFUSED_PATTERN",
    "PlainCase",
    "SchemaCase",
    "deep_schema",
    "laid_out",
    "large_schema",
    "wide_schema",
]

LAID_OUT: Mapping[str, Mapping[str, Any]] = {
    "spaced": {},
    "compact": {"separators": (",", ":")},
    "lines": {"indent": 2},
}
"""How ``json.dumps`` is told to lay a value out."""


@dataclass(frozen=True)
class SchemaCase:
    """A schema and a value that it allows."""

    name: str
    schema: dict[str, Any]
    value: Any


@dataclass(frozen=True)
class PlainCase:
    """A regular expression or a list of options, and a text that it allows."""

    name: str
    given: str | tuple[str, ...]
    text: str


def laid_out(value: Any, layout: str) -> str:
    """The text of a value; see ``LAID_OUT``."""
    return json.dumps(value, ensure_ascii=False, **LAID_OUT[layout])


PLAIN: tuple[SchemaCase, ...] = tuple(SchemaCase(case.name, case.schema, VALUES[case.name]) for case in JSON_CASES)
"""Schemas that masks enforce, whole."""

PATTERNS: tuple[PlainCase, ...] = (
    PlainCase("a code", "[A-Z]{3}-[0-9]{2,4}/[a-z]{1,8}", "QTX-2041/granite"),
    PlainCase(
        "an address of a page",
        "https?://[a-z0-9.-]{4,60}(/[a-zA-Z0-9._~-]{1,40}){0,6}(\\?[a-z]{1,10}=[a-z0-9]{1,20})?",
        "https://www.example.org/archive/2024/bears-of-the-north.html?page=12",
    ),
    PlainCase(
        "a sentence",
        "[A-Z][a-z]{1,20}( [a-z]{1,20}){3,30}[.!?]",
        "Somewhere behind the old harbour a small brown bear was looking for its favourite book of songs.",
    ),
    PlainCase(
        "lines of measurements",
        "([a-z]{1,12}: -?[0-9]{1,4}\\.[0-9]{1,3} (mm|cm|kg|s)\\n){1,12}",
        "length: 120.5 mm\nwidth: 12.25 cm\nweight: 3.875 kg\nduration: 60.0 s\n",
    ),
    PlainCase(
        "any text", "(.|\\n){1,400}", "Bears sleep.\n\nIn spring, when the river is high, they fish: 3 to 5 a day!"
    ),
)

CHOICES: tuple[PlainCase, ...] = (
    PlainCase("yes or no", ("yes", "no", "not sure"), "not sure"),
    PlainCase(
        "a department",
        tuple(
            f"{place} {task} department"
            for place in ("northern", "southern", "eastern", "western", "central")
            for task in ("accounting", "logistics", "research", "sales", "support", "training", "legal", "housing")
        ),
        "eastern logistics department",
    ),
)


def wide_schema(count: int, prefix: str = "field") -> dict[str, Any]:
    """A closed object with so many properties of eight kinds; every fifth may be left out.

    :param prefix: Names begin with it: another one makes another schema of the same shape.
    """
    kinds: tuple[dict[str, Any], ...] = (
        text(40),
        whole(0, 9999),
        FLAG,
        one_of("low", "normal", "high", "urgent"),
        list_of(text(20), 0, 3),
        {"type": "string"},
        closed(city=text(30), postcode=text(10)),
        number(-90, 90),
    )
    properties = {
        f"{prefix}_{place}": {**kinds[place % len(kinds)], "title": f"Field {place}"} for place in range(count)
    }
    return closed(tuple(list(properties)[4::5]), **properties)


def deep_schema(depth: int = 2000) -> dict[str, Any]:
    """Arrays in arrays, deeper than any schema may be."""
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(depth):
        schema = {"type": "array", "items": schema}
    return schema


def large_schema() -> dict[str, Any]:
    """Over a million bytes."""
    return closed(**{f"field_{place}": {**text(40), "description": "x" * 200} for place in range(5000)})


REFUSED_PATTERN = "^(?:(?:(?:a{1,20}){1,20}){1,20}){1,20}$"
"""Explodes after a few tokens."""
