"""What would become of a lane if it went on like this: asked while choosing, used when committing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from decodeplug.failure import PartFailure
from decodeplug.rules import Clipped

if TYPE_CHECKING:
    from decodeplug.lane import Lane

__all__ = ["Outlook"]


class Outlook:
    """The lanes of one job in one turn, and what the rules say of their continuations. Each is clipped once."""

    __slots__ = ("_clipped", "_lanes", "_refused")

    def __init__(self, lanes: Sequence[Lane]) -> None:
        self._lanes = lanes
        self._clipped: dict[tuple[int, tuple[int, ...]], Clipped | None] = {}
        self._refused: list[tuple[int, tuple[int, ...]]] = []

    def ends(self, index: int, tokens: tuple[int, ...]) -> bool:
        """Would lane ``index`` end with these tokens?

        :raises PartFailure: The constraint or a stopping criterion failed.
        """
        if tokens[-1] in self._lanes[index].job.end_ids:
            return True
        clipped = self.clipped(index, tokens)
        return clipped is not None and clipped.finish_reason is not None

    def clipped(self, index: int, tokens: tuple[int, ...]) -> Clipped | None:
        """What the rules leave of these tokens; None if the constraint refuses the last although its mask allows it.

        :raises PartFailure: The constraint or a stopping criterion failed.
        """
        key = (index, tokens)
        if key not in self._clipped:
            lane = self._lanes[index]
            try:
                refused = _is_refused(lane, tokens)
                self._clipped[key] = None if refused else lane.job.rules.clip(lane, tokens)
            except PartFailure:
                raise
            except Exception as error:
                raise PartFailure(lane.job.constraint, error) from error
            if refused:
                self._refused.append(key)
        return self._clipped[key]

    def refused(self) -> list[tuple[int, tuple[int, ...]]]:
        """The continuations that were refused since this was asked last."""
        found, self._refused = self._refused, []
        return found


def _is_refused(lane: Lane, tokens: Sequence[int]) -> bool:
    constraint: Any = lane.job.constraint
    if not getattr(constraint, "refuses_late", False) or tokens[-1] in lane.job.end_ids:
        return False
    state = lane.state
    for token in tokens:
        state = constraint.advance(state, token)
    return state is None
