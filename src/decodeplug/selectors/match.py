"""Keep a draft as long as it is what would have been chosen anyway."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from decodeplug.contracts import Rows
from decodeplug.noise import perturb
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

    def propose(self, scores: Tensor, rows: Rows) -> tuple[Tensor, Tensor]:
        """The chosen id of every row, ``[rows, 1]`` int64, and its margin. Ties go to the lower id."""
        if self.sample:
            keys = [
                (*lane.seed, len(lane.ids) + offset)
                for lane, draft in zip(rows.lanes, rows.drafts, strict=True)
                for offset in range(len(draft) + 1)
            ]
            scores = perturb(scores, keys)
        return _best(scores)

    def extend(self, candidates: Sequence[Sequence[int]], rows: Rows) -> list[Extension]:
        """One extension for each lane: the agreed part of its draft, and one token more."""
        extensions = []
        for parent, (draft, first) in enumerate(zip(rows.drafts, rows.first, strict=True)):
            tokens: list[int] = []
            for offset in range(len(draft) + 1):
                token = candidates[first + offset][0]
                tokens.append(token)
                if offset == len(draft) or token != draft.tokens[offset]:
                    break
            extensions.append(Extension(parent, tuple(tokens), tuple(range(first, first + len(tokens)))))
        return extensions


def _best(scores: Tensor) -> tuple[Tensor, Tensor]:
    """The best id of every row, and how far it is ahead of the second best."""
    if scores.device.type != "cpu":
        chosen, (first, second) = scores.argmax(-1, keepdim=True), scores.topk(2, -1).values.unbind(-1)
        return chosen, first - second
    # numpy's reductions are some ten times faster than torch's on a wide row.
    table = scores.numpy()
    chosen = table.argmax(-1, keepdims=True)
    margins = []
    for line, (at,) in zip(table, chosen, strict=True):
        rest = max(float(part.max()) for part in (line[:at], line[at + 1 :]) if len(part))
        margins.append(float(line[at]) - rest)
    return torch.from_numpy(chosen), torch.tensor(margins)
