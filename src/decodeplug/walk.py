"""Constraint states along the drafts, and their masks, filled while the forward runs."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from decodeplug.contracts import Constraint
from decodeplug.lane import Lane
from decodeplug.values import Draft

__all__ = ["MaskFiller", "Masks", "cut_draft"]


def cut_draft(lane: Lane, draft: Draft) -> tuple[Draft, tuple[Any, ...]]:
    """Walk the constraint along a draft; cut it before the first token that is forbidden.

    Cutting is harmless where a token was only proposed: it could not be chosen. One that was *drawn* is kept as
    the last, for the selector to reject: to leave it out would be to draw again, and what is drawn in the end
    would follow another law. Nothing follows an end token.

    :returns: What is left of the draft, and the state before each of its tokens and
        after the last one (a single None for a lane without constraint). The row behind
        an end token or a forbidden one has no state: its mask is never used.
    """
    constraint, end_ids = lane.job.constraint, lane.job.end_ids
    if not draft.tokens:
        return draft, () if constraint is None else (lane.state,)
    ends = next((index for index, token in enumerate(draft.tokens) if token in end_ids), len(draft))
    if constraint is None:
        return draft.first(ends + 1), ()
    states = [lane.state]
    for index, token in enumerate(draft.tokens):
        state = constraint.advance(states[-1], token) if index < ends else None
        if state is None:
            drawn = draft.was_drawn(index)
            return draft.first(index + drawn), (*states, states[-1]) if drawn else tuple(states)
        states.append(state)
    return draft, tuple(states)


@dataclass(slots=True)
class Masks:
    """The masks of all constrained rows of one step, row after row.

    :ivar table: ``[constrained rows, vocab]`` bool: which ids may be chosen. On the CPU as it is filled, in
        memory that a GPU can fetch from.
    :ivar seconds: Time that filling them took, beside the forward.
    :ivar errors: Constraint -> what it raised; its rows allow nothing.
    """

    table: Tensor
    seconds: float
    errors: dict[int, Exception]


class MaskFiller:
    """Fills masks in a thread of its own; the engine lets go of the interpreter lock."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="decodeplug-masks")

    def start(
        self, rows: Sequence[tuple[Constraint, Any, frozenset[int]]], vocab: int, device: torch.device
    ) -> Future[Masks]:
        """Begin to fill; called before the forward, so that nobody waits for it after.

        :param rows: For each row its constraint, the state and the end ids.
        :param vocab: Width of the logits; ids that the vocabulary lacks are never allowed.
        """
        return self._pool.submit(_fill, rows, vocab, device)

    def close(self) -> None:
        self._pool.shutdown(wait=False)


def _fill(rows: Sequence[tuple[Constraint, Any, frozenset[int]]], vocab: int, device: torch.device) -> Masks:
    began = time.perf_counter()
    table = torch.zeros((len(rows), vocab), dtype=torch.bool, pin_memory=device.type == "cuda")
    errors: dict[int, Exception] = {}
    for index, (constraint, state, end_ids) in enumerate(rows):
        try:
            allowed = constraint.allowed(state)
            table[index, : len(allowed)] = allowed
            if end_ids and constraint.is_accepting(state):
                table[index, list(end_ids)] = True
        except Exception as error:  # named and raised for its own request only, by the scorer
            errors[id(constraint)] = error
    return Masks(table, time.perf_counter() - began, errors)
