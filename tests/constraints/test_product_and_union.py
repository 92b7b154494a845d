"""A product allows what all of its parts allow, a union what any of them allows; nothing more and nothing less."""

from __future__ import annotations

import itertools
import random
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal

import pytest
from constraints.opaque import Opaque
from hypothesis import given, settings
from hypothesis import strategies as st

from decodeplug.constraints import accepts, choice, json_schema, product, regex, union
from decodeplug.contracts import Constraint, ConstraintSpec
from decodeplug.errors import BadOption, InvalidResult, Unsatisfiable
from decodeplug.testing import bpe_tokenizer, byte_tokenizer, check_constraint
from decodeplug.vocabulary import Vocabulary

BYTES = Vocabulary(byte_tokenizer(), 300, {258})
BPE = Vocabulary(bpe_tokenizer(), 600, {514})
BEAR = {
    "type": "object",
    "properties": {"name": {"enum": ["Bruno", "Ada", "the bear"]}, "age": {"type": "integer", "minimum": 0}},
    "required": ["name", "age"],
    "additionalProperties": False,
}
SHORT = regex(r"(?s).{0,28}")


def walked(constraint: Constraint, vocabulary: Vocabulary, seed: int, most: int = 60) -> str | None:
    """A text that a random walk along the masks writes, or None if it is not finished after ``most`` tokens."""
    chance, state, ids = random.Random(seed), constraint.start(), []
    for _ in range(most):
        choices = constraint.allowed(state).nonzero()[:, 0].tolist()
        if constraint.is_accepting(state) and (not choices or chance.random() < 0.2):
            return vocabulary.decode(ids)
        assert choices, f"a dead end after {vocabulary.decode(ids)!r}"
        ids.append(chance.choice(choices))
        state: Any = constraint.advance(state, ids[-1])
        assert state is not None
    return None


@st.composite
def patterns(draw: st.DrawFn) -> str:
    """Small patterns over a, b and c, most of which have texts in common with others."""
    atom = st.sampled_from(["a", "b", "[ab]", "[^c]", "(?:ab)", "."])
    item = st.builds(lambda one, often: one + often, atom, st.sampled_from(["", "", "*", "?", "+", "{1,3}"]))
    branch = st.lists(item, min_size=1, max_size=4).map("".join)
    return "|".join(draw(st.lists(branch, min_size=1, max_size=3)))


ALL_TEXTS = ["".join(letters) for length in range(5) for letters in itertools.product("abc", repeat=length)]


def accepted(constraint: Constraint) -> set[str]:
    return {text for text in ALL_TEXTS if accepts(constraint, BYTES, text)}


def matching(parts: Sequence[str], quantifier: Callable[[Iterable[object]], bool]) -> set[str]:
    return {text for text in ALL_TEXTS if quantifier(re.fullmatch(part, text) for part in parts)}


PARTS = st.lists(patterns(), min_size=2, max_size=3)


@settings(deadline=None, max_examples=40)
@given(parts=PARTS)
def test_a_product_of_patterns_accepts_what_all_match(parts: list[str]) -> None:
    try:
        constraint = product(*map(regex, parts)).compile(BYTES)
    except Unsatisfiable:
        assert not matching(parts, all)
        return
    assert accepted(constraint) == matching(parts, all)


@settings(deadline=None, max_examples=40)
@given(parts=PARTS)
def test_a_product_of_other_constraints_accepts_what_all_accept(parts: list[str]) -> None:
    try:
        constraint = product(*(Opaque(regex(part)) for part in parts)).compile(BYTES)
    except Unsatisfiable:
        assert not matching(parts, all)
        return
    assert accepted(constraint) == matching(parts, all)


@settings(deadline=None, max_examples=40)
@given(parts=PARTS)
def test_a_union_accepts_what_any_part_accepts(parts: list[str]) -> None:
    assert accepted(union(*map(regex, parts)).compile(BYTES)) == matching(parts, any)


@settings(deadline=None, max_examples=25)
@given(parts=PARTS, seed=st.integers(0, 10**6))
def test_what_a_random_walk_along_a_product_of_patterns_writes_matches_all_of_them(parts: list[str], seed: int) -> None:
    try:
        constraint = product(*map(regex, parts)).compile(BPE)
    except Unsatisfiable:
        return
    text = walked(constraint, BPE, seed)
    assert text is None or all(re.fullmatch(part, text) for part in parts)


@settings(deadline=None, max_examples=25)
@given(parts=PARTS, seed=st.integers(0, 10**6))
def test_what_a_random_walk_along_a_union_writes_matches_one_of_its_parts(parts: list[str], seed: int) -> None:
    text = walked(union(*map(regex, parts)).compile(BPE), BPE, seed)
    assert text is None or any(re.fullmatch(part, text) for part in parts)


