"""Extraction tasks whose form is flat: people, products, events, weather, books, matches, trains, reviews."""

from __future__ import annotations

from extraction_task import ExtractionCase, Shape
from schema_shorthand import DATE, FLAG, TIME, closed, number, one_of, text, whole

__all__ = ["FLAT_CASES"]

PERSON = Shape("person", closed(name=text(40), age=whole(0, 120), occupation=text(40), city=text(30)), 128)
PRODUCT = Shape("product", closed(product=text(40), price=number(0, 10000), colour=text(20), in_stock=FLAG), 128)
EVENT = Shape("event", closed(title=text(50), date=DATE, start=TIME, place=text(40)), 128)
WEATHER = Shape(
    "weather",
    closed(
        city=text(30),
        temperature=number(-60, 60),
        wind_kmh=whole(0, 300),
        sky=one_of("sunny", "cloudy", "rainy", "snowy", "foggy"),
    ),
    128,
)
BOOK = Shape("book", closed(title=text(50), author=text(40), year=whole(1400, 2100), pages=whole(1, 3000)), 128)
MATCH = Shape(
    "match",
    closed(home=text(30), away=text(30), home_score=whole(0, 200), away_score=whole(0, 200), extra_time=FLAG),
    128,
)
JOURNEY = Shape(
    "journey",
    closed(train=text(20), origin=text(30), destination=text(30), departure=TIME, platform=whole(1, 40), delayed=FLAG),
    144,
)
REVIEW = Shape(
    "review",
    closed(
        product=text(40),
        stars=whole(1, 5),
        topic=one_of("delivery", "quality", "price", "support"),
        recommended=FLAG,
    ),
    128,
)

