"""Random forwards and keeps, the same on two sessions of one model."""

from __future__ import annotations

import random

import torch

from decodeplug.contracts import Session
from decodeplug.target import Target

VOCAB = 256


def compare(target: Target, seed: int, steps: int = 9, cache: str = "dense") -> float:
    """Drive a cached session and the oracle through one random history; the largest difference seen."""
    choose = random.Random(seed)
    cached, oracle = target.session(cache), target.session("none")
    texts: list[list[int]] = []
    held = _keep(cached, oracle, [-1, -1], [0, 0], texts := [[], []])
    worst = 0.0
    for _ in range(steps):
        news = [[choose.randrange(3, VOCAB) for _ in range(choose.randint(0 if text else 1, 5))] for text in texts]
        if not any(news):
            continue
        # A lane without new ids keeps what is pending to itself; the others get all they lack.
        feeds = [(text + new)[start:] if new else [] for text, new, start in zip(texts, news, held, strict=True)]
        wants = [choose.randint(0, min(len(new), len(feed))) for new, feed in zip(news, feeds, strict=True)]
        whole = [text + new if new else [] for text, new in zip(texts, news, strict=True)]
        given, expected = cached.forward(feeds, wants), oracle.forward(whole, wants)
        assert given.shape == expected.shape == (sum(wants), target.vocab_size)
        if sum(wants):
            worst = max(worst, (given - expected).abs().max().item())
        held = [len(text) + len(new) if new else start for text, new, start in zip(texts, news, held, strict=True)]
        texts = [text + new for text, new in zip(texts, news, strict=True)]
        parents = _parents(choose, len(texts))
        lengths = [0 if parent < 0 else choose.randint(1, len(texts[parent])) for parent in parents]
        if choose.random() < 0.5:
            lengths = [0 if parent < 0 else len(texts[parent]) for parent in parents]
        texts = [[] if parent < 0 else texts[parent][:length] for parent, length in zip(parents, lengths, strict=True)]
        was = held
        held = _keep(cached, oracle, parents, lengths, texts)
        for parent, length, count in zip(parents, lengths, held, strict=True):
            assert count <= min(length, was[parent] if parent >= 0 else 0)
    return worst


def _parents(choose: random.Random, lanes: int) -> list[int]:
    """Usually nothing changes; sometimes lanes fork, leave, change places or join."""
    same = list(range(lanes))
    if choose.random() < 0.5:
        return same
    parents = [choose.randrange(lanes) for _ in range(choose.randint(1, 4))]
    return [*parents, -1] if choose.random() < 0.5 and len(parents) < 4 else parents


def _keep(
    cached: Session, oracle: Session, parents: list[int], lengths: list[int], texts: list[list[int]]
) -> list[int]:
    assert oracle.keep(parents, lengths) == [0] * len(texts)
    return cached.keep(parents, lengths)


def finite(logits: torch.Tensor) -> bool:
    return bool(logits.isfinite().all())
