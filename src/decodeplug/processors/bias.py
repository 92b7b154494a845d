"""A bias on tokens, and on tokens that would complete a sequence."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from decodeplug.errors import BadOption
from decodeplug.processors.option_checks import number_between, token_ids
from decodeplug.processors.scatter import flat_positions
from decodeplug.processors.sequences import Endings, endings_of, find_completions, refuse_unknown_ids
from decodeplug.values import Seen, Stage

__all__ = ["Bias"]


@dataclass(frozen=True, slots=True)
class Bias:
    """Add a bias to the scores of tokens, or of tokens that would complete a sequence.

    Equal to transformers' ``SequenceBiasLogitsProcessor`` up to rounding: a sequence of one token always counts,
    a longer one only where all of it but the last token has just been seen.
    Biases of several sequences that end in one token are added.

    :param bias: Token id or sequence of ids -> bias, as a mapping, or as pairs
        ``([ids], bias)``. Kept as a tuple of pairs ``((ids), bias)``.
    :raises BadOption: It is empty, an id is not a whole number from 0 on, or a bias is not
        finite (to forbid tokens, use bad-words); when called: an id that the model does not have.
    Source: transformers 5.24, ``generation/logits_process.py``; OpenAI API reference, ``logit_bias``.
    """

    bias: Mapping[int | tuple[int, ...], float] | Sequence[tuple[Sequence[int], float]]
    _endings: Endings = field(init=False, repr=False, compare=False)
    _highest: int = field(init=False, repr=False, compare=False)
    name: ClassVar[str] = "bias"
    stage: ClassVar[Stage] = Stage.PENALTY
    keeps_argmax: ClassVar[bool] = False

    def __post_init__(self) -> None:
        biases = _checked(self.name, self.bias)
        object.__setattr__(self, "bias", tuple(biases.items()))
        object.__setattr__(self, "_endings", endings_of(biases))
        object.__setattr__(self, "_highest", max(max(sequence) for sequence in biases))

    def __call__(self, scores: Tensor, seen: Seen) -> Tensor:
        """Return the biased scores.

        :param scores: ``[rows, vocab]`` natural log; not modified.
        :param seen: The prefix of each row.
        :raises BadOption: A biased id is not below ``vocab``.
        """
        refuse_unknown_ids(self.name, self._highest, scores.shape[-1])
        # Prefixes cost something to build: single tokens do not look at them.
        prefixes = seen.ids if set(self._endings) != {0} else [()] * len(seen)
        rows: list[dict[int, float]] = []
        for ids in prefixes:
            sums: dict[int, float] = defaultdict(float)
            for token, bias in find_completions(self._endings, ids):
                sums[token] += bias
            rows.append(sums)
        if not any(rows):
            return scores
        positions, biases = flat_positions(rows, scores)
        out = scores.clone(memory_format=torch.contiguous_format)
        out.view(-1).index_add_(0, positions, biases)
        return out


def _checked(part: str, given: object) -> dict[tuple[int, ...], float]:
    pairs = given.items() if isinstance(given, Mapping) else given
    if not isinstance(pairs, Sequence | type({}.items())) or isinstance(pairs, str) or not pairs:
        raise BadOption(part, bias=given, wanted="a mapping of token ids to biases that is not empty")
    biases: dict[tuple[int, ...], float] = {}
    for pair in pairs:
        if not isinstance(pair, Sequence) or len(pair) != 2:
            raise BadOption(part, bias=given, wanted="pairs of token ids and a bias")
        sequence = token_ids(part, bias=pair[0])
        if not sequence:
            raise BadOption(part, bias=given, wanted="at least one token in each sequence")
        number_between(part, -math.inf, math.inf, open_low=True, open_high=True, bias=pair[1])
        biases[sequence] = float(pair[1])
    return biases
