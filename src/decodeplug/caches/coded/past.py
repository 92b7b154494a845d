"""What the layers of a coded cache share in a forward."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby

from decodeplug.caches.coded.codec import Piece
from decodeplug.caches.pieces import Reading, Run, Slab, runs_of
from decodeplug.caches.slots import Slots

__all__ = ["Past"]

RECENT = 1
"""As the slab of a run: the last ids, in buffers that have as much room for each lane. They begin with the first row there is."""


@dataclass(slots=True)
class Past:
    """Which pieces the lanes have, and where their recent rows begin.

    :ivar recent: Where the recent rows of the forward go. :ivar texts: For each lane of the session, its pieces.
    :ivar copied: Bytes that were put together or moved so far.
    :ivar pieces: Those of this forward, each once. :ivar reading: Where its keys are: in these, or in the buffers of recent rows.
    """

    step: int
    recent: Slots = field(default_factory=Slots)
    texts: list[list[Piece]] = field(default_factory=list[list[Piece]])
    copied: int = 0
    pieces: list[Piece] = field(default_factory=list[Piece])
    reading: Reading = field(default_factory=Reading)

    @property
    def bases(self) -> list[int]:
        """For each lane of the session, how many of its ids are coded."""
        return [len(text) * self.step for text in self.texts]

    def aim(self, lanes: Sequence[int], held: Sequence[int], counts: Sequence[int], width: int) -> None:
        """Aim at a forward of ``width`` rows, of which ``counts`` are real, for each of ``lanes``; ``held`` is for all of the session."""
        bases = self.bases
        self.recent.aim(lanes, [count - base for count, base in zip(held, bases, strict=True)], width)
        begins = [bases[lane] for lane in lanes]
        ends = [held[lane] + count for lane, count in zip(lanes, counts, strict=True)]
        self.pieces = list({id(piece): piece for lane in lanes for piece in self.texts[lane]}.values())
        places = {id(piece): place for place, piece in enumerate(self.pieces)}
        tables = [[places[id(piece)] for piece in self.texts[lane]] for lane in lanes]
        coded = runs_of(tables, begins, begins, [Slab(0, len(self.pieces))], self.step)
        recent = _recent(list(zip(begins, ends, strict=True)))
        self.reading.begin([held[lane] for lane in lanes], width, [*coded, *recent])

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
        if begin < end:
            found.append(Run(lanes, RECENT, 0, end - begin, begin, stride=int(len(lanes) > 1)))
    return found
