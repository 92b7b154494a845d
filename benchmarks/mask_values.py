"""A value for each schema of json_cases.py, as a model might write it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["VALUES"]

VALUES: Mapping[str, Any] = {
    "teddy-bear": {
        "first_name": "Barnaby",
        "last_name": "Honeywell",
        "age": 7,
        "hobby": "collecting river stones",
        "favourite_books": ["The Wind in the Willows", "A Bear Called Paddington"],
    },
    "contact": {
        "name": "Margaret Holloway",
        "company": "Northfield Paper",
        "email": "margaret.holloway@northfieldpaper.com",
        "phone": "555-0147",
        "street": "12 Canal Street",
        "city": "Leeds",
    },
    "invoice": {
        "invoice_number": "INV-20417",
        "issued": "2024-03-18",
        "seller": "Brightwater Tools",
        "lines": [
            {"description": "cordless drill", "quantity": 3, "unit_price": 89.5},
            {"description": "box of screws", "quantity": 12, "unit_price": 4.25},
            {"description": "workbench", "quantity": 1, "unit_price": 210},
        ],
        "currency": "USD",
        "due_in_days": 30,
    },
    "sentiment": {"sentiment": "mixed", "topic": "quality", "stars": 3},
    "support-ticket": {
        "category": "login",
        "priority": "urgent",
        "summary": "The customer's account is locked since this morning, and a presentation is due at noon.",
        "account_locked": True,
        "needs_callback": True,
    },
    "address-book": {
        "employee": {
            "name": {"first": "Tomas", "last": "Lindqvist"},
            "role": "data engineer",
            "office": {
                "room": "4.12",
                "address": {"street": "Karl Johans gate 22", "postcode": "0159", "city": "Oslo", "country": "Norway"},
            },
        },
        "manager": {"first": "Ingrid", "last": "Dahl"},
    },
    "feature-flags": {
        "terrace": True,
        "wifi": True,
        "dogs_allowed": True,
        "car_park": False,
        "cards_accepted": True,
        "vegetarian": True,
        "vegan": False,
    },
    "measurements": {
        "sensor": 17,
        "position": {"north": 59.91, "east": 10.75},
        "temperatures": [3.4, 3.1, 2.8, 2.9, 3.7, 4.2],
        "humidity": 81,
        "pressure": 1013.2,
    },
    "recipe": {
        "title": "Pancakes for four",
        "serves": 4,
        "ingredients": [
            {"name": "wheat flour", "amount": 250, "unit": "g"},
            {"name": "milk", "amount": 500, "unit": "ml"},
            {"name": "eggs", "amount": 3, "unit": "piece"},
        ],
        "steps": [
            "Whisk flour, milk and eggs to a smooth batter.",
            "Let it rest for twenty minutes.",
            "Bake thin pancakes in a hot pan, one ladle each.",
        ],
    },
    "calendar-event": {
        "title": "Budget review",
        "date": "2025-11-04",
        "start": "14:30",
        "end": "16:00",
        "attendees": ["Anna", "Pedro", "Mei"],
        "location": "large meeting room",
        "note": "Bring the figures of the third quarter.",
    },
    "book-review": {
        "title": "Frankenstein",
        "author": "Mary Shelley",
        "rating": 5,
        "review": "A young scientist gives life to a creature and then turns away from it. What follows is less a story "
        "of horror than one of loneliness: nobody, not even its maker, will look at what was made. No naïve tale.",
    },
    "quiz": {
        "topic": "the planets",
        "questions": [
            {
                "question": "Which planet is the largest?",
                "answers": ["Jupiter", "Saturn", "Neptune"],
                "right_answer": 1,
            },
            {"question": "Which planet is hottest?", "answers": ["Mercury", "Mars", "Venus"], "right_answer": 3},
        ],
    },
    "tool-call": {"tool": "get_weather", "arguments": {"city": "Lisbon", "day": "friday"}},
    "profile": {
        "name": "Kofi",
        "age": 34,
        "city": "Accra",
        "occupation": "chemistry teacher",
        "hobbies": ["trumpet", "long distance running"],
        "website": None,
    },
    "entities": {
        "entities": [
            {"text": "Marie Curie", "kind": "person"},
            {"text": "Pierre Curie", "kind": "person"},
            {"text": "Sorbonne", "kind": "organisation"},
            {"text": "Warsaw", "kind": "place"},
        ]
    },
    "shop-order": {
        "items": [{"product": "blue mug", "quantity": 2}, {"product": "teapot", "quantity": 1}],
        "ship_to": {"name": "Jane Okafor", "street": "8 Rose Lane", "city": "Bristol"},
        "bill_to": {"name": "Okafor Design", "street": "77 Park Row", "city": "Bristol"},
        "delivery": "express",
    },
}
