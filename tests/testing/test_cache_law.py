"""``check_cache`` lets a sound cache pass and names what is wrong with broken ones."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import DynamicCache

from decodeplug.testing import check_cache, tiny_model


class Plain:
    """One stock cache for each lane, copied at forks: slow and right."""

    max_draft: int | None = None

    def __init__(self, model: Any) -> None:
        self.model = model
        self.caches: list[DynamicCache] = []

    @torch.inference_mode()
    def forward(self, feeds: Sequence[Sequence[int]], wants: Sequence[int]) -> Tensor:
        device = self.model.device
        rows = [torch.empty(0, self.model.config.vocab_size, dtype=self.model.dtype, device=device)]
        for cache, feed, want in zip(self.caches, feeds, wants, strict=True):
            if feed:
                logits = self.model(torch.tensor([list(feed)], device=device), cache=cache, use_cache=True).logits[0]
                rows.append(logits[len(feed) - want :])
        return torch.cat(rows)

    def keep(self, parents: Sequence[int], lengths: Sequence[int]) -> list[int]:
        before, self.caches = self.caches, []
        for parent, length in zip(parents, lengths, strict=True):
            cache = DynamicCache(config=self.model.config) if parent < 0 else self.fork(before[parent])
            self.cut(cache, length)
            self.caches.append(cache)
        return [cache.get_seq_length() for cache in self.caches]

    def fork(self, cache: DynamicCache) -> DynamicCache:
        return copy.deepcopy(cache)

    def cut(self, cache: DynamicCache, length: int) -> None:
        if cache.get_seq_length() > length:
            cache.crop(length - cache.get_seq_length())

    def bytes(self) -> int:
        return sum(cache.get_seq_length() for cache in self.caches) * 512


class CutsOneTooFew(Plain):
    """Leaves a rejected token in the cache, and says that it did not."""

    def keep(self, parents: Sequence[int], lengths: Sequence[int]) -> list[int]:
        super().keep(parents, [length + 1 if length else 0 for length in lengths])
        return list(lengths)


class ForgetsToCut(Plain):
    def cut(self, cache: DynamicCache, length: int) -> None:
        """Nothing."""


class SharesForks(Plain):
    """Lanes with one parent write into one cache."""

    def fork(self, cache: DynamicCache) -> DynamicCache:
        return cache


class IgnoresTheOrder(Plain):
    def keep(self, parents: Sequence[int], lengths: Sequence[int]) -> list[int]:
        held = [-1 if parent < 0 else 0 for parent in parents]
        olds = iter(sorted(parent for parent in parents if parent >= 0))
        return super().keep([-1 if new else next(olds) for new in held], lengths)


class NeverFrees(Plain):
    largest = 0

    def bytes(self) -> int:
        self.largest = max(self.largest, super().bytes())
        return self.largest


class LosesRows(Plain):
    def forward(self, feeds: Sequence[Sequence[int]], wants: Sequence[int]) -> Tensor:
        return super().forward(feeds, wants)[:-1]


class RoundsToFloat32(Plain):
    """The difference is 1e-6: only a comparison in float64 throughout shows it."""

    def fork(self, cache: DynamicCache) -> DynamicCache:
        copied = copy.deepcopy(cache)
        for layer in copied.layers:
            layer.keys = layer.keys.float().double()
        return copied


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_a_sound_cache_passes(kind: str) -> None:
    model = tiny_model(kind)
    check_cache(lambda: Plain(model), model, vocab=256)


def test_a_cache_that_takes_no_drafts_gets_none() -> None:
    model = tiny_model()

    class TakesNoDrafts(Plain):
        max_draft = 0

        def forward(self, feeds: Sequence[Sequence[int]], wants: Sequence[int]) -> Tensor:
            assert all(want <= 1 for want in wants)
            return super().forward(feeds, wants)

    check_cache(lambda: TakesNoDrafts(model), model, vocab=256)


def test_a_cache_that_keeps_less_than_it_may_is_fed_again() -> None:
    model = tiny_model()

    class CannotRewind(Plain):
        def cut(self, cache: DynamicCache, length: int) -> None:
            if cache.get_seq_length() > length:
                cache.crop(-cache.get_seq_length())

    check_cache(lambda: CannotRewind(model), model, vocab=256)


@pytest.mark.parametrize(
    ("broken", "says"),
    [
        (CutsOneTooFew, "away from those without a cache"),
        (ForgetsToCut, "keep says it holds"),
        (SharesForks, "away from those without a cache|keep says it holds"),
        (IgnoresTheOrder, "away from those without a cache|keep says it holds"),
        (NeverFrees, "when all lanes are dropped"),
        (LosesRows, "rows were wanted"),
        (RoundsToFloat32, "away from those without a cache"),
    ],
)
def test_a_broken_cache_is_named(broken: type[Plain], says: str) -> None:
    model = tiny_model()
    with pytest.raises(AssertionError, match=says):
        check_cache(lambda: broken(model), model, vocab=256)
