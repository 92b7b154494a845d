"""What the layers of a coded cache share in a forward."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby

import torch
from torch import Tensor

from decodeplug.caches.coded.codec import Piece
from decodeplug.caches.pieces import Reading, Run, Slab, runs_of
from decodeplug.caches.slots import Slots

__all__ = ["Past"]

RECENT = 1
"""As the slab of a run: the last ids."""


@dataclass(slots=True)
class Past:
    """Which pieces the lanes have, and where their recent rows begin.

    :ivar recent: Where the recent rows of the forward go. :ivar texts: For each lane of the session, its pieces.
    :ivar copied: Bytes that were put together or moved so far.
    :ivar pieces: Those of this forward, each once. :ivar places: For each lane of the forward, which of them it has, in order.
    :ivar begins: For each lane of the forward, the position of its first recent row. :ivar reading: Where its keys are read.
    """

    step: int
    recent: Slots = field(default_factory=Slots)
    texts: list[list[Piece]] = field(default_factory=list[list[Piece]])
    copied: int = 0
    pieces: list[Piece] = field(default_factory=list[Piece])
    places: list[list[int]] = field(default_factory=list[list[int]])
    begins: list[int] = field(default_factory=list[int])
    reading: Reading = field(default_factory=Reading)
    _indices: dict[tuple[int, torch.device], Tensor] = field(default_factory=dict[tuple[int, torch.device], Tensor])

    @property
    def bases(self) -> list[int]:
        """For each lane of the session, how many of its ids are coded."""
        return [len(text) * self.step for text in self.texts]

    def aim(self, lanes: Sequence[int], held: Sequence[int], counts: Sequence[int], width: int) -> None:
        """Aim at a forward of ``width`` rows, of which ``counts`` are real, for each of ``lanes``; ``held`` is for all of the session."""
        bases = self.bases
        self.recent.aim(lanes, [count - base for count, base in zip(held, bases, strict=True)], width)
        self.begins = [bases[lane] for lane in lanes]
        found: dict[int, int] = {}
        self.pieces, self.places = [], []
        self._indices.clear()
        for lane in lanes:
            for piece in self.texts[lane]:
                if id(piece) not in found:
                    found[id(piece)] = len(self.pieces)
                    self.pieces.append(piece)
            self.places.append([found[id(piece)] for piece in self.texts[lane]])
        starts = [held[lane] for lane in lanes]
        ends = [start + count for start, count in zip(starts, counts, strict=True)]
        coded = runs_of(self.places, self.begins, self.begins, [Slab(0, len(self.pieces))], self.step)
        self.reading.begin(starts, width, [*coded, *_recent(list(zip(self.begins, ends, strict=True)))])

    def of(self, lane: int, coded: Tensor) -> Tensor:
        """Of what was decoded of all pieces ``[pieces, ...]``, those of a lane of the forward."""
        places = self.places[lane]
        if places[-1] - places[0] < len(places):  # they lie behind one another
            return coded[places[0] : places[-1] + 1]
        key = lane, coded.device
        if key not in self._indices:
            self._indices[key] = torch.tensor(places).to(coded.device, non_blocking=True)
        return coded[self._indices[key]]

    def bytes(self) -> int:
        """Of all pieces; those that texts share count once."""
        pieces = {id(piece): piece.bytes for text in self.texts for piece in text}
        return sum(pieces.values())


def _recent(spans: Sequence[tuple[int, int]]) -> list[Run]:
    """The last ids of each lane, in buffers that lie side by side.

    :param spans: For each lane the position of the first of them, and the one behind the last.
    """
    found: list[Run] = []
    for (begin, end), some in groupby(range(len(spans)), spans.__getitem__):
        lanes = tuple(some)
        found.append(Run(lanes, RECENT, lanes[0], end - begin, begin, stride=int(len(lanes) > 1)))
    return found
