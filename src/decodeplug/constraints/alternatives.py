"""Compiled constraints of which one must agree on every token; those that do not are out."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from decodeplug.constraints.following import ends_after
from decodeplug.contracts import Constraint
from decodeplug.errors import Unsatisfiable

__all__ = ["Alternatives"]

_MASKS = 32  # masks kept, each one byte per id

States = tuple[Any, ...]


class Alternatives:
    """Any of ``parts``. Implements ``contracts.Constraint``.

    A state is the tuple of theirs, with None for the parts that the text so far has ruled out.

    :param kind: Its name in errors. :param size: Ids below which masks speak.
    """

    def __init__(self, kind: str, parts: Sequence[Constraint], size: int) -> None:
        self.kind, self.name, self.size = kind, kind, size
        self._parts = tuple(parts)
        self.is_exact = all(getattr(part, "is_exact", False) for part in self._parts)
        # A part may say that it refuses tokens which its mask allows.
        self.refuses_late = any(getattr(part, "refuses_late", False) for part in self._parts)
        self.spoken_ids = frozenset[int]().union(*(getattr(part, "spoken_ids", ()) for part in self._parts))
        self._masks: OrderedDict[States, Tensor] = OrderedDict()

    def start(self) -> States:
        return tuple(part.start() for part in self._parts)

    def advance(self, state: States, token: int) -> States | None:
        alive = False
        after: list[Any] = []
        for part, own in zip(self._parts, state, strict=True):
            next_own = None if own is None else part.advance(own, token)
            alive = alive or next_own is not None
            after.append(next_own)
        return tuple(after) if alive else None

    def ends_after(self, state: States, ids: Sequence[int]) -> bool:
        """May the text go on with these ids, and end there?"""
        return any(ends_after(part, own, ids) for part, own in self._alive(state))

    def is_accepting(self, state: States) -> bool:
        return any(part.is_accepting(own) for part, own in self._alive(state))

    def is_complete(self, state: States) -> bool:
        return self.is_accepting(state) and not bool(self.allowed(state).any())

    def allowed(self, state: States) -> Tensor:
        """Which ids may follow: ``[size]`` bool on the CPU, not to be modified.

        :raises Unsatisfiable: No part can go on with this vocabulary, and the text may not end.
        """
        mask = self._masks.get(state)
        if mask is None:
            mask = self._masks[state] = self._joined(state)
            if len(self._masks) > _MASKS:
                self._masks.popitem(last=False)
        return mask

    def _joined(self, state: States) -> Tensor:
        mask = torch.zeros(self.size, dtype=torch.bool)
        stuck: Unsatisfiable | None = None
        for part, own in self._alive(state):
            try:
                mask |= part.allowed(own)
            except Unsatisfiable as error:  # the vocabulary lacks what this part wants; others go on
                stuck = error
        if stuck is not None and not bool(mask.any()) and not self.is_accepting(state):
            raise stuck
        return mask

    def forced(self, state: States) -> tuple[int, ...]:
        """What all parts that are left force together."""
        alive = self._alive(state)
        if any(part.is_accepting(own) for part, own in alive):
            return ()
        first, *others = [tuple(part.forced(own)) for part, own in alive]
        for other in others:
            agreed = next((at for at, pair in enumerate(zip(first, other, strict=False)) if pair[0] != pair[1]), None)
            first = first[: min(len(first), len(other)) if agreed is None else agreed]
        return first

    def _alive(self, state: States) -> list[tuple[Constraint, Any]]:
        return [(part, own) for part, own in zip(self._parts, state, strict=True) if own is not None]
