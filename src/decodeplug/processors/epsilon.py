"""Epsilon sampling: nothing below a fixed probability."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from decodeplug.processors.keep import largest, only
from decodeplug.processors.option_checks import number_between, whole_number
from decodeplug.values import Seen, Stage

__all__ = ["Epsilon"]


@dataclass(frozen=True, slots=True)
class Epsilon:
    """Drop tokens whose probability is below ``epsilon_cutoff``.

    The same set as transformers' ``EpsilonLogitsWarper``: a token at the cutoff stays (the
    paper drops it), and so do the best ``min_tokens_to_keep`` with all that equal them.

    :param epsilon_cutoff: The probability, in (0, 1); the paper suggests 3e-4 to 9e-4.
    :param min_tokens_to_keep: Keep this many of the best whatever their probability.
    :raises BadOption: ``epsilon_cutoff`` is outside (0, 1), or nothing would be kept.
    Source: Hewitt, Manning and Liang 2022, arXiv:2210.15191, section 4.
    """

    epsilon_cutoff: float = 3e-4
    min_tokens_to_keep: int = 1
    name: ClassVar[str] = "epsilon"
    stage: ClassVar[Stage] = Stage.TRUNCATE
    keeps_argmax: ClassVar[bool] = True

    def __post_init__(self) -> None:
        number_between(self.name, 0, 1, open_low=True, open_high=True, epsilon_cutoff=self.epsilon_cutoff)
        whole_number(self.name, 1, min_tokens_to_keep=self.min_tokens_to_keep)

    def __call__(self, scores: Tensor, seen: Seen) -> Tensor:
        """Return scores with the improbable tokens at ``-inf``.

        :param scores: ``[rows, vocab]`` natural log; not modified.
        :param seen: Unused.
        """
        best = largest(scores, self.min_tokens_to_keep)[:, -1:]
        return only(scores, torch.logical_or(scores.softmax(dim=-1) >= self.epsilon_cutoff, scores >= best))
