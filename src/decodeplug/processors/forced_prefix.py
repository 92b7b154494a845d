"""The first new tokens are given."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from decodeplug.errors import BadOption
from decodeplug.processors.option_checks import token_ids
from decodeplug.processors.sequences import refuse_unknown_ids
from decodeplug.values import Seen, Stage

__all__ = ["ForcedPrefix"]


@dataclass(frozen=True, slots=True)
class ForcedPrefix:
    """Let the first new tokens be these and no others.

    Like transformers' ``ForcedBOSTokenLogitsProcessor`` for any number of tokens, counted
    from the end of each row's prompt; but a forced token keeps its score (there it
    becomes 0), and stays forbidden where a constraint forbids it.

    :param tokens: The ids, in order; at least one.
    :raises BadOption: It is empty or holds something else than whole numbers from 0
        on; when called: an id that the model does not have.
    Source: transformers 5.24, ``generation/logits_process.py``.
    """

    tokens: Sequence[int]
    name: ClassVar[str] = "forced-prefix"
    stage: ClassVar[Stage] = Stage.HARD
    keeps_argmax: ClassVar[bool] = False

    def __post_init__(self) -> None:
        tokens = token_ids(self.name, tokens=self.tokens)
        if not tokens:
            raise BadOption(self.name, tokens=self.tokens, wanted="at least one token id")
        object.__setattr__(self, "tokens", tokens)

    def __call__(self, scores: Tensor, seen: Seen) -> Tensor:
        """Return scores where rows that are still within the prefix have its next token alone.

        :param scores: ``[rows, vocab]`` natural log; not modified.
        :param seen: The prefix of each row, and how much of it is prompt.
        :raises BadOption: A forced id is not below ``vocab``.
        """
        refuse_unknown_ids(self.name, max(self.tokens), scores.shape[-1])
        written = [len(ids) - prompt for ids, prompt in zip(seen.ids, seen.prompt_lengths, strict=True)]
        forced = [(row, self.tokens[count]) for row, count in enumerate(written) if count < len(self.tokens)]
        if not forced:
            return scores
        rows, tokens = torch.tensor(forced).to(scores.device, non_blocking=True).unbind(dim=-1)
        out = scores.index_fill(0, rows, -math.inf)
        out[rows, tokens] = scores[rows, tokens]
        return out
