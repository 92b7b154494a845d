"""Compiled constraints that must all agree on every token."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from decodeplug.contracts import Constraint

__all__ = ["Intersection"]

_MASKS = 32  # masks kept, each one byte per id
# Looking ahead costs a mask for each token that is looked behind, so only where few may follow:
_FEW = 64  # so many at the state itself,
_FEWER = 16  # so many further on,
_DEPTH = 2  # and so many tokens beyond the next one.
_LONGEST = 16  # Forced texts in a row that are followed.

States = tuple[Any, ...]


class Intersection:
    """All of ``parts`` at once. Implements ``contracts.Constraint``; a state is the tuple of theirs.

    ``allowed`` is what all parts allow, less the tokens after which no text can be finished as far as that was
    looked for: along the text that one part forces and another refuses, and for a few tokens where few
    may follow. What was looked for depends on the state alone, so the same text always gives the same mask.
    Where nothing is left the mask is empty, and the host says so if a text gets there.

    :param kind: Its name in errors. :param parts: Compiled so that their masks allow any spelling.
    :param size: Ids below which masks speak.
    """

    def __init__(self, kind: str, parts: Sequence[Constraint], size: int) -> None:
        self.kind, self.name, self.size = kind, kind, size
        self._parts = tuple(parts)
        self.is_exact = all(getattr(part, "is_exact", False) for part in self._parts)
        # A part may say that it refuses tokens which its mask allows.
        self.refuses_late = any(getattr(part, "refuses_late", False) for part in self._parts)
        self.spoken_ids = frozenset[int]().union(*(getattr(part, "spoken_ids", ()) for part in self._parts))
        self._masks: OrderedDict[States, Tensor] = OrderedDict()
        self._dead: OrderedDict[tuple[States, int], bool] = OrderedDict()

    def start(self) -> States:
        return tuple(part.start() for part in self._parts)

    def advance(self, state: States, token: int) -> States | None:
        after = []
        for part, own in zip(self._parts, state, strict=True):
            following = part.advance(own, token)
            if following is None:
                return None
            after.append(following)
        return tuple(after)

    def is_accepting(self, state: States) -> bool:
        return all(part.is_accepting(own) for part, own in zip(self._parts, state, strict=True))

    def is_complete(self, state: States) -> bool:
        return self.is_accepting(state) and not bool(self.allowed(state).any())

    def allowed(self, state: States) -> Tensor:
        """Which ids may follow: ``[size]`` bool on the CPU, not to be modified; empty at a dead end."""
        mask = self._masks.get(state)
        if mask is None:
            mask = self._looked_ahead(state)
            self._masks[state] = mask
            if len(self._masks) > _MASKS:
                self._masks.popitem(last=False)
        return mask

    def forced(self, state: States) -> tuple[int, ...]:
        """The longest text that some part leaves no choice about, as far as all parts allow it."""
        longest: tuple[int, ...] = ()
        for part, own in zip(self._parts, state, strict=True):
            path = self._walkable(state, part.forced(own))
            longest = max(longest, path, key=len)
        return longest

    def _walkable(self, state: States, tokens: Sequence[int]) -> tuple[int, ...]:
        here: States | None = state
        for count, token in enumerate(tokens):
            here = self.advance(here, token)
            if here is None:
                return tuple(tokens[:count])
        return tuple(tokens)

    def is_dead(self, state: States) -> bool:
        """Is it certain that no text can be finished from here? False where it was not found out."""
        return self._is_dead(state, _DEPTH)

    def _looked_ahead(self, state: States) -> Tensor:
        mask = self._agreed(state)
        if bool(mask.any()) and self._behind_forced(state) is None:
            return torch.zeros_like(mask)
        if int(mask.sum()) <= _FEW:
            for token in mask.nonzero()[:, 0].tolist():
                mask[token] = not self._is_dead_after(state, token, _DEPTH)
        return mask

    def _agreed(self, state: States) -> Tensor:
        """What every part allows, looking no further: a fresh ``[size]`` bool."""
        first, *others = zip(self._parts, state, strict=True)
        mask = first[0].allowed(first[1]).clone()
        for part, own in others:
            mask &= part.allowed(own)
        if not self.is_exact and not bool(mask.any()) and not self.is_accepting(state):
            self._ask_each(state, mask)
        return mask

    def _ask_each(self, state: States, mask: Tensor) -> None:
        """Fill an empty mask by ``advance``: a part of somebody else's may mask less than it takes."""
        candidates = torch.zeros_like(mask)
        for part, own in zip(self._parts, state, strict=True):
            candidates |= part.allowed(own)
        for token in candidates.nonzero()[:, 0].tolist():
            mask[token] = self.advance(state, token) is not None

    def _is_dead_after(self, state: States, token: int, depth: int) -> bool:
        following = self.advance(state, token)
        return following is None or self._is_dead(following, depth)

    def _is_dead(self, state: States, depth: int) -> bool:
        """Is it certain, ``depth`` choices deep, that no text can be finished from here? A matter of the state alone."""
        known = self._dead.get((state, depth))
        if known is None:
            known = self._dead[state, depth] = self._find_dead(state, depth)
            if len(self._dead) > 4096:
                self._dead.popitem(last=False)
        return known

    def _find_dead(self, state: States, depth: int) -> bool:
        further = self._behind_forced(state)
        if further is None:
            return True
        if self.is_accepting(further):
            return False
        mask = self._agreed(further)
        count = int(mask.sum())
        if count == 0 or depth == 0 or count > _FEWER:
            return count == 0
        return all(self._is_dead_after(further, token, depth - 1) for token in mask.nonzero()[:, 0].tolist())

    def _behind_forced(self, state: States) -> States | None:
        """The state behind the text that must follow; None if one part forces what another refuses."""
        for _ in range(_LONGEST):
            if self.is_accepting(state):
                return state
            furthest, most = state, 0
            for part, own in zip(self._parts, state, strict=True):
                if not getattr(part, "is_exact", False) or part.is_accepting(own):
                    continue
                forced = part.forced(own)
                here: States | None = state
                for token in forced:
                    here = self.advance(here, token)
                    if here is None:
                        return None
                if len(forced) > most:
                    furthest, most = here, len(forced)
            if most == 0:
                return state
            state = furthest
        return state
