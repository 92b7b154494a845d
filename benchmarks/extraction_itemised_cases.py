"""Extraction tasks whose form has a list of objects: invoices and recipes."""

from __future__ import annotations

from extraction_task import ExtractionCase, Shape
from schema_shorthand import DATE, FLAG, closed, list_of, number, one_of, text, whole

__all__ = ["ITEMISED_CASES"]

INVOICE = Shape(
    "invoice",
    closed(
        invoice=text(20),
        seller=text(40),
        date=DATE,
        currency=one_of("USD", "EUR", "GBP"),
        lines=list_of(closed(item=text(30), quantity=whole(1, 999), price=number(0, 9999)), 1, 3),
        paid=FLAG,
    ),
    288,
)
RECIPE = Shape(
    "recipe",
    closed(
        title=text(40),
        serves=whole(1, 20),
        minutes=whole(1, 600),
        ingredients=list_of(
            closed(name=text(30), amount=whole(1, 5000), unit=one_of("g", "ml", "piece", "tablespoon")), 1, 4
        ),
        vegetarian=FLAG,
    ),
    256,
)

ITEMISED_CASES: tuple[ExtractionCase, ...] = (
    ExtractionCase(
        "tools",
        INVOICE,
        "Invoice A-1041 from Brightwater Tools, dated 2024-03-18. 3 drills at 89.50 USD each and 12 hammers at 14.25 USD "
        "each. The invoice has not been paid.",
        {
            "invoice": "A-1041",
            "seller": "Brightwater Tools",
            "date": "2024-03-18",
            "currency": "USD",
            "lines": [
                {"item": "drills", "quantity": 3, "price": 89.5},
                {"item": "hammers", "quantity": 12, "price": 14.25},
            ],
            "paid": False,
        },
        {"/paid": "has not been paid"},
    ),
    ExtractionCase(
        "trees",
        INVOICE,
        "Green Leaf sent invoice K-7730 on 2025-01-09. It lists 2 trees at 45 EUR each. We paid it last week.",
        {
            "invoice": "K-7730",
            "seller": "Green Leaf",
            "date": "2025-01-09",
            "currency": "EUR",
            "lines": [{"item": "trees", "quantity": 2, "price": 45}],
            "paid": True,
        },
        {"/paid": "We paid it"},
    ),
    ExtractionCase(
        "stationery",
        INVOICE,
        "Invoice B-22 of Castle Books, 2023-11-30: 1 atlas at 60 GBP, 5 notebooks at 3.50 GBP, 2 pens at 1.20 GBP. "
        "Status: paid.",
        {
            "invoice": "B-22",
            "seller": "Castle Books",
            "date": "2023-11-30",
            "currency": "GBP",
            "lines": [
                {"item": "atlas", "quantity": 1, "price": 60},
                {"item": "notebooks", "quantity": 5, "price": 3.5},
                {"item": "pens", "quantity": 2, "price": 1.2},
            ],
            "paid": True,
        },
        {"/paid": "Status: paid"},
    ),
    ExtractionCase(
        "folders",
        INVOICE,
        "On 5 July 2024, Northfield Paper wrote invoice NP-310 for 40 folders at 0.80 EUR each. It has not been paid yet.",
        {
            "invoice": "NP-310",
            "seller": "Northfield Paper",
            "date": "2024-07-05",
            "currency": "EUR",
            "lines": [{"item": "folders", "quantity": 40, "price": 0.8}],
            "paid": False,
        },
        {"/date": "5 July 2024", "/paid": "has not been paid yet"},
    ),
    ExtractionCase(
        "pancakes",
        RECIPE,
        "Pancakes for 4 people, ready in 25 minutes. You need 250 g flour and 500 ml milk. This is a vegetarian dish.",
        {
            "title": "Pancakes",
            "serves": 4,
            "minutes": 25,
            "ingredients": [
                {"name": "flour", "amount": 250, "unit": "g"},
                {"name": "milk", "amount": 500, "unit": "ml"},
            ],
            "vegetarian": True,
        },
        {"/vegetarian": "a vegetarian dish"},
    ),
    ExtractionCase(
        "soup",
        RECIPE,
        "Tomato Soup serves 2 and takes 30 minutes. Take 400 g tomatoes, 300 ml water and 2 tablespoons oil. There is no "
        "meat in it, so it is vegetarian.",
        {
            "title": "Tomato Soup",
            "serves": 2,
            "minutes": 30,
            "ingredients": [
                {"name": "tomatoes", "amount": 400, "unit": "g"},
                {"name": "water", "amount": 300, "unit": "ml"},
                {"name": "oil", "amount": 2, "unit": "tablespoon"},
            ],
            "vegetarian": True,
        },
        {"/ingredients/2/unit": "2 tablespoons", "/vegetarian": "it is vegetarian"},
    ),
    ExtractionCase(
        "stew",
        RECIPE,
        "Fish Stew: cook 600 g cod and 800 ml stock for 40 minutes. It serves 6 people. The dish is not vegetarian.",
        {
            "title": "Fish Stew",
            "serves": 6,
            "minutes": 40,
            "ingredients": [
                {"name": "cod", "amount": 600, "unit": "g"},
                {"name": "stock", "amount": 800, "unit": "ml"},
            ],
            "vegetarian": False,
        },
        {"/vegetarian": "not vegetarian"},
    ),
    ExtractionCase(
        "salad",
        RECIPE,
        "Lentil Salad takes 20 minutes and serves three. It needs 200 g lentils, 1 piece garlic and 1 tablespoon vinegar. "
        "Vegetarians love it.",
        {
            "title": "Lentil Salad",
            "serves": 3,
            "minutes": 20,
            "ingredients": [
                {"name": "lentils", "amount": 200, "unit": "g"},
                {"name": "garlic", "amount": 1, "unit": "piece"},
                {"name": "vinegar", "amount": 1, "unit": "tablespoon"},
            ],
            "vegetarian": True,
        },
        {"/serves": "three", "/vegetarian": "Vegetarians love it"},
    ),
)
