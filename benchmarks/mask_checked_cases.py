"""Schemas with keywords that no mask enforces, so that each token is checked, and values that they allow."""

from __future__ import annotations

from typing import Any

from mask_cases import SchemaCase
from schema_shorthand import FLAG, closed, list_of, number, one_of, text, whole

__all__ = ["CHECKED"]

_UNIQUE: dict[str, Any] = {"uniqueItems": True}

CHECKED: tuple[SchemaCase, ...] = (
    SchemaCase(
        "uniqueItems",
        closed(title=text(40), tags={**list_of(text(20), 1, 6), **_UNIQUE}),
        {"title": "A walk along the river", "tags": ["outdoors", "spring", "birds", "family", "dogs"]},
    ),
    SchemaCase(
        "uniqueItems of objects",
        {**list_of(closed(name=text(20), seat=whole(1, 60)), 1, 6), **_UNIQUE},
        [{"name": "Anna", "seat": 12}, {"name": "Pedro", "seat": 13}, {"name": "Mei", "seat": 14}],
    ),
    SchemaCase(
        "contains",
        closed(
            crew={
                **list_of(closed(name=text(20), role=one_of("captain", "cook", "sailor")), 1, 6),
                "contains": {"properties": {"role": {"const": "captain"}}, "required": ["role"]},
                "maxContains": 1,
            }
        ),
        {"crew": [{"name": "Olu", "role": "cook"}, {"name": "Ingrid", "role": "captain"}]},
    ),
    SchemaCase(
        "not a pattern",
        closed(user={**text(20), "not": {"pattern": "^admin"}}, comment=text(120)),
        {"user": "margaret_h", "comment": "The lid broke after two weeks, and nobody answered my letters."},
    ),
    SchemaCase(
        "if, then, else",
        {
            **closed(country=one_of("US", "NL"), amount=number(0, 100000), postcode=text(10), note=text(80)),
            "if": {"properties": {"amount": {"minimum": 1000}}},
            "then": {"properties": {"note": {"minLength": 10}}},
            "else": {"properties": {"postcode": {"pattern": "^[0-9]"}}},
        },
        {"country": "NL", "amount": 1250.5, "postcode": "1016 DV", "note": "signed by the head of the department"},
    ),
    SchemaCase(
        "dependentSchemas",
        {
            **closed(("card", "address"), name=text(30), card=text(20), address=text(60)),
            "dependentSchemas": {
                "card": {"required": ["address"], "properties": {"address": {"not": {"pattern": "^PO Box"}}}}
            },
        },
        {"name": "Jane Okafor", "card": "4929 1111 2222 3333", "address": "8 Rose Lane, Bristol"},
    ),
    SchemaCase(
        "oneOf with options that overlap",
        closed(score={"oneOf": [whole(0, 60), whole(40, 100)]}, reason=text(90)),
        {"score": 87, "reason": "Well argued, with examples, and half a page shorter than asked for."},
    ),
    SchemaCase(
        "minProperties",
        {**closed(("red", "green", "blue", "grey"), red=FLAG, green=FLAG, blue=FLAG, grey=FLAG), "minProperties": 2},
        {"red": True, "blue": False, "grey": True},
    ),
    SchemaCase(
        "unevaluatedProperties",
        {
            "type": "object",
            "properties": {"name": text(30), "age": whole(0, 120)},
            "required": ["name"],
            "anyOf": [{"properties": {"school": text(40)}, "required": ["school"]}, {"required": ["age"]}],
            "unevaluatedProperties": False,
        },
        {"name": "Kofi Mensah", "age": 34, "school": "Achimota School, Accra"},
    ),
    SchemaCase(
        "a format that is a calendar",
        closed(title=text(40), day={"type": "string", "format": "date"}, place=text(40)),
        {"title": "Budget review", "day": "2025-11-04", "place": "the large meeting room"},
    ),
    SchemaCase(
        "not, among many properties",
        closed(
            category=one_of("login", "billing", "other"),
            priority={**whole(1, 9), "not": {"multipleOf": 4}},
            summary=text(160, 20),
            lines=list_of(closed(description=text(40), quantity=whole(1, 999)), 1, 4),
            locked=FLAG,
        ),
        {
            "category": "billing",
            "priority": 7,
            "summary": "The invoice of March lists a workbench that was sent back on the same day.",
            "lines": [{"description": "workbench", "quantity": 1}, {"description": "cordless drill", "quantity": 3}],
            "locked": False,
        },
    ),
    SchemaCase(
        "a long list of unique numbers",
        {**list_of(whole(0, 999), 1, 30), **_UNIQUE},
        [17, 4, 256, 31, 99, 128, 512, 7, 640, 3, 81, 405, 12, 900, 45, 333, 62, 718, 205, 56],
    ),
)
