"""Sampling follows the law: chi-square against the distribution that is enumerated exactly."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
import torch
from drafters.native_families import native_modules
from heads.guessing import random_heads
from torch import Tensor

from decodeplug import Host, Request, Result, json_schema, lark, regex
from decodeplug.drafters import HeadDrafts, NativeDrafts
from decodeplug.testing import assert_follows, byte_tokenizer, like, tiny_model

VOCAB = 6  # three ordinary ids, then pad, bos and end
PROMPT = [1, 0, 2, 1, 0, 0, 2, 2, 1]
LENGTH = 3  # the first token comes from the forward of the prompt: only behind it can hidden states be drafted from
RUNS = 1500
HOT = 4.0  # a temperature at which the few texts that a constraint leaves are all likely enough


def top_k(scores: Tensor, count: int) -> Tensor:
    """Which of ``[vocab]`` scores are kept."""
    return scores >= scores.topk(count).values[-1]


def top_p(scores: Tensor, mass: float) -> Tensor:
    """The same: the fewest of the likeliest that have so much of the probability."""
    shares, order = torch.softmax(scores, -1).sort(descending=True)
    kept = torch.zeros_like(scores, dtype=torch.bool)
    kept[order] = shares.cumsum(-1) - shares < mass
    return kept


LAWS: dict[str, tuple[list[str], float, Callable[[Tensor], Tensor]]] = {
    "plain": ([], 1.0, lambda scores: top_k(scores, VOCAB)),
    "top-k": (["temperature=0.7", "top-k=4"], 0.7, lambda scores: top_k(scores, 4)),
    "top-p": (["temperature=1.3", "top-p=0.8"], 1.3, lambda scores: top_p(scores, 0.8)),
}
"""Processors, and what they do to scores: their temperature, and what is kept behind it."""


@torch.no_grad()
def exact_law(model: Any, name: str) -> dict[tuple[int, ...], float]:
    """Every text of three tokens and its probability, by enumeration."""
    _, temperature, keeps = LAWS[name]

    def step(ids: list[int]) -> Tensor:
        scores = model(torch.tensor([ids], device=model.device)).logits[0, -1].float() / temperature
        return torch.softmax(scores.masked_fill(~keeps(scores), -torch.inf), -1)

    law: dict[tuple[int, ...], float] = {}
    grown = {(): 1.0}
    for length in range(LENGTH):
        longer: dict[tuple[int, ...], float] = {}
        for text, share in grown.items():
            for token, probability in enumerate(step([*PROMPT, *text]).tolist()):
                ends = token == VOCAB - 1 or length == LENGTH - 1
                (law if ends else longer)[(*text, token)] = share * probability
        grown = longer
    return law


JUDGING: dict[str, dict[str, Any]] = {
    "no drafts": {"drafters": []},
    "lookup": {"drafters": ["lookup=min_ngram=1"]},
    "lookup, by rejection": {"drafters": ["lookup=min_ngram=1"], "acceptance": "rejection"},
    "assistant, by rejection": {"drafters": ["assistant=num_tokens=2"], "acceptance": "rejection"},
    "forced, by rejection": {"drafters": ["forced"], "acceptance": "rejection"},
    "independent heads, by rejection": {"acceptance": "rejection"},
    "recurrent heads, by rejection": {"acceptance": "rejection"},
    "modules of the model, by rejection": {"acceptance": "rejection"},
    "chain with assistant, by rejection": {
        "drafters": ["forced", "lookup=min_ngram=1", "assistant=num_tokens=2"],
        "acceptance": "rejection",
    },
    "chain with independent heads, by rejection": {"drafters": ["lookup=min_ngram=1"], "acceptance": "rejection"},
}
UNCONSTRAINED = [how for how in JUDGING if not how.startswith("forced")]


@cache
def written_by(how: str, vocab: int) -> tuple[Any, dict[str, Any]]:
    """A model, and the options of a request that say how drafts are made and judged."""
    model = tiny_model("deepseek" if "modules" in how else "llama", vocab=vocab, num_mtp_layers=2)
    options = dict(JUDGING[how])
    if "assistant" in how:
        options["assistant"] = like(model, strength=2.0)
    if "modules" in how:
        options["drafters"] = [NativeDrafts(native_modules(model), num_tokens=2)]
    if "heads" in how:
        kind = "recurrent" if "recurrent" in how else "independent"
        heads = HeadDrafts(heads=random_heads(model, kind, count=2), num_tokens=2)
        options["drafters"] = [*options.get("drafters", []), heads]
    return model, options


@pytest.mark.parametrize("name", LAWS)
@pytest.mark.parametrize("how", UNCONSTRAINED)
def test_sampled_texts_follow_the_enumerated_distribution(name: str, how: str) -> None:
    model, options = written_by(how, VOCAB)
    processors = LAWS[name][0]
    requests = [
        Request(PROMPT, do_sample=True, processors=processors, max_new_tokens=LENGTH, seed=seed, **options)
        for seed in range(RUNS)
    ]
    with Host(model, None, plugins=[], max_batch=100) as host:
        results = list(host.run(requests))
    assert_drafted(results, how)
    counts = Counter(tuple(result.token_ids) for result in results)
    law = exact_law(model, name)
    assert set(counts) <= {text for text, p in law.items() if p > 0}
    cells = [text for text, p in law.items() if p > 0]
    assert_follows([counts[text] for text in cells], [law[text] for text in cells])


def assert_drafted(results: list[Result], how: str, *, by_others: bool = False) -> None:
    """Many drafts were judged, and some refused where they were drawn; else it would be plain sampling that was tested.

    :param by_others: In a chain, those that were refused may all be of drafters that draw nothing.
    """
    steps = [step for result in results for step in result.trace.steps]
    drafted = Counter(source for step in steps for source in step.sources)
    refused = Counter(step.sources[step.kept] for step in steps if step.rejected)
    drawing = {"assistant": "assistant", "heads": "heads", "modules": "mtp"}  # in a chain, it is they who draw
    who = next((name for word, name in drawing.items() if word in how), how.partition(",")[0])
    if how != "no drafts":
        assert drafted[who] > RUNS / 10
        assert who == "forced" or (refused.total() if by_others else refused[who]) > RUNS / 100


def assert_texts_follow(
    law: dict[str, float], requests: list[Request], host: Host, how: str, *, by_others: bool = False
) -> None:
    with host:
        results = list(host.run(requests))
    assert_drafted(results, how, by_others=by_others)
    counts = Counter(result.text for result in results)
    assert set(counts) <= set(law)
    assert_follows([counts[text] for text in law], list(law.values()))


LETTERS = "uvwxyz"
WRITTEN = {
    "regex": (regex("[u-z]-[u-z]"), 1.0),
    "grammar, top-p": (lark('start: /[u-z]/ "-" /[u-z]/'), 0.8),
}
"""A constraint, and how much of the probability top-p keeps."""


@pytest.mark.parametrize("written", WRITTEN)
@pytest.mark.parametrize("how", JUDGING)
def test_sampling_under_a_constraint_follows_the_masked_distribution(how: str, written: str) -> None:
    constraint, mass = WRITTEN[written]
    tokenizer = byte_tokenizer()
    model, options = written_by(how, len(tokenizer))
    prompt = tokenizer("x-y y-x z-y ")["input_ids"]

    @torch.no_grad()
    def step(ids: list[int]) -> dict[str, float]:
        logits = model(torch.tensor([ids], device=model.device)).logits[0, -1].float()
        scores = logits[[ord(letter) for letter in LETTERS]] / HOT
        shares = torch.softmax(scores.masked_fill(~top_p(scores, mass), -torch.inf), -1).tolist()
        return {letter: share for letter, share in zip(LETTERS, shares, strict=True) if share}

    first, dash = step(prompt), tokenizer("-")["input_ids"]
    law = {f"{a}-{b}": share * rest for a, share in first.items() for b, rest in step([*prompt, ord(a), *dash]).items()}
    requests = [
        Request(
            prompt,
            do_sample=True,
            processors=[f"temperature={HOT}", f"top-p={mass}"],
            constraint=constraint,
            max_new_tokens=4,
            seed=seed,
            **options,
        )
        for seed in range(RUNS)
    ]
    assert_texts_follow(law, requests, Host(model, tokenizer, plugins=[], max_batch=100), how)


BRIEFLY = ("no drafts", "lookup, by rejection", "assistant, by rejection", "recurrent heads, by rejection")


@pytest.mark.parametrize("how", [pytest.param(how, marks=[pytest.mark.slow] * (how not in BRIEFLY)) for how in JUDGING])
def test_sampling_with_top_k_under_a_schema_that_is_checked_while_writing_follows_the_masked_distribution(
    how: str,
) -> None:
    """What the check refuses must be as if it had never been in the mask: top-k looks at what is left."""
    tokenizer = byte_tokenizer()
    model, options = written_by(how, len(tokenizer))
    schema = {"type": "array", "items": {"enum": [1, 2, 3]}, "uniqueItems": True, "minItems": 2, "maxItems": 2}
    text = "[1,2] [3,1] "

    @torch.no_grad()
    def step(before: str, options: str) -> dict[str, float]:
        logits = model(torch.tensor([tokenizer(before)["input_ids"]], device=model.device)).logits[0, -1].float()
        best = sorted(options, key=lambda option: float(logits[ord(option)]), reverse=True)[:2]
        shares = torch.softmax(logits[[ord(option) for option in best]] / HOT, -1).tolist()
        return dict(zip(best, shares, strict=True))

    law: dict[str, float] = {}
    for first, share in step(f"{text}[", "123").items():
        for second, rest in step(f"{text}[{first},", "123".replace(first, "")).items():
            law[f"[{first},{second}]"] = share * rest
    constraint = json_schema(schema, layout="compact")
    requests = [
        Request(
            text,
            do_sample=True,
            processors=[f"temperature={HOT}", "top-k=2"],
            constraint=constraint,
            max_new_tokens=8,
            seed=seed,
            **options,
        )
        for seed in range(RUNS)
    ]
    host = Host(model, tokenizer, plugins=[], max_batch=100)
    assert_texts_follow(law, requests, host, how, by_others="chain" in how)


def test_temperature_zero_is_greedy_and_one_is_no_temperature() -> None:
    model = tiny_model(vocab=64)
    with Host(model, None, plugins=[]) as host:
        prompt, budget = [1, 2, 3], 20
        greedy = host.generate(prompt, max_new_tokens=budget).token_ids
        assert host.generate(prompt, processors=["temperature=0"], seed=5, max_new_tokens=budget).token_ids == greedy
        plain = host.generate(prompt, strategy="sample", seed=5, max_new_tokens=budget).token_ids
        one = host.generate(prompt, processors=["temperature=1"], seed=5, max_new_tokens=budget).token_ids
        assert one == plain != greedy
