"""Log-probabilities that are read when the text is there are those that would have been reported with it."""

from __future__ import annotations

from typing import Any

import pytest

from decodeplug import Host, Request, regex
from decodeplug.testing import bpe_tokenizer, tiny_model

UNIQUE = {"type": "array", "items": {"enum": ["a", "b", "cd"]}, "uniqueItems": True, "minItems": 2, "maxItems": 3}
SAMPLED = {"do_sample": True, "seed": 5, "processors": ["top-k=20", "temperature=1.5"]}


@pytest.fixture(scope="module")
def host() -> Host:
    tokenizer = bpe_tokenizer()
    return Host(tiny_model(vocab=len(tokenizer)), tokenizer, plugins=[])


@pytest.mark.parametrize("options", [{}, SAMPLED, {"do_sample": True, "seed": 2, "num_return_sequences": 3}])
def test_under_a_schema_that_is_checked_while_writing(host: Host, options: dict[str, Any]) -> None:
    request = {"constraint": UNIQUE, "max_new_tokens": 40, **options}
    late, reported = host.generate("Tags: ", **request), host.generate("Tags: ", **request, logprobs=True)
    for one, other in zip((late, *late.alternatives), (reported, *reported.alternatives), strict=True):
        assert one.token_ids == other.token_ids
        assert one.logprobs == pytest.approx(other.logprobs, abs=1e-5)


def test_of_a_batch_and_after_it(host: Host) -> None:
    request = Request("Tags: ", constraint=UNIQUE, max_new_tokens=40, **SAMPLED)
    other = Request("The bear ", constraint=regex("[a-z ]{5,9}"), max_new_tokens=12)
    together = host.generate_batch([request, other, request])
    alone = host.generate(request.prompt, constraint=UNIQUE, max_new_tokens=40, logprobs=True, **SAMPLED)
    assert together[0].logprobs == together[2].logprobs == pytest.approx(alone.logprobs, abs=1e-5)
    assert together[1].logprobs == pytest.approx(
        host.generate(other.prompt, constraint=other.constraint, max_new_tokens=12, logprobs=True).logprobs
    )


def test_a_text_that_was_cut_has_them_too(host: Host) -> None:
    stop = host.generate("Tags: ", constraint=UNIQUE, max_new_tokens=40).text[3:5]
    result = host.generate("Tags: ", constraint=UNIQUE, max_new_tokens=40, stop=[stop])
    assert len(result.logprobs) == len(result.token_ids)
    assert all(logprob <= 0 for logprob in result.logprobs)


@pytest.mark.parametrize("constraint", [None, UNIQUE])
def test_reading_them_keeps_to_the_cap_on_the_ids_of_a_forward(
    constraint: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokenizer = bpe_tokenizer()
    model, fed = tiny_model(vocab=len(tokenizer)), list[int]()
    host = Host(model, tokenizer, plugins=[], max_batch_tokens=8)
    prompt, options = "Tags: " * 9, {"constraint": constraint, "max_new_tokens": 40}
    expected = host.generate(prompt, **options, logprobs=True).logprobs
    result = host.generate_batch([Request(prompt, **options)])[0]
    forward = model.forward
    monkeypatch.setattr(
        model, "forward", lambda *args, **given: fed.append(given["input_ids"].numel()) or forward(**given)
    )
    assert result.logprobs == pytest.approx(expected, abs=1e-5)
    assert max(fed) <= 8
    assert len(fed) > 2
