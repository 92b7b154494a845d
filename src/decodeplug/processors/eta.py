"""Eta sampling: a cutoff that falls where the row's entropy is high."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from decodeplug.processors.keep import largest, only
from decodeplug.processors.option_checks import number_between, whole_number
from decodeplug.values import Seen, Stage

__all__ = ["Eta"]


@dataclass(frozen=True, slots=True)
class Eta:
    """Drop tokens below ``min(eta_cutoff, sqrt(eta_cutoff) * exp(-entropy))``, entropy in nats.

    The same set as transformers' ``EtaLogitsWarper``: a token at the cutoff stays (the
    paper drops it), and so do the best ``min_tokens_to_keep`` with all that equal them.

    :param eta_cutoff: The paper's epsilon, in (0, 1); it suggests 3e-4 to 4e-3.
    :param min_tokens_to_keep: Keep this many of the best whatever their probability.
    :raises BadOption: ``eta_cutoff`` is outside (0, 1), or nothing would be kept.
    Source: Hewitt, Manning and Liang 2022, arXiv:2210.15191, section 4.
    """

    eta_cutoff: float = 2e-3
    min_tokens_to_keep: int = 1
    name: ClassVar[str] = "eta"
    stage: ClassVar[Stage] = Stage.TRUNCATE
    keeps_argmax: ClassVar[bool] = True

    def __post_init__(self) -> None:
        number_between(self.name, 0, 1, open_low=True, open_high=True, eta_cutoff=self.eta_cutoff)
        whole_number(self.name, 1, min_tokens_to_keep=self.min_tokens_to_keep)

    def __call__(self, scores: Tensor, seen: Seen) -> Tensor:
        """Return scores with the improbable tokens at ``-inf``.

        :param scores: ``[rows, vocab]`` natural log; not modified.
        :param seen: Unused.
        """
        logs = scores.log_softmax(dim=-1)
        # nansum: a token at -inf adds 0 * -inf. float64: so that the sum does not depend on how
        # many rows are summed together.
        entropy = -(logs.exp() * logs).nansum(dim=-1, keepdim=True, dtype=torch.float64).to(scores.dtype)
        cutoff = (math.log(self.eta_cutoff) / 2 - entropy).clamp(max=math.log(self.eta_cutoff))
        best = largest(scores, self.min_tokens_to_keep)[:, -1:]
        return only(scores, torch.logical_or(logs >= cutoff, scores >= best))
