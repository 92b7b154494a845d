"""Grammars made at random, of terminals that overlap, swallow each other and are matched lazily."""

from __future__ import annotations

import random

import numpy as np
import pytest

from decodeplug import lark
from decodeplug.constraints import accepts
from decodeplug.errors import InvalidResult, Unsatisfiable, UnsupportedGrammar
from decodeplug.testing import byte_tokenizer
from decodeplug.vocabulary import Vocabulary

BYTES = Vocabulary(byte_tokenizer(), 259, {258})
TERMINALS = [
    '"a"', '"ab"', '"b"', '"aba"', "/a+/", "/[ab]+/", "/a|ab/", "/ab?/", '/".*?"/', '"\\""', "/b[^a]*a/", "/(ab|a)(c|bc)?/",
    "/[^c]/", "/a{1,3}/", '"A"i', "/a*?b|b+/", "/c.*?(a|b)/", "/(a|b)*?c/", "/(aa|a)+b?/", '" "', "/ ?a/", r"/\S+/",
]  # fmt: skip
IGNORED = ['" "', "/ +/", "/c+/", "/b|bb/", "/ *#/"]
LETTERS = np.isin(np.arange(259), [*b'aAbc# "'])


def random_grammar(chance: random.Random) -> str:
    rules = ["start", "x", "y"][: chance.randint(1, 3)]
    terminals = [f"T{index}" for index in range(chance.randint(1, 4))]

    def item() -> str:
        return chance.choice([*terminals, *terminals, *rules]) + chance.choice(["", "", "", "?", "*", "+"])

    def option() -> str:
        return " ".join(item() for _ in range(chance.choice([0, 1, 1, 2, 2, 3])))

    lines = [f"{rule}: {' | '.join(option() for _ in range(chance.randint(1, 3)))}" for rule in rules]
    lines += [f"{terminal}{chance.choice(['', '.2'])}: {chance.choice(TERMINALS)}" for terminal in terminals]
    return "\n".join([*lines, *([f"%ignore {chance.choice(IGNORED)}"] if chance.random() < 0.5 else [])])


def check(seed: int, parser: str) -> int | None:
    """How many texts were written, all of which Lark parses; None if the grammar is refused."""
    chance = random.Random(seed)
    text = random_grammar(chance)
    try:
        spec = lark(text, parser=parser)
        constraint = spec.compile(BYTES)
    except (UnsupportedGrammar, Unsatisfiable):
        return None
    finished = 0
    for _ in range(8):
        state, ids = constraint.start(), []
        while len(ids) < 24 and not (constraint.is_accepting(state) and chance.random() < 0.3):
            allowed = constraint.allowed(state).numpy()
            if not allowed.any():
                break
            choices = np.flatnonzero(allowed & LETTERS if (allowed & LETTERS).any() else allowed)
            ids.append(int(choices[chance.randrange(len(choices))]))
            state = constraint.advance(state, ids[-1])
        if constraint.is_accepting(state):
            finished += 1
            spec.value(BYTES.decode(ids))  # raises InvalidResult if Lark does not parse it
    for _ in range(8):
        other = "".join(chance.choice('aabbc "') for _ in range(chance.randint(0, 6)))
        if accepts(constraint, BYTES, other):
            spec.value(other)
    return finished


def check_all(seeds: range, parser: str) -> None:
    counts = [check(seed, parser) for seed in seeds]
    assert sum(count is not None for count in counts) > len(seeds) // 5
    assert sum(filter(None, counts)) > len(seeds)


@pytest.mark.parametrize("parser", ["earley", "lalr"])
def test_what_the_masks_allow_lark_parses(parser: str) -> None:
    check_all(range(40), parser)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(8))
def test_what_the_masks_of_a_thousand_grammars_allow_lark_parses(part: int) -> None:
    check_all(range(1000 + part * 150, 1000 + (part + 1) * 150), "earley")


ENDLESS = [
    'start: A B | "x"\nA: /a+/\nB: "a"',
    'start: T0 start | T0+ T0\nT0: " "\n%ignore / +/',
    'start: A start | B C\nA: "ab"\nB: "a"\nC: "b"',
    'start: A "ê" | "x"\nA: /é+/',
]


@pytest.mark.parametrize("text", ENDLESS)
def test_the_engine_does_not_run_ahead_for_ever(text: str) -> None:
    constraint = lark(text).compile(BYTES)
    state = constraint.start()
    for _ in range(20):
        choices = np.flatnonzero(constraint.allowed(state).numpy() & (np.arange(259) != ord("x")))
        state = constraint.advance(state, int(choices[0]))
        assert not constraint.is_accepting(state)


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("start: start start? T+ | start?\nT: /\\S+/\n%ignore / *#/", "#"),
        ('start: A? | B+\nA: "a"\nB: "b"\n%ignore /b|bb/', "b"),
        ('start: A*\nA: /a ?/\n%ignore " "', "a a  "),
    ],
)
def test_a_text_whose_end_can_be_ignored_or_not_has_a_tree(text: str, written: str) -> None:
    spec = lark(text)
    assert accepts(spec.compile(BYTES), BYTES, written)
    assert spec.value(written).data == "start"
    with pytest.raises(InvalidResult, match="does not parse"):
        spec.value("?? ")
