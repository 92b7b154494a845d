"""Processors that look at what a row has seen, each row with its own prefix."""

from __future__ import annotations

import math
from collections import Counter

import pytest
import torch
from drawing import row_by_row, rows_and_seen, tried
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from transformers import (
    EncoderNoRepeatNGramLogitsProcessor,
    EncoderRepetitionPenaltyLogitsProcessor,
    MinNewTokensLengthLogitsProcessor,
    NoBadWordsLogitsProcessor,
    NoRepeatNGramLogitsProcessor,
    RepetitionPenaltyLogitsProcessor,
    SequenceBiasLogitsProcessor,
)

from decodeplug.errors import BadOption
from decodeplug.processors import (
    BadWords,
    Bias,
    ForcedPrefix,
    FrequencyPenalty,
    MinTokens,
    NoRepeatNgram,
    PresencePenalty,
    RepetitionPenalty,
)
from decodeplug.values import Seen

penalties = st.floats(0.1, 3.0)
sequences = st.lists(st.lists(st.integers(0, 1), min_size=1, max_size=4), min_size=1, max_size=6)


def one_row(theirs: object, ids: list[int], scores: Tensor) -> Tensor:
    return theirs(torch.tensor([ids], dtype=torch.long, device=scores.device), scores[None])[0]


@tried
@given(rows_and_seen(), penalties)
def test_repetition_penalty_is_transformers_repetition_penalty(drawn: tuple[Tensor, Seen], penalty: float) -> None:
    scores, seen = drawn
    theirs = row_by_row(RepetitionPenaltyLogitsProcessor(penalty), scores, seen)
    assert torch.equal(RepetitionPenalty(penalty)(scores, seen), theirs)


@tried
@given(rows_and_seen(), penalties)
def test_repetition_penalty_over_generated_tokens_ignores_the_prompt(
    drawn: tuple[Tensor, Seen], penalty: float
) -> None:
    scores, seen = drawn
    ours = RepetitionPenalty(penalty, over="generated")(scores, seen)
    for row, (ids, prompt) in enumerate(zip(seen.ids, seen.prompt_lengths, strict=True)):
        theirs = RepetitionPenaltyLogitsProcessor(penalty, prompt_ignore_length=prompt)
        assert torch.equal(ours[row], one_row(theirs, ids, scores[row]))


@tried
@given(rows_and_seen(), penalties)
def test_repetition_penalty_over_the_prompt_is_transformers_encoder_penalty(
    drawn: tuple[Tensor, Seen], penalty: float
) -> None:
    scores, seen = drawn
    ours = RepetitionPenalty(1 / penalty, over="prompt")(scores, seen)
    for row, (ids, prompt) in enumerate(zip(seen.ids, seen.prompt_lengths, strict=True)):
        encoder = torch.tensor([ids[:prompt]], dtype=torch.long, device=scores.device)
        theirs = EncoderRepetitionPenaltyLogitsProcessor(penalty, encoder)
        assert torch.equal(ours[row], one_row(theirs, ids, scores[row]))


@tried
@given(rows_and_seen(), st.floats(-2, 2), st.floats(-2, 2))
def test_presence_and_frequency_penalties_count_generated_tokens_alone(
    drawn: tuple[Tensor, Seen], presence: float, frequency: float
) -> None:
    scores, seen = drawn
    ours = FrequencyPenalty(frequency)(PresencePenalty(presence)(scores, seen), seen)
    expected = scores.clone()
    for row, (ids, prompt) in enumerate(zip(seen.ids, seen.prompt_lengths, strict=True)):
        for token, count in Counter(ids[prompt:]).items():
            expected[row, token] -= count * frequency + presence
    assert torch.allclose(ours, expected, atol=1e-4)


@tried
@given(rows_and_seen(), st.integers(1, 4))
def test_no_repeat_ngram_is_transformers_no_repeat_ngram(drawn: tuple[Tensor, Seen], size: int) -> None:
    scores, seen = drawn
    theirs = row_by_row(NoRepeatNGramLogitsProcessor(size), scores, seen)
    assert torch.equal(NoRepeatNgram(size)(scores, seen), theirs)


@tried
@given(rows_and_seen(), st.integers(2, 4))
def test_no_repeat_ngram_over_the_prompt_is_transformers_encoder_ban(drawn: tuple[Tensor, Seen], size: int) -> None:
    scores, seen = drawn
    ours = NoRepeatNgram(size, over="prompt")(scores, seen)
    for row, (ids, prompt) in enumerate(zip(seen.ids, seen.prompt_lengths, strict=True)):
        if len(ids) >= size:  # on shorter prefixes transformers compares with a slice that has wrapped round
            encoder = torch.tensor([ids[:prompt]], dtype=torch.long, device=scores.device)
            theirs = EncoderNoRepeatNGramLogitsProcessor(size, encoder)
            assert torch.equal(ours[row], one_row(theirs, ids, scores[row]))


@tried
@given(rows_and_seen(), sequences, st.floats(-9, 9))
def test_bias_is_transformers_sequence_bias(drawn: tuple[Tensor, Seen], biased: list[list[int]], step: float) -> None:
    scores, seen = drawn
    pairs = [[ids, step * (place + 1)] for place, ids in enumerate(biased)]
    theirs = row_by_row(SequenceBiasLogitsProcessor(pairs), scores, seen)
    assert torch.allclose(Bias(pairs)(scores, seen), theirs, atol=1e-4)
    assert Bias(pairs) == Bias({tuple(ids): bias for ids, bias in pairs})