FLAT_CASES: tuple[ExtractionCase, ...] = (
    ExtractionCase(
        "nurse",
        PERSON,
        "Maria Santos works as a nurse at the children's hospital. She is 34 years old and lives in Porto with her two "
        "sons.",
        {"name": "Maria Santos", "age": 34, "occupation": "nurse", "city": "Porto"},
    ),
    ExtractionCase(
        "baker",
        PERSON,
        "Every morning at four, Henrik Dahl opens his shop. The baker is 58 and has lived in Bergen all his life.",
        {"name": "Henrik Dahl", "age": 58, "occupation": "baker", "city": "Bergen"},
    ),
    ExtractionCase(
        "pilot",
        PERSON,
        "My neighbour Grace Okoye is a pilot. Last week she turned 41, and we had a party in her garden in Lagos.",
        {"name": "Grace Okoye", "age": 41, "occupation": "pilot", "city": "Lagos"},
    ),
    ExtractionCase(
        "student",
        PERSON,
        "Tom Becker, a student of seventeen, moved to Dresden in August. He comes from a village where he knew everyone.",
        {"name": "Tom Becker", "age": 17, "occupation": "student", "city": "Dresden"},
        {"/age": "seventeen"},
    ),
    ExtractionCase(
        "kettle",
        PRODUCT,
        "The Aurora kettle is back! It comes in dark green and costs 39.90 dollars. We have plenty of them in stock.",
        {"product": "Aurora kettle", "price": 39.9, "colour": "dark green", "in_stock": True},
        {"/in_stock": "plenty of them in stock"},
    ),
    ExtractionCase(
        "backpack",
        PRODUCT,
        "Our Ridge backpack is made for long walks. Colour: orange. Price: 75 dollars. Sorry, it is sold out until May.",
        {"product": "Ridge backpack", "price": 75, "colour": "orange", "in_stock": False},
        {"/in_stock": "sold out until May"},
    ),
    ExtractionCase(
        "lamp",
        PRODUCT,
        "For 120 dollars you get the Halo desk lamp, a white lamp with a heavy foot. We still have some in stock, so "
        "order soon.",
        {"product": "Halo desk lamp", "price": 120, "colour": "white", "in_stock": True},
        {"/in_stock": "still have some in stock"},
    ),
    ExtractionCase(
        "scarf",
        PRODUCT,
        "The Highland scarf was our bestseller at 24.50 dollars. Everybody wanted it in red. It is no longer available.",
        {"product": "Highland scarf", "price": 24.5, "colour": "red", "in_stock": False},
        {"/in_stock": "no longer available"},
    ),
    ExtractionCase(
        "concert",
        EVENT,
        "The Summer Concert of the school choir takes place on 2025-06-14. It begins at 19:30 in the Town Hall.",
        {"title": "Summer Concert", "date": "2025-06-14", "start": "19:30", "place": "Town Hall"},
    ),
    ExtractionCase(
        "workshop",
        EVENT,
        "Learn to repair your bicycle! The workshop Wheels and Brakes is on 2024-09-07 and starts at 10:00. We meet at "
        "Green Garage.",
        {"title": "Wheels and Brakes", "date": "2024-09-07", "start": "10:00", "place": "Green Garage"},
    ),
    ExtractionCase(
        "reading",
        EVENT,
        "On 2026-02-20, Elena Rossi reads from her new novel. The evening is called Night Trains. Harbour Bookshop opens "
        "its doors at 18:30, and the reading starts at 19:00.",
        {"title": "Night Trains", "date": "2026-02-20", "start": "19:00", "place": "Harbour Bookshop"},
    ),
    ExtractionCase(
        "chess",
        EVENT,
        "The Lindon Chess Open will be held at Lindon Library. Play starts at 09:15 on 3 May 2025. Bring your own clock.",
        {"title": "Lindon Chess Open", "date": "2025-05-03", "start": "09:15", "place": "Lindon Library"},
        {"/date": "3 May 2025"},
    ),
    ExtractionCase(
        "madrid",
        WEATHER,
        "It is a sunny day in Madrid with 31 degrees. A light wind blows at 12 km/h.",
        {"city": "Madrid", "temperature": 31, "wind_kmh": 12, "sky": "sunny"},
    ),
    ExtractionCase(
        "tromso",
        WEATHER,
        "Heavy snow is falling in Tromso tonight. The temperature is -8 degrees, and the wind reaches 45 km/h.",
        {"city": "Tromso", "temperature": -8, "wind_kmh": 45, "sky": "snowy"},
        {"/sky": "Heavy snow is falling"},
    ),
    ExtractionCase(
        "dublin",
        WEATHER,
        "Dublin stays rainy this afternoon. We expect 14.5 degrees and a wind of 38 km/h.",
        {"city": "Dublin", "temperature": 14.5, "wind_kmh": 38, "sky": "rainy"},
    ),
    ExtractionCase(
        "prague",
        WEATHER,
        "You can hardly see the bridges of Prague this morning, so thick is the fog. At 3 degrees, the wind is only "
        "5 km/h.",
        {"city": "Prague", "temperature": 3, "wind_kmh": 5, "sky": "foggy"},
        {"/sky": "so thick is the fog"},
    ),
    ExtractionCase(
        "orchard",
        BOOK,
        "The Glass Orchard is a novel by Miriam Feld. It was published in 2011 and has 284 pages.",
        {"title": "The Glass Orchard", "author": "Miriam Feld", "year": 2011, "pages": 284},
    ),
    ExtractionCase(
        "rivers",
        BOOK,
        "In 1987 the historian Paul Adeyemi wrote Rivers of Salt. The book has 512 pages and many maps.",
        {"title": "Rivers of Salt", "author": "Paul Adeyemi", "year": 1987, "pages": 512},
    ),
    ExtractionCase(
        "winter",
        BOOK,
        "I have just finished A Winter Abroad. It is only 96 pages long. Lucia Bianchi wrote it in 2019 while she was "
        "living in Oslo.",
        {"title": "A Winter Abroad", "author": "Lucia Bianchi", "year": 2019, "pages": 96},
    ),
    ExtractionCase(
        "engine",
        BOOK,
        "Thomas Hale published The Quiet Engine in 1954. The book has 340 pages and was made into a film in 1960.",
        {"title": "The Quiet Engine", "author": "Thomas Hale", "year": 1954, "pages": 340},
    ),
    ExtractionCase(
        "riverton",
        MATCH,
        "Riverton United beat Oakfield Town 3-1 at home on Saturday. The match was decided in normal time.",
        {"home": "Riverton United", "away": "Oakfield Town", "home_score": 3, "away_score": 1, "extra_time": False},
        {"/extra_time": "decided in normal time"},
    ),
    ExtractionCase(
        "falcons",
        MATCH,
        "Bergheim Bears lost their home game against Felden Falcons by 78 to 84. They had been level after four "
        "quarters, so the teams went into extra time.",
        {"home": "Bergheim Bears", "away": "Felden Falcons", "home_score": 78, "away_score": 84, "extra_time": True},
        {"/extra_time": "went into extra time"},
    ),
    ExtractionCase(
        "lakeside",
        MATCH,
        "At home, Lakeside scored 2 goals. The visitors from Norwood scored 2 as well. There was no extra time.",
        {"home": "Lakeside", "away": "Norwood", "home_score": 2, "away_score": 2, "extra_time": False},
        {"/extra_time": "no extra time"},
    ),
    ExtractionCase(
        "stonebridge",
        MATCH,
        "Home: Stonebridge. Away: Eastport. Final score: 5 to 4 after extra time.",
        {"home": "Stonebridge", "away": "Eastport", "home_score": 5, "away_score": 4, "extra_time": True},
        {"/extra_time": "after extra time"},
    ),
    ExtractionCase(
        "salzburg",
        JOURNEY,
        "Train IC 204 from Vienna to Salzburg leaves at 08:25 from platform 7. It is on time.",
        {
            "train": "IC 204",
            "origin": "Vienna",
            "destination": "Salzburg",
            "departure": "08:25",
            "platform": 7,
            "delayed": False,
        },
        {"/delayed": "on time"},
    ),
    ExtractionCase(
        "kassel",
        JOURNEY,
        "Attention please: the train RE 17 to Kassel is delayed. It leaves Frankfurt at 14:50 from platform 12.",
        {
            "train": "RE 17",
            "origin": "Frankfurt",
            "destination": "Kassel",
            "departure": "14:50",
            "platform": 12,
            "delayed": True,
        },
        {"/delayed": "is delayed"},
    ),
    ExtractionCase(
        "night-train",
        JOURNEY,
        "I will take the night train NJ 40 from Paris and be in Berlin for breakfast. It departs at 19:10 from "
        "platform 3, without any delay.",
        {
            "train": "NJ 40",
            "origin": "Paris",
            "destination": "Berlin",
            "departure": "19:10",
            "platform": 3,
            "delayed": False,
        },
        {"/delayed": "without any delay"},
    ),
    ExtractionCase(
        "signal-failure",
        JOURNEY,
        "Because of a signal failure, train EC 88 is late. Passengers from Milan to Zurich now go to platform 5. The "
        "new departure is at 16:05.",
        {
            "train": "EC 88",
            "origin": "Milan",
            "destination": "Zurich",
            "departure": "16:05",
            "platform": 5,
            "delayed": True,
        },
        {"/delayed": "is late"},
    ),
    ExtractionCase(
        "headphones",
        REVIEW,
        "I give the Nova headphones 5 stars. The quality of the sound is wonderful. I recommend them to everyone.",
        {"product": "Nova headphones", "stars": 5, "topic": "quality", "recommended": True},
        {"/recommended": "I recommend them"},
    ),
    ExtractionCase(
        "printer",
        REVIEW,
        "2 stars for the Pico printer. The delivery took six weeks, and nobody knew where the parcel was. I cannot "
        "recommend it.",
        {"product": "Pico printer", "stars": 2, "topic": "delivery", "recommended": False},
        {"/recommended": "cannot recommend it"},
    ),
    ExtractionCase(
        "garden-chair",
        REVIEW,
        "The Terra garden chair is fine, but the price is far too high for what you get. 3 stars. I would not recommend "
        "it.",
        {"product": "Terra garden chair", "stars": 3, "topic": "price", "recommended": False},
        {"/recommended": "would not recommend it"},
    ),
    ExtractionCase(
        "pump",
        REVIEW,
        "My Velo pump broke, and their support sent me a new one on the same day. That is worth four stars, and yes, I "
        "recommend it.",
        {"product": "Velo pump", "stars": 4, "topic": "support", "recommended": True},
        {"/stars": "four stars", "/recommended": "yes, I recommend it"},
    ),
)
