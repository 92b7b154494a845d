"""A session for models that forget everything once, when a text grows past a limit.

Phi-3 with "longrope" has two sets of frequencies. When a text first outgrows the
short ones, ``generate()`` throws the cache away and feeds all of it again, so keys
of a short text never meet queries of a long one. This session does the same for
each lane by itself, also in the middle of a draft.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from decodeplug.contracts import Session
from decodeplug.inference import inference
from decodeplug.target.around import Around

__all__ = ["CrossingSession"]


@dataclass(slots=True)
class Lane:
    """A lane's ids as held, its prompt's length, and whether it was fed again past the limit."""

    ids: list[int] = field(default_factory=list)
    prompt: int = 0
    beyond: bool = False


class CrossingSession(Around):
    """See :class:`decodeplug.contracts.Session`.

    :param inner: Feeds the model.
    :param limit: The longest text with the first set of frequencies.
    :param keeps: False if ``inner`` keeps nothing and is fed complete ids.
    """

    def __init__(self, inner: Session, limit: int, *, keeps: bool) -> None:
        super().__init__(inner)
        self.limit, self.keeps = limit, keeps
        self.lanes: list[Lane] = []

    @inference
    def forward(self, feeds: Sequence[Sequence[int]], wants: Sequence[int], whole: Collection[int] = ()) -> Tensor:
        lanes = self.lanes
        for lane, feed, want in zip(lanes, feeds, wants, strict=True):
            lane.prompt = lane.prompt or (len(feed) - max(want, 1) + 1 if feed else 0)
        starts = [len(lane.ids) for lane in lanes]
        texts = [lane.ids + list(feed) for lane, feed in zip(lanes, feeds, strict=True)]
        crossing = [
            bool(feed) and lane.prompt <= self.limit < len(text) and not lane.beyond
            for lane, feed, text in zip(lanes, feeds, texts, strict=True)
        ]
        for lane, text, crosses in zip(lanes, texts, crossing, strict=True):
            lane.ids, lane.beyond = text, lane.beyond or crosses
        if not any(crossing):
            logits = self.inner.forward(feeds, wants)
            self.watched = self.inner.watched
            return logits
        everyone = range(len(lanes))
        pieces: list[list[Tensor]] = [[] for _ in lanes]
        seen: list[list[Tensor]] = [[] for _ in lanes]
        for first, last in ((0, self.limit), (self.limit, self.limit + 1), (self.limit + 1, None)):
            # Rows below the limit as ever; the row that crosses it, with all before it; and the rest.
            again = first == self.limit
            part, some = [], []
            for lane in everyone:
                text, start = texts[lane], starts[lane]
                if not crossing[lane]:
                    part.append(feeds[lane] if first == 0 else [])
                    some.append(wants[lane] if first == 0 else 0)
                    continue
                end = len(text) if last is None else min(last, len(text))
                part.append(text[0 if again or not self.keeps else max(start, first) : end] if end > first else [])
                some.append(max(end - max(first, len(text) - wants[lane]), 0))
            logits = self.inner.forward(part, some)
            for lane, piece in zip(everyone, logits.split(some), strict=True):
                pieces[lane].append(piece)
            for lane, states in zip(everyone, self.inner.watched, strict=False):
                seen[lane].append(states[-1:] if again else states)
            parents = [-1 if first == 0 and crossing[lane] else lane for lane in everyone]
            self.inner.keep(parents, [len(text) for text in texts])
        self.watched = [torch.cat(states) for states in seen] if seen[0] else []
        return torch.cat([piece for lane in pieces for piece in lane])

    def keep(self, parents: Sequence[int], lengths: Sequence[int]) -> list[int]:
        parents, lengths = list(parents), list(lengths)
        kept = [Lane() if parent < 0 else replace(self.lanes[parent]) for parent in parents]
        for place, lane in enumerate(kept):
            lane.prompt = min(lane.prompt, lengths[place] or lane.prompt)
            if lane.beyond and lengths[place] <= self.limit:
                # Its keys are those of a long text now.
                parents[place], lengths[place], lane.beyond = -1, 0, False
        held = self.inner.keep(parents, lengths)
        for lane, count in zip(kept, held, strict=True):
            lane.ids = lane.ids[:count]
            lane.beyond = lane.beyond and count > 0
        self.lanes = kept
        return held
