"""A generation config gives the processors that generate() would build, in the same order."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM, WatermarkingConfig

from decodeplug.bridges.transformers_processors import TransformersProcessors, from_generation_config
from decodeplug.errors import BadOption, IncompatibleParts
from decodeplug.processors import (
    BadWords,
    Bias,
    Epsilon,
    Eta,
    MinP,
    MinTokens,
    NoRepeatNgram,
    RepetitionPenalty,
    Temperature,
    TopH,
    TopK,
    TopP,
    Typical,
)
from decodeplug.values import Seen, Stage

VOCAB = 24
MODEL = LlamaForCausalLM(
    LlamaConfig(vocab_size=VOCAB, hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=1)
)


def configured(**chosen: Any) -> GenerationConfig:
    """A config that is not told of its settings at once, so that it does not warn of those it would ignore."""
    config = GenerationConfig()
    for name, value in chosen.items():
        setattr(config, name, value)
    return config


def in_our_order(parts: list[Any]) -> list[Any]:
    return sorted(parts, key=lambda part: part.stage)


SETTINGS: dict[str, st.SearchStrategy[Any]] = {
    "sequence_bias": st.sampled_from([[[[3], 1.5]], [[[3], -math.inf], [[1, 2], 4.0]]]),
    "repetition_penalty": st.sampled_from([1.3, 0.7]),
    "encoder_repetition_penalty": st.just(1.5),
    "no_repeat_ngram_size": st.integers(1, 3),
    "encoder_no_repeat_ngram_size": st.integers(2, 3),
    "bad_words_ids": st.sampled_from([[[5], [1, 2]], [[0], [6]]]),
    "min_length": st.integers(1, 9),
    "min_new_tokens": st.integers(1, 9),
    "forced_bos_token_id": st.just(2),
    "exponential_decay_length_penalty": st.sampled_from([(1, 1.1), (0, 1.5)]),
    "suppress_tokens": st.just([9, 10]),
    "begin_suppress_tokens": st.just([11]),
    "temperature": st.sampled_from([0.5, 2.0]),
    "top_h": st.just(0.9),
    "top_k": st.integers(2, 30),
    "top_p": st.sampled_from([0.7, 0.95]),
    "min_p": st.sampled_from([0.0, 0.05]),
    "typical_p": st.just(0.9),
    "epsilon_cutoff": st.just(0.01),
    "eta_cutoff": st.just(0.01),
    "renormalize_logits": st.just(True),
}


@settings(deadline=None, max_examples=150)
@given(st.fixed_dictionaries({}, optional=SETTINGS), st.booleans(), st.lists(st.integers(0, 4), min_size=3, max_size=9))
def test_scores_come_out_as_from_generate(chosen: dict[str, Any], do_sample: bool, ids: list[int]) -> None:
    prompt_length = 3
    config = configured(do_sample=do_sample, max_length=9, _eos_token_tensor=torch.tensor([0]), **chosen)
    prompt = torch.tensor([ids[:prompt_length]])
    theirs = MODEL._get_logits_processor(config, prompt_length, encoder_input_ids=prompt, device="cpu")
    ours = from_generation_config(config, {0}, prompt_length, vocab_size=VOCAB)
    scores = torch.randn(1, VOCAB, generator=torch.Generator().manual_seed(len(ids))) * 2
    expected, after = theirs(torch.tensor([ids]), scores.clone()), scores
    for part in in_our_order(ours):
        after = part(after, Seen.of([ids], [prompt_length]))
    assert torch.allclose(after, expected, atol=1e-4)


def test_every_setting_has_its_processor_in_the_order_of_generate() -> None:
    config = GenerationConfig(
        do_sample=True, sequence_bias=[[[3], 1.5]], repetition_penalty=1.3, no_repeat_ngram_size=2, bad_words_ids=[[5]],
        min_length=4, min_new_tokens=2, suppress_tokens=[9], temperature=0.5, top_h=0.9, top_k=30, top_p=0.7,
        min_p=0.05, typical_p=0.9, epsilon_cutoff=0.01, eta_cutoff=0.02,
    )  # fmt: skip
    assert from_generation_config(config, [8, 0]) == [
        Bias({3: 1.5}),
        RepetitionPenalty(1.3),
        NoRepeatNgram(2),
        BadWords([5]),
        MinTokens(4, [0, 8], counts_prompt=True),
        MinTokens(2, [0, 8]),
        BadWords([9]),
        Temperature(0.5),
        TopH(0.9),
        TopK(30),
        TopP(0.7),
        MinP(0.05),
        Typical(0.9),
        Epsilon(0.01),
        Eta(0.02),
    ]


def test_without_sampling_temperature_and_truncation_are_left_out() -> None:
    assert from_generation_config(configured(temperature=0.5, top_k=3, top_p=0.5), [0]) == []
    assert from_generation_config(GenerationConfig(), [0]) == []
    assert from_generation_config(object(), [0]) == []


def test_beams_keep_one_token_more_than_there_are_end_ids() -> None:
    config = GenerationConfig(do_sample=True, num_beams=2, top_p=0.5, top_k=0)
    assert from_generation_config(config, [0, 8]) == [TopP(0.5, 3)]


def test_an_end_id_alone_is_not_a_bad_word() -> None:
    config = GenerationConfig(bad_words_ids=[[0], [5]])
    assert from_generation_config(config, [0]) == [BadWords([5])]
    assert from_generation_config(GenerationConfig(bad_words_ids=[[0]]), [0]) == []


def test_a_least_length_means_nothing_where_nothing_ends_a_text() -> None:
    assert from_generation_config(GenerationConfig(min_length=3, min_new_tokens=3), []) == []


def test_normalising_comes_last() -> None:
    config = GenerationConfig(do_sample=True, top_p=0.5, top_k=0, renormalize_logits=True)
    *_, last = in_our_order(from_generation_config(config, [0]))
    assert isinstance(last, TransformersProcessors)
    assert last.stage == Stage.TRUNCATE


@pytest.mark.parametrize(
    "settings",
    [
        {"exponential_decay_length_penalty": (1, 1.1)},
        {"begin_suppress_tokens": [3]},
        {"forced_eos_token_id": 0, "max_new_tokens": 5},
        {"forced_eos_token_id": 0, "max_length": None},
        {"watermarking_config": WatermarkingConfig()},
    ],
    ids=lambda settings: next(iter(settings)),
)
def test_a_setting_that_needs_more_than_was_given_says_so(settings: dict[str, Any]) -> None:
    with pytest.raises(BadOption, match=next(iter(settings))):
        from_generation_config(GenerationConfig(**settings), [0])


def test_a_watermark_comes_last_as_from_generate() -> None:
    config = GenerationConfig(watermarking_config=WatermarkingConfig(), repetition_penalty=1.3)
    ours = from_generation_config(config, [0], vocab_size=VOCAB)
    theirs = MODEL._get_logits_processor(config, 1, encoder_input_ids=torch.tensor([[1]]), device="cpu")
    scores = torch.randn(1, VOCAB, generator=torch.Generator().manual_seed(1))
    expected, after = theirs(torch.tensor([[1, 2]]), scores), scores
    for part in in_our_order(ours):
        after = part(after, Seen.of([[1, 2]]))
    assert torch.equal(after, expected)
    assert ours[-1].stage == Stage.TRUNCATE


@pytest.mark.parametrize(("length", "forced"), [(7, False), (8, True), (9, False)])
def test_a_forced_end_comes_at_the_last_place(length: int, forced: bool) -> None:
    for config in (
        configured(forced_eos_token_id=0, max_length=9),
        configured(forced_eos_token_id=0, max_new_tokens=6),
    ):
        (part,) = from_generation_config(config, [0], 3)
        after = part(torch.ones(1, 4), Seen.of([[1] * length], [3]))
        assert after.isfinite().tolist() == [[True, not forced, not forced, not forced]]


def test_a_forced_end_that_is_banned_stays_banned() -> None:
    parts = from_generation_config(configured(forced_eos_token_id=0, max_length=3, no_repeat_ngram_size=1), [5])
    scores, seen = torch.ones(1, 4), Seen.of([[0, 1]])
    for part in in_our_order(parts):
        scores = part(scores, seen)
    assert scores.isneginf().all()  # the loop then takes the row as the constraint gave it, and counts it


def test_removing_invalid_values_mends_numbers_but_revives_nothing() -> None:
    (part,) = from_generation_config(GenerationConfig(remove_invalid_values=True), [0])
    scores = torch.tensor([[math.nan, math.inf, -math.inf, 1.0]])
    assert part(scores, Seen.nothing(1)).tolist() == [[0.0, torch.finfo(torch.float32).max, -math.inf, 1.0]]


def test_guidance_is_refused() -> None:
    with pytest.raises(IncompatibleParts, match="guidance_scale"):
        from_generation_config(GenerationConfig(guidance_scale=1.5), [0])
