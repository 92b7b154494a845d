"""Any logits processor of transformers as a processor of decodeplug."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor

from decodeplug.bridges.fingerprint import fingerprint
from decodeplug.bridges.stateful_processors import is_known_pure, refuse_stateful
from decodeplug.errors import BadOption, PluginError
from decodeplug.values import Seen, Stage

__all__ = ["TransformersProcessors"]

LogitsProcessor = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True, slots=True)
class TransformersProcessors:
    """One or several logits processors of transformers, called one after the other.

    Takes whatever ``generate(logits_processor=...)`` takes: a ``LogitsProcessor``, a
    ``LogitsProcessorList``, or a function of ids and scores. Rows with prefixes
    of one length are passed together, and scores as a copy, since many write into them.

    That a processor of your own is pure is your promise: its result may depend on the ids and scores
    of each row alone. The first call is made twice and the two compared, which
    finds counters, caches of the last token and random numbers, but not what
    compiled code hides. Preparing something in the first call is fine.

    :param processors: The processors. Kept as a flat tuple.
    :param stage: Where they stand; after the constraint's mask and before the temperature
        unless said otherwise, as in ``generate()``.
    :param padding: Ids put before each prefix, where the processors are to see the left padding that
        they would see in a padded ``generate()``.
    :raises IncompatibleParts: A processor is known to keep state between calls.
    :raises BadOption: There is none, or one cannot be called.
    """

    processors: LogitsProcessor | Iterable[Any]
    stage: Stage = Stage.HARD
    padding: Sequence[int] = ()
    # Places of the processors that have passed their first call.
    _passed: set[int] = field(default_factory=set, init=False, repr=False, compare=False)
    name: ClassVar[str] = "transformers"
    keeps_argmax: ClassVar[bool] = False

    def __post_init__(self) -> None:
        processors = tuple(_flat(self.processors))
        if not processors:
            raise BadOption(self.name, processors=self.processors, wanted="at least one logits processor")
        for processor in processors:
            refuse_stateful(processor)
        object.__setattr__(self, "processors", processors)
        object.__setattr__(self, "padding", tuple(self.padding))

    def __call__(self, scores: Tensor, seen: Seen) -> Tensor:
        """Return the scores as the processors leave them.

        :param scores: ``[rows, vocab]`` natural log; not modified.
        :param seen: The prefix of each row; prefixes may differ in length.
        :returns: ``[rows, vocab]``; tokens that a processor revived are back at ``-inf``.
        :raises PluginError: A processor failed, returned another shape, or keeps
            state; names its library and class.
        """
        by_length: dict[int, list[int]] = {}
        for row, ids in enumerate(seen.ids):
            by_length.setdefault(len(ids), []).append(row)
        out = torch.empty_like(scores)
        for rows in by_length.values():
            prefixes = [[*self.padding, *seen.ids[row]] for row in rows]
            ids = torch.tensor(prefixes, dtype=torch.long).to(scores.device, non_blocking=True)
            index = torch.tensor(rows).to(scores.device, non_blocking=True)
            out.index_copy_(0, index, self._apply(ids, scores.index_select(0, index)))
        return out

    def _apply(self, ids: Tensor, scores: Tensor) -> Tensor:
        assert isinstance(self.processors, tuple)
        for place, processor in enumerate(self.processors):
            known = place in self._passed or is_known_pure(processor)
            after = (_call if known else _watched_call)(processor, ids, scores)
            self._passed.add(place)
            scores = after.masked_fill(scores == -math.inf, -math.inf)
        return scores


def _flat(processors: Any) -> Iterable[Any]:
    if not isinstance(processors, (list, tuple)):  # a LogitsProcessorList is a list, and can be called too
        if not callable(processors):
            raise BadOption("transformers", processors=processors, wanted="logits processors of transformers")
        yield processors
        return
    for one in processors:
        yield from _flat(one)


def _call(processor: LogitsProcessor, ids: Tensor, scores: Tensor) -> Tensor:
    try:
        after = processor(ids, scores.clone())
        if not isinstance(after, Tensor) or after.shape != scores.shape:
            shape = list(after.shape) if isinstance(after, Tensor) else type(after).__name__
            raise TypeError(f"returned {shape} where {list(scores.shape)} was wanted")
    except Exception as error:
        raise _failed(processor, error) from error
    return after.to(scores.dtype)


def _watched_call(processor: LogitsProcessor, ids: Tensor, scores: Tensor) -> Tensor:
    first = _call(processor, ids, scores)
    before = fingerprint(processor)  # only now: it may prepare something in its first call
    second = _call(processor, ids, scores)
    if fingerprint(processor) != before:
        raise _failed(processor, RuntimeError("its attributes changed during a call, so it keeps state between calls"))
    if not torch.equal(first.nan_to_num(), second.nan_to_num()):
        raise _failed(processor, RuntimeError("two calls with equal ids and scores gave different scores"))
    return first


def _failed(processor: LogitsProcessor, error: Exception) -> PluginError:
    kind = processor if isinstance(processor, type(_failed)) else type(processor)
    return PluginError(kind.__module__.partition(".")[0], f"logits processor {kind.__qualname__}", "__call__", error)
