"""Our own processor for one of transformers' logits processors, where there is one."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor

from decodeplug.contracts import Processor
from decodeplug.processors import (
    BadWords,
    Bias,
    Epsilon,
    Eta,
    MinP,
    MinTokens,
    NoRepeatNgram,
    RepetitionPenalty,
    Temperature,
    TopH,
    TopK,
    TopP,
    Typical,
)

__all__ = ["native_processors", "sequence_biases"]


def native_processors(theirs: Any, row: int, padding: int) -> list[Processor] | None:
    """Processors of ours that do the same, or None where only the object itself can.

    :param theirs: A logits processor; subclasses of transformers' classes count as unknown.
    :param row: Which row of its batch the prefixes stand in.
    :param padding: How many padding ids ``generate()`` has before that row's prompt.
    """
    if not type(theirs).__module__.startswith("transformers."):
        return None
    if getattr(theirs, "filter_value", -math.inf) != -math.inf:
        return None  # tokens are not forbidden then, only lowered
    make = _NATIVE.get(type(theirs).__name__)
    return make(theirs, row, padding) if make else None


def sequence_biases(biases: dict[tuple[int, ...], float]) -> list[Processor]:
    """A bias for what is moved, and a ban for what is moved to ``-inf``."""
    finite: list[tuple[Sequence[int], float]] = [(ids, bias) for ids, bias in biases.items() if math.isfinite(bias)]
    banned = [ids for ids, bias in biases.items() if bias == -math.inf]
    return [*([Bias(finite)] if finite else []), *([BadWords(banned)] if banned else [])]


def _repetition(theirs: Any, row: int, padding: int) -> list[Processor] | None:
    ignored = theirs.prompt_ignore_length
    if isinstance(ignored, Tensor):  # generate() gives the padding of each row here
        ignored = int(ignored[row])
    # Else padding is counted as seen, or part of the prompt is not: that is not one of our choices.
    return [RepetitionPenalty(theirs.penalty)] if (ignored or 0) == padding else None


def _min_length(theirs: Any, total: int, padding: int) -> list[Processor]:
    ends = sorted(theirs.eos_token_id.tolist())
    return [MinTokens(max(total - padding, 0), ends, counts_prompt=True)]


def _suppressed(theirs: Any, row: int, padding: int) -> list[Processor]:
    tokens = theirs.suppress_tokens.tolist()
    return [BadWords(tokens)] if tokens else []


_NATIVE: dict[str, Callable[[Any, int, int], list[Processor] | None]] = {
    "TemperatureLogitsWarper": lambda theirs, *_: [Temperature(theirs.temperature)],
    "TopKLogitsWarper": lambda theirs, *_: [TopK(theirs.top_k)],
    "TopPLogitsWarper": lambda theirs, *_: [TopP(theirs.top_p, theirs.min_tokens_to_keep)],
    "MinPLogitsWarper": lambda theirs, *_: [MinP(theirs.min_p, theirs.min_tokens_to_keep)],
    "TypicalLogitsWarper": lambda theirs, *_: [Typical(theirs.mass, theirs.min_tokens_to_keep)],
    "EpsilonLogitsWarper": lambda theirs, *_: [Epsilon(theirs.epsilon, theirs.min_tokens_to_keep)],
    "EtaLogitsWarper": lambda theirs, *_: [Eta(float(theirs.epsilon), theirs.min_tokens_to_keep)],
    "TopHLogitsWarper": lambda theirs, *_: [TopH(theirs.top_h)],
    "RepetitionPenaltyLogitsProcessor": _repetition,
    "NoRepeatNGramLogitsProcessor": lambda theirs, *_: [NoRepeatNgram(theirs.ngram_size)],
    "SequenceBiasLogitsProcessor": lambda theirs, *_: sequence_biases(theirs.sequence_bias),
    "NoBadWordsLogitsProcessor": lambda theirs, *_: sequence_biases(theirs.sequence_bias),
    "MinLengthLogitsProcessor": lambda theirs, row, padding: _min_length(theirs, theirs.min_length, padding),
    "MinNewTokensLengthLogitsProcessor": lambda theirs, row, padding: _min_length(
        theirs, theirs.prompt_length_to_skip + theirs.min_new_tokens, padding
    ),
    "SuppressTokensLogitsProcessor": _suppressed,
}
