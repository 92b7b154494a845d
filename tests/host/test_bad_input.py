"""Bad input gets one clear error that says who, what, what was wanted and the way out."""

from __future__ import annotations

import time
from typing import Any

import pytest
import torch
from refused import REFUSED
from transformers import BertConfig, BertForMaskedLM, BertModel, T5Config, T5ForConditionalGeneration

from decodeplug import Host, Request, json_schema, regex
from decodeplug.errors import (
    BadLogits,
    BadOption,
    ContextOverflow,
    IncompatibleParts,
    PluginError,
    UnknownPart,
    UnsupportedGrammar,
    UnsupportedModel,
    UnsupportedSchema,
    VocabularyMismatch,
)
from decodeplug.plugin import Stage
from decodeplug.testing import byte_tokenizer, tiny_model

PROMPT = "The bear "
TINY_BERT = BertConfig(vocab_size=64, hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2)


@pytest.mark.parametrize(
    ("model", "because"),
    [
        (
            lambda: T5ForConditionalGeneration(
                T5Config(vocab_size=64, d_model=16, d_kv=8, d_ff=16, num_layers=1, num_heads=2)
            ),
            "encoder-decoder",
        ),
        (lambda: BertForMaskedLM(TINY_BERT), "from left to right"),
        (lambda: BertModel(TINY_BERT), "from left to right"),
        (lambda: torch.nn.Linear(2, 2), "not a transformers model"),
    ],
    ids=["T5", "masked-LM", "encoder", "no model"],
)
def test_a_model_that_does_not_write_is_refused_with_the_reason(model: Any, because: str) -> None:
    with pytest.raises(UnsupportedModel, match=because):
        Host(model())


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"processors": ["temprature=0.7"]}, UnknownPart, "Did you mean 'temperature'"),
        ({"drafters": ["lokup"]}, UnknownPart, "Did you mean 'lookup'"),
        ({"strategy": "gready"}, UnknownPart, "Did you mean 'greedy'"),
        ({"cache": "dens"}, UnknownPart, "Did you mean 'dense'"),
        ({"processors": ["top-p=1.5"]}, BadOption, "top-p"),
        ({"processors": ["top-p=top_q=0.5"]}, BadOption, "top_q"),
        ({"processors": "top-p=0.5"}, BadOption, "a list"),
        ({"processors": [lambda scores, seen: scores]}, BadOption, "with a stage"),
        ({"processor_order": "named"}, BadOption, "'stage' or 'given'"),
        ({"temperature": 0.7}, BadOption, r'processors=\["temperature='),
        ({"max_tokens": 7}, BadOption, "max_new_tokens"),
        ({"max_new_tokens": 0}, BadOption, "at least 1"),
        ({"max_new_tokens": 2.5}, BadOption, "whole number"),
        ({"max_new_tokens": True}, BadOption, "whole number"),
        ({"seed": -1}, BadOption, "at least 0"),
        ({"stop": [""]}, BadOption, "none of them empty"),
        ({"timeout_s": 0}, BadOption, "seconds"),
        ({"do_sample": "yes"}, BadOption, "True, False or None"),
        ({"strategy": "greedy", "processors": ["top-p=0.5"]}, BadOption, "sample"),
        ({"strategy": "sample", "do_sample": False}, BadOption, "do_sample"),
        ({"num_return_sequences": 2}, BadOption, "1 unless the strategy samples"),
        ({"constraint": {"type": "objekt"}}, UnsupportedSchema, "/type"),
        ({"constraint": 7}, BadOption, "constraint"),
        ({"constraint": regex}, BadOption, "constraint"),
        ({"max_new_tokens": 100_000}, ContextOverflow, "100000"),
    ],
)
def test_a_bad_request_is_refused_before_the_first_token(
    host: Host, options: dict[str, Any], error: type[Exception], match: str
) -> None:
    with pytest.raises(error, match=match):
        host.generate(PROMPT, **options)


@pytest.mark.parametrize(
    ("prompt", "match"),
    [
        ("", "at least one token"),
        ([], "not an empty one"),
        (["two", "texts"], "generate_batch"),
        ([1, -1], "ids from 0"),
        ([1, 10**6], "ids from 0"),
        ([{"role": "user"}], "role"),
        (None, "a text, a list"),
        ([1.5], "a text, a list"),
    ],
)
def test_a_bad_prompt_is_refused(host: Host, prompt: Any, match: str) -> None:
    with pytest.raises(BadOption, match=match):
        host.generate(prompt, max_new_tokens=4)


