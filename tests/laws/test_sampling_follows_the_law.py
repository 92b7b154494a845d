"""Sampling follows the law: chi-square against the distribution that is enumerated exactly."""

from __future__ import annotations

from collections import Counter
from itertools import product
from typing import Any

import pytest
import torch

from decodeplug import Host, Request, json_schema, regex
from decodeplug.testing import assert_follows, byte_tokenizer, like, tiny_model

VOCAB = 8  # five ordinary ids, then pad, bos and end
PROMPT = [1, 3, 0, 2]
LENGTH = 2
RUNS = 1500


@torch.no_grad()
def exact_law(model: Any, temperature: float, keep: int) -> dict[tuple[int, ...], float]:
    """Every text of two tokens and its probability, by enumeration."""

    def step(ids: list[int]) -> torch.Tensor:
        logits = model(torch.tensor([ids], device=model.device)).logits[0, -1].float() / temperature
        kept = logits >= logits.topk(keep).values[-1]
        return torch.softmax(logits.masked_fill(~kept, -torch.inf), -1)

    law: dict[tuple[int, ...], float] = {}
    first = step(PROMPT)
    for a in range(VOCAB):
        if a == VOCAB - 1:
            law[(a,)] = float(first[a])
            continue
        second = step([*PROMPT, a])
        for b in range(VOCAB):
            law[(a, b)] = float(first[a] * second[b])
    return law


JUDGING: dict[str, dict[str, Any]] = {
    "no drafts": {"drafters": []},
    "lookup": {"drafters": ["lookup=min_ngram=1"]},
    "lookup, by rejection": {"drafters": ["lookup=min_ngram=1"], "acceptance": "rejection"},
    "assistant, by rejection": {"drafters": ["assistant=num_tokens=2"], "acceptance": "rejection"},
    "forced, by rejection": {"drafters": ["forced"], "acceptance": "rejection"},
}


def judged_by(how: str, model: Any) -> dict[str, Any]:
    """Options of a request that say how drafts are made and judged."""
    options = JUDGING[how]
    return {**options, "assistant": like(model, strength=0.8)} if "assistant" in how else options


@pytest.mark.parametrize(("temperature", "keep"), [(1.0, VOCAB), (0.7, 4)])
@pytest.mark.parametrize("how", JUDGING)
def test_sampled_texts_follow_the_enumerated_distribution(temperature: float, keep: int, how: str) -> None:
    model = tiny_model(vocab=VOCAB)
    options = judged_by(how, model)
    processors = [f"temperature={temperature}", f"top-k={keep}"]
    requests = [
        Request(PROMPT, do_sample=True, processors=processors, max_new_tokens=LENGTH, seed=seed, **options)
        for seed in range(RUNS)
    ]
    counts: Counter[tuple[int, ...]] = Counter()
    with Host(model, None, plugins=[]) as host:
        for start in range(0, RUNS, 100):
            counts.update(tuple(r.token_ids) for r in host.generate_batch(requests[start : start + 100]))
    law = exact_law(model, temperature, keep)
    assert set(counts) <= {text for text, p in law.items() if p > 0}
    cells = [text for text, p in law.items() if p > 0]
    assert_follows([counts[text] for text in cells], [law[text] for text in cells])


def assert_texts_follow(law: dict[str, float], requests: list[Request], host: Host) -> None:
    counts: Counter[str] = Counter()
    with host:
        for start in range(0, RUNS, 100):
            counts.update(r.text for r in host.generate_batch(requests[start : start + 100]))
    assert set(counts) <= set(law)
    assert_follows([counts[text] for text in law], list(law.values()))


@pytest.mark.parametrize("how", JUDGING)
def test_sampling_under_a_constraint_follows_the_masked_distribution(how: str) -> None:
    tokenizer = byte_tokenizer()
    model = tiny_model(vocab=len(tokenizer))
    prompt = tokenizer("ab")["input_ids"]
    options = judged_by(how, model)

    @torch.no_grad()
    def step(ids: list[int]) -> torch.Tensor:
        logits = model(torch.tensor([ids], device=model.device)).logits[0, -1].float()
        allowed = torch.full_like(logits, -torch.inf)
        allowed[[ord("x"), ord("y"), ord("z")]] = 0
        return torch.softmax(logits + allowed, -1)

    first = step(prompt)
    law = {a + b: float(first[ord(a)] * step([*prompt, ord(a)])[ord(b)]) for a, b in product("xyz", "xyz")}
    requests = [
        Request(prompt, do_sample=True, constraint=regex("[xyz]{2}"), max_new_tokens=4, seed=seed, **options)
        for seed in range(RUNS)
    ]
    assert_texts_follow(law, requests, Host(model, tokenizer, plugins=[]))


@pytest.mark.parametrize("how", JUDGING)
def test_sampling_with_top_k_under_a_schema_that_is_checked_while_writing_follows_the_masked_distribution(
    how: str,
) -> None:
    """What the check refuses must be as if it had never been in the mask: top-k looks at what is left."""
    tokenizer = byte_tokenizer()
    model = tiny_model(vocab=len(tokenizer))
    schema = {"type": "array", "items": {"enum": [1, 2, 3]}, "uniqueItems": True, "minItems": 2, "maxItems": 2}

    @torch.no_grad()
    def step(text: str, options: str) -> dict[str, float]:
        logits = model(torch.tensor([tokenizer(text)["input_ids"]], device=model.device)).logits[0, -1].float()
        best = sorted(options, key=lambda option: float(logits[ord(option)]), reverse=True)[:2]
        shares = torch.softmax(logits[[ord(option) for option in best]], -1).tolist()
        return dict(zip(best, shares, strict=True))

    law: dict[str, float] = {}
    for first, share in step("ab[", "123").items():
        for second, rest in step(f"ab[{first},", "123".replace(first, "")).items():
            law[f"[{first},{second}]"] = share * rest
    constraint = json_schema(schema, layout="compact")
    options = judged_by(how, model)
    requests = [
        Request(
            "ab", do_sample=True, processors=["top-k=2"], constraint=constraint, max_new_tokens=8, seed=seed, **options
        )
        for seed in range(RUNS)
    ]
    assert_texts_follow(law, requests, Host(model, tokenizer, plugins=[]))


def test_temperature_zero_is_greedy_and_one_is_no_temperature() -> None:
    model = tiny_model(vocab=64)
    with Host(model, None, plugins=[]) as host:
        prompt, budget = [1, 2, 3], 20
        greedy = host.generate(prompt, max_new_tokens=budget).token_ids
        assert host.generate(prompt, processors=["temperature=0"], seed=5, max_new_tokens=budget).token_ids == greedy
        plain = host.generate(prompt, strategy="sample", seed=5, max_new_tokens=budget).token_ids
        one = host.generate(prompt, processors=["temperature=1"], seed=5, max_new_tokens=budget).token_ids
        assert one == plain != greedy
