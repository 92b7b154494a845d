"""What heads learn: the loss of a batch, and how often they are right on text that they have not seen."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from decodeplug.heads.batches import Batch
from decodeplug.heads.cut import IGNORED
from decodeplug.heads.trained import Heads

__all__ = ["OBJECTIVES", "Acceptance", "loss_of", "measured"]

OBJECTIVES = ("distribution", "argmax")
_DECAY = 0.8  # a token further ahead counts so much: it only matters when those before it are right


def loss_of(heads: Heads, batch: Batch, objective: str) -> Tensor:
    """Mean cross-entropy against what the model itself would say, later tokens counting less.

    :param objective: "distribution": the model's own distribution over the cut vocabulary is learned
        (arXiv:1503.02531); "argmax": only the token that it would choose, where that was not cut away.
    :returns: A scalar.
    """
    teacher: Tensor | None = None
    if objective == "distribution":
        with torch.no_grad():
            teacher = heads.output(batch.hidden).softmax(-1)
    total, weights = batch.hidden.new_zeros(()), 0.0
    for ahead, states in enumerate(heads.foresee(batch.hidden, batch.ids, thin=True), start=1):
        counts = batch.counts(ahead)
        counts[len(states) :] = False
        if not counts.any():
            continue
        scores = heads.output(states[counts[: len(states)]])
        if teacher is not None:
            loss = cross_entropy(scores, teacher[counts.roll(ahead, 1)])
        else:
            wanted = heads.vocabulary.places(batch.best[counts.roll(ahead, 1)])
            loss = cross_entropy(scores, wanted, ignore_index=IGNORED, reduction="sum") / (
                wanted != IGNORED
            ).sum().clamp(1)
        total, weights = total + _DECAY ** (ahead - 1) * loss, weights + _DECAY ** (ahead - 1)
    return total / max(weights, 1.0)


@dataclass(frozen=True, slots=True)
class Acceptance:
    """How often a head is right.

    :ivar share: Of the model's own greedy tokens. :ivar chained: The same where all heads before it must be right
        too; counted where the text itself is greedy up to there. :ivar positions: How many tokens were guessed.
    """

    share: float
    chained: float
    positions: int


@torch.no_grad()
def measured(heads: Heads, batches: Iterable[Batch]) -> list[Acceptance]:
    """The acceptance of every head."""
    tally = torch.zeros(heads.count, 4, dtype=torch.int64)  # right, guessed, all right, could be all right
    for batch in batches:
        all_right = follows = torch.ones_like(batch.ids, dtype=torch.bool)
        for ahead, states in enumerate(heads.foresee(batch.hidden, batch.ids), start=1):
            counts, wanted = batch.counts(ahead), batch.best.roll(-ahead, 1)
            right = heads.vocabulary.ids[heads.output(states).argmax(-1)] == wanted
            all_right = all_right & right
            chain = counts & follows
            tally[ahead - 1] += torch.stack(
                [(right & counts).sum(), counts.sum(), (all_right & chain).sum(), chain.sum()]
            ).cpu()
            follows = follows & (batch.ids.roll(-ahead - 1, 1) == wanted)
    rows = tally.tolist()
    return [Acceptance(right / max(of, 1), chained / max(could, 1), of) for right, of, chained, could in rows]
