"""What a lane would choose if its model gave some logits: for drafters that have a model of their own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from decodeplug.drawn import Choice, Drawn
from decodeplug.failure import PartFailure
from decodeplug.noise import perturb
from decodeplug.score import score
from decodeplug.values import Seen

if TYPE_CHECKING:
    from decodeplug.lane import Job

__all__ = ["Drawing"]


@dataclass(frozen=True, slots=True)
class Drawing:
    """See :class:`decodeplug.drawn.Draws`: the constraint, processors and noise of one lane.

    :param ids: The lane's committed ids. :param key: Seed and number of the hypothesis.
    """

    job: Job
    ids: Sequence[int]
    key: tuple[int, int]

    def behind(self, ids: Sequence[int]) -> Drawing:
        """The same for the lane when it has these ids."""
        return replace(self, ids=ids)

    @property
    def is_plain(self) -> bool:
        """Are there neither constraint nor processors?"""
        return self.job.constraint is None and not self.job.plan.processors

    def __call__(self, logits: Tensor, drafted: Sequence[int], state: Any) -> Drawn:
        """The token behind ``ids`` and ``drafted``, read at once."""
        choice = self.choice(logits, drafted, state)
        return self.drawn(choice, int(choice.token), state)

    def choice(self, logits: Tensor, drafted: Sequence[int], state: Any) -> Choice:
        """The same, still on the device."""
        job, plan = self.job, self.job.plan
        prefix = [*self.ids, *drafted]
        scores = score(
            logits[None], self._mask(logits, state), plan.processors, Seen.of([prefix], [job.prompt_length])
        ).scores
        noisy = perturb(scores, [(*self.key, len(prefix))]) if job.samples else scores
        drawn_from = torch.softmax(scores[0], -1) if job.samples and job.wants_probabilities else None
        return Choice(noisy.argmax(-1), drawn_from)

    def drawn(self, choice: Choice, token: int, state: Any) -> Drawn:
        """What became of it."""
        job = self.job
        if token in job.end_ids or job.constraint is None:
            return Drawn(token, None, token in job.end_ids, choice.probabilities)
        try:
            after = job.constraint.advance(state, token)
            law = choice.probabilities
            if after is None and law is not None and not float(law[token]) > 0:
                return Drawn(None, None, True)
            return Drawn(token, after, after is None or job.constraint.is_complete(after), law)
        except Exception as error:
            raise PartFailure(job.constraint, error) from error

    def _mask(self, logits: Tensor, state: Any) -> Tensor | None:
        """``[1, vocab]``: what the constraint allows, on the device of the logits."""
        constraint = self.job.constraint
        if constraint is None:
            return None
        mask = torch.zeros((1, len(logits)), dtype=torch.bool)
        try:
            allowed = constraint.allowed(state)[: len(logits)]
            accepting = constraint.is_accepting(state)
        except Exception as error:
            raise PartFailure(constraint, error) from error
        mask[0, : len(allowed)] = allowed
        if accepting:
            mask[0, [token for token in self.job.end_ids if token < len(logits)]] = True
        return mask.to(logits.device, non_blocking=True)