@tried
@given(rows_and_seen(), sequences)
def test_bad_words_are_transformers_bad_words(drawn: tuple[Tensor, Seen], words: list[list[int]]) -> None:
    scores, seen = drawn
    theirs = row_by_row(NoBadWordsLogitsProcessor(words), scores, seen)
    assert torch.equal(BadWords(words)(scores, seen), theirs)


@tried
@given(rows_and_seen(), st.integers(0, 8))
def test_min_tokens_are_transformers_min_new_tokens(drawn: tuple[Tensor, Seen], least: int) -> None:
    scores, seen = drawn
    ours = MinTokens(least, [0, 1])(scores, seen)
    for row, (ids, prompt) in enumerate(zip(seen.ids, seen.prompt_lengths, strict=True)):
        theirs = MinNewTokensLengthLogitsProcessor(prompt, least, [0, 1], device=scores.device)
        assert torch.equal(ours[row], one_row(theirs, ids, scores[row]))


@tried
@given(rows_and_seen())
def test_a_forced_prefix_leaves_one_token_until_it_is_written(drawn: tuple[Tensor, Seen]) -> None:
    scores, seen = drawn
    after = ForcedPrefix([1, 0, 1])(scores, seen)
    for row, (ids, prompt) in enumerate(zip(seen.ids, seen.prompt_lengths, strict=True)):
        written = len(ids) - prompt
        if written >= 3:
            assert torch.equal(after[row], scores[row])
        else:
            token = (1, 0, 1)[written]
            assert after[row, token] == scores[row, token]
            assert after[row].isfinite().sum() == int(scores[row, token].isfinite())


@pytest.mark.parametrize(
    "part",
    [
        RepetitionPenalty(2.0),
        RepetitionPenalty(2.0, "prompt"),
        NoRepeatNgram(1),
        FrequencyPenalty(1.0),
        PresencePenalty(1.0),
    ],
    ids=str,
)
def test_ids_that_the_model_reads_but_cannot_write_are_passed_over(part: NoRepeatNgram) -> None:
    scores = torch.ones(2, 3)
    after = part(scores, Seen.of([[9, 1, 9, 1], [9, 9]], [2, 1]))
    assert after[0, 1] != 1
    assert torch.equal(after[1], scores[1])


def test_an_end_id_that_the_model_cannot_write_is_passed_over() -> None:
    after = MinTokens(1, [50_256, 2])(torch.zeros(1, 3), Seen.nothing(1))
    assert after.tolist() == [[0.0, 0.0, -math.inf]]


@pytest.mark.parametrize("part", [Bias({7: 1.0}), BadWords([[1, 7]]), BadWords([7]), ForcedPrefix([7])], ids=str)
def test_an_id_of_another_tokenizer_is_refused(part: Bias) -> None:
    with pytest.raises(BadOption, match=r"token=7, but wanted token ids below 3"):
        part(torch.zeros(1, 3), Seen.nothing(1))


def test_single_tokens_do_not_ask_for_prefixes() -> None:
    def never() -> list[list[int]]:
        raise AssertionError("prefixes were built")

    seen = Seen(never, [1, 2])
    assert Bias({1: 2.0})(torch.zeros(2, 3), seen).tolist() == [[0.0, 2.0, 0.0]] * 2
    assert BadWords([2])(torch.zeros(2, 3), seen)[:, 2].isneginf().all()


@pytest.mark.parametrize(
    "nothing_to_do",
    [
        RepetitionPenalty(1.0),
        PresencePenalty(0.0),
        FrequencyPenalty(1.0),
        NoRepeatNgram(3),
        BadWords([[0, 1]]),
        Bias({(0, 1): 1.0}),
        MinTokens(0, [1]),
    ],
    ids=str,
)
def test_scores_are_given_back_where_nothing_applies(nothing_to_do: Bias) -> None:
    scores = torch.randn(2, 3)
    assert nothing_to_do(scores, Seen.of([[1], []])) is scores


@pytest.mark.parametrize(
    ("make", "arguments"),
    [
        (RepetitionPenalty, (0.0,)),
        (RepetitionPenalty, (math.inf,)),
        (RepetitionPenalty, (1.2, "answer")),
        (PresencePenalty, (math.nan,)),
        (FrequencyPenalty, ("1",)),
        (NoRepeatNgram, (0,)),
        (NoRepeatNgram, (2, "generated")),
        (Bias, ({},)),
        (Bias, ({1: math.inf},)),
        (Bias, ({-1: 1.0},)),
        (Bias, ({(): 1.0},)),
        (Bias, ([[1, 2.0, 3]],)),
        (Bias, (7,)),
        (Bias, ("7",)),
        (BadWords, ([],)),
        (BadWords, ([[]],)),
        (BadWords, ([["a"]],)),
        (BadWords, ("bad",)),
        (BadWords, (3,)),
        (MinTokens, (-1, [1])),
        (MinTokens, (2, "</s>")),
        (ForcedPrefix, ([],)),
        (ForcedPrefix, ([1.5],)),
        (ForcedPrefix, (None,)),
    ],
)
def test_a_wrong_option_is_refused_by_name(make: type[Bias], arguments: tuple[object, ...]) -> None:
    with pytest.raises(BadOption) as caught:
        make(*arguments)
    assert caught.value.part == make.name
    assert caught.value.options
