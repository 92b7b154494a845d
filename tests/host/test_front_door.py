from __future__ import annotations

import copy
import json
import pickle
from dataclasses import dataclass
from enum import Enum
from typing import Any, Literal

import pytest
import torch
from pydantic import BaseModel

import decodeplug
from decodeplug import BadOption, Host, Recipe, Request, choice, json_schema, regex

PROMPT = "The quick brown bear "


class Bear(BaseModel):
    name: Literal["Bruno", "Ada"]
    age: Literal[1, 2, 3]


@dataclass
class Book:
    title: Literal["Moon", "Sea"]


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


def generated(model: Any, ids: list[int], count: int) -> list[int]:
    with torch.inference_mode():
        return model.generate(torch.tensor([ids], device=model.device), max_new_tokens=count, do_sample=False)[
            0, len(ids) :
        ].tolist()


def test_greedy_gives_the_ids_of_generate(host: Host, model: Any, tokenizer: Any) -> None:
    ids = tokenizer(PROMPT)["input_ids"]
    assert host.generate(PROMPT, max_new_tokens=40).token_ids == generated(model, ids, 40)


def test_text_messages_ids_and_tensors_are_prompts(host: Host, tokenizer: Any) -> None:
    ids = tokenizer(PROMPT)["input_ids"]
    text = host.generate(PROMPT, max_new_tokens=5)
    assert host.generate(ids, max_new_tokens=5).token_ids == text.token_ids
    assert host.generate(torch.tensor([ids], device=host.model.device), max_new_tokens=5).token_ids == text.token_ids
    messages = [{"role": "user", "content": "hello"}]
    chat = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=False)
    assert list(host.generate(messages, max_new_tokens=5).prompt_ids) == chat


@pytest.mark.parametrize(
    ("constraint", "expected"),
    [
        (Bear, Bear),
        (Book, Book),
        (Colour, Colour),
        (Literal["yes", "no"], str),
        (list[Bear], list),
        (
            {"type": "object", "properties": {"a": {"enum": [1, 2]}}, "required": ["a"], "additionalProperties": False},
            dict,
        ),
        (choice(["one", "two"]), str),
        (regex("[ab]{3}"), str),
    ],
)
def test_the_value_is_what_the_constraint_speaks_of(host: Host, constraint: Any, expected: type) -> None:
    result = host.generate(PROMPT, constraint=constraint, strategy="sample", seed=1, max_new_tokens=200)
    assert result.finish_reason == "stop"
    assert isinstance(result.value, expected)
    assert host.accepts(constraint, result.text)


def test_a_text_is_complete_within_the_budget_or_refused(host: Host) -> None:
    with pytest.raises(decodeplug.BudgetTooSmall) as caught:
        host.generate(PROMPT, constraint=Bear, max_new_tokens=4)
    assert caught.value.needed is not None
    assert isinstance(host.generate(PROMPT, constraint=Bear, max_new_tokens=caught.value.needed).value, Bear)


def test_a_text_that_was_cut_has_no_value(host: Host) -> None:
    result = host.generate(PROMPT, constraint=Bear, max_new_tokens=60, timeout_s=1e-9)
    assert (result.finish_reason, result.value) == ("timeout", None)


def test_a_text_that_a_stop_string_cut_has_no_value(host: Host) -> None:
    result = host.generate(
        PROMPT, constraint=regex("[0-9]{3}x?"), stop=[str(digit) for digit in range(10)], max_new_tokens=9
    )
    assert (result.text, result.finish_reason, result.value) == ("", "stop", None)


def test_accepts_speaks_of_the_very_text_and_then_the_end(host: Host) -> None:
    assert host.accepts(regex("a+"), "aaa")
    assert not host.accepts(regex("a+"), "aab")
    assert not host.accepts(regex("a+b"), "aa")
    assert host.accepts(json_schema(Bear), '{"name": "Bruno", "age": 2}')
    assert not host.accepts(json_schema(Bear), '{"name": "Bruno", "age": 4}')


def test_chunks_joined_are_the_text_and_the_stream_has_the_result(host: Host) -> None:
    whole = host.generate(PROMPT, max_new_tokens=40)
    stream = host.stream(PROMPT, max_new_tokens=40)
    chunks = list(stream)
    assert "".join(chunk.text for chunk in chunks) == stream.result.text == whole.text
    assert [token for chunk in chunks for token in chunk.token_ids] == whole.token_ids
    assert [chunk.finish_reason for chunk in chunks[:-1]] == [None] * (len(chunks) - 1)
    assert chunks[-1].finish_reason == whole.finish_reason
    assert len(chunks) > 5


