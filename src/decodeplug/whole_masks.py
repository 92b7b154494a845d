"""Masks without the tokens that a constraint would refuse late: for whoever needs the whole distribution."""

from __future__ import annotations

from typing import Any

import torch

from decodeplug.groups import Group
from decodeplug.score import Scored
from decodeplug.walk import Masks

__all__ = ["MaskNarrowing"]

_NEGLIGIBLE = 1e-7  # of the probability mass: less than the rounding of a sum in float32


class MaskNarrowing:
    """Takes refused tokens out of the masks of one turn, and remembers which stand.

    To choose, check and choose again is as good as a mask only if the choice is ``argmax(scores + noise)``. Where
    probabilities are compared or reported, everything refused must be gone before they are normalised.
    """

    def __init__(self, filled: Masks) -> None:
        self._filled = filled
        self._standing: dict[int, set[int]] = {}

    def narrow(self, group: Group, scored: Scored) -> bool:
        """Check every token of a group's rows that has any probability to speak of.

        What is beyond may be refused when it is chosen: it is less than the sum's own rounding.

        :param scored: The scores of the group's rows with the masks as they are; not modified.
        :returns: Whether any was refused: then the rows must be scored again. Their masks are narrower now.
        :raises Exception: What the constraint raised.
        """
        assert group.first_masked is not None
        refused: list[tuple[int, int]] = []
        for lane, draft, first in zip(group.lanes, group.table.drafts, group.table.first, strict=True):
            constraint: Any = lane.job.constraint
            if not getattr(constraint, "refuses_late", False):
                continue
            state = lane.state
            for offset in range(len(draft) + 1):
                if offset:
                    token = draft.tokens[offset - 1]
                    state = None if token in lane.job.end_ids else constraint.advance(state, token)
                if state is None:
                    break  # behind a token that is refused or ends the text: nobody looks at these rows
                row = group.first_masked + first + offset
                standing = self._standing.setdefault(row, set(lane.job.end_ids))
                for token in _likely(scored.scores[first + offset]):
                    if token in standing:
                        continue
                    if constraint.advance(state, token) is None:
                        refused.append((row, token))
                    else:
                        standing.add(token)
        for row, token in refused:
            self._filled.table[row, token].fill_(False)
        return bool(refused)


def _likely(scores: torch.Tensor) -> list[int]:
    """The ids that have all but a negligible share of the probability mass."""
    shares, ids = torch.softmax(scores.double(), -1).sort(descending=True)
    count = int(((shares.cumsum(-1) - shares) < 1 - _NEGLIGIBLE).sum())
    return ids[shares > 0][:count].tolist()
