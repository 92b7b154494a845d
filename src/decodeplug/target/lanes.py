"""A session over a lane cache: all lanes in one forward, or in a few where the model needs it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor

from decodeplug.caches import LaneCache
from decodeplug.inference import inference
from decodeplug.positions import ModelInputs, StepInputs, columns_wanted, pad_feeds, prompts_kept
from decodeplug.target.grouping import LaneTraits, by_need, wastes
from decodeplug.target.masks import View, looking
from decodeplug.target.rows import RowCosts

__all__ = ["LaneSession"]


class LaneSession:
    """See :class:`decodeplug.contracts.Session`.

    :param rows: Which forwards are padded since more rows take less time; None: none is.
    :param lock: Held during a forward: the model may have state of its own.
    :ivar has_whole_prompts: The model has let ids of a prompt see those behind them.
    """

    def __init__(
        self,
        inputs: ModelInputs,
        cache: LaneCache,
        traits: LaneTraits,
        vocab_size: int,
        rows: RowCosts | None,
        lock: AbstractContextManager[Any],
    ) -> None:
        self.inputs, self.cache, self.traits = inputs, cache, traits
        self.vocab_size, self.rows, self.lock = vocab_size, rows, lock
        self.max_draft = traits.max_draft
        self.prompts: list[int] = []
        self.hidden: Sequence[Tensor] = []
        self._tapped = False
        self.has_whole_prompts = False
        self._steps = StepInputs(inputs, masked=traits.masked)

    @inference
    def forward(self, feeds: Sequence[Sequence[int]], wants: Sequence[int]) -> Tensor:
        counts = list(map(len, feeds))
        self.hidden = []
        if not any(counts):
            return torch.empty((0, self.vocab_size), dtype=self.inputs.dtype, device=self.inputs.device)
        for lane, count in enumerate(counts):
            if count and not self.prompts[lane]:
                # Rows whose logits are wanted beside the last one are drafts, not prompt.
                self.prompts[lane] = count - max(wants[lane], 1) + 1
        grouping = self.traits.grouping or (by_need if len(counts) > 1 and wastes(counts) else None)
        if grouping is None:
            return self._run(range(len(feeds)), feeds, counts, wants)
        pieces: list[list[Tensor]] = [[] for _ in feeds]
        seen: list[list[Tensor]] = [[] for _ in feeds]
        for some_feeds, some_wants in self._rounds(feeds, wants):
            some_counts = [len(feed) for feed in some_feeds]
            for lanes in grouping(self.cache.held, some_counts):
                mine = [some_wants[lane] for lane in lanes]
                logits = self._run(
                    lanes, [some_feeds[lane] for lane in lanes], [some_counts[lane] for lane in lanes], mine
                )
                for lane, piece in zip(lanes, logits.split(mine), strict=True):
                    pieces[lane].append(piece)
                for lane, states in zip(lanes, self.hidden, strict=False):
                    seen[lane].append(states)
        self.hidden = [torch.cat(states) if states else self.hidden[0][:0] for states in seen] if self.hidden else []
        return torch.cat([piece for lane in pieces for piece in lane])

    def _rounds(
        self, feeds: Sequence[Sequence[int]], wants: Sequence[int]
    ) -> list[tuple[list[Sequence[int]], list[int]]]:
        """Feeds and wants of one call of the model after the other; usually there is one."""
        held = list(self.cache.held)
        longest = max(len(feed) for feed, start in zip(feeds, held, strict=True) if start or feed)
        if not self.traits.single_steps or all(len(feed) < 2 for feed, start in zip(feeds, held, strict=True) if start):
            return [(list(feeds), list(wants))]
        rounds = []
        for step in range(longest):
            some_feeds: list[Sequence[int]] = []
            some_wants: list[int] = []
            for feed, want, start in zip(feeds, wants, held, strict=True):
                whole = start == 0 and step == 0
                some_feeds.append(feed if whole else feed[step : step + 1] if start else [])
                some_wants.append(want if whole else int(start > 0 and len(feed) - want <= step < len(feed)))
            rounds.append((some_feeds, some_wants))
        return rounds

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
        if len(lanes) == 1 and width == 1:
            ids, positions, mask = self._steps.at(feeds[0][0], longest)
        else:
            if aligned:
                ids, positions = inputs.ids(feeds), inputs.straight(longest, width).expand(len(lanes), -1)
            else:
                ids, positions = pad_feeds(feeds, starts, width).to(inputs.device, non_blocking=True)
            mask = inputs.nothing_masked(len(lanes), longest + width) if traits.masked else None
        view = None
        if traits.own_masks:
            view = View(
                positions,
                longest + width,
                aligned=aligned,
                prompts=self.prompts if everyone else [self.prompts[lane] for lane in lanes],
                spans=list(zip(starts, counts, strict=True)),
                rule=traits.rule,
            )
        cache.begin(lanes, counts, width)
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
            with self.lock:
                logits = inputs(ids, positions, mask, cache.cache, keep=chosen, tapped=self._tapped).logits
                states = inputs.tap.take() if self._tapped else None
        finally:
            looking.reset(token)
        cache.commit()
        self.hidden = [] if states is None else [row[:count] for row, count in zip(states, counts, strict=True)]
        if view is not None and view.saw_bidirectional:
            self.has_whole_prompts = True
        if not inputs.takes_keep:
            logits = logits[:, -chosen:] if isinstance(chosen, int) else logits[:, chosen]
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
        held = self.cache.keep(parents, kept)
        self.prompts = prompts_kept(self.prompts, parents, lengths)
        return held

    def keep_hidden(self) -> None:
        self._tapped = True

    def bytes(self) -> int:
        return self.cache.bytes()
