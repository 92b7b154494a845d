"""Penalties on tokens that a row has seen already."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

import torch
from torch import Tensor

from decodeplug.errors import BadOption
from decodeplug.processors.option_checks import number_between, positive_number
from decodeplug.processors.scatter import flat_positions
from decodeplug.values import Seen, Stage

__all__ = ["FrequencyPenalty", "PresencePenalty", "RepetitionPenalty"]

Over = Literal["all", "generated", "prompt"]


@dataclass(frozen=True, slots=True)
class RepetitionPenalty:
    """Make tokens that were seen less likely: divide their score if positive, else multiply.

    Equal to transformers' ``RepetitionPenaltyLogitsProcessor``: it counts the prompt
    too, and a token seen often is penalised once. (The paper divides negative scores as well, which
    would reward them.) With ``over="prompt"`` and the inverse penalty it is
    transformers' ``encoder_repetition_penalty``.

    :param penalty: Above 1 discourages, below 1 encourages, 1 changes nothing.
    :param over: Which seen tokens count: all of them, those generated, or those of the prompt.
    :raises BadOption: ``penalty`` is not a finite number above 0, or ``over`` is none of the three.
    Source: Keskar et al. 2019, arXiv:1909.05858, section 4.1.
    """

    penalty: float = 1.1
    over: Over = "all"
    name: ClassVar[str] = "repetition-penalty"
    stage: ClassVar[Stage] = Stage.PENALTY
    keeps_argmax: ClassVar[bool] = False

    def __post_init__(self) -> None:
        positive_number(self.name, penalty=self.penalty)
        if self.over not in get_args(Over):
            raise BadOption(self.name, over=self.over, wanted="'all', 'generated' or 'prompt'")

    def __call__(self, scores: Tensor, seen: Seen) -> Tensor:
        """Return scores with those of seen tokens moved.

        :param scores: ``[rows, vocab]`` raw logits; not modified.
        :param seen: The prefix of each row, and how much of it is prompt.
        """
        if self.penalty == 1:
            return scores
        tokens = [dict.fromkeys(row, 0.0) for row in _counted(seen, self.over)]
        positions, _ = flat_positions(tokens, scores)
        out = scores.clone(memory_format=torch.contiguous_format)
        before = out.view(-1)[positions]
        out.view(-1)[positions] = torch.where(before < 0, before * self.penalty, before / self.penalty)
        return out


@dataclass(frozen=True, slots=True)
class PresencePenalty:
    """Subtract ``penalty`` from the score of every token that was generated already, once.

    Over generated tokens only, never the prompt; transformers has no such processor.

    :param penalty: Above 0 discourages, below 0 encourages; OpenAI allows -2 to 2.
    :raises BadOption: ``penalty`` is not a finite number.
    Source: OpenAI API reference, ``presence_penalty``.
    """

    penalty: float = 0.5
    name: ClassVar[str] = "presence-penalty"
    stage: ClassVar[Stage] = Stage.PENALTY
    keeps_argmax: ClassVar[bool] = False

    def __post_init__(self) -> None:
        _finite(self.name, self.penalty)

    def __call__(self, scores: Tensor, seen: Seen) -> Tensor:
        """Return scores with those of generated tokens moved.

        :param scores: ``[rows, vocab]`` natural log; not modified.
        :param seen: The prefix of each row, and how much of it is prompt.
        """
        return _lowered(scores, [dict.fromkeys(row, 1.0) for row in _counted(seen, "generated")], self.penalty)


@dataclass(frozen=True, slots=True)
class FrequencyPenalty:
    """Subtract ``penalty`` from a token's score for every time that it was generated.

    Over generated tokens only, never the prompt; transformers has no such processor.

    :param penalty: Above 0 discourages, below 0 encourages; OpenAI allows -2 to 2.
    :raises BadOption: ``penalty`` is not a finite number.
    Source: OpenAI API reference, ``frequency_penalty``.
    """

    penalty: float = 0.5
    name: ClassVar[str] = "frequency-penalty"
    stage: ClassVar[Stage] = Stage.PENALTY
    keeps_argmax: ClassVar[bool] = False

    def __post_init__(self) -> None:
        _finite(self.name, self.penalty)

    def __call__(self, scores: Tensor, seen: Seen) -> Tensor:
        """Return scores with those of generated tokens moved.

        :param scores: ``[rows, vocab]`` natural log; not modified.
        :param seen: The prefix of each row, and how much of it is prompt.
        """
        return _lowered(scores, [Counter(row) for row in _counted(seen, "generated")], self.penalty)


def _finite(part: str, penalty: float) -> None:
    number_between(part, -math.inf, math.inf, open_low=True, open_high=True, penalty=penalty)


def _counted(seen: Seen, over: Over) -> list[list[int]]:
    if over == "all":
        return seen.ids
    lengths = zip(seen.ids, seen.prompt_lengths, strict=True)
    return [ids[:prompt] if over == "prompt" else ids[prompt:] for ids, prompt in lengths]


def _lowered(scores: Tensor, counts: list[dict[int, float]] | list[Counter[int]], penalty: float) -> Tensor:
    if penalty == 0 or not any(counts):
        return scores
    positions, often = flat_positions(counts, scores)
    out = scores.clone(memory_format=torch.contiguous_format)
    out.view(-1).index_add_(0, positions, often, alpha=-penalty)
    return out
