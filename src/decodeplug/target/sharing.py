"""One prefill for all lanes that begin with the same ids.

Several hypotheses of one request begin with one prompt. The first of them is fed; when
its forward is done the others are forked from it, by the verb that forks any lane.
"""

from __future__ import annotations

import sys
from collections.abc import Collection, Sequence

import torch
from torch import Tensor

from decodeplug.contracts import Session
from decodeplug.errors import CacheFull
from decodeplug.inference import inference
from decodeplug.target.around import Around

__all__ = ["SharedPrompts"]

_ALL = sys.maxsize  # as a length to keep: whatever is held
_UNOPENED = -1


class SharedPrompts(Around):
    """See :class:`decodeplug.contracts.Session`.

    New lanes are opened in ``inner`` when they are first fed. Those that are fed the same ids then, with as many
    rows wanted, are one lane of ``inner`` up to the next ``keep``: also where they belong to different requests.

    :param inner: Feeds the model; holds no lanes yet.
    """

    def __init__(self, inner: Session) -> None:
        super().__init__(inner)
        self._places: list[int] | None = []  # each lane's place in ``inner``; None: all have their own, in order

    def forward(self, feeds: Sequence[Sequence[int]], wants: Sequence[int], whole: Collection[int] = ()) -> Tensor:
        places = self._places
        if places is not None and len(set(places)) < len(places) - max(0, places.count(_UNOPENED) - 1):
            self.keep(range(len(feeds)), [_ALL] * len(feeds))  # a second forward: lanes may part in it
            places = self._places
        if places is not None:
            places = self._open(places, feeds, wants)
            self._places = places = None if places == list(range(len(places))) else places
        if places is None:
            logits = self.inner.forward(feeds, wants, whole)
            self.watched, self.reused = self.inner.watched, self.inner.reused
            return logits
        fed, wanted = _by_place(places, feeds, wants)
        try:
            logits = self.inner.forward(fed, wanted, {places[lane] for lane in whole})
        except CacheFull as full:
            full.lane = places.index(full.lane)
            raise
        watched, reused = self.inner.watched, self.inner.reused
        self.watched = [watched[place] if place >= 0 else watched[0][:0] for place in places] if watched else ()
        self.reused = [reused[place] if place >= 0 else 0 for place in places] if reused else ()
        return _spread(logits, places, wants, wanted)

    def _open(self, places: Sequence[int], feeds: Sequence[Sequence[int]], wants: Sequence[int]) -> list[int]:
        """Open a lane of ``inner`` for each different feed of new lanes; where every lane is then."""
        opened = max(places, default=-1) + 1
        places, found = list(places), dict[tuple[tuple[int, ...], int], int]()
        for lane, (feed, want) in enumerate(zip(feeds, wants, strict=True)):
            if places[lane] == _UNOPENED and feed:
                places[lane] = found.setdefault((tuple(feed), want), opened + len(found))
        new = len(found)
        self.inner.keep([*range(opened), *[-1] * new], [*[_ALL] * opened, *[0] * new])
        return places

    def keep(self, parents: Sequence[int], lengths: Sequence[int]) -> list[int]:
        if self._places is None and min(parents, default=0) >= 0:
            return self.inner.keep(parents, lengths)
        before = self._places
        sources = [parent if parent < 0 or before is None else before[parent] for parent in parents]
        opened = [lane for lane, source in enumerate(sources) if source != _UNOPENED]
        kept = self.inner.keep([sources[lane] for lane in opened], [lengths[lane] for lane in opened])
        held, places = [0] * len(sources), [_UNOPENED] * len(sources)
        for place, (lane, length) in enumerate(zip(opened, kept, strict=True)):
            held[lane], places[lane] = length, place
        self._places = None if len(opened) == len(sources) else places
        return held


def _by_place(
    places: Sequence[int], feeds: Sequence[Sequence[int]], wants: Sequence[int]
) -> tuple[list[Sequence[int]], list[int]]:
    """Feeds and wants of the lanes of ``inner``."""
    count = max(places) + 1
    fed: list[Sequence[int]] = [()] * count
    wanted = [0] * count
    for place, feed, want in zip(places, feeds, wants, strict=True):
        if place != _UNOPENED:
            fed[place], wanted[place] = feed, want
    return fed, wanted


@inference
def _spread(logits: Tensor, places: Sequence[int], wants: Sequence[int], wanted: Sequence[int]) -> Tensor:
    """``[sum(wants), vocab]``: the rows of each lane, which are those of its place."""
    first = [sum(wanted[:place]) for place in range(len(wanted))]
    rows = [first[place] + row for place, want in zip(places, wants, strict=True) if place >= 0 for row in range(want)]
    return logits.index_select(0, torch.tensor(rows, dtype=torch.int64).to(logits.device, non_blocking=True))
