"""Where in their texts the rows of a forward in progress are."""

from __future__ import annotations

from contextvars import ContextVar

from torch import Tensor

__all__ = ["placing"]

placing: ContextVar[Tensor | None] = ContextVar("placing", default=None)
"""``[lanes, width]`` int64, the position of each row within its text, on the model's device; None outside our forwards."""
