"""Beams that ``generate()`` or a pipeline asks for are those that it would have found itself."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import pipeline

from decodeplug import Host, IncompatibleParts, regex

PROMPT = "The red bear reads a book about the moon: "
CALLS: dict[str, dict[str, Any]] = {
    "plain": {"num_beams": 3},
    "all of them": {"num_beams": 4, "num_return_sequences": 4, "early_stopping": True},
    "long ones": {"num_beams": 4, "num_return_sequences": 2, "length_penalty": 2.0, "early_stopping": "never"},
    "processors": {"num_beams": 3, "repetition_penalty": 1.3, "no_repeat_ngram_size": 2, "min_new_tokens": 6},
    "end ids": {"num_beams": 3, "eos_token_id": [514, 148], "pad_token_id": 7},
}


@pytest.mark.parametrize("call", CALLS)
def test_generate_returns_the_rows_that_it_would_have_found(call: str, host: Host, model: Any, tokenizer: Any) -> None:
    options = {"do_sample": False, "max_new_tokens": 20, **CALLS[call]}
    inputs = tokenizer(PROMPT, return_tensors="pt").to(model.device)
    expected = model.generate(**inputs, **options)
    assert torch.equal(model.generate(**inputs, **options, custom_generate=host.custom_generate()), expected)


def test_every_row_of_a_padded_batch_gets_its_own_beams(host: Host, model: Any, tokenizer: Any) -> None:
    options = {"do_sample": False, "max_new_tokens": 12, "num_beams": 3, "num_return_sequences": 2}
    prompts = [PROMPT, "a"]
    inputs = tokenizer(prompts, return_tensors="pt", padding=True).to(model.device)
    output = model.generate(**inputs, **options, custom_generate=host.custom_generate(), return_dict_in_generate=True)
    new, width = output.sequences, inputs["input_ids"].shape[1]
    assert output.sequences_scores.shape == (4,)
    for index, prompt in enumerate(prompts):
        alone = model.generate(**tokenizer(prompt, return_tensors="pt").to(model.device), **options)
        length = alone.shape[1] - len(tokenizer(prompt)["input_ids"])
        assert torch.equal(new[2 * index : 2 * index + 2, width : width + length], alone[:, -length:])


def test_a_constraint_holds_for_every_row_and_rows_without_a_text_are_empty(
    host: Host, model: Any, tokenizer: Any
) -> None:
    inputs = tokenizer(PROMPT, return_tensors="pt").to(model.device)
    decode = host.custom_generate(constraint=regex("a|b"))
    rows = model.generate(**inputs, custom_generate=decode, num_beams=3, num_return_sequences=3, max_new_tokens=4)
    new = tokenizer.batch_decode(rows[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
    assert (sorted(new[:2]), new[2]) == (["a", "b"], "")


def test_a_pipeline_has_beams_in_a_call_or_from_the_start(host: Host, model: Any, tokenizer: Any) -> None:
    options = {"do_sample": False, "max_new_tokens": 10, "num_return_sequences": 2}
    pipe = pipeline("text-generation", model=model, tokenizer=tokenizer, device=model.device)
    expected = pipe(PROMPT, num_beams=3, length_penalty=0.5, **options)
    assert host.pipeline()(PROMPT, num_beams=3, length_penalty=0.5, **options) == expected
    assert host.pipeline(num_beams=3, length_penalty=0.5)(PROMPT, **options) == expected


def test_a_strategy_without_beams_and_beams_are_refused(host: Host, model: Any, tokenizer: Any) -> None:
    inputs = tokenizer(PROMPT, return_tensors="pt").to(model.device)
    with pytest.raises(IncompatibleParts, match=r"strategy 'greedy' .* num_beams=2"):
        model.generate(**inputs, custom_generate=host.custom_generate(strategy="greedy"), num_beams=2, max_new_tokens=4)


def test_torch_s_seed_repeats_drawn_beams(host: Host, model: Any, tokenizer: Any) -> None:
    inputs = tokenizer(PROMPT, return_tensors="pt").to(model.device)

    def drawn(seed: int) -> list[int]:
        torch.manual_seed(seed)
        options = {"do_sample": True, "num_beams": 2, "max_new_tokens": 12}
        return model.generate(**inputs, custom_generate=host.custom_generate(), **options)[0].tolist()

    assert drawn(1) == drawn(1) != drawn(2)
