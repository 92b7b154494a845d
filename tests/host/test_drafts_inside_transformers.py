"""What transformers calls assisted decoding, said to ``generate()`` or to a pipeline, drafts here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from drafters.native_families import checkpoint, read_again
from drafters.other_ids import with_other_ids

from decodeplug import BadOption, Host, Request, regex
from decodeplug.drafters import NativeDrafts
from decodeplug.testing import bpe_tokenizer, like
from decodeplug.trace import Trace

PROMPT = "The bear reads a book and the bear reads a book and the "
GREEDY: dict[str, Any] = {"do_sample": False, "max_new_tokens": 24}


def traces_in(host: Host, monkeypatch: pytest.MonkeyPatch) -> list[tuple[Request, Trace]]:
    """Each request from now on, and the trace of its text."""
    seen, run = list[tuple[Request, Trace]](), host.generate_batch

    def watched(requests: Any, **options: Any) -> Any:
        results = run(requests, **options)
        seen.extend((request, result.trace) for request, result in zip(requests, results, strict=True))
        return results

    monkeypatch.setattr(host, "generate_batch", watched)
    return seen


def test_prompt_lookup_takes_the_place_of_the_lookup_that_comes_by_default(
    host: Host, model: Any, tokenizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs, seen = tokenizer(PROMPT, return_tensors="pt").to(model.device), traces_in(host, monkeypatch)
    text = model.generate(**inputs, custom_generate=host.custom_generate(), **GREEDY)
    three = {"name": "lookup", "max_tokens": 3}
    cases: list[tuple[dict[str, Any], Any]] = [
        ({}, [three]),
        ({"reference": text[0].tolist()}, [three]),
        ({"constraint": regex("([a-f]{4} ){5}")}, ["forced", three]),
        ({"drafters": ["none"]}, ["none"]),
    ]
    for options, drafters in cases:
        plain = model.generate(**inputs, custom_generate=host.custom_generate(**{**options, "drafters": []}), **GREEDY)
        decode = host.custom_generate(**options)
        found = model.generate(**inputs, custom_generate=decode, prompt_lookup_num_tokens=3, **GREEDY)
        assert torch.equal(found, plain)
        assert seen[-1][0].drafters == drafters
        if "reference" in options:
            assert seen[-1][1].acceptance["lookup"].kept > 0


def test_the_model_s_own_modules_draft_where_a_generation_config_asks_for_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(NativeDrafts, "price", lambda self, lane: 0.02)
    checkpoint("glm4", tmp_path)
    model, tokenizer = read_again(tmp_path), bpe_tokenizer()
    host = Host(model, tokenizer, plugins=[])
    inputs, seen = tokenizer(PROMPT, return_tensors="pt"), traces_in(host, monkeypatch)
    plain = model.generate(**inputs, custom_generate=host.custom_generate(), **GREEDY)
    assert torch.equal(model.generate(**inputs, custom_generate=host.custom_generate(), use_mtp=True, **GREEDY), plain)
    constrained = host.custom_generate(constraint=regex("[a-z ]{3,9}"))
    model.generate(**inputs, custom_generate=constrained, use_mtp=True, **GREEDY)
    assert [trace.drafters for _, trace in seen] == [(), ("mtp",), ("forced", "lookup", "mtp")]
    assert seen[1][1].acceptance["mtp"].drafted > 0


@pytest.mark.parametrize("where", ["call", "pipeline"])
def test_a_pipeline_takes_an_assistant_model(
    host: Host, model: Any, tokenizer: Any, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    seen, options = traces_in(host, monkeypatch), {"drafters": ["assistant=num_tokens=3"]}
    plain = host.pipeline()(PROMPT, **GREEDY)
    smaller = like(model, strength=0.3)
    other = with_other_ids(smaller, tokenizer)
    pairs = [{"assistant_model": smaller}, {"assistant_model": other.model, "assistant_tokenizer": other.tokenizer}]
    for pair in pairs:
        pipe = host.pipeline(**options, **pair) if where == "pipeline" else host.pipeline(**options)
        for _ in range(2):
            assert pipe(PROMPT, **({} if where == "pipeline" else pair), **GREEDY) == plain
    assert all(trace.acceptance["assistant"].kept > 0 for _, trace in seen[1:3])
    assert all(trace.acceptance["assistant"].drafted > 0 for _, trace in seen[3:])


def test_an_assistant_with_a_tokenizer_is_one_host_for_all_calls(
    host: Host, model: Any, tokenizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    other, pipe, seen = (
        with_other_ids(like(model, strength=0.3), tokenizer),
        host.pipeline(),
        traces_in(host, monkeypatch),
    )
    for _ in range(2):
        pipe(PROMPT, assistant_model=other.model, assistant_tokenizer=other.tokenizer, **GREEDY)
    assert seen[0][0].assistant is seen[1][0].assistant
    assert seen[0][0].assistant.model is other.model


@pytest.mark.parametrize(
    "options",
    [{"assistant_model": "some/model"}, {"assistant_tokenizer": object()}, {"assistant_model": 1, "assistant": 2}],
)
def test_what_is_no_assistant_of_a_pipeline_is_refused_at_once(host: Host, options: dict[str, Any]) -> None:
    with pytest.raises(BadOption, match="assistant_model="):
        host.pipeline(**options)
