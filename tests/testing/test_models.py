"""The tiny models that come with ``decodeplug.testing``."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from decodeplug.testing import KINDS, tiny_model

LENGTH, PROMPT = 60, 5


def texts_of(model: Any, *, count: int = 60, sample: bool = False) -> Tensor:
    """``[count, PROMPT + up to LENGTH]``: texts from other prompts than the model was tuned with."""
    random = torch.Generator().manual_seed(11)
    pad = model.generation_config.pad_token_id
    prompts = torch.randint(0, pad, (count, PROMPT), generator=random).to(model.device)
    torch.manual_seed(0)
    return model.generate(
        prompts,
        attention_mask=torch.ones_like(prompts),
        do_sample=sample,
        top_k=0,
        max_new_tokens=LENGTH,
    )


def share_ended(texts: Tensor, end: int) -> float:
    return float((texts == end).any(-1).double().mean())


@pytest.mark.parametrize("kind", ["llama", "gemma3", "mamba"])
def test_about_a_third_of_the_texts_end_sampled_and_greedy(kind: str) -> None:
    model = tiny_model(kind)
    for sample in (False, True):
        assert 0.1 <= share_ended(texts_of(model, sample=sample), 258) <= 0.6


@pytest.mark.parametrize("vocab", [40, 259, 515])
def test_a_next_token_has_one_to_three_bits_of_entropy(vocab: int) -> None:
    model = tiny_model(vocab=vocab)
    texts = texts_of(model, count=20, sample=True)
    alive = (texts == vocab - 1).cumsum(1)[:, PROMPT:] == 0
    with torch.no_grad():
        logits = model(texts).logits[:, PROMPT - 1 : -1]
    entropy = torch.distributions.Categorical(logits=logits).entropy()[alive].mean() / math.log(2)
    assert 1 <= float(entropy) <= 3


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_kind_is_built_in_float64_and_listens_to_its_beginning(kind: str) -> None:
    model = tiny_model(kind)
    assert not model.training
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float64}
    ids = torch.arange(2, 8, device=model.device)[None]
    other = ids.clone()
    other[0, 1] = 99
    with torch.no_grad():
        moved = (model(ids).logits - model(other).logits)[0, -1].abs().max()
    assert float(moved) > 0.1


def test_the_same_arguments_give_the_same_weights_and_a_copy_of_ones_own() -> None:
    one, two, other = tiny_model(seed=4), tiny_model(seed=4), tiny_model(seed=5)
    weight, same, different = (model.get_output_embeddings().weight for model in (one, two, other))
    assert torch.equal(weight, same)
    assert not torch.equal(weight, different)
    with torch.no_grad():
        weight.zero_()
    assert bool(same.any())


def test_building_a_model_leaves_the_global_generator_alone() -> None:
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    tiny_model(seed=77, vocab=20)
    assert torch.equal(torch.rand(3), expected)


def test_padded_logits_are_wider_than_the_vocabulary_and_likely() -> None:
    model = tiny_model(padded_to=320)
    texts = texts_of(model, count=20)
    assert model(texts[:1]).logits.shape[-1] == 320
    assert model.generation_config.eos_token_id == 258
    assert bool((texts >= 259).any())


def test_the_window_is_the_one_asked_for() -> None:
    model = tiny_model("mistral", window=4, layers=1)
    ids = torch.arange(2, 12, device=model.device)[None]
    other = ids.clone()
    other[0, 5] = 99
    with torch.no_grad():
        moved = (model(ids).logits - model(other).logits)[0].abs().amax(-1)
    assert moved[8] > 0.01
    assert torch.equal(moved[9], torch.zeros_like(moved[9]))


def test_another_dtype_is_the_same_model_rounded() -> None:
    rounded = tiny_model(dtype=torch.float32)
    assert rounded.dtype == torch.float32
    ids = torch.arange(2, 12, device=rounded.device)[None]
    assert torch.allclose(rounded(ids).logits.double(), tiny_model()(ids).logits, atol=1e-3)