def test_a_prompt_that_does_not_fit_the_window_is_refused_with_the_numbers(host: Host) -> None:
    assert host.context_window is not None
    with pytest.raises(ContextOverflow) as caught:
        host.generate([1] * host.context_window)
    assert caught.value.prompt_tokens == caught.value.context_window == host.context_window


def test_a_tokenizer_of_another_model_is_refused() -> None:
    with pytest.raises(VocabularyMismatch):
        Host(tiny_model(vocab=100), byte_tokenizer())


@pytest.mark.parametrize(
    ("schema", "keyword"),
    [
        ({"items": REFUSED}, "pattern"),
        ({"properties": {"a": {"type": "string", "minLength": -1}}}, "minLength"),
        ({"type": "string", "pattern": "(?=a)b"}, "pattern"),
    ],
)
def test_a_schema_that_cannot_be_enforced_is_refused_with_keyword_and_pointer(
    host: Host, schema: Any, keyword: str
) -> None:
    with pytest.raises(UnsupportedSchema) as caught:
        host.generate(PROMPT, constraint=json_schema(schema), max_new_tokens=10)
    assert caught.value.keyword == keyword
    assert keyword in caught.value.pointer


def test_a_pattern_that_explodes_is_refused_within_seconds(host: Host) -> None:
    began = time.process_time()
    with pytest.raises((UnsupportedGrammar, UnsupportedSchema)):
        host.generate(
            PROMPT, constraint=json_schema({"type": "string", "pattern": "^(.{1,900}x){1,900}y$"}), max_new_tokens=5
        )
    assert time.process_time() - began < 5


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_logits_that_are_no_numbers_are_an_error_and_the_host_stays_usable(tokenizer: Any, bad: float) -> None:
    model = tiny_model(vocab=len(tokenizer))
    host = Host(model, tokenizer, plugins=[])
    hook = model.lm_head.register_forward_hook(lambda *_: torch.full((1, 1, len(tokenizer)), bad, device=model.device))
    with pytest.raises(BadLogits) as caught:
        host.generate(PROMPT, max_new_tokens=3)
    assert caught.value.position == len(tokenizer(PROMPT)["input_ids"])
    hook.remove()
    assert host.generate(PROMPT, max_new_tokens=3).token_ids


def test_named_drafters_on_a_model_that_cannot_rewind_are_refused_and_default_ones_left_out() -> None:
    tokenizer = byte_tokenizer()
    host = Host(tiny_model("mamba", vocab=len(tokenizer)), tokenizer, plugins=[])
    with pytest.raises(IncompatibleParts) as caught:
        host.generate(PROMPT, drafters=["lookup"], max_new_tokens=4)
    assert caught.value.part == "drafter 'lookup'"
    result = host.generate(PROMPT, constraint=regex("[ab]{4}"), max_new_tokens=8)
    assert result.trace.acceptance == {}
    assert any("rewound" in note for note in result.trace.notes)


class Broken:
    """A processor of a plugin that fails after some calls."""

    name = "broken"
    stage = Stage.PENALTY
    keeps_argmax = False

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, scores: torch.Tensor, seen: Any) -> torch.Tensor:
        self.calls += 1
        if self.calls > 2:
            raise RuntimeError("out of ink")
        return scores


def test_a_part_that_fails_in_the_middle_of_a_batch_takes_no_other_request_down(host: Host) -> None:
    requests = [
        Request(PROMPT, max_new_tokens=8),
        Request(PROMPT, max_new_tokens=8, processors=[Broken()]),
        Request("x", max_new_tokens=8),
    ]
    good, failed, other = host.generate_batch(requests, return_errors=True)
    assert good.token_ids == host.generate(PROMPT, max_new_tokens=8).token_ids
    assert other.token_ids == host.generate("x", max_new_tokens=8).token_ids
    assert failed.finish_reason == "error"
    assert isinstance(failed.error, PluginError)
    assert "out of ink" in str(failed.error)
    assert "broken" in str(failed.error)
    with pytest.raises(PluginError):
        host.generate(PROMPT, max_new_tokens=8, processors=[Broken()])