def test_a_stream_never_shows_the_beginning_of_a_stop_string(host: Host) -> None:
    whole = host.generate(PROMPT, max_new_tokens=30).text
    stop = whole[8:13]
    stream = host.stream(PROMPT, max_new_tokens=30, stop=[stop])
    text = "".join(chunk.text for chunk in stream)
    assert text == stream.result.text == whole[: whole.find(stop)]


def test_a_stream_shows_the_json_so_far(host: Host) -> None:
    stream = host.stream(PROMPT, constraint=Bear, max_new_tokens=100)
    partial = [chunk.partial for chunk in stream]
    assert partial[-1] == json.loads(stream.result.text)
    assert any(isinstance(value, dict) and set(value) < {"name", "age"} for value in partial)


def test_a_closed_stream_leaves_the_host_usable(host: Host) -> None:
    with host.stream(PROMPT, max_new_tokens=40) as stream:
        next(stream)
    assert host.generate(PROMPT, max_new_tokens=3).token_ids


def test_two_streams_take_turns_in_one_thread(host: Host) -> None:
    first, second = (host.stream(prompt, max_new_tokens=20) for prompt in (PROMPT, "another "))
    texts: list[str] = ["", ""]
    for left, right in zip(first, second, strict=False):
        texts[0] += left.text
        texts[1] += right.text
    assert first.result.text == host.generate(PROMPT, max_new_tokens=20).text
    assert second.result.text == host.generate("another ", max_new_tokens=20).text


def test_each_row_of_a_batch_gets_what_it_gets_alone(host: Host) -> None:
    requests = [
        Request(PROMPT, max_new_tokens=12),
        Request("a", constraint=Bear, seed=4, strategy="sample", max_new_tokens=60),
        Request("2024", processors=["temperature=0.5", "repetition-penalty=1.3"], seed=2, max_new_tokens=25),
        Request("x", cache="none", max_new_tokens=9),
    ]
    together = host.generate_batch(requests)
    assert [r.token_ids for r in together] == [host.generate_batch([q])[0].token_ids for q in requests]
    assert [r.trace.seed for r in together[1:3]] == [4, 2]


def test_several_hypotheses_of_one_request(host: Host) -> None:
    result = host.generate(PROMPT, strategy="sample", seed=3, num_return_sequences=3, max_new_tokens=15)
    texts = [result.text, *(other.text for other in result.alternatives)]
    assert len(set(texts)) == 3
    assert result.token_ids == host.generate(PROMPT, strategy="sample", seed=3, max_new_tokens=15).token_ids


def test_log_probabilities_are_those_of_the_model(host: Host, model: Any) -> None:
    result = host.generate(PROMPT, max_new_tokens=6, logprobs=3, raw_logprobs=True)
    ids = torch.tensor([[*result.prompt_ids, *result.token_ids]], device=model.device)
    scores = torch.log_softmax(model(ids).logits[0, len(result.prompt_ids) - 1 : -1].float(), -1)
    expected = scores.gather(-1, ids[0, len(result.prompt_ids) :, None])[:, 0]
    assert result.logprobs == pytest.approx(expected.tolist(), abs=1e-5)
    assert result.raw_logprobs == pytest.approx(expected.tolist(), abs=1e-5)
    assert result.top_logprobs is not None
    assert [top[0][0] for top in result.top_logprobs] == result.token_ids
    assert host.score(PROMPT, result.token_ids) == pytest.approx(expected.tolist(), abs=1e-5)


def test_log_probabilities_after_processors_are_those_of_what_they_leave(host: Host) -> None:
    result = host.generate(PROMPT, processors=["top-k=1"], seed=0, max_new_tokens=4)
    assert result.logprobs == pytest.approx([0.0] * 4, abs=1e-6)


def test_the_trace_tells_what_happened(host: Host) -> None:
    result = host.generate(PROMPT, constraint=Bear, max_new_tokens=100, processors=["top-k=4"], seed=1)
    trace = result.trace
    assert trace.tokens == len(result.token_ids)
    assert trace.forwards == len(trace.steps) < trace.tokens
    assert set(trace.removed) == {"constraint", "top-k"}
    assert trace.acceptance["forced"].kept > 0
    assert len(trace.sources) == trace.tokens
    assert trace.processors == ("top-k",)
    assert trace.cache["peak_bytes"] > 0
    assert json.loads(trace.to_json())["forwards"] == trace.forwards


