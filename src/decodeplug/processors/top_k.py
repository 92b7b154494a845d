"""Top-k: only the k best tokens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from decodeplug.processors.keep import at_least, largest
from decodeplug.processors.option_checks import whole_number
from decodeplug.values import Seen, Stage

__all__ = ["TopK"]


@dataclass(frozen=True, slots=True)
class TopK:
    """Keep the ``top_k`` best tokens, and all that equal the last of them.

    The same set as transformers' ``TopKLogitsWarper``. (The paper keeps exactly k;
    as transformers does, tokens with equal scores are not told apart here.)

    :param top_k: How many, at least 1; more than there are keeps all.
    :param min_tokens_to_keep: Keep this many even if ``top_k`` is smaller.
    :raises BadOption: One of them is not a whole number of at least 1.
    Source: Fan, Lewis and Dauphin 2018, arXiv:1805.04833, section 5.4.
    """

    top_k: int = 50
    min_tokens_to_keep: int = 1
    name: ClassVar[str] = "top-k"
    stage: ClassVar[Stage] = Stage.TRUNCATE
    keeps_argmax: ClassVar[bool] = True

    def __post_init__(self) -> None:
        whole_number(self.name, 1, top_k=self.top_k)
        whole_number(self.name, 1, min_tokens_to_keep=self.min_tokens_to_keep)

    def __call__(self, scores: Tensor, seen: Seen) -> Tensor:
        """Return scores with all but the best at ``-inf``.

        :param scores: ``[rows, vocab]`` natural log; not modified.
        :param seen: Unused.
        """
        count = max(self.top_k, self.min_tokens_to_keep)
        if count >= scores.shape[-1]:
            return scores
        return at_least(scores, largest(scores, count)[:, -1:])
