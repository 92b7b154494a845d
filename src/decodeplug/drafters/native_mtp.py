"""Propose what a model's own multi-token prediction modules foresee."""

from __future__ import annotations

import time
from bisect import bisect_left
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from decodeplug.drafters.draws import Draws
from decodeplug.drafters.hypotheses import Hypotheses
from decodeplug.drafters.measured import MeasuredPrice
from decodeplug.drafters.prefixes import common_prefix
from decodeplug.errors import BadOption
from decodeplug.heads.cut import CutVocabulary
from decodeplug.native_modules import check_belong, modules_of, new_cache, scores_of, width_of
from decodeplug.values import NO_DRAFT, Draft, LaneView, Opening
from decodeplug.whole import whole_number

__all__ = ["NativeDrafts"]


class NativeDrafts:
    """Draft with the multi-token prediction modules that came with the model, one token for each.

    The first module reads the model's last hidden states, after the final norm, and the token behind each position;
    each further one reads the states of the module before it and the token one further on. All are decoder layers of
    the model's family with keys and values of their own, which are remembered for each hypothesis. What a module read of
    tokens that were only drafted, and were refused, is computed again. Positions whose hidden states this drafter
    never got are left out.

    In a lane that samples, the tokens are drawn with the lane's own noise. Without ``lane.hidden`` there is no draft.

    :param modules: A ``transformers.modeling_layers.MtpModel`` made for the model; not modified. None: they are read from the model's own
        checkpoint when the first request asks for them.
    :param num_tokens: Tokens to draft whatever they cost, at most one for each module. None: as many as measured acceptance and
        costs make worth it.
    :raises BadOption: ``num_tokens`` is below 1.
    Source: DeepSeek-V3, arXiv:2412.19437, section 2.2; ``MtpModel.forward_layer`` of transformers 5.24.
    """

    name: ClassVar[str] = "mtp"
    prior: ClassVar[float] = 0.7
    needs_hidden: ClassVar[bool] = True

    def __init__(self, modules: Any = None, num_tokens: int | None = None) -> None:
        whole_number("mtp", "num_tokens", num_tokens, 1, or_none=True)
        self.modules, self.num_tokens = modules, num_tokens
        self.insists = num_tokens is not None
        self._remembered: Hypotheses[_Remembered] = Hypotheses()
        self._price = MeasuredPrice()
        self._vocabulary: CutVocabulary | None = None

    def open(self, request: Opening) -> NativeDrafts:
        """One for a request: with the modules of its model, and a memory of its own.

        :raises IncompatibleParts: The model has none that can be read, or those given are of another model.
        """
        if request.model is None:
            return NativeDrafts(self.modules, self.num_tokens)
        if self.modules is None:
            return NativeDrafts(modules_of(request.model), self.num_tokens)
        check_belong(self.modules, request.model)
        return NativeDrafts(self.modules, self.num_tokens)

    def price(self, lane: LaneView) -> float:
        """What one drafted token costs, in forwards of width 1 of the model."""
        return self._price.of(lane)

    @torch.no_grad()
    def draft(self, lane: LaneView, room: int) -> Draft:
        """What the modules foresee, at most as many tokens as there are modules.

        :raises BadOption: The drafter was given no modules, and was not opened for a model.
        """
        if self.modules is None:
            raise BadOption("mtp", modules=None, wanted="modules, or a drafter that was opened for its model")
        count = min(room, len(self.modules.layers), self.num_tokens or room)
        if lane.hidden is None or not len(lane.hidden) or count <= 0:
            return NO_DRAFT
        began, draws = time.perf_counter(), Draws(self._all_ids(), lane)
        read = self._read(lane)
        self._run(read, lane, count, draws)
        draft = draws.draft(self.name)
        # Of these positions some module has read, or will have to read, tokens that are not committed.
        kept = max(0, len(read.hidden) - (len(self.modules.layers) - 1))
        text = (*lane.ids, *draft.tokens)
        self._remembered.keep(lane, _Remembered(text, read.positions, read.cache, read.hidden[kept:], read.held))
        self._price.note(time.perf_counter() - began, len(draft), len(lane.hidden))
        return draft

    def _run(self, read: _Reading, lane: LaneView, count: int, draws: Draws) -> None:
        """Module after module over the new positions; each drafts, until ``count`` tokens are.

        The modules behind them read what is committed, so that all of them know the same positions next time.
        """
        ids, positions, drafted = lane.ids, read.positions[read.held :], list[Tensor]()
        states = read.hidden[None]
        device = states.device
        for depth in range(len(self.modules.layers)):
            after = [position + 1 + depth for position in positions]
            after = after[: bisect_left(after, len(ids) + len(drafted))]
            if not after:
                return
            known = torch.tensor([ids[at] for at in after if at < len(ids)], dtype=torch.int64)
            tokens = [known.to(device, non_blocking=True), *(drafted[at - len(ids)] for at in after if at >= len(ids))]
            states = self.modules.forward_layer(
                depth,
                states[:, : len(after)],
                torch.tensor([after]).to(device, non_blocking=True),
                read.cache,
                input_ids=torch.cat(tokens)[None],
            )
            if depth < count and len(drafted) == depth and not draws.ended:
                drafted.append(draws.add(scores_of(self.modules, states[:, -1])).to(device))

    def _read(self, lane: LaneView) -> _Reading:
        """Which positions the modules have to read now, behind those that they know already."""
        assert lane.hidden is not None
        weight = self.modules.layers[0].eh_proj.weight
        hidden, ids = lane.hidden.to(weight.device, weight.dtype), tuple(lane.ids)
        first = len(ids) - 1 - len(hidden)
        new = range(first, len(ids) - 1)
        before = self._remembered.take(lane)
        kept = None if before is None else before.until(first, ids)
        if kept is None:
            return _Reading([*new], 0, hidden, new_cache(self.modules))
        cache = kept.cache if kept.held else new_cache(self.modules)
        return _Reading([*kept.positions, *new], kept.held, torch.cat([kept.hidden, hidden]), cache)

    def _all_ids(self) -> CutVocabulary:
        if self._vocabulary is None:
            width = width_of(self.modules)
            ids = torch.arange(width, device=self.modules.shared_head.weight.device)
            self._vocabulary = CutVocabulary(ids, width)
        return self._vocabulary


