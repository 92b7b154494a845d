"""The echo drafter: what was just said comes once more."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from decodeplug.plugin import BadOption, Draft, LaneView

__all__ = ["Echo"]


@dataclass(frozen=True, slots=True)
class Echo:
    """Propose the last tokens again.

    :param length: How many of them; at least 1.
    :raises BadOption: ``length`` is below 1.
    """

    length: int = 4
    name: ClassVar[str] = "echo"
    prior: ClassVar[float] = 0.1

    def __post_init__(self) -> None:
        if self.length < 1:
            raise BadOption("echo", length=self.length, wanted="a whole number, 1 or more")

    def draft(self, lane: LaneView, room: int) -> Draft:
        """The last ``length`` ids, or as many as there are and ``room`` allows."""
        tokens = tuple(lane.ids[-self.length :])[: max(room, 0)]
        return Draft(tokens, (self.name,) * len(tokens))