LAWFUL: dict[str, tuple[ConstraintSpec, list[str], list[str]]] = {
    "product of patterns": (
        product(regex("[a-c]{2,5}"), regex("(?s:.*)ab(?s:.*)"), choice(["ab", "cab", "abcab", "aab", "ba"])),
        ["ab", "cab", "abcab", "aab"],
        ["ba", "a", "", "abc"],
    ),
    "product with a schema": (
        product(json_schema(BEAR), SHORT),
        ['{"name": "Ada", "age": 1234}', '{"name": "Bruno", "age": 7}'],
        ['{"name": "Bruno", "age": 1234567}', '{"name": "the bear", "age": 1234}', ""],
    ),
    "product of what forces a text and what splits it": (
        product(Opaque(choice(["name the bear", "name the book"])), Opaque(regex("[a-z]{2,4}( [a-z]{1,4}){2}"))),
        ["name the bear", "name the book"],
        ["name the", "name the bee"],
    ),
    "union of patterns": (
        union(regex("[0-9]+"), choice(["one", "one more"]), regex("one [a-z]{2}")),
        ["12", "one", "one more", "one ab"],
        ["", "one m", "1a", "one mor"],
    ),
    "union with a schema": (
        union(json_schema(BEAR), choice(["nobody", '{"name": "nobody"}'])),
        ["nobody", '{"name": "nobody"}', '{"name": "Ada", "age": 0}'],
        ["{}", '{"name": "Ada"}', "nobody "],
    ),
    "product of a union": (
        product(union(regex("a+"), Opaque(regex("b+"))), regex("(?:a|b){2,3}")),
        ["aa", "bbb"],
        ["ab", "a", "aaaa"],
    ),
    "union of a product": (
        union(product(regex("a*b"), regex("ab*")), product(json_schema({"enum": ["b", 3]}), regex("[^3]*"))),
        ["ab", '"b"'],
        ["b", "a", "3", "aab"],
    ),
}


@pytest.mark.parametrize("vocabulary", [BYTES, BPE], ids=["bytes", "bpe"])
@pytest.mark.parametrize("name", LAWFUL)
def test_the_constraint_laws_hold(name: str, vocabulary: Vocabulary) -> None:
    spec, right, wrong = LAWFUL[name]
    check_constraint(spec, vocabulary, texts_accepted=right, texts_rejected=wrong, canonical=True, states=40)


def test_parts_that_split_a_forced_text_in_different_ways_agree_on_the_text() -> None:
    spec, _, _ = LAWFUL["product of what forces a text and what splits it"]
    texts = {walked(spec.compile(BPE), BPE, seed) for seed in range(40)}
    assert texts == {"name the bear", "name the book"}


def test_the_value_of_a_product_has_the_values_of_its_parts_in_order() -> None:
    assert product(json_schema(BEAR), SHORT).value('{"name": "Ada", "age": 2}') == (
        {"name": "Ada", "age": 2},
        '{"name": "Ada", "age": 2}',
    )
    with pytest.raises(InvalidResult, match="does not match"):
        product(regex("a"), regex("b")).value("a")


def test_the_value_of_a_union_is_that_of_the_first_part_that_accepts() -> None:
    spec = union(regex("[0-9]{2}"), json_schema({"type": "integer"}), regex(".*"))
    assert [spec.value(text) for text in ("12", "123", "x")] == ["12", 123, "x"]
    with pytest.raises(InvalidResult, match="no part of the union accepts it"):
        union(regex("a"), choice(["b"])).value("c")


@pytest.mark.parametrize("combine", [product, union])
def test_what_is_no_list_of_constraints_is_refused(combine: Any) -> None:
    for parts in ((), (3,), (regex("a"), "b")):
        with pytest.raises(BadOption):
            combine(*parts)


def test_parts_can_be_types_and_schemas() -> None:
    spec = union(Literal["yes", "no"], {"type": "integer", "minimum": 1, "maximum": 3})
    assert [spec.value(text) for text in ('"yes"', "2")] == ["yes", 2]


def test_equal_combinations_have_equal_keys_and_different_ones_do_not() -> None:
    keys = [
        product(regex("a"), choice(["a"])).key(),
        product(choice(["a"]), regex("a")).key(),
        product(regex("a"), regex("a")).key(),
        product(regex("a")).key(),
    ]
    assert len(set(keys)) == 4
    assert product(regex("a"), choice(["a"])).key() == keys[0]


UNSATISFIABLE = {
    "patterns that share beginnings only": product(regex("a*b"), regex("a*c")),
    "a pattern and a list": product(regex("[0-9]+"), choice(["one", "two"])),
    "a schema and a first character": product(json_schema(BEAR), regex("\\[.*")),
    "a forced text and a bound that is too low": product(json_schema(BEAR, "spaced"), regex("(?s).{0,9}")),
    "a forced text and another": product(Opaque(choice(["the bear reads"])), Opaque(choice(["the bear sleeps"]))),
    "few ways that all end nowhere": product(Opaque(choice(["ab1", "cd1"])), Opaque(choice(["ab2", "cd2", "ef"]))),
    "a union of nothing": union(product(regex("a"), regex("b")), product(regex("c"), regex("d"))),
}


@pytest.mark.parametrize("name", UNSATISFIABLE)
def test_what_nothing_satisfies_is_refused_before_the_first_token(name: str) -> None:
    with pytest.raises(Unsatisfiable):
        UNSATISFIABLE[name].compile(BPE)


def test_a_part_of_a_union_that_nothing_satisfies_is_left_out() -> None:
    constraint = union(product(regex("a"), regex("b")), regex("c")).compile(BYTES)
    assert accepted(constraint) == {"c"}


def test_a_token_that_leads_to_a_dead_end_soon_is_not_allowed() -> None:
    constraint = product(Opaque(choice(["ab1", "cd1", "ef"])), Opaque(choice(["ab2", "cd2", "ef"]))).compile(BYTES)
    assert constraint.allowed(constraint.start()).nonzero()[:, 0].tolist() == [ord("e")]
