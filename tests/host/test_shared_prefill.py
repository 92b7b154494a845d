"""All hypotheses of a request share one prefill: the model is fed the prompt once, and the texts stay as they were."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest

import decodeplug.run
from decodeplug import Host, Request, choice
from decodeplug.testing import Float64Throughout
from decodeplug.testing.families import family_model

PROMPT = list(range(3, 33))
FAMILIES = {"llama": "ragged", "qwen3_next": "grouped", "mamba": "grouped", "xlstm": "steps", "openai-gpt": "recompute"}
SAMPLE: dict[str, Any] = {"strategy": "sample", "seed": 5, "max_new_tokens": 6}


@contextlib.contextmanager
def fed_ids(model: Any) -> Iterator[list[int]]:
    """Collects how many ids each call of the model gets."""
    found: list[int] = []

    def count(_: Any, arguments: tuple[Any, ...], named: dict[str, Any]) -> None:
        ids = named["input_ids"] if "input_ids" in named else arguments[0]
        found.append(ids.numel())

    handle = model.register_forward_pre_hook(count, with_kwargs=True)
    try:
        yield found
    finally:
        handle.remove()


@pytest.mark.parametrize("family", FAMILIES)
def test_the_prompt_is_fed_once_and_every_text_is_what_it_was(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = family_model(family)
    host = Host(model, plugins=[])
    assert host.target.path == FAMILIES[family]
    with Float64Throughout():
        with fed_ids(model) as fed:
            result = host.generate(PROMPT, num_return_sequences=4, **SAMPLE)
        monkeypatch.setattr(decodeplug.run, "SharedPrompts", lambda session: session)
        apart = host.generate(PROMPT, num_return_sequences=4, **SAMPLE)
    texts = [result.token_ids, *(other.token_ids for other in result.alternatives)]
    assert texts == [apart.token_ids, *(other.token_ids for other in apart.alternatives)]
    assert len(set(map(tuple, texts))) > 1
    if host.target.path != "recompute":  # which feeds each lane all of its ids at each turn
        assert sum(fed) == len(PROMPT) + sum(len(text) - 1 for text in texts)
    assert fed[0] == len(PROMPT)


def test_the_trace_counts_the_prompt_once(host: Host) -> None:
    result = host.generate(PROMPT, num_return_sequences=4, **SAMPLE)
    paths = [result, *result.alternatives]
    written = sum(len(path.token_ids) - 1 for path in paths)
    assert sum(step.width for step in result.trace.steps) == len(PROMPT) + written


def test_requests_of_one_prompt_share_it_too(host: Host, model: Any) -> None:
    requests = [Request(PROMPT, strategy="sample", seed=seed, max_new_tokens=4) for seed in range(3)]
    with fed_ids(model) as fed:
        together = host.generate_batch(requests)
    assert fed[0] == len(PROMPT)
    assert [r.token_ids for r in together] == [host.generate_batch([one])[0].token_ids for one in requests]


def test_sequences_of_generate_share_their_prompt_too(host: Host, model: Any) -> None:
    import torch

    ids = torch.tensor([PROMPT], device=model.device)
    with fed_ids(model) as fed:
        model.generate(
            ids, do_sample=True, num_return_sequences=3, max_new_tokens=4, custom_generate=host.custom_generate()
        )
    assert fed[0] == len(PROMPT)


@pytest.mark.parametrize("drafters", [[], ["forced"], ["forced", "lookup=min_ngram=1"]])
def test_drafts_change_no_text_of_several(host: Host, drafters: list[str]) -> None:
    constraint = choice(["the red bear reads", "the red book", "a moon", "a river and a bear"])
    options: dict[str, Any] = {"constraint": constraint, "num_return_sequences": 5, "max_new_tokens": 40}
    result = host.generate("The bear: ", strategy="sample", seed=2, drafters=drafters, **options)
    plain = host.generate("The bear: ", strategy="sample", seed=2, cache="none", drafters=[], **options)
    assert [path.text for path in result.alternatives] == [path.text for path in plain.alternatives]
    assert result.text == plain.text
    assert len({result.text, *(path.text for path in result.alternatives)}) > 1
