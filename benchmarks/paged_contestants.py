"""Caches that take the same steps: transformers' own, one in a buffer, and the paged one."""

from __future__ import annotations

import random
from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any, ClassVar, Protocol

import torch
from contestants import Models
from paged_cases import next_ids
from torch import Tensor
from transformers import Cache, DynamicCache, PreTrainedModel
from transformers.cache_utils import DynamicLayer

from decodeplug.caches import Paged
from decodeplug.caches.paged.space import Space
from decodeplug.target.products import Products

__all__ = ["Contestant", "Ours", "Preallocated", "Stock", "recorded_parents"]


class Contestant(Protocol):
    """Some lanes in one cache."""

    def step(self) -> None:
        """Feed each lane one id."""
        ...

    def held(self) -> int:
        """Bytes of keys and values."""
        ...

    def moved(self) -> int:
        """Bytes that were copied in all steps so far, beside what attention reads where it lies."""
        ...


class Stock:
    """transformers' DynamicCache, padded on the left.

    :param texts: What the lanes hold. :param forks: How many lanes go on from the one text that there is.
    :param parents: Of each step, which lane each goes on from.
    :param products: How linear layers multiply; None: as transformers does it.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        texts: Sequence[Sequence[int]],
        forks: int = 1,
        parents: Sequence[Sequence[int]] = (),
        products: Products | None = None,
    ) -> None:
        self.model, self.parents, self.products, self.steps, self._moved = model, parents, products, 0, 0
        longest = max(map(len, texts))
        rows = [[0] * (longest - len(text)) + list(text) for text in texts]
        mask = [[0] * (longest - len(text)) + [1] * len(text) for text in texts]
        self.mask = torch.tensor(mask, device=model.device).repeat(forks, 1)
        self.cache = self.make(longest)
        self._run(torch.tensor(rows, device=model.device), torch.tensor(mask, device=model.device))
        if forks > 1:
            self.cache.batch_repeat_interleave(forks)

    def make(self, longest: int) -> Cache:
        return DynamicCache(config=self.model.config)

    @torch.inference_mode()
    def _run(self, ids: Tensor, mask: Tensor) -> None:
        positions = mask.cumsum(1)[:, -ids.shape[1] :] - 1
        given: dict[str, Any] = (
            {} if bool(mask.all()) else {"attention_mask": mask, "position_ids": positions.clamp(min=0)}
        )
        with nullcontext() if self.products is None else self.products.quick(ids.numel()):
            self.model(ids, cache=self.cache, use_cache=True, logits_to_keep=1, **given)

    @torch.inference_mode()
    def step(self) -> None:
        lanes = len(self.mask)
        if self.parents:
            order = torch.tensor(self.parents[self.steps], device=self.mask.device)
            self.cache.reorder_cache(order)
            self._moved += self.held()
        self.mask = torch.cat([self.mask, self.mask.new_ones(lanes, 1)], dim=1)
        self._run(torch.tensor(next_ids(lanes, self.steps), device=self.mask.device)[:, None], self.mask)
        self.steps += 1

    def held(self) -> int:
        return sum(part.nbytes for layer in self.cache.layers for part in (layer.keys, layer.values))

    def moved(self) -> int:
        return self._moved


class BufferLayer(DynamicLayer):
    """Writes into a buffer that has room for all that will come."""

    def __init__(self, room: int) -> None:
        super().__init__()
        self.room, self.length = room, 0
        self.buffers: list[Tensor] = []

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        if not self.buffers:
            self.lazy_initialization(key_states, value_states)
            lanes, heads, _, dim = key_states.shape
            self.buffers = [key_states.new_zeros(lanes, heads, self.room, dim) for _ in range(2)]
        end = self.length + key_states.shape[2]
        for buffer, new in zip(self.buffers, (key_states, value_states), strict=True):
            buffer[:, :, self.length : end] = new
        self.length = end
        self.keys, self.values = (buffer[:, :, :end] for buffer in self.buffers)
        return self.keys, self.values

    def get_seq_length(self) -> int:
        return self.length


class Preallocated(Stock):
    """Like stock, but nothing is concatenated."""

    def __init__(
        self, model: PreTrainedModel, texts: Sequence[Sequence[int]], room: int, products: Products | None
    ) -> None:
        self.room = room
        super().__init__(model, texts, products=products)

    def make(self, longest: int) -> Cache:
        return Cache(layers=[BufferLayer(self.room) for _ in range(self.model.config.num_hidden_layers)])


class Scattered(Space):
    """Gives out its blocks one by one, each from anywhere."""

    def __init__(self) -> None:
        super().__init__()
        self.chance = random.Random(0)

    def take(self, count: int, *, beside: bool = False) -> tuple[int, int]:
        extents = self.extents()
        sizes = [end - begin for begin, end in extents]
        place = max(range(len(sizes)), key=sizes.__getitem__)
        first = extents[place][0] + self.chance.randrange(sizes[place])
        self._cut(place, first, 1)
        return first, 1

    def take_behind(self, block: int, count: int) -> int:
        return 0


class Ours:
    """A session of the paged cache.

    :param scattered: No two blocks of a text lie side by side.
    """

    made: ClassVar[list[Ours]] = []

    def __init__(
        self,
        models: Models,
        texts: Sequence[Sequence[int]],
        *,
        forks: int = 1,
        parents: Sequence[Sequence[int]] = (),
        scattered: bool = False,
    ) -> None:
        # Each has memory of its own: specs that are equal would share it, and what it knows.
        spec = Paged(idle_bytes=len(Ours.made))
        self.session = models.host.target.session(spec)
        self.pages = models.host.target.shared[spec]
        if scattered:
            for group in self.pages.groups.values():
                group.pool._space = Scattered()
        lanes = range(len(texts))
        self.session.keep([-1] * len(texts), [0] * len(texts))
        self.session.forward(texts, [1] * len(texts))
        self.lengths = [len(text) for text in texts for _ in range(forks)]
        self.session.keep([lane for lane in lanes for _ in range(forks)], self.lengths)
        self.parents, self.steps = parents, 0
        self._before = self.session.facts()["copied_bytes"]
        Ours.made.append(self)

    def step(self) -> None:
        lanes = len(self.lengths)
        self.session.keep(self.parents[self.steps] if self.parents else range(lanes), self.lengths)
        self.session.forward([[token] for token in next_ids(lanes, self.steps)], [1] * lanes)
        self.lengths = [length + 1 for length in self.lengths]
        self.steps += 1

    def held(self) -> int:
        return self.session.bytes()

    def moved(self) -> int:
        return self.session.facts()["copied_bytes"] - self._before

    def unused(self) -> int:
        """Slots without an id, of the lane that has the most of them."""
        size, tables = self.pages.size, self.session.cache.parts[0].tables
        return max(len(table) * size - held for table, held in zip(tables.tables, tables.held, strict=True))


def recorded_parents(models: Models, prompt: Sequence[int], beams: int, steps: int) -> list[list[int]]:
    """Which beam each went on from, in the steps of a real search over a text."""
    seen: list[list[int]] = []
    open_session = models.host.target.session

    def session(cache: Any = "dense", **options: Any) -> Any:
        opened = open_session(cache, **options)
        keep = opened.keep

        def noted(parents: Sequence[int], lengths: Sequence[int]) -> list[int]:
            seen.append(list(parents))
            return keep(parents, lengths)

        opened.keep = noted
        return opened

    models.host.target.session = session
    try:
        models.host.generate(list(prompt), num_beams=beams, max_new_tokens=steps + 2, end_ids=[])
    finally:
        del models.host.target.session
    whole = [parents for parents in seen if len(parents) == beams and max(parents) < beams]
    return (whole * (1 + steps // max(1, len(whole))))[:steps]
