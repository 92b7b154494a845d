"""From raw logits to scores: the constraint's mask, then the processors by stage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from decodeplug.contracts import Processor
from decodeplug.failure import PartFailure
from decodeplug.values import Seen, Stage

__all__ = ["Scored", "in_order", "near_tie_bound", "score"]


@dataclass(slots=True)
class Scored:
    """Scores of some rows, still on the device.

    :ivar scores: ``[rows, vocab]`` float32 after constraint and processors.
    :ivar removed: Part -> ``[rows]`` share of the probability mass that it took away.
    :ivar total: ``[rows]``: what :meth:`log_total` gave for these scores; None if nobody asked yet.
    :ivar restored: ``[rows]`` int: hard processors that would have emptied the row.
    """

    scores: Tensor
    removed: dict[str, Tensor] = field(default_factory=dict)
    restored: Tensor | None = None
    total: Tensor | None = None

    def log_total(self) -> Tensor:
        """``[rows]``: the logarithm of the sum of the exponentials, kept while the scores are the same."""
        if self.total is None:
            best = self.scores.amax(-1)
            # One pass of softmax is half the price of logsumexp; its peak is exp(best - total).
            self.total = best - torch.softmax(self.scores, -1).amax(-1).log()
        return self.total

    def logprobs(self, ids: Tensor) -> Tensor:
        """Log-probabilities of some ids of each row, ``[rows, k]``."""
        if self.total is None:
            return torch.log_softmax(self.scores, -1).gather(-1, ids)
        return self.scores.gather(-1, ids) - self.total[:, None]

    def replace(self, scores: Tensor) -> None:
        """Take other scores."""
        if scores is not self.scores:
            self.scores, self.total = scores, None


_NEAR = {torch.float64: 1e-6, torch.float32: 1e-4, torch.float16: 0.1}


def in_order(processors: Sequence[Processor]) -> tuple[Processor, ...]:
    """By declared stage; within a stage as named."""
    return tuple(sorted(processors, key=lambda part: int(part.stage)))


def near_tie_bound(dtype: torch.dtype) -> float:
    """The margin below which another batch or draft shape may round to another token.

    Measured differences of logits: 5e-5 in float32, up to 0.7 in bfloat16; in float64 what
    counts is that scores are float32.
    """
    return _NEAR.get(dtype, 0.7)


def part_name(part: object) -> str:
    return getattr(part, "name", getattr(part, "kind", type(part).__name__))


def score(
    logits: Tensor, mask: Tensor | None, processors: Sequence[Processor], seen: Seen, *, normalised: bool = False
) -> Scored:
    """Score some rows.

    The order is: penalties, the constraint's mask, hard processors, temperature,
    truncation. A hard processor that would empty a row leaves it as the constraint gave it.

    :param logits: ``[rows, vocab]`` raw, any floating dtype; not modified.
    :param mask: ``[rows, vocab]`` bool, or None where nothing is constrained.
    :param normalised: Begin with log-probabilities: ``log_softmax(logits)``, in float32.
    :raises PartFailure: A processor raised or returned another shape.
    """
    scored = Scored(logits if logits.dtype == torch.float32 else logits.float())
    if normalised:
        scored.replace(torch.log_softmax(scored.scores, -1))
    base: Tensor | None = None
    for part in processors:
        if part.stage > Stage.PENALTY and base is None:
            base = _mask(scored, mask)
        after = _call(part, scored.scores, seen)
        if part.stage in (Stage.HARD, Stage.TRUNCATE):
            assert base is not None
            _note_removed(scored, part_name(part), _restore_emptied(scored, after, base))
        else:
            scored.replace(after)
    if base is None:
        _mask(scored, mask)
    elif mask is not None:
        scored.replace(torch.where(mask, scored.scores, -torch.inf))  # no processor revives a token
    return scored


def _mask(scored: Scored, mask: Tensor | None) -> Tensor:
    """Apply the constraint's mask, if there is one; the scores that nothing but it has cut."""
    if mask is not None:
        _note_removed(scored, "constraint", torch.where(mask, scored.scores, -torch.inf))
    return scored.scores


def _call(part: Processor, scores: Tensor, seen: Seen) -> Tensor:
    try:
        after = part(scores, seen)
        if not isinstance(after, Tensor) or after.shape != scores.shape:
            shape = list(after.shape) if isinstance(after, Tensor) else type(after).__name__
            raise TypeError(f"returned {shape} where a score table {list(scores.shape)} was wanted")
        return after if after.dtype == torch.float32 else after.float()
    except Exception as error:
        raise PartFailure(part, error) from error


def _restore_emptied(scored: Scored, after: Tensor, base: Tensor) -> Tensor:
    emptied = after.amax(-1) == -torch.inf
    if emptied.is_cpu and not emptied.any():
        return after  # elsewhere, asking would make the device wait
    count = emptied.int()
    scored.restored = count if scored.restored is None else scored.restored + count
    return torch.where(emptied[:, None], base, after)


def _note_removed(scored: Scored, name: str, after: Tensor) -> None:
    """Take the scores after a part, and note how much of the probability mass it removed."""
    if after is scored.scores:
        share = torch.zeros(len(after), device=after.device)
    else:
        before = scored.log_total()
        scored.replace(after)
        share = 1.0 - torch.exp(scored.log_total() - before)
    scored.removed[name] = scored.removed[name] + share if name in scored.removed else share
