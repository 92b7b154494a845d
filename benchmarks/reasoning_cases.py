"""Easy sums in the form of word problems, made by a seeded generator, and worked examples for the prompts.

The form is that of GSM8K (arXiv:2110.14168): a few sentences, one question, one whole number as the answer. The sums are
our own, and easier: one or two steps with small numbers.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["SUMS", "WORKED", "Sum", "Worked", "sums"]


@dataclass(frozen=True)
class Sum:
    """One word problem. ``steps`` is the arithmetic that gives ``answer``, as Python reads it."""

    question: str
    steps: str
    answer: int


@dataclass(frozen=True)
class Worked:
    """An example for the prompt, with the thoughts that lead to its answer."""

    question: str
    thoughts: str
    answer: int


NAMES = ("Ada", "Ben", "Carla", "Dev", "Emma", "Farid", "Grace", "Hugo", "Iris", "Jonas")
THINGS = ("apples", "books", "cards", "eggs", "marbles", "pencils", "shells", "stamps")
_Made = tuple[str, str, int]


def _buys(chance: random.Random, name: str, thing: str) -> _Made:
    a, b = chance.randint(2, 12), chance.randint(2, 12)
    return (
        f"{name} has {a} {thing}. {name} buys {b} more {thing}. How many {thing} does {name} have now?",
        f"{a} + {b}",
        a + b,
    )


def _gives(chance: random.Random, name: str, thing: str) -> _Made:
    b = chance.randint(2, 9)
    a = b + chance.randint(2, 9)
    text = f"{name} has {a} {thing} and gives {b} of them to a friend. How many {thing} are left?"
    return text, f"{a} - {b}", a - b


def _boxes(chance: random.Random, name: str, thing: str) -> _Made:
    a, b = chance.randint(2, 6), chance.randint(2, 9)
    text = f"{name} has {a} boxes. There are {b} {thing} in each box. How many {thing} does {name} have in total?"
    return text, f"{a} * {b}", a * b


def _shares(chance: random.Random, name: str, thing: str) -> _Made:
    b, each = chance.randint(2, 5), chance.randint(2, 6)
    text = f"{name} shares {b * each} {thing} equally among {b} children. How many {thing} does each child get?"
    return text, f"{b * each} / {b}", each


def _buys_and_gives(chance: random.Random, name: str, thing: str) -> _Made:
    a, b, c = chance.randint(4, 12), chance.randint(2, 9), chance.randint(2, 5)
    text = f"{name} has {a} {thing}, finds {b} more and then loses {c}. How many {thing} does {name} have in the end?"
    return text, f"{a} + {b} - {c}", a + b - c


def _boxes_and_more(chance: random.Random, name: str, thing: str) -> _Made:
    a, b, c = chance.randint(2, 5), chance.randint(2, 6), chance.randint(2, 9)
    text = (
        f"{name} buys {a} bags with {b} {thing} in each bag, and {c} single {thing}. "
        f"How many {thing} does {name} buy in total?"
    )
    return text, f"{a} * {b} + {c}", a * b + c


_FORMS: tuple[Callable[[random.Random, str, str], _Made], ...] = (
    _buys,
    _gives,
    _boxes,
    _shares,
    _buys_and_gives,
    _boxes_and_more,
)


def sums(count: int, seed: int) -> list[Sum]:
    """Different word problems, all forms in turn; the same ones for the same seed."""
    chance, made = random.Random(seed), dict[str, Sum]()
    while len(made) < count:
        form = _FORMS[len(made) % len(_FORMS)]
        made_sum = Sum(*form(chance, chance.choice(NAMES), chance.choice(THINGS)))
        made[made_sum.question] = made_sum
    return list(made.values())


SUMS = tuple(sums(48, seed=2203))
WORKED = (
    Worked("Lena has 5 coins. Her uncle gives her 6 more coins. How many coins does she have now?", "5 + 6 = 11.", 11),
    Worked(
        "A shelf has 4 rows with 7 jars in each row. 3 jars are empty. How many jars are full?",
        "4 * 7 = 28. 28 - 3 = 25.",
        25,
    ),
    Worked("Paul puts 18 photos on 3 pages, equally many on each. How many photos are on a page?", "18 / 3 = 6.", 6),
)
