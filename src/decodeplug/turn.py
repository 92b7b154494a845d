"""One turn of the loop: what is fed, what is wanted, and what came of it."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from decodeplug.groups import Group
from decodeplug.lane import Job, Lane
from decodeplug.trace import Step
from decodeplug.values import Draft
from decodeplug.walk import Masks
from decodeplug.watching import Fed

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Turn"]


@dataclass(slots=True)
class Turn:
    """One turn of the loop over all lanes.

    :ivar groups: The lanes as they are scored together.
    :ivar feeds: For each lane, the ids that the model gets. :ivar wants: For each, of how many
        of them, the last ones, logits are wanted.
    :ivar pieces: Lanes that are fed a part of their prompt, and how much; they choose no token.
    :ivar whole: Lanes all of whose ids are computed; see ``Session.forward``. :ivar reused: What the session says of it.
    :ivar watched: What taps saw of the ids of each lane; empty without any. :ivar fed: The same by lane, where an inspector looks.
    :ivar ends: A request may be done with it.
    """

    lanes: list[Lane]
    groups: list[Group]
    drafts: list[Draft]
    feeds: list[list[int]]
    wants: list[int]
    masks: Future[Masks] | None = None
    pieces: Mapping[int, int] = field(default_factory=dict[int, int])
    draft_s: float = 0.0
    forward_s: float = 0.0
    wait_s: float = 0.0
    choose_s: float = 0.0
    cache_bytes: int = 0
    watched: Sequence[Tensor] = ()
    fed: dict[int, Fed] = field(default_factory=dict[int, Fed])
    whole: Sequence[int] = ()
    reused: Sequence[int] = ()
    filled: Masks | None = None
    steps: list[tuple[Job, Step]] = field(default_factory=list)
    ends: bool = False

    def again(self) -> Turn:
        """The same turn with what is pending now. Nobody keeps a turn that is over."""
        self.feeds, self.steps, self.draft_s = [lane.ids[lane.held :] for lane in self.lanes], [], 0.0
        self.fed = {}
        return self

    def await_masks(self) -> Masks | None:
        """The masks of this turn; waits for what is not filled yet."""
        if self.masks is not None:
            began = time.perf_counter()
            self.filled = self.masks.result()
            self.wait_s = time.perf_counter() - began
        return self.filled
