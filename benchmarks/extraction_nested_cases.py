"""Extraction tasks whose form has lists of strings and nested objects: jobs, contacts, meetings."""

from __future__ import annotations

from extraction_task import ExtractionCase, Shape
from schema_shorthand import FLAG, TIME, closed, list_of, one_of, text, whole

__all__ = ["NESTED_CASES"]

JOB = Shape(
    "job",
    closed(
        title=text(40),
        company=text(40),
        location=closed(city=text(30), country=text(30)),
        salary=whole(0, 1000000),
        remote=FLAG,
        skills=list_of(text(30), 1, 4),
    ),
    208,
)
CONTACT = Shape(
    "contact",
    closed(
        name=text(40),
        phone=text(20),
        email=text(50),
        address=closed(street=text(40), postcode=text(10), city=text(30)),
    ),
    192,
)
MEETING = Shape(
    "meeting",
    closed(
        topic=text(40),
        day=one_of("Monday", "Tuesday", "Wednesday", "Thursday", "Friday"),
        start=TIME,
        room=text(20),
        attendees=list_of(text(20), 1, 6),
        online=FLAG,
    ),
    192,
)

NESTED_CASES: tuple[ExtractionCase, ...] = (
    ExtractionCase(
        "analyst",
        JOB,
        "Blue Harbour is looking for a data analyst in Hamburg, Germany. The salary is 58000 euros a year. You should "
        "know SQL and Python. Working from home is possible.",
        {
            "title": "data analyst",
            "company": "Blue Harbour",
            "location": {"city": "Hamburg", "country": "Germany"},
            "salary": 58000,
            "remote": True,
            "skills": ["SQL", "Python"],
        },
        {"/remote": "Working from home is possible"},
    ),
    ExtractionCase(
        "chef",
        JOB,
        "Chef wanted! Olive Tree in Athens, Greece, pays 32000 euros. You need skills in grilling and baking. You work "
        "in our kitchen, not from home.",
        {
            "title": "Chef",
            "company": "Olive Tree",
            "location": {"city": "Athens", "country": "Greece"},
            "salary": 32000,
            "remote": False,
            "skills": ["grilling", "baking"],
        },
        {"/remote": "not from home"},
    ),
    ExtractionCase(
        "designer",
        JOB,
        "Northlight offers a position as web designer with a salary of 47000. The office is in Tallinn, Estonia, but "
        "the job is fully remote. Skills: CSS, drawing, English.",
        {
            "title": "web designer",
            "company": "Northlight",
            "location": {"city": "Tallinn", "country": "Estonia"},
            "salary": 47000,
            "remote": True,
            "skills": ["CSS", "drawing", "English"],
        },
        {"/remote": "fully remote"},
    ),
    ExtractionCase(
        "driver",
        JOB,
        "Swift Freight needs a truck driver in Lyon, France. Skills: navigation, French. Salary: 36000. This job cannot "
        "be done remotely.",
        {
            "title": "truck driver",
            "company": "Swift Freight",
            "location": {"city": "Lyon", "country": "France"},
            "salary": 36000,
            "remote": False,
            "skills": ["navigation", "French"],
        },
        {"/remote": "cannot be done remotely"},
    ),
    ExtractionCase(
        "keller",
        CONTACT,
        "This is Ruth Keller. My number is 555-0182 and my email is ruth@keller.example. I live at 14 Mill Lane, 4052 "
        "Basel.",
        {
            "name": "Ruth Keller",
            "phone": "555-0182",
            "email": "ruth@keller.example",
            "address": {"street": "14 Mill Lane", "postcode": "4052", "city": "Basel"},
        },
    ),
    ExtractionCase(
        "haddad",
        CONTACT,
        "Please send the parcel to Omar Haddad, 9 Palm Street, 20100 Casablanca. For questions, call 555-0110 or write "
        "to omar.haddad@mail.example.",
        {
            "name": "Omar Haddad",
            "phone": "555-0110",
            "email": "omar.haddad@mail.example",
            "address": {"street": "9 Palm Street", "postcode": "20100", "city": "Casablanca"},
        },
    ),
    ExtractionCase(
        "tanaka",
        CONTACT,
        "Contact: Yuki Tanaka, yuki@tanaka.example, phone 555-0139. Address: 27 Garden Road, 1060 Brussels.",
        {
            "name": "Yuki Tanaka",
            "phone": "555-0139",
            "email": "yuki@tanaka.example",
            "address": {"street": "27 Garden Road", "postcode": "1060", "city": "Brussels"},
        },
    ),
    ExtractionCase(
        "hansen",
        CONTACT,
        "Ole Hansen has moved to 3 Harbour View, 8000 Aarhus. His phone is still 555-0164. The new email is "
        "ole@hansen.example.",
        {
            "name": "Ole Hansen",
            "phone": "555-0164",
            "email": "ole@hansen.example",
            "address": {"street": "3 Harbour View", "postcode": "8000", "city": "Aarhus"},
        },
    ),
    ExtractionCase(
        "website",
        MEETING,
        "The meeting about the new website is on Tuesday at 10:30 in room B12. Anna, Pedro and Mei will be there in "
        "person.",
        {
            "topic": "new website",
            "day": "Tuesday",
            "start": "10:30",
            "room": "B12",
            "attendees": ["Anna", "Pedro", "Mei"],
            "online": False,
        },
        {"/online": "in person"},
    ),
    ExtractionCase(
        "budget",
        MEETING,
        "Topic: budget review. It is on Friday at 14:00, online, in the virtual room Delta. Attendees: Sam, Fatima.",
        {
            "topic": "budget review",
            "day": "Friday",
            "start": "14:00",
            "room": "Delta",
            "attendees": ["Sam", "Fatima"],
            "online": True,
        },
        {"/online": "online, in the virtual room"},
    ),
    ExtractionCase(
        "holidays",
        MEETING,
        "Monday, 09:00, room Oak: Lars and Nina discuss the topic holiday plan. Bring coffee; this is not an online "
        "meeting.",
        {
            "topic": "holiday plan",
            "day": "Monday",
            "start": "09:00",
            "room": "Oak",
            "attendees": ["Lars", "Nina"],
            "online": False,
        },
        {"/online": "not an online meeting"},
    ),
    ExtractionCase(
        "training",
        MEETING,
        "Invitation to safety training on Wednesday at 15:45, room 3C. Ivan, Chloe, Ben and Aisha take part online by "
        "video.",
        {
            "topic": "safety training",
            "day": "Wednesday",
            "start": "15:45",
            "room": "3C",
            "attendees": ["Ivan", "Chloe", "Ben", "Aisha"],
            "online": True,
        },
        {"/online": "take part online by video"},
    ),
)
