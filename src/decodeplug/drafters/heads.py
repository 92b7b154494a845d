"""Propose what trained prediction heads foresee from the model's last hidden states."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from decodeplug.drafters.draws import Draws
from decodeplug.drafters.hypotheses import Hypotheses
from decodeplug.drafters.measured import MeasuredPrice
from decodeplug.drafters.prefixes import common_prefix
from decodeplug.errors import BadOption
from decodeplug.values import NO_DRAFT, Draft, LaneView, Opening
from decodeplug.whole import whole_number

if TYPE_CHECKING:
    from decodeplug.heads import Heads
    from decodeplug.heads.layer import Memory

__all__ = ["HeadDrafts"]

_WINDOW = 256  # positions that the recurrent head looks back: as many as it was trained with


class HeadDrafts:
    """Draft with heads of ``decodeplug train-heads``: Medusa's independent ones, or the recurrent one.

    In a lane that samples, the tokens are drawn with the lane's own noise, so that what the heads foresee rightly is
    what will be drawn. Without ``lane.hidden`` there is no draft.

    The recurrent head sees keys and values of earlier positions of the lane. They are remembered for each hypothesis;
    each depends on its own position only, so what is remembered is what would be computed again, and positions
    whose hidden states this drafter never got are left out.

    :param path: The folder with the heads. :param heads: In its place, heads that are loaded.
    :param num_tokens: Tokens to draft whatever they cost, at most one for each head. None: as many as measured acceptance and
        costs make worth it.
    :raises BadOption: Not exactly one of the first two is given, or ``num_tokens`` is below 1.
    Source: arXiv:2401.10774, section 2.1; arXiv:2412.19437, section 2.2; arXiv:2401.15077, section 4.1.
    """

    name: ClassVar[str] = "heads"
    prior: ClassVar[float] = 0.4
    needs_hidden: ClassVar[bool] = True

    def __init__(self, path: str = "", heads: Any = None, num_tokens: int | None = None) -> None:
        if bool(path) == (heads is not None):
            raise BadOption("heads", path=str(path), wanted="a folder that `decodeplug train-heads` wrote, or heads")
        whole_number("heads", "num_tokens", num_tokens, 1, or_none=True)
        self.num_tokens = num_tokens
        self.insists = num_tokens is not None
        self.path = Path(path) if path else None
        self.heads: Heads | None = heads
        self._remembered: Hypotheses[_Remembered] = Hypotheses()
        self._price = MeasuredPrice()

    def open(self, request: Opening) -> HeadDrafts:
        """One for a request: its heads loaded and sure to be of the model, and with a memory of its own.

        :raises BadOption: There are no heads in the folder.
        :raises IncompatibleParts: They were trained for another model.
        """
        bound = self if request.model is None else self.bind(request.model)
        return HeadDrafts(str(bound.path or ""), bound.heads, self.num_tokens)

    def price(self, lane: LaneView) -> float:
        """What one drafted token costs, in forwards of width 1 of the model."""
        return self._price.of(lane)

    def bind(self, model: Any) -> HeadDrafts:
        """A drafter for one model: with its heads loaded, and sure to be of that model.

        :raises BadOption: There are no heads in the folder.
        :raises IncompatibleParts: They were trained for another model.
        """
        from decodeplug.heads import loaded

        if self.heads is None:
            assert self.path is not None
            return HeadDrafts(heads=loaded(self.path, model), num_tokens=self.num_tokens)
        if self.heads.embedding is not model.get_input_embeddings():
            self.heads.identity.check(model, "the Heads object that was given", "decodeplug train-heads")
        return self

    @torch.no_grad()
    def draft(self, lane: LaneView, room: int) -> Draft:
        """What the heads foresee, at most as many tokens as there are heads.

        :raises BadOption: The drafter has a folder and was not bound to a model.
        """
        heads = self.heads
        if heads is None:
            raise BadOption("heads", path=str(self.path), wanted="a drafter that was bound to its model: bind(model)")
        count = min(room, heads.count, self.num_tokens or room)
        if lane.hidden is None or not len(lane.hidden) or count <= 0:
            return NO_DRAFT
        products = heads.products  # which are tried out now, if they were not, and that is not the price of a draft
        began, draws = time.perf_counter(), Draws(heads.vocabulary, lane)
        with products.quick(1):  # all but what is read first
            if heads.kind == "independent":
                self._beside_each_other(heads, lane, count, draws)
            else:
                self._one_after_the_other(heads, lane, count, draws)
        draft = draws.draft(self.name)
        self._price.note(time.perf_counter() - began, len(draft), len(lane.hidden))
        return draft

    def _beside_each_other(self, heads: Any, lane: LaneView, count: int, draws: Draws) -> None:
        assert lane.hidden is not None
        for scores in heads.output(heads.part(lane.hidden[-1:].to(heads.output.rows.dtype))[0, :count]):
            draws.add(scores[None])
            if draws.ended:
                break

    def _one_after_the_other(self, heads: Any, lane: LaneView, count: int, draws: Draws) -> None:
        states, memory = self._read(heads, lane)
        # A further token is drafted while those before it are likelier to be kept than it is dear.
        worth = 0.0 if self.insists else self._price.of(lane)
        for step in range(count):
            token = draws.add(heads.output(states[:, -1]))
            if draws.ended or draws.hope < worth:
                break
            if step + 1 < count:
                position = torch.tensor([len(lane.ids) - 1 + step]).to(states.device, non_blocking=True)
                states, memory = heads.part(states[:, -1:], heads.embed(token)[None], position, memory)

    def _read(self, heads: Any, lane: LaneView) -> tuple[Tensor, Memory]:
        """Take in the new hidden states: the outputs at their positions, and the memory with them."""
        assert lane.hidden is not None
        hidden, ids = lane.hidden[-_WINDOW:].to(heads.output.rows.dtype), tuple(lane.ids)
        first = len(ids) - 1 - len(hidden)
        before = self._remembered.take(lane)
        kept = None if before is None else before.until(first, ids, len(ids) - 1 - _WINDOW)
        positions = torch.arange(first, len(ids) - 1)
        following = torch.tensor(ids[first + 1 :])
        device = hidden.device
        states, memory = heads.part(
            hidden[None],
            heads.embed(following.to(device, non_blocking=True))[None],
            positions.to(device, non_blocking=True),
            None if kept is None else kept.memory,
        )
        places = [*(() if kept is None else kept.positions), *range(first, len(ids) - 1)]
        self._remembered.keep(lane, _Remembered(ids, places, memory))
        return states, memory


class _Remembered(NamedTuple):
    """Keys and values of one hypothesis.

    :ivar ids: Its ids then. :ivar positions: Which positions the memory holds, ascending.
    """

    ids: Sequence[int]
    positions: list[int]
    memory: Memory

    def until(self, end: int, ids: Sequence[int], begin: int) -> _Remembered | None:
        """What holds of positions ``begin .. end - 1`` in a text of these ids; None if nothing does."""
        # A position knows the id behind it, too: with so many equal ids, those up to two before the first other one hold.
        last = bisect_left(self.positions, min(end, common_prefix(self.ids, ids) - 1))
        first = bisect_left(self.positions, begin)
        if first >= last:
            return None
        memory = self.memory.between(first, last)
        return _Remembered(self.ids, self.positions[first:last], memory)
