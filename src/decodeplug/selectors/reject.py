"""Keep a drafted token as often as the target's distribution wants it: speculative sampling."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from decodeplug.contracts import Proposal, Rows
from decodeplug.noise import NoiseKey, apart, perturb, uniform
from decodeplug.precision import widest
from decodeplug.selectors.agreed import agreed
from decodeplug.values import Extension

__all__ = ["Reject"]

_JUDGE, _AGAIN = 1, 2  # uses of noise: whether a drafted token is kept, and what comes in its place


@dataclass(frozen=True, slots=True)
class Reject:
    """Sampling with drafts that keeps the target's distribution, not its ids.

    A drafted token ``x`` is kept with probability ``min(1, Q(x) / P(x))``, where ``Q`` is the target's
    distribution after constraint and processors and ``P`` the one that ``x`` was drawn from. At the first that is
    not kept, a token is drawn from ``max(0, Q - P)``, normalised, and the rest of the draft is dropped. A token that
    was only proposed counts as drawn from a distribution that is sure of it.

    All noise is keyed by seed, hypothesis and position, and is not that which drafts were drawn with. So one seed
    gives one text for given drafts; other drafts give another text of the same law.

    Source: Leviathan et al. 2022, arXiv:2211.17192, section 2.3 and appendix A.1; Chen et al. 2023,
    arXiv:2302.01318, algorithm 2.
    """

    name: ClassVar[str] = "reject"
    takes_drafts: ClassVar[bool] = True
    wants_probabilities: ClassVar[bool] = True
    wants_whole_masks: ClassVar[bool] = True

    def propose(self, scores: Tensor, rows: Rows) -> Proposal:
        """For every row the drafted token, if it is kept, or what is drawn in its place. Reads nothing back."""
        keys: list[NoiseKey] = [
            (*lane.seed, len(lane.ids) + offset)
            for lane, draft in zip(rows.lanes, rows.drafts, strict=True)
            for offset in range(len(draft) + 1)
        ]
        law = torch.softmax(scores, -1)
        excess, judged, drafted, likely = law.clone(), [], [], []
        for first, draft in zip(rows.first, rows.drafts, strict=True):
            for offset, token in enumerate(draft.tokens):
                row = first + offset
                judged.append(row)
                drafted.append(token)
                if draft.was_drawn(offset):
                    drawn_from = draft.probabilities[offset]
                    assert drawn_from is not None
                    drawn_from = drawn_from.to(scores.device, non_blocking=True)
                    excess[row] -= drawn_from
                    likely.append(drawn_from[token])
                else:
                    excess[row, token].fill_(0.0)
                    likely.append(torch.ones((), device=scores.device))
        excess.clamp_(min=0.0)
        # Where nothing is left but rounding, the two distributions are one.
        nothing = (excess.amax(-1, keepdim=True) <= 0.0) & (law.amax(-1, keepdim=True) > 0.0)
        again = perturb(torch.where(nothing, law, excess).log(), apart(keys, _AGAIN))
        best = again.topk(2, -1)
        chosen, margins = best.indices[:, :1], best.values[:, 0] - best.values[:, 1]
        if judged:
            places = torch.tensor([judged, drafted]).to(scores.device, non_blocking=True)
            where, tokens = places[0], places[1]
            exact = widest(scores.device)
            ratio = law[where, tokens].to(exact) / torch.stack(likely).to(exact)
            chance = uniform(apart([keys[row] for row in judged], _JUDGE), scores.device)
            kept = chance < ratio
            by = (ratio.log() - chance.log()).abs().float()
            chosen = chosen.index_put((where, torch.zeros_like(where)), torch.where(kept, tokens, chosen[where, 0]))
            margins = margins.index_put((where,), torch.where(kept, by, torch.minimum(by, margins[where])))
        return Proposal(chosen, scores.gather(-1, chosen), margins)

    def extend(
        self, candidates: Sequence[Sequence[int]], values: Sequence[Sequence[float]], rows: Rows
    ) -> list[Extension]:
        """One extension for each lane: the part of its draft that is kept, and one token more."""
        return agreed(candidates, rows)
