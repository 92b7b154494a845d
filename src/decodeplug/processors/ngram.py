"""No n-gram twice."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

from torch import Tensor

from decodeplug.errors import BadOption
from decodeplug.processors.option_checks import whole_number
from decodeplug.processors.scatter import forbid
from decodeplug.values import Seen, Stage

__all__ = ["NoRepeatNgram"]

Over = Literal["all", "prompt"]


@dataclass(frozen=True, slots=True)
class NoRepeatNgram:
    """Forbid every token that would complete an n-gram which the row has seen.

    Equal to transformers' ``NoRepeatNGramLogitsProcessor``: n-grams of the prompt
    count. With ``over="prompt"`` only they do, as with transformers'
    ``encoder_no_repeat_ngram_size``.

    :param ngram_size: Length of the n-grams in tokens; 1 forbids every token that was seen.
    :param over: Where n-grams are looked for: in all that was seen, or in the prompt alone.
    :raises BadOption: ``ngram_size`` is not a whole number of at least 1, or ``over`` is neither.
    Source: Paulus, Xiong and Socher 2017, arXiv:1705.04304, section 2.5 (for n = 3).
    """

    ngram_size: int = 3
    over: Over = "all"
    name: ClassVar[str] = "no-repeat-ngram"
    stage: ClassVar[Stage] = Stage.HARD
    keeps_argmax: ClassVar[bool] = False

    def __post_init__(self) -> None:
        whole_number(self.name, 1, ngram_size=self.ngram_size)
        if self.over not in get_args(Over):
            raise BadOption(self.name, over=self.over, wanted="'all' or 'prompt'")

    def __call__(self, scores: Tensor, seen: Seen) -> Tensor:
        """Return scores with the repeating tokens at ``-inf``.

        :param scores: ``[rows, vocab]`` natural log; not modified.
        :param seen: The prefix of each row, and how much of it is prompt.
        """
        rows = zip(seen.ids, seen.prompt_lengths, strict=True)
        return forbid(scores, [self._repeating(ids, prompt) for ids, prompt in rows])

    def _repeating(self, ids: list[int], prompt_length: int) -> set[int]:
        searched = ids if self.over == "all" else ids[:prompt_length]
        context = self.ngram_size - 1
        if context == 0:
            return set(searched)
        if len(ids) < context:
            return set()
        suffix = ids[len(ids) - context :]
        found: set[int] = set()
        # list.index runs in C, so only the places where the suffix may end cost anything.
        end = context - 2
        while True:
            try:
                end = searched.index(suffix[-1], end + 1, len(searched) - 1)
            except ValueError:
                return found
            if searched[end + 1 - context : end + 1] == suffix:
                found.add(searched[end + 1])
