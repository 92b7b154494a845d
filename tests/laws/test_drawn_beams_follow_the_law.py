"""Beams that are drawn follow the law: chi-square against the distribution that is enumerated exactly."""

from __future__ import annotations

from collections import Counter, defaultdict
from functools import cache
from itertools import combinations, permutations
from typing import Any

import pytest
import torch

from decodeplug import Host, Request
from decodeplug.testing import assert_follows, tiny_model

VOCAB, END = 6, 5  # three ordinary ids, then pad, bos and end
PROMPT = [1, 0, 2]
BEAMS, LOOKED_AT = 2, 4
RUNS = 2000
Hypotheses = tuple[tuple[tuple[int, ...], float], ...]


@cache
def model() -> Any:
    return tiny_model(vocab=VOCAB)


@cache
def logprobs(new: tuple[int, ...]) -> list[float]:
    with torch.no_grad():
        logits = model()(torch.tensor([[*PROMPT, *new]], device=model().device)).logits[0, -1]
    return torch.log_softmax(logits.float(), -1).tolist()


def drawn_sets(running: Hypotheses) -> list[tuple[list[tuple[tuple[int, ...], float]], float]]:
    """Every set of continuations that can be drawn without replacement, best first, and its probability."""
    longer = [((*ids, token), score + logprob) for ids, score in running for token, logprob in enumerate(logprobs(ids))]
    weights = torch.tensor([score for _, score in longer], dtype=torch.float64).softmax(0)
    sets = list(combinations(range(len(longer)), LOOKED_AT))
    orders = torch.tensor([list(permutations(one)) for one in sets])  # [sets, orders, drawn]
    each = weights[orders]
    left = 1 - each.cumsum(-1) + each  # what was left when each was drawn
    law = (each / left).prod(-1).sum(-1).tolist()
    return [
        (sorted((longer[index] for index in one), key=lambda path: -path[1]), p)
        for one, p in zip(sets, law, strict=True)
    ]


def exact_law() -> dict[tuple[tuple[int, ...], ...], float]:
    """Every pair of texts of at most two tokens that can be returned, and its probability."""
    law: dict[tuple[tuple[int, ...], ...], float] = defaultdict(float)
    begun: dict[tuple[Hypotheses, Hypotheses], float] = defaultdict(float)
    for first, p in drawn_sets((((), 0.0),)):
        finished = tuple(path for path in first[:BEAMS] if path[0][-1] == END)
        begun[finished, tuple(path for path in first if path[0][-1] != END)[:BEAMS]] += p
    for (finished, running), p in begun.items():
        for second, q in drawn_sets(running):
            last = [*finished, *second[:BEAMS]]
            best = sorted(last, key=lambda path: -path[1] / len(path[0]))[:BEAMS]
            law[tuple(ids for ids, _ in best)] += p * q
    return law


def test_the_beams_of_many_seeds_follow_the_enumerated_distribution() -> None:
    options = {"num_beams": BEAMS, "num_return_sequences": BEAMS, "do_sample": True, "max_new_tokens": 2}
    options |= {"early_stopping": "never", "end_ids": [END]}
    counts: Counter[tuple[tuple[int, ...], ...]] = Counter()
    with Host(model(), None, plugins=[]) as host:
        for start in range(0, RUNS, 100):
            requests = [Request(PROMPT, seed=seed, **options) for seed in range(start, start + 100)]
            for result in host.generate_batch(requests):
                counts[tuple(tuple(one.token_ids) for one in (result, *result.alternatives))] += 1
    law = exact_law()
    assert sum(law.values()) == pytest.approx(1)
    assert set(counts) <= set(law)
    assert_follows([counts[texts] for texts in law], list(law.values()))
