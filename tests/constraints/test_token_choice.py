"""Choices among sequences of ids."""

from __future__ import annotations

from typing import Any

import pytest

from decodeplug import BudgetTooSmall, Host, choice
from decodeplug.errors import BadOption
from decodeplug.testing import bpe_tokenizer, check_constraint, tiny_model
from decodeplug.vocabulary import Vocabulary

PIECES = bpe_tokenizer()
VOCABULARY = Vocabulary(PIECES, len(PIECES), {PIECES.eos_token_id})
OPTIONS = [[10, 11], [10, 11, 12, 13], [10, 20, 30], [40]]


@pytest.fixture(scope="module")
def host() -> Host:
    return Host(tiny_model(vocab=len(PIECES)), PIECES, plugins=[])


@pytest.mark.parametrize("drafters", [[], ["forced"], ["forced", "lookup"]])
@pytest.mark.parametrize("seed", range(6))
def test_exactly_one_of_the_options_is_written_id_by_id(host: Host, drafters: list[str], seed: int) -> None:
    result = host.generate(
        "Now: ",
        constraint=choice(OPTIONS),
        processors=["temperature=9"],
        seed=seed,
        drafters=drafters,
        max_new_tokens=9,
    )
    written = [token for token in result.token_ids if token != PIECES.eos_token_id]
    assert written in OPTIONS
    assert result.value == result.text == PIECES.decode(written)
    again = host.generate(
        "Now: ", constraint=choice(OPTIONS), processors=["temperature=9"], seed=seed, drafters=[], max_new_tokens=9
    )
    assert result.token_ids == again.token_ids


def test_the_budget_of_the_shortest_option_is_enough(host: Host) -> None:
    assert host.generate("Now: ", constraint=choice(OPTIONS), max_new_tokens=1).token_ids == [40]
    with pytest.raises(BudgetTooSmall) as caught:
        host.generate("Now: ", constraint=choice([[10, 11, 12], [1, 2, 3, 4]]), max_new_tokens=2)
    assert caught.value.needed == 3


def test_what_must_follow_is_forced_up_to_the_next_choice_or_end() -> None:
    compiled: Any = choice(OPTIONS).compile(VOCABULARY)
    assert compiled.forced(()) == ()
    assert compiled.forced((10, 20)) == (30,)
    assert compiled.forced((10, 11)) == (), "the text may end here"
    assert compiled.is_accepting((10, 11))
    assert not compiled.is_complete((10, 11))
    assert compiled.is_complete((40,))


def test_the_constraint_laws_hold_for_options_in_the_tokenizers_own_spelling() -> None:
    options = [PIECES.encode(text, add_special_tokens=False) for text in ("the bear", "the bears", "honey")]
    check_constraint(choice(options).compile(VOCABULARY), VOCABULARY, states=20)


@pytest.mark.parametrize("options", [[[]], [[1, "a"]], [[1], "a"], [[-1]], [[True]]])
def test_what_is_no_sequence_of_ids_is_refused(options: Any) -> None:
    with pytest.raises(BadOption, match="choice"):
        choice(options)


@pytest.mark.parametrize("token", [len(PIECES), PIECES.eos_token_id])
def test_ids_that_cannot_be_written_are_refused(token: int) -> None:
    with pytest.raises(BadOption, match="that end no text"):
        choice([[1, token]]).compile(VOCABULARY)


def test_the_same_option_twice_is_one() -> None:
    assert choice([[1, 2], (1, 2), [3]]).key() == ((1, 2), (3,))
