"""How many ids a forward gets: long prompts are fed in pieces, beside lanes that go on decoding."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from decodeplug.lane import Job, Lane
from decodeplug.watching import follow_piece

if TYPE_CHECKING:
    from decodeplug.turn import Turn

__all__ = ["Feeding", "behind", "go_on"]

_DRAFTING = 32  # ids that are set aside for a lane that drafts, while prompts want to be fed


@dataclass(slots=True)
class Feeding:
    """Shares the ids of a forward out: lanes that decode come first, prompts get what is left, in their order.

    :ivar most: Ids of one forward; None: any number. It is exceeded where prompts cannot be fed in pieces, and where
        there are more lanes than that.
    :ivar in_pieces: May a prompt be fed in pieces? Asked when one is too long.
    """

    most: int | None
    in_pieces: Callable[[], bool]

    def room(self, lane: Lane, lanes: int, *, crowded: bool) -> int | None:
        """How many drafted ids a lane may add; None for any number.

        :param lanes: How many lanes there are. :param crowded: A prompt is being fed, too.
        """
        if self.most is None:
            return None
        share = max(1, self.most // lanes)
        return max(0, (min(share, _DRAFTING) if crowded else share) - (len(lane.ids) - lane.held))

    def is_crowded(self, lanes: Sequence[Lane]) -> bool:
        """Does a lane have more pending ids than its share, so that others must stay within theirs?"""
        if self.most is None:
            return False
        share = max(1, self.most // max(1, len(lanes)))
        return any(len(lane.ids) - lane.held > share for lane in lanes)

    def pieces(self, lanes: Sequence[Lane]) -> dict[int, int]:
        """Lanes that are not fed all of their pending ids, by index: how many they are fed now, which may be none.

        Of hypotheses with one prompt the first is fed; the others join it when one id of it is left (see
        ``go_on``).
        """
        if self.most is None:
            return {}
        share = max(1, self.most // max(1, len(lanes)))
        pending = [len(lane.ids) - lane.held for lane in lanes]
        begun = any(_follows(lane) and lane.job.lanes[0].held for lane in lanes)
        reserved = [_reserved(lane, count, share) for lane, count in zip(lanes, pending, strict=True)]
        if not begun and (sum(reserved) <= self.most or not self.in_pieces()):
            return {}
        decoding = [count <= share and not _awaited(lane) for lane, count in zip(lanes, pending, strict=True)]
        left = self.most - sum(count for count, decodes in zip(reserved, decoding, strict=True) if decodes)
        pieces: dict[int, int] = {}
        cut: set[int] = set()  # jobs whose first lane is fed a piece
        for index, (lane, count, decodes) in enumerate(zip(lanes, pending, decoding, strict=True)):
            if _follows(lane):
                if id(lane.job) in cut:
                    pieces[index] = 0
            elif not decodes:
                if count > left or _awaited(lane):
                    pieces[index] = max(0, min(left, count - 1))
                    cut.add(id(lane.job))
                left -= pieces.get(index, count)
        return pieces


def go_on(
    turn: Turn,
    hidden: Callable[[Tensor], Tensor],
    parents: list[int],
    going: list[Lane],
    lengths: list[int],
) -> None:
    """Let lanes that were fed a piece go on behind the others. Changes the three lists, which are as ``keep`` takes them.

    When one id of a prompt is left, the hypotheses that have it in common continue the lane that was fed the rest.

    :param hidden: Of what taps saw of some ids, the model's hidden states ``[ids, hidden]``.
    """
    lanes, pieces, watched, reused = turn.lanes, turn.pieces, turn.watched, turn.reused
    first = 0
    last: Job | None = None
    for index, count in pieces.items():
        lane = lanes[index]
        job = lane.job
        if job is not last:  # the lanes of a job are neighbours
            first, last = index, job
            job.trace.forwards += count > 0
        if watched and count and job.needs_hidden:
            lane.hidden = behind(lane.hidden, hidden(watched[index]))
        if watched and count and job.watchers:
            follow_piece(lane, watched[index])
        known = reused[index] if reused else 0
        job.reused += known
        lane.prefilled += count - known
        lane.finish_reason = lane.finish_reason or job.interrupted()
        if lane.finish_reason is None and job.error is None:
            held = job.lanes[0].held + pieces[first]
            joins = held == job.prompt_length - 1 and len(lane.ids) == job.prompt_length
            if joins:
                lane.hidden = lanes[first].hidden
                lane.trail = lane.trail if index == first else lanes[first].trail.fork()
            parents.append(first if joins else index)
            going.append(lane)
            lengths.append(held if joins else lane.held + count)


def behind(before: Tensor | None, states: Tensor) -> Tensor:
    """Hidden states of one piece of a prompt behind those of the pieces before: ``[positions, hidden]``."""
    return states if before is None else torch.cat([before, states])


def _reserved(lane: Lane, pending: int, share: int) -> int:
    if _follows(lane):
        return 0
    drafts = lane.job.drafter is not None and not lane.is_twin
    return max(pending, min(share, _DRAFTING)) if drafts else pending


def _follows(lane: Lane) -> bool:
    """Is it a hypothesis that holds nothing yet, and has the prompt of the first one of its job?"""
    return lane.held == 0 and lane.is_twin and lane is not lane.job.lanes[0]


def _awaited(lane: Lane) -> bool:
    """Has a part of its prompt been fed, while others wait to join it?"""
    return lane.held > 0 and lane.is_twin and lane is lane.job.lanes[0] and lane.job.lanes[-1].held == 0
