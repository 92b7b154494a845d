"""Compiled constraints under threads, at the limits of the engine, and with odd vocabularies."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest
import torch

from decodeplug.constraints import MaskConstraint, choice, json_schema, regex
from decodeplug.errors import Unsatisfiable, UnsupportedGrammar
from decodeplug.testing import bpe_tokenizer, byte_tokenizer
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


def test_threads_may_ask_one_constraint_at_once() -> None:
    constraint = json_schema(PERSON).compile(BPE)
    text = BPE.encode('{"name": "Bobo", "tags": ["a", "ab", "a"]}')
    states: list[Any] = [constraint.start()]
    for token in text:
        states.append(constraint.advance(states[-1], token))
    masks = [constraint.allowed(state).clone() for state in states]
    failures: list[str] = []

    def ask(seed: int) -> None:
        chance = np.random.default_rng(seed)
        for index in chance.integers(0, len(states), 300):
            if not torch.equal(constraint.allowed(states[index]), masks[index]):
                failures.append(f"mask {index}")
            if index < len(text) and constraint.advance(states[index], text[index]) != states[index + 1]:
                failures.append(f"state {index + 1}")

    threads = [threading.Thread(target=ask, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def write_until_it_explodes(constraint: MaskConstraint) -> None:
    chance = np.random.default_rng(0)
    state: Any = constraint.start()
    for _ in range(2000):
        constraint.allowed(state)
        state = constraint.advance(state, ord(chance.choice(list("abcx ")))) or state


def test_an_engine_that_gives_up_later_is_an_error_that_names_the_constraint_and_other_states_live_on() -> None:
    constraint = regex("(?:(?:.*a){50}|(?:.*b){50}|(?:.*c.{20}))*").compile(BYTES)
    with pytest.raises(UnsupportedGrammar, match="the regex cannot be enforced: the mask engine gave up after"):
        write_until_it_explodes(constraint)
    assert constraint.allowed(constraint.start()).any()


def test_a_lexer_that_others_have_worn_out_is_replaced() -> None:
    spec = regex("(?:(?:.*a){50}|(?:.*b){50}|(?:.*c.{20}))*")
    first, second = spec.compile(BYTES), spec.compile(BYTES)
    for _ in range(2):
        with pytest.raises(UnsupportedGrammar):
            write_until_it_explodes(first)
        for constraint in (first, second, spec.compile(BYTES)):
            state = constraint.advance(constraint.start(), ord("a"))
            assert constraint.allowed(state).any()


def test_a_vocabulary_that_lacks_the_wanted_bytes_is_told_so() -> None:
    vocabulary = Vocabulary(byte_tokenizer(), 122)  # no z
    with pytest.raises(Unsatisfiable, match="after 0 tokens no id of this vocabulary may follow"):
        choice(["z"]).compile(vocabulary)
    constraint = choice(["az"]).compile(vocabulary)
    with pytest.raises(Unsatisfiable, match="after 1 tokens"):
        constraint.allowed(constraint.advance(constraint.start(), 97))
