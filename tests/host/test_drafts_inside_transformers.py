"""What transformers calls assisted decoding, said to ``generate()`` or to a pipeline, drafts here."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from decodeplug import Host, regex
from decodeplug.errors import IncompatibleParts
from decodeplug.testing import byte_tokenizer, like, tiny_model

PROMPT = "The bear reads a book and the bear "
GREEDY: dict[str, Any] = {"do_sample": False, "max_new_tokens": 12}


def drafters_in(host: Host, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """Those of every text from now on."""
    seen, run = list[tuple[str, ...]](), host.generate_batch

    def watched(requests: Any, **options: Any) -> Any:
        results = run(requests, **options)
        seen.extend(result.trace.drafters for result in results)
        return results

    monkeypatch.setattr(host, "generate_batch", watched)
    return seen


def test_the_drafts_that_a_generation_config_asks_for_are_made(
    host: Host, model: Any, tokenizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs, seen = tokenizer(PROMPT, return_tensors="pt").to(model.device), drafters_in(host, monkeypatch)
    plain = model.generate(**inputs, custom_generate=host.custom_generate(), **GREEDY)
    for options in ({}, {"constraint": regex("[a-z ]{3,9}")}, {"drafters": ["none"]}):
        decode = host.custom_generate(**options)
        found = model.generate(**inputs, custom_generate=decode, prompt_lookup_num_tokens=3, **GREEDY)
        assert options or torch.equal(found, plain)
    assert seen == [(), ("lookup",), ("forced", "lookup"), ()]
    with pytest.raises(IncompatibleParts, match="drafter 'mtp'"):
        model.generate(**inputs, custom_generate=host.custom_generate(), use_mtp=True, **GREEDY)


def test_a_pipeline_takes_an_assistant_model(
    host: Host, model: Any, tokenizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen, pipe = drafters_in(host, monkeypatch), host.pipeline()
    plain = pipe(PROMPT, **GREEDY)
    assert pipe(PROMPT, assistant_model=like(model, strength=0.3), **GREEDY) == plain
    own = byte_tokenizer()
    stranger = tiny_model(vocab=len(own), layers=1, seed=4)
    assert pipe(PROMPT, assistant_model=stranger, assistant_tokenizer=own, **GREEDY) == plain
    assert seen == [(), ("assistant",), ("assistant",)]
