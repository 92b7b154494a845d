"""No end before so many tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from decodeplug.processors.option_checks import token_ids, whole_number
from decodeplug.processors.scatter import forbid
from decodeplug.values import Seen, Stage

__all__ = ["MinTokens"]


@dataclass(frozen=True, slots=True)
class MinTokens:
    """Forbid the end ids until so many tokens were generated.

    Equal to transformers' ``MinNewTokensLengthLogitsProcessor``, each row with its own prompt
    length; with ``counts_prompt`` to its ``MinLengthLogitsProcessor``.

    :param min_new_tokens: How many tokens there are at least before an end id.
    :param end_ids: The ids that end a text; those that the model has no score for are passed over.
        Left out, a host takes its model's own.
    :param counts_prompt: Tokens of the prompt count as well.
    :raises BadOption: ``min_new_tokens`` is not a whole number from 0 on, or ``end_ids`` are no ids.
    Source: transformers 5.24, ``generation/logits_process.py``.
    """

    min_new_tokens: int
    end_ids: Sequence[int] = ()
    counts_prompt: bool = False
    name: ClassVar[str] = "min-tokens"
    stage: ClassVar[Stage] = Stage.HARD
    keeps_argmax: ClassVar[bool] = False

    def __post_init__(self) -> None:
        whole_number(self.name, 0, min_new_tokens=self.min_new_tokens)
        object.__setattr__(self, "end_ids", token_ids(self.name, end_ids=self.end_ids))

    def __call__(self, scores: Tensor, seen: Seen) -> Tensor:
        """Return scores with the end ids of short rows at ``-inf``.

        :param scores: ``[rows, vocab]`` natural log; not modified.
        :param seen: The prefix of each row, and how much of it is prompt.
        """
        if self.min_new_tokens == 0:
            return scores
        rows = zip(seen.ids, seen.prompt_lengths, strict=True)
        written = [len(ids) - (0 if self.counts_prompt else prompt) for ids, prompt in rows]
        return forbid(scores, [self.end_ids if count < self.min_new_tokens else () for count in written])
