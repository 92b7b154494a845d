"""States of a compiled constraint are values, however the matchers behind them move."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from llguidance import LLMatcher

from decodeplug.constraints import choice, json_schema, regex
from decodeplug.constraints.any_spelling import AnySpelling, unforced
from decodeplug.contracts import Constraint, ConstraintSpec
from decodeplug.testing import bpe_tokenizer, byte_tokenizer, check_constraint
from decodeplug.vocabulary import Vocabulary

BYTES = Vocabulary(byte_tokenizer(), 300, {258})
BPE = Vocabulary(bpe_tokenizer(), 600, {514})
PERSON = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 6},
        "tags": {"type": "array", "items": {"enum": ["a", "ab"]}},
    },
    "required": ["name"],
    "additionalProperties": False,
}
SPECS = {
    "json": json_schema(PERSON, "spaced"),
    "regex": regex("(?:[a-c]{2,4}|é+)(?:, [0-9]+)*"),
    "choice": choice(["one", "one more", "two", "é😀", ""]),
}
ACCEPTED = {
    "json": ['{"name": "Bo"}', '{"name": "é", "tags": ["a", "ab"]}', '{"name": "", "tags": []}'],
    "regex": ["ab", "ééé", "abca, 17, 0"],
    "choice": ["one", "one more", "two", "é😀", ""],
}
REJECTED = {
    "json": ['{"name": "Bo"', '{"name":"Bo"}', '{"name": "Bo"} ', '{"tags": []}', '{"name": "Bobobobo"}', "[]"],
    "regex": ["a", "abé", "ab,", "", "abcabc"],
    "choice": ["on", "one ", "one more more", "three"],
}


@pytest.mark.parametrize("name", SPECS)
@pytest.mark.parametrize("vocabulary", [BYTES, BPE], ids=["bytes", "bpe"])
def test_the_constraint_laws_hold(name: str, vocabulary: Vocabulary) -> None:
    check_constraint(
        SPECS[name],
        vocabulary,
        texts_accepted=ACCEPTED[name],
        texts_rejected=REJECTED[name],
        canonical=True,
        states=40,
    )


@pytest.mark.parametrize("name", SPECS)
def test_compiled_for_any_spelling_a_mask_has_every_token_that_goes_on_with_an_allowed_text(name: str) -> None:
    constraint = SPECS[name].compile(AnySpelling.of(BPE))
    check_constraint(
        constraint, BPE, texts_accepted=ACCEPTED[name], texts_rejected=REJECTED[name], canonical=False, states=40
    )
    assert SPECS[name].compile(BPE).start() != constraint.start()


@pytest.mark.parametrize(
    ("grammar", "expected"),
    [
        ("start: A\nA: /a/", "start: A\nA: /a/"),
        ('%llguidance {"no_forcing": false}\nstart: /a/', "start: /a/"),
        (LLMatcher.grammar_from_regex("a"), "start: /a/"),
        (LLMatcher.grammar_from_json_schema('{"type": "null"}'), 'start: %json {"type": "null"}'),
    ],
)
def test_a_grammar_is_told_not_to_force_a_spelling_whatever_form_it_has(grammar: str, expected: str) -> None:
    assert unforced(grammar) == f'%llguidance {{"no_forcing": true}}\n{expected}'


def fresh(spec: ConstraintSpec, vocabulary: Vocabulary, path: list[int]) -> tuple[Constraint, Any]:
    """A constraint of its own, walked straight to where ``path`` leads."""
    constraint = spec.compile(vocabulary)
    state: Any = constraint.start()
    for token in path:
        state = constraint.advance(state, token)
    return constraint, state


@settings(deadline=None, max_examples=40)
@given(
    name=st.sampled_from(sorted(SPECS)),
    choices=st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 10**6)), max_size=30),
)
def test_every_answer_in_a_tree_of_forks_is_that_of_a_fresh_matcher(name: str, choices: list[tuple[int, int]]) -> None:
    constraint = SPECS[name].compile(BPE)
    known: list[tuple[list[int], Any]] = [([], constraint.start())]
    for which, token in choices:
        path, state = known[which % len(known)]
        allowed = torch.nonzero(constraint.allowed(state))[:, 0].tolist()
        if allowed:
            token = allowed[token % len(allowed)]
            known.append(([*path, token], constraint.advance(state, token)))
    for path, state in reversed(known):
        other, there = fresh(SPECS[name], BPE, path)
        assert torch.equal(constraint.allowed(state), other.allowed(there))
        assert constraint.is_accepting(state) == other.is_accepting(there)
        assert constraint.is_complete(state) == other.is_complete(there)
        assert constraint.forced(state) == other.forced(there)


def test_lanes_that_are_far_apart_are_all_served() -> None:
    constraint = regex("[ab]{0,400}").compile(BYTES)
    lanes: list[Any] = [constraint.start() for _ in range(40)]
    for step in range(60):
        lanes = [constraint.advance(state, 97 + (lane >> step & 1)) for lane, state in enumerate(lanes)]
    assert all(constraint.allowed(state)[97] for state in lanes)
    assert all(state.depth == 60 for state in lanes)
    assert len(set(lanes)) == 40


def test_states_with_equal_tokens_are_equal_also_between_copies_of_a_constraint() -> None:
    first, again = SPECS["json"].compile(BPE), json_schema(PERSON, "spaced").compile(BPE)
    one, two = first.advance(first.start(), 123), again.advance(again.start(), 123)
    assert one == two
    assert hash(one) == hash(two)
    assert one != first.start()
    assert one != again.advance(two, 34)
    assert first.start() != SPECS["regex"].compile(BPE).start()
    assert one != "a state"


def test_a_state_of_another_copy_is_understood() -> None:
    first, again = SPECS["regex"].compile(BYTES), SPECS["regex"].compile(BYTES)
    state = first.advance(first.advance(first.start(), 97), 98)
    assert torch.equal(again.allowed(state), first.allowed(state))


def test_a_forbidden_token_changes_nothing() -> None:
    constraint = SPECS["json"].compile(BYTES)
    state: Any = constraint.start()
    for byte in b'{"name": "B':
        before = constraint.allowed(state).clone()
        assert [constraint.advance(state, wrong) for wrong in (1, 256, 257, 258, 259, 299, 300, 10**9, -1)] == [
            None
        ] * 9
        assert torch.equal(constraint.allowed(state), before)
        state = constraint.advance(state, byte)


def test_end_and_special_and_padded_ids_are_in_no_mask() -> None:
    constraint = regex("(?s:.*)").compile(BPE)
    mask = constraint.allowed(constraint.start())
    assert mask.shape == (515,)
    assert torch.nonzero(~mask)[:, 0].tolist()[-3:] == [512, 513, 514]


def test_an_end_id_that_is_an_ordinary_token_is_in_no_mask() -> None:
    constraint = regex("[ab]*").compile(Vocabulary(byte_tokenizer(), 300, {98}))
    assert torch.nonzero(constraint.allowed(constraint.start()))[:, 0].tolist() == [97]


def test_after_the_last_token_nothing_may_follow_and_states_before_still_answer() -> None:
    constraint = choice(["ab"]).compile(BYTES)
    first = constraint.advance(constraint.start(), 97)
    last = constraint.advance(first, 98)
    assert constraint.is_complete(last)
    assert not constraint.allowed(last).any()
    assert constraint.forced(last) == ()
    assert constraint.advance(last, 98) is None
    assert torch.nonzero(constraint.allowed(first))[:, 0].tolist() == [98]
    assert not constraint.is_accepting(first)


def test_a_text_that_may_go_on_is_accepted_but_not_complete() -> None:
    constraint = choice(["a", "ab"]).compile(BYTES)
    state = constraint.advance(constraint.start(), 97)
    assert constraint.is_accepting(state)
    assert not constraint.is_complete(state)
    assert constraint.is_complete(constraint.advance(state, 98))


def test_only_the_empty_text_is_complete_at_once() -> None:
    constraint = regex("").compile(BYTES)
    assert constraint.is_complete(constraint.start())


def test_a_character_may_be_split_over_tokens() -> None:
    constraint = regex("€|é").compile(BYTES)
    euro, e_acute = "€".encode(), "é".encode()
    state = constraint.start()
    assert torch.nonzero(constraint.allowed(state))[:, 0].tolist() == sorted([euro[0], e_acute[0]])
    state = constraint.advance(state, euro[0])
    assert constraint.advance(state, e_acute[1]) is None
    assert not constraint.is_accepting(state)
    assert constraint.is_complete(constraint.advance(constraint.advance(state, euro[1]), euro[2]))


def test_what_is_forced_is_proposed_and_the_mask_leaves_just_that() -> None:
    constraint = SPECS["json"].compile(BPE)
    state = constraint.start()
    forced = constraint.forced(state)
    assert BPE.decode(forced).startswith('{"name')
    for token in forced:
        assert torch.nonzero(constraint.allowed(state))[:, 0].tolist() == [token]
        state = constraint.advance(state, token)


@pytest.mark.parametrize("vocabulary", [BYTES, BPE], ids=["bytes", "bpe"])
@pytest.mark.parametrize("text", ["<|end|>", "a<|end|>b", "<|pad|><|bos|>"])
def test_a_constant_with_the_name_of_a_special_token_is_spelled_without_it(vocabulary: Vocabulary, text: str) -> None:
    constraint = choice([text]).compile(vocabulary)
    state, written = constraint.start(), []
    while not constraint.is_complete(state):
        choices = torch.nonzero(constraint.allowed(state))[:, 0].tolist()
        assert constraint.forced(state)[0] == choices[0]
        written.append(choices[0])
        state = constraint.advance(state, choices[0])
    assert vocabulary.decode(written) == text
    assert not vocabulary.never_allowed.intersection(written)


def test_rejected_branches_are_not_kept_alive() -> None:
    constraint = regex("[ab]*").compile(BYTES)
    state = constraint.start()
    rejected = weakref.ref(constraint.advance(state, 97))
    for _ in range(2000):
        state = constraint.advance(state, 98)
    gc.collect()
    assert rejected() is None


def test_a_very_long_text_is_walked_and_forgotten() -> None:
    constraint = regex("a*").compile(BYTES)
    state = constraint.start()
    for _ in range(30_000):
        state = constraint.advance(state, 97)
    assert state.depth == 30_000
    del constraint, state
    gc.collect()
