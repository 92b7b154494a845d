"""A session over a lane cache: all lanes in one forward, or in a few where the model needs it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor

from decodeplug.caches import KnowingCache, LaneCache, PiecewiseCache
from decodeplug.inference import inference
from decodeplug.positions import ModelInputs, StepInputs, columns_wanted, pad_feeds, prompts_kept
from decodeplug.taps import Taps
from decodeplug.target.grouping import LaneTraits, by_need, wastes
from decodeplug.target.masks import View, looking
from decodeplug.target.products import Products
from decodeplug.target.rows import RowCosts

__all__ = ["LaneSession"]

_WORTH = 8  # new ids of a lane from which on it is looked whether the cache knows them


class LaneSession:
    """See :class:`decodeplug.contracts.Session`.

    :param products: How the model multiplies a few rows.
    :param rows: Which forwards are padded since more rows take less time; None: none is.
    :param lock: Held during a forward: the model may have state of its own, and a cache share memory with others.
    :ivar has_whole_prompts: The model has let ids of a prompt see those behind them.
    """

    def __init__(
        self,
        inputs: ModelInputs,
        cache: LaneCache,
        traits: LaneTraits,
        vocab_size: int,
        products: Products,
        rows: RowCosts | None,
        lock: AbstractContextManager[Any],
    ) -> None:
        self.inputs, self.cache, self.traits = inputs, cache, traits
        self.vocab_size, self.products, self.rows, self.lock = vocab_size, products, rows, lock
        self._known = cache if isinstance(cache, KnowingCache) else None
        self._piecewise = cache if isinstance(cache, PiecewiseCache) else None
        self.max_draft = traits.max_draft
        self.prompts: list[int] = []
        self.watched: Sequence[Tensor] = []
        self.reused: Sequence[int] = ()
        self.taps = Taps()
        self.has_whole_prompts = False
        self._steps = StepInputs(inputs, masked=traits.masked)

    @inference
    def forward(self, feeds: Sequence[Sequence[int]], wants: Sequence[int], whole: Collection[int] = ()) -> Tensor:
        counts = list(map(len, feeds))
        self.watched = []
        if not any(counts):
            return torch.empty((0, self.vocab_size), dtype=self.inputs.dtype, device=self.inputs.device)
        for lane, count in enumerate(counts):
            if count and not self.prompts[lane]:
                # Rows whose logits are wanted beside the last one are drafts, not prompt.
                self.prompts[lane] = count - max(wants[lane], 1) + 1
        self.reused = ()
        with self.lock:
            if self._known is None or max(counts) <= _WORTH or not self._known.knows:
                return self._feed(feeds, counts, wants)
            return self._feed_what_is_new(self._known, feeds, wants, whole)

    def _feed_what_is_new(
        self, cache: KnowingCache, feeds: Sequence[Sequence[int]], wants: Sequence[int], whole: Collection[int]
    ) -> Tensor:
        """Let lanes go on from what the cache knows; of prompts that begin alike one is fed before the others."""
        fresh = [start == 0 for start in cache.held]
        known = [0] * len(feeds)
        waiting = [lane for lane, feed in enumerate(feeds) if feed]
        pieces: list[Tensor | None] = [None] * len(feeds)
        seen: list[Tensor | None] = [None] * len(feeds)
        while waiting:
            left: list[Sequence[int]] = [()] * len(feeds)
            later: list[int] = []
            begun: set[tuple[int, ...]] = set()
            prompts = False
            for lane in waiting:
                feed, end = feeds[lane], len(feeds[lane]) - max(wants[lane], 1) + 1
                prompts = prompts or end > _WORTH
                if end > _WORTH and lane not in whole:
                    known[lane] += cache.reuse(lane, feed[known[lane] : end])
                begin = tuple(feed[: known[lane] + cache.alike])
                if fresh[lane] and len(begin) < end and lane not in whole and begin in begun:
                    later.append(lane)
                else:
                    left[lane] = feed[known[lane] :]
                    begun.add(begin)
            some = [want if feed else 0 for feed, want in zip(left, wants, strict=True)]
            logits = self._feed(left, list(map(len, left)), some, apart=True)
            if prompts:
                cache.learn()
            for lane, piece in enumerate(logits.split(some)):
                pieces[lane] = piece if left[lane] else pieces[lane]
            for lane, states in enumerate(self.watched):
                seen[lane] = states if left[lane] else seen[lane]
            waiting = later
        self.reused = known
        if self.watched:
            nothing = self.watched[0][:0]
            self.watched = [nothing if states is None else states for states in seen]
        return torch.cat([piece for piece in pieces if piece is not None])

    def _feed(
        self, feeds: Sequence[Sequence[int]], counts: list[int], wants: Sequence[int], *, apart: bool = False
    ) -> Tensor:
        """Feed the lanes; ``apart``: those without ids have no part in it, as far as lanes need not be together."""
        grouping = self.traits.grouping or (by_need if len(counts) > 1 and (apart or wastes(counts)) else None)
        rounds = self._rounds(feeds, wants)
        if grouping is None and len(rounds) == 1:
            return self._run(range(len(feeds)), feeds, counts, wants)
        pieces: list[list[Tensor]] = [[] for _ in feeds]
        seen: list[list[Tensor]] = [[] for _ in feeds]
        for some_feeds, some_wants in rounds:
            some_counts = [len(feed) for feed in some_feeds]
            for lanes in (grouping or by_need)(self.cache.held, some_counts):
                mine = [some_wants[lane] for lane in lanes]
                logits = self._run(
                    lanes, [some_feeds[lane] for lane in lanes], [some_counts[lane] for lane in lanes], mine
                )
                for lane, piece in zip(lanes, logits.split(mine), strict=True):
                    pieces[lane].append(piece)
                for lane, states in zip(lanes, self.watched, strict=False):
                    seen[lane].append(states)
        self.watched = [torch.cat(states) if states else self.watched[0][:0] for states in seen] if self.watched else []
        return torch.cat([piece for lane in pieces for piece in lane])

    def _rounds(
        self, feeds: Sequence[Sequence[int]], wants: Sequence[int]
    ) -> list[tuple[list[Sequence[int]], list[int]]]:
        """Feeds and wants of one call of the model after the other; usually there is one."""
        if not self.traits.single_steps and self._piecewise is None:
            return [(list(feeds), list(wants))]
        held, left = list(self.cache.held), list(feeds)
        rounds: list[tuple[list[Sequence[int]], list[int]]] = []
        while not rounds or any(left):
            counts = [min(len(feed), self._at_once(lane, held[lane], len(feed))) for lane, feed in enumerate(left)]
            some = [feed[:count] for feed, count in zip(left, counts, strict=True)]
            left = [feed[count:] for feed, count in zip(left, counts, strict=True)]
            asked = [
                max(0, min(count, want - len(rest))) for count, want, rest in zip(counts, wants, left, strict=True)
            ]
            held = [start + count for start, count in zip(held, counts, strict=True)]
            rounds.append((some, asked))
        return rounds

    def _at_once(self, lane: int, held: int, count: int) -> int:
        """How many of ``count`` ids a lane may be fed in one call of the model."""
        most = self._piecewise.at_once(held, self.prompts[lane]) if self._piecewise is not None else count
        return 1 if held and self.traits.single_steps else most

    def _run(
        self, lanes: Sequence[int], feeds: Sequence[Sequence[int]], counts: Sequence[int], wants: Sequence[int]
    ) -> Tensor:
        inputs, cache, traits = self.inputs, self.cache, self.traits
        everyone = len(lanes) == len(cache.held)
        starts = list(cache.held) if everyone else [cache.held[lane] for lane in lanes]
        most, longest = max(counts), max(starts)
        width = most if self.rows is None else self.rows.widened(len(lanes), most, longest)
        full = min(counts) == width
        aligned = full and min(starts) == longest
        batch = len(lanes)
        if self.rows is not None and getattr(cache, "takes_spare_lanes", False):
            batch += self.rows.spare(batch, width)
        if batch == 1 and width == 1:
            ids, positions, mask = self._steps.at(feeds[0][0], longest)
        else:
            shown = [*feeds, *[feeds[-1]] * (batch - len(lanes))]  # what spare lanes compute is not kept
            if aligned:
                ids, positions = inputs.ids(shown), inputs.straight(longest, width).expand(batch, -1)
            else:
                begins = [*starts, *[starts[-1]] * (batch - len(lanes))]
                ids, positions = pad_feeds(shown, begins, width).to(inputs.device, non_blocking=True)
            mask = inputs.nothing_masked(batch, longest + width) if traits.masked else None
        view = None
        if traits.own_masks:
            real = [*range(len(lanes)), *[len(lanes) - 1] * (batch - len(lanes))]
            view = View(
                positions,
                longest + width,
                aligned=aligned,
                prompts=[self.prompts[lanes[place]] for place in real],
                spans=[(starts[place], counts[place]) for place in real],
                rule=traits.rule,
                calls=getattr(cache, "calls", None),
            )
        cache.begin(lanes, feeds, width)
        if full and min(wants) == max(wants):
            keep, rows, columns = max(wants[0], 1), None, None
        else:
            keep, rows, columns = columns_wanted(counts, wants, width, whole=width > most and max(wants) > 1)
        # Index tensors before the forward, and unawaited: the loop waits for the device only when it reads back.
        chosen = keep if isinstance(keep, int) else torch.tensor(keep).to(inputs.device, non_blocking=True)
        picked = None
        if rows is not None:
            picked = torch.tensor([rows, columns], dtype=torch.int64).to(inputs.device, non_blocking=True)
        token = looking.set(view)
        try:
            with self.products.quick(batch * width):
                logits = inputs(ids, positions, mask, cache.cache, keep=chosen, taps=self.taps).logits
            states = self.taps.take(batch)
        finally:
            looking.reset(token)
        cache.commit()
        self.watched = [] if states is None else [row[:count] for row, count in zip(states, counts, strict=False)]
        if view is not None and view.saw_bidirectional:
            self.has_whole_prompts = True
        if not inputs.takes_keep:
            logits = logits[:, -chosen:] if isinstance(chosen, int) else logits[:, chosen]
        if batch > len(lanes):
            logits = logits[: len(lanes)]
        if picked is None:
            return logits.reshape(-1, logits.shape[-1]) if wants[0] else logits[:, :0].flatten(0, 1)
        lane, column = picked.to(logits.device, non_blocking=True)
        return logits[lane, column]

    def keep(self, parents: Sequence[int], lengths: Sequence[int]) -> list[int]:
        kept = lengths
        if self.has_whole_prompts:
            # Keys of a bidirectional prompt have seen all of it: part of one is no shorter prompt's.
            kept = [
                0 if parent >= 0 and length < self.prompts[parent] else length
                for parent, length in zip(parents, lengths, strict=True)
            ]
        with self.lock:
            held = self.cache.keep(parents, kept)
        self.prompts = prompts_kept(self.prompts, parents, lengths)
        return held

    def watch(self, taps: Taps) -> None:
        self.taps = taps

    def bytes(self) -> int:
        return self.cache.bytes()

    def facts(self) -> Mapping[str, int]:
        return self.cache.facts()
