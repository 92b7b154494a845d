"""A cache that holds the last ids of each text as they are, and older ones in fewer bytes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from decodeplug.caches.coded.codec import Codec, Horizon, Piece
from decodeplug.caches.coded.layers import CodedHybrid, CodedIndexed, CodedLayer
from decodeplug.caches.coded.past import Past
from decodeplug.caches.dense import DenseLanes
from decodeplug.caches.seam import LayerPlan
from decodeplug.caches.states import layer_kinds
from decodeplug.inference import inference

__all__ = ["CodedLanes"]

_ASIDE = 256
"""Ids, at most, whose rows are put aside until it is known which of a draft are kept."""

KINDS = layer_kinds(CodedLayer, CodedIndexed, CodedHybrid)


class CodedLanes(DenseLanes):
    """See :class:`decodeplug.caches.seam.LaneCache`.

    What is coded follows from the position that looks at it (:class:`Horizon`), so a text does not depend on how it was fed.
    A lane that is cut back to where its rows are gone holds nothing, and is fed again.

    :param codec: Of the layer with this number.
    """

    def __init__(self, plan: LayerPlan, horizon: Horizon, codec: Callable[[int], Codec]) -> None:
        self.plan, self.horizon, self.codec = plan, horizon, codec
        self.past = Past(horizon.step)
        self._undo: dict[int, int] = {}  # lane -> ids that it held coded when its forward began, where that was fewer
        self._begun: set[int] = set()  # lanes that have been fed since the last keep
        super().__init__(plan)

    def make_layers(self, plan: LayerPlan) -> list[Any]:
        with_rows = [number for number, kind in enumerate(plan.kinds) if issubclass(KINDS[kind], CodedLayer)]
        options = {
            number: {"past": self.past, "codec": self.codec(number), "number": place}
            for place, number in enumerate(with_rows)
        }
        return [
            KINDS[kind](slots=self.slots, packed=plan.packed, number_of_states=states, **options.get(number, {}))
            for number, (kind, states) in enumerate(zip(plan.kinds, plan.states, strict=True))
        ]

    def at_once(self, held: int, prompt: int) -> int:
        """See :class:`decodeplug.caches.seam.PiecewiseCache`."""
        return prompt if held == 0 and not self.plan.splits() else self.horizon.room(held)

    def begin(self, lanes: Sequence[int], feeds: Sequence[Sequence[int]], width: int) -> None:
        coded = [self._code(lane) for lane in lanes]
        if any(coded) and not self._undo:
            self._shrink()
        self._begun.update(lanes)
        # A draft that reaches further is fed in two pieces.
        self.goes_on = any(
            len(feed) == self.horizon.room(self.held[lane]) for lane, feed in zip(lanes, feeds, strict=True)
        )
        self.past.aim(lanes, self.held, list(map(len, feeds)), width)
        super().begin(lanes, feeds, width)

    @inference
    def _code(self, lane: int) -> int:
        """Code what the next id of a lane sees coded; how many ids that are, beside those that were."""
        past, step = self.past, self.horizon.step
        text, held = past.texts[lane], self.held[lane]
        base = len(text) * step
        count = self.horizon.coded(held) - base
        if count <= 0:
            return 0
        for begin in range(0, count, step):
            first = self.horizon.first if base + begin == 0 else 0
            found = [layer.encode(lane, base + begin, begin, step, first) for layer in self.rows]
            text.append(
                Piece(base + begin, [codes for codes, _ in found], [kept for _, kept in found] if first else ())
            )
        aside = 0
        if lane in self._begun:  # what is coded now may be a draft
            aside = max(_ASIDE, step)
            self._undo[lane] = max(self._undo.get(lane, base), base + count - aside)
        for layer in self.rows:
            layer.drop(lane, count, held - base - count, aside)
        return count

    def _shrink(self) -> None:
        """Where a long prompt was fed at once, buffers are larger than they need to be."""
        longest = max(held - base for held, base in zip(self.held, self.past.bases, strict=True))
        for layer in self.rows:
            layer.shrink(max(longest, self.horizon.window) + 2 * self.horizon.step)

    def commit(self) -> None:
        self.past.reading.end()
        super().commit()

    def keep(self, parents: Sequence[int], lengths: Sequence[int]) -> list[int]:
        bases = self.past.bases
        step = self.horizon.step
        first = [-(-self._undo.get(lane, base) // step) * step for lane, base in enumerate(bases)]
        lengths = [
            0 if parent >= 0 and self.horizon.coded(min(self.held[parent], length)) < first[parent] else length
            for parent, length in zip(parents, lengths, strict=True)
        ]
        held = super().keep(parents, lengths)
        texts = self.past.texts
        self.past.texts = [
            list(texts[parent]) if parent >= 0 and count else [] for parent, count in zip(parents, held, strict=True)
        ]
        for lane, (parent, count) in enumerate(zip(parents, held, strict=True)):
            if count and self.horizon.coded(count) < bases[parent]:
                self._uncode(lane, parent, bases[parent] - first[parent], count - bases[parent])
        self.past.pieces = []
        for layer in self.rows:
            layer.aside.clear()
        self._undo.clear()
        self._begun.clear()
        return held

    @inference
    def _uncode(self, lane: int, parent: int, count: int, left: int) -> None:
        """Take back what was coded of a draft that was dropped: ``count`` ids, which ``left`` others follow."""
        del self.past.texts[lane][-(count // self.horizon.step) :]
        for layer in self.rows:
            layer.take_back(lane, parent, count, max(0, left))

    def bytes(self) -> int:
        return super().bytes() + self.past.recent.bytes + self.past.bytes()

    def facts(self) -> dict[str, int]:
        copied = self.slots.copied + self.past.recent.copied + self.past.copied
        return {"copied_bytes": copied, "coded_bytes": self.past.bytes()}
