"""Where the rows of the forward in progress go: one value, shared by all layers."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ["Slots"]


class Slots:
    """Which lanes are in the forward, and the slots their new rows are written to.

    Plain numbers; the index tensors are made when a layer first asks for them,
    once for each device, and only if the lanes are not aligned.

    :ivar total: How many lanes the session has.
    :ivar lanes: The lanes of this forward, or None: all of them, in order.
    :ivar batch: How many lanes this forward has.
    :ivar width: Rows per lane.
    :ivar longest: The most ids that a lane of this forward holds.
    :ivar length: ``longest + width``: how many slots the layers show.
    :ivar start: The slot of every lane's first row if it is the same for all
        lanes and the lanes are all there, else None.
    :ivar bytes: What the buffers of all layers take now. :ivar copied: Bytes that were copied within them so far.
    """

    __slots__ = (
        "_index",
        "_starts",
        "batch",
        "bytes",
        "copied",
        "lanes",
        "length",
        "longest",
        "start",
        "total",
        "width",
    )

    def __init__(self) -> None:
        self.lanes: Sequence[int] | None = None
        self.total = self.batch = self.width = self.longest = self.length = self.bytes = self.copied = 0
        self.start: int | None = 0
        self._starts: list[int] = []
        self._index: dict[torch.device, tuple[Tensor, Tensor]] = {}

    def aim(self, lanes: Sequence[int], held: Sequence[int], width: int) -> None:
        """Aim at a forward of ``width`` rows for each of ``lanes``; ``held`` is for all lanes."""
        everyone = len(lanes) == len(held)
        starts = held if everyone else [held[lane] for lane in lanes]
        longest = max(starts)
        self.total, self.batch, self.width = len(held), len(starts), width
        self.longest, self.length = longest, longest + width
        self.lanes = None if everyone else lanes
        aligned = everyone and (len(starts) == 1 or min(starts) == longest)
        self.start = longest if aligned else None
        if not aligned:
            self._starts = list(starts)
            self._index.clear()

    def index(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """Index tensors for writing: lanes ``[batch, 1]`` and slots ``[batch, width]``, int64."""
        found = self._index.get(device)
        if found is None:
            lanes = self.lanes if self.lanes is not None else range(self.batch)
            both = torch.tensor([list(lanes), self._starts]).to(device, non_blocking=True)
            slots = both[1].unsqueeze(1) + torch.arange(self.width, device=device)
            found = self._index[device] = (both[0].unsqueeze(1), slots)
        return found
