"""Which logits processors of other libraries keep state between calls, and what to use instead.

Judged by reading ``generation/logits_process.py`` of transformers 5.24: a class
is *pure* if what it returns depends on the ids and scores of each row alone.
Some of these write to themselves in a call, but only what they would write again.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from torch import Tensor

from decodeplug.errors import IncompatibleParts

__all__ = ["is_known_pure", "refuse_stateful"]

OTHER = "a loop that drafts, forks and batches rows of different lengths"

_PURE = frozenset({
    "AlternatingCodebooksLogitsProcessor",
    "BarkEosPrioritizerLogitsProcessor",
    "EpsilonLogitsWarper",
    "EtaLogitsWarper",
    "ExponentialDecayLengthPenalty",
    "ForcedBOSTokenLogitsProcessor",
    "ForcedEOSTokenLogitsProcessor",
    "InfNanRemoveLogitsProcessor",
    "LogitNormalization",
    "MinLengthLogitsProcessor",
    "MinNewTokensLengthLogitsProcessor",
    "MinPLogitsWarper",
    "NoBadWordsLogitsProcessor",  # prepares its table in the first call
    "NoRepeatNGramLogitsProcessor",
    "RepetitionPenaltyLogitsProcessor",
    "SequenceBiasLogitsProcessor",  # prepares its table in the first call
    "SuppressTokensAtBeginLogitsProcessor",
    "SuppressTokensLogitsProcessor",
    "TemperatureLogitsWarper",
    "TopHLogitsWarper",
    "TopKLogitsWarper",
    "TopPLogitsWarper",
    "TypicalLogitsWarper",
    "WatermarkLogitsProcessor",  # seeds its generator anew from the ids of each row
})  # fmt: skip

_TWICE_THE_ROWS = "it wants scores of two rows for each row of ids"
_BY_ROW = "it asks for the number of a row in a batch whose rows stay the same"
_REFUSED = {
    "ClassifierFreeGuidanceLogitsProcessor": (_TWICE_THE_ROWS, "Leave it out: no text model needs it"),
    "DiaClassifierFreeGuidanceLogitsProcessor": (_TWICE_THE_ROWS, "Leave it out: it is Dia's own"),
    "DiaEOSChannelFilterLogitsProcessor": ("its rows are the channels of one sound", "Leave it out: it is Dia's own"),
    "DiaEOSDelayPatternLogitsProcessor": ("it counts down its delays on itself", "Leave it out: it is Dia's own"),
    "EncoderNoRepeatNGramLogitsProcessor": (_BY_ROW, "Use the processor 'no-repeat-ngram' with over='prompt'"),
    "EncoderRepetitionPenaltyLogitsProcessor": (
        _BY_ROW,
        "Use the processor 'repetition-penalty' with over='prompt' and the inverse penalty",
    ),
    "PrefixConstrainedLogitsProcessor": (_BY_ROW, "Use a constraint: choice(..), regex(..), lark(..) or your own"),
    "SynthIDTextWatermarkLogitsProcessor": (
        "it keeps the last tokens of every row between calls",
        "Use WatermarkLogitsProcessor, which looks at the prefix alone",
    ),
    "UnbatchedClassifierFreeGuidanceLogitsProcessor": (
        "it runs a model with a cache of its own, one token a call",
        "Leave guidance_scale out",
    ),
    "WhisperNoSpeechDetection": ("it stores what it finds on itself", "Leave it out: it is Whisper's own"),
    "WhisperTimeStampLogitsProcessor": (
        "Whisper's generate() moves its begin_index between calls",
        "Leave it out: it is Whisper's own",
    ),
}
_CONSTRAINT = "Use a constraint of decodeplug: json_schema(..), regex(..), choice(..) or lark(..)"
_MATCHER = "its matcher takes the last token of the ids as accepted, and cannot go back"
_LIBRARIES = ("xgrammar", "outlines", "outlines_core", "lmformatenforcer", "llguidance", "guidance", "transformers_cfg")


def is_known_pure(processor: object) -> bool:
    """Is it one of transformers' own classes that are pure? Subclasses may be anything."""
    return type(processor).__module__.startswith("transformers.") and type(processor).__name__ in _PURE


def refuse_stateful(processor: Callable[..., Any]) -> None:
    """Refuse a processor that is known to keep state, or that cannot be called with ids and scores.

    :raises IncompatibleParts: With the reason and what to use instead. Subclasses are refused with their bases.
    """
    for kind in inspect.getmro(type(processor)):
        library = kind.__module__.partition(".")[0]
        if library in _LIBRARIES:
            raise IncompatibleParts(f"{library}'s {kind.__name__}", OTHER, because=_MATCHER, instead=_CONSTRAINT)
        if library == "transformers" and kind.__name__ in _REFUSED:
            because, instead = _REFUSED[kind.__name__]
            raise IncompatibleParts(f"transformers' {kind.__name__}", OTHER, because=because, instead=instead)
    if isinstance(getattr(processor, "prompt_ignore_length", None), Tensor):
        raise IncompatibleParts(
            f"{type(processor).__name__} with a tensor as prompt_ignore_length",
            OTHER,
            because=_BY_ROW,
            instead="Use the processor 'repetition-penalty', with over='generated' to leave the prompt out",
        )
    if missing := _unknown_arguments(processor):
        raise IncompatibleParts(
            f"processor {getattr(processor, '__name__', type(processor).__name__)}",
            OTHER,
            because=f"besides ids and scores it wants {', '.join(missing)}",
            instead="Bind these, for instance with functools.partial",
        )


def _unknown_arguments(processor: Callable[..., Any]) -> list[str]:
    try:
        parameters = list(inspect.signature(processor).parameters.values())[2:]
    except (TypeError, ValueError):  # compiled code need not say what it takes
        return []
    optional = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return [one.name for one in parameters if one.default is one.empty and one.kind not in optional]
