"""A session that keeps nothing: every forward computes its lanes from their first id."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor

from decodeplug.inference import inference
from decodeplug.positions import ModelInputs, prompts_kept
from decodeplug.taps import Taps
from decodeplug.target.masks import MaskRule, View, looking

__all__ = ["RecomputeSession"]


class RecomputeSession:
    """The oracle: lane by lane, without padding, without a cache.

    Every feed must be the lane's complete ids. See :class:`decodeplug.contracts.Session`.
    """

    max_draft: int | None = None

    def __init__(
        self, inputs: ModelInputs, vocab_size: int, rule: MaskRule | None, lock: AbstractContextManager[Any]
    ) -> None:
        self.inputs, self.vocab_size, self.rule, self.lock = inputs, vocab_size, rule, lock
        self.prompts: list[int] = []
        self.watched: Sequence[Tensor] = []
        self.reused: Sequence[int] = ()
        self.taps = Taps()

    @inference
    def forward(self, feeds: Sequence[Sequence[int]], wants: Sequence[int], whole: Collection[int] = ()) -> Tensor:
        rows, self.watched = [], []
        for lane, (feed, want) in enumerate(zip(feeds, wants, strict=True)):
            if not feed:
                self.watched = [*self.watched, torch.empty(0)] if self.taps else []
                continue
            if not self.prompts[lane]:
                self.prompts[lane] = len(feed) - max(want, 1) + 1
            if want or self.taps:
                rows.append(self._logits(feed, want, self.prompts[lane]))
        if rows:
            return torch.cat(rows)
        return torch.empty((0, self.vocab_size), dtype=self.inputs.dtype, device=self.inputs.device)

    def _logits(self, feed: Sequence[int], want: int, prompt: int) -> Tensor:
        inputs, width = self.inputs, len(feed)
        positions = inputs.straight(0, width)
        # Not aligned for a model that looks ahead: its later rows must not be seen by its prompt.
        view = View(positions, width, aligned=False, prompts=[prompt], spans=[(0, width)], rule=self.rule)
        token = looking.set(view)
        try:
            with self.lock:
                mask = inputs.nothing_masked(1, width)
                logits = inputs(
                    inputs.ids([feed]), positions, mask, keep=max(want, 1), use_cache=False, taps=self.taps
                ).logits
                states = self.taps.take(1)
        finally:
            looking.reset(token)
        self.watched = [] if states is None else [*self.watched, states[0]]
        return logits[0, logits.shape[1] - want :]

    def keep(self, parents: Sequence[int], lengths: Sequence[int]) -> list[int]:
        self.prompts = prompts_kept(self.prompts, parents, lengths)
        return [0] * len(parents)

    def watch(self, taps: Taps) -> None:
        self.taps = taps

    def bytes(self) -> int:
        return 0

    def facts(self) -> dict[str, int]:
        return {"copied_bytes": 0}
