"""The longer an answer gets, the likelier it ends."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch
from decodeplug.plugin import BadOption, Seen, Stage

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["PreferShort"]


@dataclass(frozen=True, slots=True)
class PreferShort:
    """Raise the score of the end tokens, more with every token of the answer.

    :param strength: Added for each token beyond ``after``, in nats; 0 or more.
    :param after: Tokens of an answer before anything is added; 0 or more.
    :param end_ids: Ids that end a text. The host fills in those of its model where none are given.
    :raises BadOption: An option is outside its range.
    """

    strength: float = 0.1
    after: int = 32
    end_ids: Sequence[int] = ()
    name: ClassVar[str] = "prefer-short"
    stage: ClassVar[Stage] = Stage.PENALTY  # moves scores, removes no token
    keeps_argmax: ClassVar[bool] = False  # in the end, ending is the best

    def __post_init__(self) -> None:
        if not 0 <= self.strength < math.inf:
            raise BadOption(self.name, strength=self.strength, wanted="a finite number, 0 or more")
        if self.after < 0:
            raise BadOption(self.name, after=self.after, wanted="a whole number, 0 or more")
        object.__setattr__(self, "end_ids", tuple(self.end_ids))  # a tuple, so that equal processors are equal

    def __call__(self, scores: Tensor, seen: Seen) -> Tensor:
        """Return scores with the end tokens raised.

        :param scores: ``[rows, vocab]`` float32, natural log; not modified.
        :param seen: How long each row's answer is: its prefix without its prompt.
        :returns: ``[rows, vocab]``; a token at ``-inf`` stays there.
        """
        lengths = [len(ids) - prompt for ids, prompt in zip(seen.ids, seen.prompt_lengths, strict=True)]
        bonuses = [self.strength * max(0, length - self.after) for length in lengths]
        if not self.end_ids or not any(bonuses):
            return scores
        raised = scores.clone()
        raised[:, list(self.end_ids)] += torch.tensor(bonuses, dtype=scores.dtype, device=scores.device)[:, None]
        return raised