@dataclass(frozen=True, slots=True)
class _Reading:
    """Positions of one text before a draft.

    :ivar positions: Ascending: those that all modules hold, then those to be read. :ivar held: How many are held.
    :ivar hidden: ``[to be read, hidden]``: the model's states. :ivar cache: Keys and values of those held.
    """

    positions: list[int]
    held: int
    hidden: Tensor
    cache: Any


@dataclass(frozen=True, slots=True)
class _Remembered:
    """What is left of a draft.

    :ivar text: The ids, and what was drafted behind them. :ivar positions: Those that the first module has read, ascending;
        each further one has read them too, or all but the last ones. :ivar cache: Keys and values of the modules.
    :ivar hidden: ``[last, hidden]``: the model's states at the last of the positions.
    :ivar cropped: How many positions the cache held when the draft began.
    """

    text: tuple[int, ...]
    positions: list[int]
    cache: Any
    hidden: Tensor
    cropped: int

    def until(self, end: int, ids: tuple[int, ...]) -> _Reading | None:
        """What holds of positions before ``end`` in a text of these ids, the cache cropped to it; None if nothing does."""
        layers, same = self.cache.layers, common_prefix(self.text, ids)
        lengths = [self.cache.get_seq_length(index) for index in range(len(layers))]
        # The last module has read the token so many positions behind each of its own as there are modules.
        held = min(*lengths, bisect_left(self.positions, min(end, same - len(layers))), len(self.positions))
        if held < self.cropped and any(self.cache.is_recording_past(index) for index in range(len(layers))):
            return None  # layers with a window or a state have let go of what was before
        if held:
            for layer, length in zip(layers, lengths, strict=True):
                layer.crop(held - length)
        known = len(self.positions) - len(self.hidden)
        first, last = max(held, known), bisect_left(self.positions, min(end, same))
        states = self.hidden[first - known : max(first, last) - known]
        return _Reading([*self.positions[:held], *self.positions[first:last]], held, states, self.cache)
