"""Min-p: nothing much less likely than the likeliest."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from decodeplug.processors.keep import at_least, largest
from decodeplug.processors.option_checks import number_between, whole_number
from decodeplug.values import Seen, Stage

__all__ = ["MinP"]


@dataclass(frozen=True, slots=True)
class MinP:
    """Drop tokens much less likely than the likeliest one.

    The same set as transformers' ``MinPLogitsWarper``, but that tokens whose score
    equals that of the last one kept for ``min_tokens_to_keep`` stay as well.

    :param min_p: Smallest share of the best probability that a token may have, in
        [0, 1]. 0 drops nothing.
    :param min_tokens_to_keep: Keep this many of the best whatever their share.
    :raises BadOption: ``min_p`` is outside [0, 1], or nothing would be kept.
    Source: Nguyen et al. 2024, arXiv:2407.01082 (definition of min-p).
    """

    min_p: float = 0.05
    min_tokens_to_keep: int = 1
    name: ClassVar[str] = "min-p"
    stage: ClassVar[Stage] = Stage.TRUNCATE
    keeps_argmax: ClassVar[bool] = True

    def __post_init__(self) -> None:
        number_between(self.name, 0, 1, min_p=self.min_p)
        whole_number(self.name, 1, min_tokens_to_keep=self.min_tokens_to_keep)

    def __call__(self, scores: Tensor, seen: Seen) -> Tensor:
        """Return scores with the unlikely tokens at ``-inf``.

        :param scores: ``[rows, vocab]`` natural log; not modified.
        :param seen: Unused.
        """
        if self.min_p == 0:
            return scores
        # Both sides share softmax's denominator, so no softmax is needed.
        best = largest(scores, self.min_tokens_to_keep)
        return at_least(scores, torch.minimum(best[:, :1] + math.log(self.min_p), best[:, -1:]))