def test_the_same_seed_gives_the_same_text_and_none_reports_the_one_it_drew(host: Host) -> None:
    drawn = host.generate(PROMPT, strategy="sample", max_new_tokens=20)
    again = host.generate(PROMPT, strategy="sample", max_new_tokens=20, seed=drawn.trace.seed)
    assert again.token_ids == drawn.token_ids


def test_a_padded_vocabulary_never_gives_a_padded_id_under_a_constraint(tokenizer: Any) -> None:
    from decodeplug.testing import tiny_model

    padded = Host(tiny_model(vocab=len(tokenizer), padded_to=len(tokenizer) + 61), tokenizer, plugins=[])
    for seed in range(5):
        result = padded.generate(
            PROMPT, constraint=regex("[^x]{1,30}"), strategy="sample", seed=seed, max_new_tokens=20
        )
        assert max(result.token_ids) < len(tokenizer)


def test_nothing_follows_the_closing_brace(host: Host) -> None:
    result = host.generate(PROMPT, constraint=Bear, max_new_tokens=200)
    assert result.text.endswith("}")
    assert result.finish_reason == "stop"


def test_a_recipe_says_the_same_in_a_dict_and_in_toml(host: Host) -> None:
    recipe = Recipe(
        {
            "processors": ["temperature=0.7", {"name": "top-p", "top_p": 0.9}],
            "constraint": {"name": "regex", "pattern": '[a-z"]{3}\\d'},
            "max_new_tokens": 12,
            "stop": ["é\n"],
            "seed": 5,
        }
    )
    assert Recipe.from_toml(recipe.to_toml()) == Recipe.from_dict(recipe.to_dict()) == recipe
    assert host.generate(PROMPT, **recipe.options).token_ids == host.generate(PROMPT, **recipe.to_dict()).token_ids


def test_an_empty_list_of_drafters_means_none(host: Host) -> None:
    assert host.generate(PROMPT, constraint=Bear, drafters=[], max_new_tokens=100).trace.acceptance == {}


def test_a_host_without_tokenizer_works_on_ids(model: Any) -> None:
    host = Host(model, plugins=[])
    assert host.generate([1, 2, 3], max_new_tokens=4).text == ""
    with pytest.raises(decodeplug.BadOption, match="no tokenizer"):
        host.generate("text", max_new_tokens=4)


def test_doctor_can_be_asked_again() -> None:
    assert decodeplug.doctor().parts == decodeplug.doctor().parts


def test_processors_run_by_stage_or_as_given(host: Host) -> None:
    named = ["top-k=4", "temperature=0.5", "repetition-penalty=1.2"]
    by_stage = host.generate(PROMPT, processors=named, seed=1, max_new_tokens=3).trace
    given = host.generate(PROMPT, processors=named, processor_order="given", seed=1, max_new_tokens=3).trace
    assert by_stage.processors == ("repetition-penalty", "temperature", "top-k")
    assert given.processors == ("top-k", "temperature", "repetition-penalty")


def test_typical_sampling_samples(host: Host) -> None:
    texts = {host.generate(PROMPT, processors=["typical=0.95"], seed=s, max_new_tokens=12).text for s in range(3)}
    assert len(texts) == 3


def test_log_probabilities_read_later_are_those_computed_while_decoding(host: Host) -> None:
    later = host.generate(PROMPT, max_new_tokens=8)
    while_decoding = host.generate(PROMPT, max_new_tokens=8, logprobs=True)
    twins = copy.copy(later), copy.deepcopy(later)
    assert later.logprobs == pytest.approx(while_decoding.logprobs, abs=1e-5)
    assert [twin.logprobs for twin in twins] == [later.logprobs] * 2
    assert pickle.loads(pickle.dumps(later)).logprobs == later.logprobs


def test_to_copy_or_pickle_a_result_never_runs_the_model(
    model: Any, tokenizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = Host(model, tokenizer, plugins=[])
    result = host.generate(PROMPT, strategy="sample", num_return_sequences=2, seed=1, max_new_tokens=8)
    monkeypatch.setattr(model, "forward", lambda **given: pytest.fail("the model was run"))
    for twin in (copy.copy(result), copy.deepcopy(result), pickle.loads(pickle.dumps(result))):
        assert (twin.text, twin.token_ids, twin.trace) == (result.text, result.token_ids, result.trace)
        assert [other.text for other in twin.alternatives] == [other.text for other in result.alternatives]
    assert copy.deepcopy(result).alternatives[0] is not result.alternatives[0]
    with pytest.raises(BadOption, match="logprobs=True in the request, or to read them before it is pickled"):
        _ = pickle.loads(pickle.dumps(result)).logprobs
