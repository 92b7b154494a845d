"""Propose what the constraint leaves no choice about."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from decodeplug.values import NO_DRAFT, Draft, LaneView

__all__ = ["Forced"]


@dataclass(frozen=True, slots=True)
class Forced:
    """Propose the tokens of the text that the constraint forces, such as keys and braces.

    The *text* is forced; the model may still prefer to split it into other tokens, so
    these drafts are checked like any other.
    """

    name: ClassVar[str] = "forced"
    prior: ClassVar[float] = 0.95

    def draft(self, lane: LaneView, room: int) -> Draft:
        """The forced tokens that follow, at most ``room``; none without a constraint."""
        if lane.constraint is None:
            return NO_DRAFT
        tokens = tuple(lane.constraint.forced(lane.state))[:room]
        return Draft(tokens, (self.name,) * len(tokens))
