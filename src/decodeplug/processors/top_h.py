"""Top-h: the best tokens, up to a share of the row's entropy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from decodeplug.processors.keep import exactly, largest
from decodeplug.processors.option_checks import number_between
from decodeplug.values import Seen, Stage

__all__ = ["TopH"]

CONSIDERED = 100


@dataclass(frozen=True, slots=True)
class TopH:
    """Keep the best tokens while their part of the entropy is at most ``top_h`` of it.

    The same number of tokens as transformers' ``TopHLogitsWarper``: only the 100 best
    are considered, as a distribution of their own, and the terms ``-p log p`` of the
    best ones are added up. (The paper considers all tokens and measures the entropy of
    the kept set after normalising it anew.) The best token always stays; among equal
    scores the lowest ids do.

    :param top_h: The share of the entropy, in (0, 1].
    :raises BadOption: ``top_h`` is outside (0, 1].
    Source: Potraka et al. 2025, arXiv:2509.02510, section 4.
    """

    top_h: float = 0.4
    name: ClassVar[str] = "top-h"
    stage: ClassVar[Stage] = Stage.TRUNCATE
    keeps_argmax: ClassVar[bool] = True

    def __post_init__(self) -> None:
        number_between(self.name, 0, 1, open_low=True, top_h=self.top_h)

    def __call__(self, scores: Tensor, seen: Seen) -> Tensor:
        """Return scores with all but the chosen tokens at ``-inf``.

        :param scores: ``[rows, vocab]`` natural log; not modified.
        :param seen: Unused.
        """
        best = largest(scores, CONSIDERED)
        logs = best.log_softmax(dim=-1)
        terms = -(logs.exp() * logs).nan_to_num(nan=0.0)  # a token at -inf gives 0 * -inf
        within = terms.cumsum(dim=-1) <= terms.sum(dim=-1, keepdim=True) * self.top_h
        count = within.sum(dim=-1, keepdim=True).clamp(min=1)
        return exactly(scores, best.gather(-1, count - 1), count)
