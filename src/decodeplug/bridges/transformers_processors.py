"""Logits processors and generation settings of transformers as processors of decodeplug."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from decodeplug.bridges.generation_config import from_generation_config
from decodeplug.bridges.native_processors import native_processors
from decodeplug.bridges.wrapped_processors import TransformersProcessors
from decodeplug.contracts import Processor
from decodeplug.values import Stage

__all__ = ["TransformersProcessors", "from_generation_config", "from_logits_processors"]

_LATE = ("WatermarkLogitsProcessor", "LogitNormalization")
"""What ``generate()`` puts behind temperature and truncation."""


def from_logits_processors(processors: Iterable[Any], *, row: int = 0, padding: Sequence[int] = ()) -> list[Processor]:
    """Processors that do to one row what a list that ``generate()`` built does to it.

    Where there is a processor of ours that does the same, it is taken; the rest is
    wrapped. A list whose order is not that of our stages (say, temperature after top-p) is
    wrapped whole, so that its order holds.

    :param processors: A ``LogitsProcessorList``, with the caller's own processors in it.
    :param row: The row's number in the batch, for what holds one value for each row.
    :param padding: The ids that stand before the row's prompt in the padded batch.
    :raises IncompatibleParts: One is known to keep state between calls.
    :raises BadOption: One cannot be called.
    """
    theirs = list(processors)
    parts: list[Processor] = []
    for one in theirs:
        native = native_processors(one, row, len(padding))
        parts += native if native is not None else [_wrapped(one, padding)]
    if _in_stage_order(parts):
        return parts
    whole: Any = TransformersProcessors(theirs, padding=padding)
    return [whole]


def _in_stage_order(parts: Iterable[Processor]) -> bool:
    reached = Stage.PENALTY
    for part in parts:
        if part.stage < reached:
            return False
        # Our own bans and penalties give the same in either order.
        if part.stage != Stage.HARD or isinstance(part, TransformersProcessors):
            reached = part.stage
    return True


def _wrapped(one: Any, padding: Sequence[int]) -> Any:
    # Any: its stage is an option, where the contract has a constant of the class.
    stage = Stage.TRUNCATE if type(one).__name__ in _LATE else Stage.HARD
    return TransformersProcessors(one, stage, padding)
