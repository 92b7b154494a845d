"""What taps saw of the ids of a request: of those that it returns, and of what was tried and given up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    from decodeplug.lane import Job, Lane
    from decodeplug.taps import Tap
    from decodeplug.turn import Turn

__all__ = ["Fed", "Trail", "Watched", "WatchedText", "follow", "follow_piece", "watched_of"]


@dataclass(frozen=True, slots=True)
class WatchedText:
    """What a tap saw of one text.

    :ivar ids: Prompt, then what was written. :ivar prompt_length: How many of them are prompt.
    :ivar rows: ``[len(ids) - 1, features]``, on the model's device: no forward has seen the last id. Zeros for ids that
        were never computed, as they were out of sight of those behind them.
    """

    ids: Sequence[int]
    prompt_length: int
    rows: Tensor


@dataclass(frozen=True, slots=True)
class Watched:
    """What a tap saw of a request.

    :ivar tap: The one that was opened: that of the inspector, or of another request, which equals it.
    :ivar texts: Those that it returns, the best first. :ivar rejected: ``[rows, features]`` of drafted ids that were not
        kept. :ivar dropped: The same of ids that were kept in hypotheses which the request does not return.
    """

    tap: Any
    texts: Sequence[WatchedText]
    rejected: Tensor
    dropped: Tensor


@dataclass(slots=True, eq=False)
class Fed:
    """What was seen of the ids that a lane was fed in one forward, and how many of them somebody kept."""

    rows: Tensor
    kept: int = 0


@dataclass(slots=True, eq=False)
class Trail:
    """What was seen of the ids of a lane, in order: what it was fed, and how much of that it kept.

    :ivar length: Ids of which something was seen. Ids that are fed a second time are not looked at again.
    """

    pieces: list[tuple[Fed, int]] = field(default_factory=list)
    length: int = 0

    def fork(self) -> Trail:
        """The same so far, for a lane that goes its own way."""
        return Trail(list(self.pieces), self.length)

    def add(self, fed: Fed, count: int) -> None:
        """The first ``count`` ids of what was fed are its next ones."""
        fed.kept = max(fed.kept, count)
        if count > 0:
            self.pieces.append((fed, count))
            self.length += count


def follow(turn: Turn, index: int, lane: Lane, count: int) -> None:
    """Note what was seen of ids that a lane keeps.

    :param index: Of the lane of the turn that it continues. :param lane: It, or a fork of it.
    :param count: How many of the ids that it was fed are kept.
    """
    first = lane.job.lanes[0]
    if lane.held == 0 and lane.is_twin and lane is not first:  # they share one forward
        index = next((place for place, other in enumerate(turn.lanes) if other is first), index)
    known = lane.trail.length - lane.held
    fed = turn.fed.get(index)
    if fed is None:
        fed = turn.fed[index] = Fed(turn.watched[index][known:])
        lane.job.fed.append(fed)
    lane.trail.add(fed, count - known)


def follow_piece(lane: Lane, rows: Tensor) -> None:
    """Note what was seen of a piece of a lane's prompt: ``[fed, features]``."""
    fed = Fed(rows[lane.trail.length - lane.held :])
    lane.job.fed.append(fed)
    lane.trail.add(fed, len(fed.rows))


def watched_of(job: Job, lanes: Sequence[Lane], tap: Tap) -> Watched | None:
    """What a tap saw of a request; None if nothing was computed.

    :param lanes: Those that it returns, the best first.
    """
    taps = job.taps
    if taps is None or not job.fed:
        return None
    returned: dict[int, int] = {}
    for lane in lanes:
        for fed, count in lane.trail.pieces:
            returned[id(fed)] = max(returned.get(id(fed), 0), count)
    nothing = taps.of(tap, job.fed[0].rows[:0])
    rejected, dropped = [nothing], [nothing]
    for fed in job.fed:
        rows, kept = taps.of(tap, fed.rows), returned.get(id(fed), 0)
        rejected.append(rows[max(kept, fed.kept) :])
        dropped.append(rows[kept : fed.kept])
    texts = []
    for lane in lanes:
        rows = torch.cat([nothing, *(taps.of(tap, fed.rows[:count]) for fed, count in lane.trail.pieces)])
        texts.append(WatchedText(tuple(lane.ids), job.prompt_length, rows[: len(lane.ids) - 1]))
    return Watched(taps.opened_for(tap), texts, torch.cat(rejected), torch.cat(dropped))
