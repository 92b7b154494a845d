"""The JSON tasks that the end-to-end benchmark is judged by: schema, chat messages, budget.

They were written before the code that they judge and are not tuned to it. Each string and
array is bounded by its schema, and the budget holds more than the object needs, so that a decoder that
does its work can finish every one. Values stand in the prompt in some cases and nowhere in others.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from schema_shorthand import DATE, FLAG, TIME, closed, list_of, number, one_of, text, whole

__all__ = ["JSON_CASES", "JsonCase"]


@dataclass(frozen=True)
class JsonCase:
    """One task.

    :ivar name: Short and unique; the row's name in every table.
    :ivar shape: What makes its schema different from the others.
    :ivar messages: Chat messages, for the model's own chat template.
    :ivar schema: JSON Schema (draft 2020-12).
    :ivar max_new_tokens: The budget, the same for everyone.
    """

    name: str
    shape: str
    messages: list[dict[str, str]]
    schema: dict[str, Any]
    max_new_tokens: int = 192


_ASK = "Answer with one JSON object and nothing else."


def _ask(task: str, system: str | None = None) -> list[dict[str, str]]:
    user = {"role": "user", "content": f"{task}\n{_ASK}"}
    return [user] if system is None else [{"role": "system", "content": system}, user]


JSON_CASES: tuple[JsonCase, ...] = (
    JsonCase(
        "teddy-bear",
        "flat, and one array of strings; nothing to copy",
        _ask(
            "Invent a teddy bear: its first name, last name, age in years, favourite hobby, and two or three "
            "favourite books."
        ),
        closed(
            first_name=text(20),
            last_name=text(20),
            age=whole(1, 99),
            hobby=text(40),
            favourite_books=list_of(text(40), 2, 3),
        ),
    ),
    JsonCase(
        "contact",
        "flat strings that stand in the prompt",
        _ask(
            "Extract the contact from this message.\n\n"
            "Hi, this is Margaret Holloway from Northfield Paper. You can reach me at "
            "margaret.holloway@northfieldpaper.com or on 555-0147. Our office is at 12 Canal Street, Leeds."
        ),
        closed(name=text(40), company=text(40), email=text(60), phone=text(20), street=text(40), city=text(30)),
    ),
    JsonCase(
        "invoice",
        "array of objects, numbers, a date, an enum",
        _ask(
            "Extract the invoice.\n\n"
            "Invoice INV-20417, issued 2024-03-18 by Brightwater Tools. 3 cordless drills at 89.50 each, "
            "12 boxes of screws at 4.25 each, 1 workbench at 210.00. Total 529.50 US dollars, due in 30 days."
        ),
        closed(
            invoice_number=text(20),
            issued=DATE,
            seller=text(40),
            lines=list_of(closed(description=text(40), quantity=whole(1, 999), unit_price=number(0, 9999)), 1, 4),
            currency=one_of("USD", "EUR", "GBP"),
            due_in_days=whole(0, 120),
        ),
        max_new_tokens=288,
    ),
    JsonCase(
        "sentiment",
        "two enums and a whole number: hardly any free text",
        _ask(
            'Classify this review: "The kettle boils fast and looks great, but the lid broke after two weeks and '
            'nobody answered my letters."'
        ),
        closed(
            sentiment=one_of("positive", "negative", "mixed", "neutral"),
            topic=one_of("delivery", "quality", "price", "support", "other"),
            stars=whole(1, 5),
        ),
        max_new_tokens=64,
    ),
    JsonCase(
        "support-ticket",
        "enums, booleans, one long string",
        _ask(
            'A customer writes: "Since this morning I cannot log in. The page says that my account is locked, and I '
            'have a presentation at noon with all slides in it. Please hurry!" Write the ticket.',
            system="You are the help desk of a cloud storage company.",
        ),
        closed(
            category=one_of("login", "billing", "data loss", "performance", "other"),
            priority=one_of("low", "normal", "high", "urgent"),
            summary=text(160, 20),
            account_locked=FLAG,
            needs_callback=FLAG,
        ),
    ),
    JsonCase(
        "address-book",
        "three levels of nesting",
        _ask(
            "Write the record of the employee Tomas Lindqvist, a data engineer in the Oslo office, room 4.12, "
            "Karl Johans gate 22, postcode 0159, Norway. His manager is Ingrid Dahl."
        ),
        closed(
            employee=closed(
                name=closed(first=text(20), last=text(20)),
                role=text(40),
                office=closed(
                    room=text(10), address=closed(street=text(40), postcode=text(10), city=text(30), country=text(30))
                ),
            ),
            manager=closed(first=text(20), last=text(20)),
        ),
        max_new_tokens=224,
    ),
    JsonCase(
        "feature-flags",
        "nothing but booleans",
        _ask(
            'A restaurant says: "We have a terrace and free wifi, dogs are welcome, there is no car park, cards are '
            'accepted, and the kitchen is vegetarian but not vegan." Fill in the form.'
        ),
        closed(
            terrace=FLAG, wifi=FLAG, dogs_allowed=FLAG, car_park=FLAG, cards_accepted=FLAG, vegetarian=FLAG, vegan=FLAG
        ),
        max_new_tokens=96,
    ),
    JsonCase(
        "measurements",
        "numbers with a fraction, nested pair, array of numbers",
        _ask(
            "Sensor 17 reported at 59.91 north, 10.75 east. The temperatures of the last six hours were 3.4, 3.1, 2.8, "
            "2.9, 3.7 and 4.2 degrees; humidity was 81 percent, air pressure 1013.2 hPa."
        ),
        closed(
            sensor=whole(0, 9999),
            position=closed(north=number(-90, 90), east=number(-180, 180)),
            temperatures=list_of(number(-60, 60), 6, 6),
            humidity=whole(0, 100),
            pressure=number(800, 1200),
        ),
    ),
    JsonCase(
        "recipe",
        "array of objects with an enum inside, array of longer strings",
        _ask("Write a recipe for pancakes for four people with three to five ingredients and three steps."),
        closed(
            title=text(40),
            serves=whole(1, 12),
            ingredients=list_of(
                closed(name=text(30), amount=whole(1, 1000), unit=one_of("g", "ml", "piece", "tablespoon", "teaspoon")),
                3,
                5,
            ),
            steps=list_of(text(90, 10), 3, 3),
        ),
        max_new_tokens=352,
    ),
    JsonCase(
        "calendar-event",
        "dates and times as patterned strings, an optional key, list of people",
        _ask(
            'Extract the event: "Budget review with Anna, Pedro and Mei on 2025-11-04 from 14:30 to 16:00 in the large '
            'meeting room. Please bring the figures of the third quarter."'
        ),
        closed(
            ("note",),
            title=text(50),
            date=DATE,
            start=TIME,
            end=TIME,
            attendees=list_of(text(20), 1, 6),
            location=text(40),
            note=text(80),
        ),
    ),
    JsonCase(
        "book-review",
        "one long string: most tokens are free",
        _ask("Write a short review of the novel Frankenstein by Mary Shelley."),
        closed(title=text(40), author=text(40), rating=whole(1, 5), review=text(400, 120)),
        max_new_tokens=224,
    ),
    JsonCase(
        "quiz",
        "array of objects with arrays inside",
        _ask(
            "Write a quiz of two questions about the planets, each with three answers and the number of the right one."
        ),
        closed(
            topic=text(30),
            questions=list_of(
                closed(question=text(90, 10), answers=list_of(text(30), 3, 3), right_answer=whole(1, 3)), 2, 2
            ),
        ),
        max_new_tokens=256,
    ),
    JsonCase(
        "tool-call",
        "a choice between two objects by a constant",
        _ask(
            'You can call get_weather(city, day) or set_alarm(time, label). The user says: "Will it rain in Lisbon on '
            'Friday?" Write the call.'
        ),
        {
            "anyOf": [
                closed(
                    tool={"const": "get_weather"},
                    arguments=closed(city=text(30), day=one_of("today", "tomorrow", "friday", "saturday", "sunday")),
                ),
                closed(tool={"const": "set_alarm"}, arguments=closed(time=TIME, label=text(30))),
            ]
        },
        max_new_tokens=80,
    ),
    JsonCase(
        "profile",
        "several optional keys, a value that may be null",
        _ask(
            'Make a profile from this: "I am Kofi, 34, from Accra. I teach chemistry, I play the trumpet and I like '
            'long distance running. I have no website."'
        ),
        closed(
            ("nickname", "website", "languages"),
            name=text(30),
            nickname=text(20),
            age=whole(0, 120),
            city=text(30),
            occupation=text(40),
            hobbies=list_of(text(30), 1, 4),
            website={"anyOf": [text(60), {"type": "null"}]},
            languages=list_of(text(20), 0, 3),
        ),
    ),
    JsonCase(
        "entities",
        "array of small objects whose text stands in the prompt",
        _ask(
            'List the people, places and organisations in this text: "In 1903 Marie Curie shared the Nobel Prize with '
            "Pierre Curie and Henri Becquerel. She worked in Paris at the Sorbonne and was born in Warsaw."
            '"'
        ),
        closed(entities=list_of(closed(text=text(40), kind=one_of("person", "place", "organisation")), 3, 6)),
        max_new_tokens=224,
    ),
    JsonCase(
        "shop-order",
        "nested, array of objects, shared definition by $ref",
        _ask(
            'Read the order: "Please send two blue mugs and one teapot to Jane Okafor, 8 Rose Lane, Bristol. '
            'The bill goes to Okafor Design, 77 Park Row, Bristol. Express delivery please."'
        ),
        {
            "$defs": {"address": closed(name=text(40), street=text(40), city=text(30))},
            **closed(
                items=list_of(closed(product=text(30), quantity=whole(1, 99)), 1, 4),
                ship_to={"$ref": "#/$defs/address"},
                bill_to={"$ref": "#/$defs/address"},
                delivery=one_of("standard", "express"),
            ),
        },
        max_new_tokens=224,
    ),
)
