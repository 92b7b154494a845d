"""Keep a draft as long as it is what would have been chosen anyway."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from decodeplug.contracts import Proposal, Rows
from decodeplug.noise import perturb
from decodeplug.selectors.agreed import agreed
from decodeplug.values import Extension

__all__ = ["Match"]


@dataclass(frozen=True, slots=True)
class Match:
    """Greedy decoding and sampling, with or without drafts: the text is the same.

    Each position's token is ``argmax(scores)``, or ``argmax(scores + noise)`` with
    noise keyed by seed and position when ``sample`` is set. Drafted tokens are kept
    up to the first that differs from the choice; the choice takes its place.

    :param sample: Whether noise is drawn.
    Source: exact-match verification, Stern et al. 2018, arXiv:1811.03115, section 3;
    with shared noise, arXiv:2408.07978.
    """

    sample: bool = False
    name: ClassVar[str] = "match"
    takes_drafts: ClassVar[bool] = True

    def propose(self, scores: Tensor, rows: Rows) -> Proposal:
        """The chosen id of every row. Ties go to the lower id."""
        if self.sample:
            keys = [
                (*lane.seed, len(lane.ids) + offset)
                for lane, draft in zip(rows.lanes, rows.drafts, strict=True)
                for offset in range(len(draft) + 1)
            ]
            scores = perturb(scores, keys)
        return _best(scores)

    def extend(
        self, candidates: Sequence[Sequence[int]], values: Sequence[Sequence[float]], rows: Rows
    ) -> list[Extension]:
        """One extension for each lane: the agreed part of its draft, and one token more."""
        return agreed(candidates, rows)


def _best(scores: Tensor) -> Proposal:
    """The best id of every row, and how far it is ahead of the second best."""
    if not scores.is_cpu:
        best = scores.argmax(-1, keepdim=True)
        values, rest = scores.gather(-1, best), scores.scatter(-1, best, -math.inf)
        return Proposal(best, values, values[:, 0] - rest.amax(-1))
    # numpy's argmax of a long row is three times as fast as torch's, and called again its code is still at hand.
    candidates, values, margins = [], [], []
    for line in scores.numpy():
        best = int(line.argmax())
        value = line.item(best)
        line[best] = -math.inf  # put back below
        margins.append(value - line.item(line.argmax()))
        line[best] = value
        candidates.append([best])
        values.append([value])
    return Proposal(candidates, values, margins)
