"""A session for texts that grow longer than the model's window: of each id it sees the first ones and the last ones.

When the window is full, the older half of what is behind the first ids goes out of sight, and what is left is fed anew, so every id
is computed as the model computes a short text, at positions that it knows. Which ids are seen follows from the position
that looks, whatever was drafted or fed at once.

Source: why the first ids stay: Xiao et al. 2023, arXiv:2309.17453, section 3.1; it calls this "sliding window with
re-computation" (section 1), here paid for once in half a window and not for every id.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import torch
from torch import Tensor

from decodeplug.caches.rolling import Rolling
from decodeplug.contracts import Session
from decodeplug.inference import inference
from decodeplug.target.around import Around

__all__ = ["RollingSession"]


@dataclass(slots=True)
class Lane:
    """A lane's ids as held, its prompt's length, what is out of sight, and how many of the rest the inner session holds."""

    ids: list[int] = field(default_factory=list)
    prompt: int = 0
    gone: int = 0
    held: int = 0


class Stage(NamedTuple):
    """What one forward of the inner session does for a lane.

    :ivar gone: Ids behind the first ones that are out of sight. :ivar stop: The lane is fed up to this position.
    :ivar wanted: Of how many last ones logits are wanted. :ivar fresh: How many of them were not fed before in any way.
    """

    gone: int
    stop: int
    wanted: int = 0
    fresh: int = 0


class RollingSession(Around):
    """See :class:`decodeplug.contracts.Session`.

    :param inner: Feeds the model. :param rule: Which ids are seen.
    """

    watched: Sequence[Tensor]

    def __init__(self, inner: Session, rule: Rolling) -> None:
        super().__init__(inner)
        self.rule = rule
        self.lanes: list[Lane] = []

    @inference
    def forward(self, feeds: Sequence[Sequence[int]], wants: Sequence[int], whole: Collection[int] = ()) -> Tensor:
        left: list[list[Stage]] = []
        for lane, feed, want in zip(self.lanes, feeds, wants, strict=True):
            start = len(lane.ids)
            lane.prompt = lane.prompt or (len(feed) - max(want, 1) + 1 if feed else 0)
            lane.ids = [*lane.ids, *feed]
            left.append(self._stages(lane, start, want) if feed else [])
        is_simple = all(len(stages) < 2 for stages in left)
        rows: list[list[Tensor]] = [[] for _ in feeds]
        seen: list[list[Tensor]] = [[] for _ in feeds]
        again = False
        while True:
            now = [stages.pop(0) if stages else None for stages in left]
            asked = [0 if stage is None else stage.wanted for stage in now]
            logits = self.inner.forward(self._in_sight(now, again=again), asked, whole)
            for pieces, piece in zip(rows, logits.split(asked), strict=True):
                pieces.append(piece)
            for states, found, stage in zip(seen, self.inner.watched, now, strict=False):
                states.append(found[len(found) - (0 if stage is None else stage.fresh) :])
            if not any(left):
                break
            again = True
        self.reused = self.inner.reused if is_simple else ()
        self.watched = [
            _padded(torch.cat(states), len(feed)) for states, feed in zip(seen, feeds, strict=True) if states
        ]
        return torch.cat([piece for pieces in rows for piece in pieces])

    def _stages(self, lane: Lane, start: int, want: int) -> list[Stage]:
        """How a lane is fed; ids whose logits nobody wants, and that will be out of sight, are not."""
        rule, end = self.rule, len(lane.ids)
        first = end - max(want, 1)
        position = start if rule.gone(start) == rule.gone(first) else first
        gone = lane.gone if lane.held else -1
        stages: list[Stage] = []
        while position < end:
            now = rule.gone(position)
            stop = min(end, rule.last(now) + 1)
            if now != gone and (now or start):
                # What is in sight comes first, and by itself: where a model sees a prompt at once, it is always the same one.
                stages.append(Stage(now, rule.last(now - rule.step) + 1 if now else lane.prompt))
            wanted = max(0, stop - max(position, end - want))
            stages.append(Stage(now, stop, wanted, stop - position))
            position, gone = stop, now
        return stages

    def _in_sight(self, now: Sequence[Stage | None], *, again: bool) -> list[Sequence[int]]:
        """What the inner lanes must be fed; those for which other ids are in sight now begin anew.

        :param again: The inner session has been fed since the last ``keep``.
        """
        anew = [stage is not None and stage.gone != lane.gone for lane, stage in zip(self.lanes, now, strict=True)]
        if again or any(anew):
            parents = [-1 if is_new else number for number, is_new in enumerate(anew)]
            lengths = [0 if is_new else lane.held for lane, is_new in zip(self.lanes, anew, strict=True)]
            for lane, held, stage in zip(self.lanes, self.inner.keep(parents, lengths), now, strict=True):
                lane.held, lane.gone = held, lane.gone if stage is None else stage.gone
        feeds: list[Sequence[int]] = []
        for lane, stage in zip(self.lanes, now, strict=True):
            ids: Sequence[int] = []
            if stage is not None:
                ids = [*lane.ids[: self.rule.first], *lane.ids[self.rule.first + stage.gone : stage.stop]]
                ids = ids[lane.held :]
            feeds.append(ids)
            lane.held += len(ids)
        return feeds

    def keep(self, parents: Sequence[int], lengths: Sequence[int]) -> list[int]:
        parents, kept, inner = list(parents), list[Lane](), list[int]()
        for place, (parent, length) in enumerate(zip(parents, lengths, strict=True)):
            lane = Lane() if parent < 0 else replace(self.lanes[parent], ids=self.lanes[parent].ids[:length])
            lane.prompt = min(lane.prompt, length or lane.prompt)
            if lane.gone > self.rule.gone(len(lane.ids)):  # what it must see again is not held
                parents[place], lane.gone, lane.held = -1, 0, 0
            kept.append(lane)
            inner.append(min(lane.held, len(lane.ids) - lane.gone))
        for lane, held in zip(kept, self.inner.keep(parents, inner), strict=True):
            lane.held = held
        self.lanes = kept
        return [len(lane.ids) for lane in kept]


def _padded(states: Tensor, count: int) -> Tensor:
    """What was seen ``[fed, features]`` of ``count`` ids: zeros for those that were never computed."""
    missing = count - len(states)
    return states if missing <= 0 else torch.cat([states.new_zeros((missing, *states.shape[1:])), states])
