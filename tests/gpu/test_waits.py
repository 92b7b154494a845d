"""One turn of the loop waits for the GPU once: to read what was chosen."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

from decodeplug import Host, Request, json_schema, regex
from decodeplug.drafters import HeadDrafts
from decodeplug.heads import Heads
from decodeplug.testing import bpe_tokenizer, tiny_model

WAITED = "called a synchronizing CUDA operation"
PROMPT = "The red bear reads a book about the moon: "
SCHEMA = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 12},
        "age": {"type": "integer", "minimum": 0, "maximum": 99},
    },
    "required": ["name", "age"],
    "additionalProperties": False,
}
CHECKED = {"type": "array", "items": {"enum": ["red", "reed", "read", 1, 12, 2]}, "uniqueItems": True, "minItems": 3}
CHECKED |= {"maxItems": 6, "contains": {"const": 12}}
SHAPING = [
    "temperature=0.8",
    "top-k=40",
    "top-p=0.95",
    "min-p=0.02",
    "typical=0.9",
    "epsilon=1e-5",
    "eta=1e-5",
    "top-h",
]
SEEING = [
    "repetition-penalty=1.2",
    "presence-penalty=0.3",
    "frequency-penalty=0.2",
    "no-repeat-ngram=4",
    "min-tokens=3",
]
SEEING += ['bias={"5": 2.0}', "bad-words=[[7], [8, 9]]", "forced-prefix=[65, 66]"]
OPTIONS: dict[str, dict[str, Any]] = {
    "greedy": {"drafters": []},
    "greedy, drafted": {"drafters": ["lookup=min_ngram=1"]},
    "sampled": {"drafters": [], "strategy": "sample", "seed": 3},
    "sampled, shaped": {"strategy": "sample", "processors": SHAPING, "seed": 3},
    "penalties and bans": {"processors": SEEING},
    "log-probabilities": {"logprobs": 4, "raw_logprobs": True},
    "regex": {"constraint": regex("[0-9]{4}-[0-9]{2}( [a-z]{2,8}){4,6}"), "drafters": []},
    "schema, drafted": {"constraint": json_schema(SCHEMA), "drafters": ["forced", "lookup"]},
    "schema, sampled": {
        "constraint": json_schema(SCHEMA),
        "strategy": "sample",
        "processors": ["top-p=0.9"],
        "seed": 1,
    },
    "rejection": {"drafters": ["lookup=min_ngram=1"], "strategy": "sample", "acceptance": "rejection", "seed": 2},
    "beams": {"num_beams": 3},
    "beams, schema": {"num_beams": 3, "constraint": json_schema(SCHEMA), "drafters": ["forced"]},
    "beams, drawn": {"num_beams": 3, "do_sample": True, "seed": 4},
    "votes": {"strategy": "self-consistency", "n": 3, "answer": "[0-9]+", "seed": 5},
}
TEXTS = {"alone": [PROMPT], "ragged batch of 3": [PROMPT, "a", '{"name": "Ada", "age": 4} and once more: ']}


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    tokenizer = bpe_tokenizer()
    model: Any = tiny_model(vocab=len(tokenizer), dtype=torch.float32)
    model.to("cuda")
    with Host(model, tokenizer, plugins=[]) as made:
        yield made


@contextmanager
def waits_counted() -> Iterator[Counter[str]]:
    """Where the host waited for the GPU, in any of its threads; complete when the block is left."""
    places: Counter[str] = Counter()
    torch.cuda.synchronize()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        before = torch.cuda.get_sync_debug_mode()
        torch.cuda.set_sync_debug_mode("warn")
        try:
            yield places
        finally:
            torch.cuda.set_sync_debug_mode(before)
    places.update(f"{one.filename}:{one.lineno}" for one in caught if WAITED in str(one.message))


def requests(prompts: Sequence[str], options: dict[str, Any]) -> list[Request]:
    return [Request(prompt, max_new_tokens=32, **options) for prompt in prompts]


def test_a_wait_is_counted() -> None:
    numbers = torch.arange(3, device="cuda")
    with waits_counted() as places:
        numbers.tolist()
        torch.tensor([1, 2]).to("cuda", non_blocking=True)
        torch.tensor([1, 2], device="cuda")
    assert places.total() == 2


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("texts", TEXTS)
def test_a_turn_waits_once_whatever_is_asked_of_it(host: Host, texts: str, options: str) -> None:
    host.generate_batch(requests(TEXTS[texts], OPTIONS[options]))  # compiles, and fills what is kept
    with waits_counted() as places:
        results = host.generate_batch(requests(TEXTS[texts], OPTIONS[options]))
    turns = max(result.trace.forwards for result in results)
    assert turns > 3
    assert places.total() == turns, dict(places)


@pytest.mark.parametrize("kind", ["recurrent", "independent"])
@pytest.mark.parametrize("texts", TEXTS)
def test_heads_are_read_once_a_draft(host: Host, texts: str, kind: str) -> None:
    heads = Heads.new(host.target.module, kind, 3, torch.arange(3, 200))
    options: dict[str, Any] = {"drafters": [HeadDrafts(heads=heads, num_tokens=3)], "end_ids": []}
    host.generate_batch(requests(TEXTS[texts], options))
    with waits_counted() as places:
        results = host.generate_batch(requests(TEXTS[texts], options))
    turns = max(result.trace.forwards for result in results)
    drafts = sum(sum(bool(step.drafted) for step in result.trace.steps) for result in results)
    assert drafts > turns / 2
    assert places.total() <= turns + drafts + len(results), dict(places)


@pytest.mark.parametrize("texts", TEXTS)
def test_an_assistant_is_read_once_a_forward_for_all_lanes(host: Host, texts: str) -> None:
    assistant: Any = tiny_model(vocab=host.target.vocab_size, dtype=torch.float32)  # its twin: nearly always right
    assistant.to("cuda")
    forwards = [0]
    assistant.get_input_embeddings().register_forward_pre_hook(lambda *_: forwards.__setitem__(0, forwards[0] + 1))
    options: dict[str, Any] = {"assistant": assistant, "drafters": ["assistant=num_tokens=3"]}
    host.generate_batch(requests(TEXTS[texts], options))
    forwards[0] = 0
    with waits_counted() as places:
        results = host.generate_batch(requests(TEXTS[texts], options))
    assert forwards[0]
    assert places.total() <= max(result.trace.forwards for result in results) + forwards[0], dict(places)


def test_a_token_that_is_refused_costs_one_more_read_and_nothing_else(host: Host) -> None:
    asked = Request(PROMPT, constraint=json_schema(CHECKED), drafters=[], max_new_tokens=60)
    host.generate_batch([asked])
    with waits_counted() as places:
        result = host.generate_batch([asked])[0]
    assert places.total() > result.trace.forwards, "no token was refused"
    assert [Path(place.rpartition(":")[0]).name for place in places] == ["rowfacts.py"]


def test_a_prompt_as_long_as_the_buffers_must_grow_for_waits_no_more(host: Host) -> None:
    with waits_counted() as places:
        result = host.generate("the bear " * 30, max_new_tokens=120, end_ids=[])
    assert len(result.token_ids) == 120
    assert places.total() == result.trace.forwards, dict(places)
