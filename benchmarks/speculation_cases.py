"""The prompts that drafters are judged by: ten of each kind. They were written before they were run once.

JSON tasks are the first ten of ``json_cases.py``, open questions those of ``free_text_cases.py``. Code is completed
as it stands, without a chat template; texts to summarise are given in the prompt. Two constants that say how long drafts are
were chosen by counts of the open questions, and four of these are about a subject of the text that heads are trained on. So
there are ten of a further kind, ``unseen``: open questions of the same forms about other subjects, which were written when all of
that was settled and by which nothing is chosen.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from free_text_cases import OPEN
from json_cases import JSON_CASES

__all__ = ["CASES", "KINDS", "SpeculationCase"]

KINDS = ("json", "summary", "code", "open", "unseen")


@dataclass(frozen=True)
class SpeculationCase:
    """One prompt: chat messages, or a text that is completed as it stands."""

    kind: str
    name: str
    prompt: str | list[dict[str, str]]
    schema: dict[str, Any] | None = None
    max_new_tokens: int = 128


_CODE = {
    "mean": "def mean(numbers):\n    return sum(numbers) / len(numbers)\n\n\ndef variance(numbers):\n",
    "stack": (
        "class Stack:\n    def __init__(self):\n        self.items = []\n\n    def push(self, item):\n"
        "        self.items.append(item)\n\n    def pop(self):\n"
    ),
    "fizzbuzz": "# Print the numbers from 1 to 100, Fizz for multiples of 3, Buzz for multiples of 5.\nfor number in range(",
    "celsius": (
        "def celsius_to_fahrenheit(celsius):\n    return celsius * 9 / 5 + 32\n\n\n"
        "def fahrenheit_to_celsius(fahrenheit):\n"
    ),
    "words": (
        "import collections\n\n\ndef count_words(path):\n    counts = collections.Counter()\n"
        "    with open(path) as lines:\n        for line in lines:\n"
    ),
    "point": (
        "class Point:\n    def __init__(self, x, y):\n        self.x = x\n        self.y = y\n\n"
        "    def __add__(self, other):\n        return Point(self.x + other.x, self.y + other.y)\n\n    def __sub__(self, other):\n"
    ),
    "primes": "def is_prime(number):\n    if number < 2:\n        return False\n",
    "csv": (
        "import csv\n\n\ndef read_prices(path):\n    prices = {}\n    with open(path, newline='') as file:\n"
        "        reader = csv.DictReader(file)\n"
    ),
    "tests": (
        "def test_empty_list():\n    assert largest([]) is None\n\n\ndef test_one_number():\n    assert largest([3]) == 3\n\n\n"
        "def test_negative_numbers():\n"
    ),
    "sql": (
        "CREATE TABLE authors (id INTEGER PRIMARY KEY, name TEXT NOT NULL);\n"
        "CREATE TABLE books (id INTEGER PRIMARY KEY, author_id INTEGER REFERENCES authors(id), title TEXT NOT NULL);\n"
        "-- The titles of all books with the names of their authors, sorted by name.\nSELECT "
    ),
}

_TEXTS = {
    "bridge": (
        "The old stone bridge over the Wend was built in 1782 by the brothers Hale, who also built the mill. In the flood "
        "of 1931 two of its five arches fell. They were rebuilt in concrete and clad with the old stones. Since 1998 cars "
        "have used the new bridge half a mile downstream, and the old one is open to walkers and cyclists only."
    ),
    "bakery": (
        "After forty years Maria Keller is closing her bakery on Church Street. She learned the trade from her father, who "
        "baked for the whole valley in a wood-fired oven. Her rye bread won the county prize six times. The shop will "
        "become a cafe, and the new owners have promised to keep the oven and to bake rye bread on Saturdays."
    ),
    "bees": (
        "A honey bee visits between fifty and a hundred flowers on one trip. It carries nectar in a stomach of its own, and "
        "pollen in baskets on its hind legs. Back in the hive it passes the nectar on to younger bees, who dry it with their "
        "wings until it is honey. A hive needs about twenty kilograms of honey to live through a winter."
    ),
    "meeting": (
        "The residents' meeting of 4 May decided three things. The playground will get a new fence, paid for from the repair "
        "fund. Bicycles may no longer be kept in the hall; racks will be put up beside the garage before July. The choir may "
        "rehearse in the common room on Tuesdays until nine in the evening, but not during school holidays."
    ),
    "glacier": (
        "The glacier above the village has lost a third of its length since 1950. Measurements with wooden poles began in "
        "1894 and are now made by satellite. In dry summers its meltwater is most of what the river carries in August. The "
        "power station in the gorge expects to lose a tenth of its output by 2040."
    ),
    "printer": (
        "To change the drum of the printer, switch it off and wait ten minutes until the fuser is cool. Open the front cover "
        "and press the green lever down. Pull the drum out straight, and do not touch its blue surface. Take the new drum "
        "out of its black bag, slide it in until it clicks, and close the cover. Then print the test page."
    ),
    "orchard": (
        "Our orchard has three hundred trees of forty kinds, most of them apples. We prune in February, thin the fruit in June "
        "and pick from August to the end of October. What falls to the ground goes into juice, and what the press leaves goes "
        "to the neighbour's pigs. Visitors may pick their own fruit on the first two Sundays in September."
    ),
    "strike": (
        "Train drivers of the northern line will not work on Thursday and Friday. The union asks for two more rest days a month "
        "and says that a quarter of its drivers worked more than fifty hours a week last winter. The company has offered one "
        "rest day. Buses will run every half hour between Ashford and the coast, and tickets bought before are valid on them."
    ),
    "museum": (
        "The museum of clocks shows nine hundred clocks from five centuries. The oldest was made in Augsburg in 1560 and loses a "
        "quarter of an hour a day. Every noon a guide winds the great astronomical clock, which shows the tides of six harbours. "
        "The museum is closed on Mondays; children under twelve pay nothing."
    ),
    "coral": (
        "Coral reefs cover less than one percent of the sea floor and are home to a quarter of all fish. When the water is too "
        "warm for weeks, corals lose the algae that feed them and turn white. Some recover within a few years if the water cools. "
        "In the reef off Lamu, pieces of heat-tolerant coral were planted in 2019, and most of them have survived two hot summers."
    ),
}

_UNSEEN = {
    "leaves": "Why do leaves change their colour in autumn?",
    "flag": "Write the beginning of a story about a tailor who is asked to mend a flag.",
    "refrigerator": "How does a refrigerator stay cold inside?",
    "flat": "What should I pay attention to when I rent a flat?",
    "umbrella": "Write a poem about an old umbrella.",
    "glass": "How is glass made?",
    "telephone": "What changed in daily life after the invention of the telephone?",
    "club": "Suggest a name and a motto for a rowing club.",
    "laughing": "Why do people laugh?",
    "zoos": "Argue for and against zoos.",
}


def _user(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


CASES: tuple[SpeculationCase, ...] = (
    *(SpeculationCase("json", case.name, case.messages, case.schema, case.max_new_tokens) for case in JSON_CASES[:10]),
    *(
        SpeculationCase("summary", name, _user(f"Summarise this text in two or three sentences.\n\n{text}"))
        for name, text in _TEXTS.items()
    ),
    *(SpeculationCase("code", name, code) for name, code in _CODE.items()),
    *(SpeculationCase("open", case.name, _user(case.prompt)) for case in OPEN),
    *(SpeculationCase("unseen", name, _user(text)) for name, text in _UNSEEN.items()),
)
