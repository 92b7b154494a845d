"""The processors that ``generate()`` would build from a generation config."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from decodeplug.bridges.native_processors import sequence_biases
from decodeplug.bridges.wrapped_processors import TransformersProcessors
from decodeplug.contracts import Processor
from decodeplug.errors import BadOption, IncompatibleParts
from decodeplug.processors import (
    BadWords,
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
from decodeplug.values import Stage

__all__ = ["beam_options", "from_generation_config"]

PART = "generation config"


def from_generation_config(
    config: Any,
    end_ids: Iterable[int],
    prompt_length: int | None = None,
    *,
    vocab_size: int | None = None,
    device: Any = "cpu",
) -> list[Processor]:
    """Processors for all that a ``GenerationConfig`` says, in the order in which ``generate()`` has them.

    Temperature and truncation are left out unless ``config.do_sample``.

    :param config: A ``GenerationConfig``, or anything with its attributes; what it lacks counts as not set.
    :param end_ids: Ids that end a text; where there is none, minimum lengths mean nothing.
    :param prompt_length: Tokens of the prompt; needed for the few settings that count from it.
    :param vocab_size: Width of the logits; needed for a watermark. :param device: Likewise.
    :raises BadOption: A setting is wrong, or needs what was not given.
    :raises IncompatibleParts: A setting stands for a processor that keeps state.
    """
    ends = sorted(end_ids)
    parts = _penalties(config)
    parts += _bans(config, ends)
    parts += _by_position(config, ends, prompt_length)
    if _set(config, "do_sample"):
        parts += _sampling(config, len(ends) + 1 if (_set(config, "num_beams") or 1) > 1 else 1)
    return parts + _last(config, vocab_size, device)


def beam_options(config: Any) -> dict[str, Any]:
    """What a ``GenerationConfig`` says of beams, as options of a request; nothing where it has no beam search."""
    if (_set(config, "num_beams") or 1) == 1:
        return {}
    said = {name: _set(config, name) for name in ("num_beams", "length_penalty", "early_stopping")}
    return {name: value for name, value in said.items() if value is not None}


def _set(config: Any, name: str) -> Any:
    return getattr(config, name, None)


def _penalties(config: Any) -> list[Processor]:
    if (_set(config, "guidance_scale") or 1) != 1:
        raise IncompatibleParts(
            f"guidance_scale={config.guidance_scale}",
            "decodeplug's loop",
            because="transformers runs the model a second time for it, with a cache of its own",
            instead="Leave guidance_scale out",
        )
    parts: list[Processor] = []
    if (biases := _set(config, "sequence_bias")) is not None:
        pairs = biases.items() if isinstance(biases, dict) else biases
        parts += sequence_biases({tuple(ids): bias for ids, bias in pairs})
    if (_set(config, "encoder_repetition_penalty") or 1) != 1:
        parts.append(RepetitionPenalty(1 / config.encoder_repetition_penalty, over="prompt"))
    if (penalty := _set(config, "repetition_penalty")) not in (None, 1):
        parts.append(RepetitionPenalty(penalty))
    return parts


def _bans(config: Any, ends: list[int]) -> list[Processor]:
    parts: list[Processor] = []
    if size := _set(config, "no_repeat_ngram_size"):
        parts.append(NoRepeatNgram(size))
    if size := _set(config, "encoder_no_repeat_ngram_size"):
        parts.append(NoRepeatNgram(size, over="prompt"))
    if (words := _set(config, "bad_words_ids")) is not None:
        # As in transformers, an end id alone is not a word.
        words = [word for word in words if word not in [[end] for end in ends]]
        parts += [BadWords(words)] if words else []
    if ends and (length := _set(config, "min_length")):
        parts.append(MinTokens(length, ends, counts_prompt=True))
    if ends and (length := _set(config, "min_new_tokens")):
        parts.append(MinTokens(length, ends))
    if tokens := _set(config, "suppress_tokens"):
        parts.append(BadWords(list(tokens)))
    return parts


def _by_position(config: Any, ends: list[int], prompt_length: int | None) -> list[Processor]:
    from transformers import (
        ExponentialDecayLengthPenalty,
        ForcedBOSTokenLogitsProcessor,
        ForcedEOSTokenLogitsProcessor,
        InfNanRemoveLogitsProcessor,
        SuppressTokensAtBeginLogitsProcessor,
    )

    theirs: list[Any] = []
    if (token := _set(config, "forced_bos_token_id")) is not None:
        theirs.append(ForcedBOSTokenLogitsProcessor(token))
    if (token := _set(config, "forced_eos_token_id")) is not None:
        theirs.append(ForcedEOSTokenLogitsProcessor(_max_length(config, prompt_length), token))
    if _set(config, "remove_invalid_values"):
        theirs.append(InfNanRemoveLogitsProcessor())
    if ends and (decay := _set(config, "exponential_decay_length_penalty")) is not None:
        length = _needed(prompt_length, "exponential_decay_length_penalty", decay)
        theirs.append(ExponentialDecayLengthPenalty(decay, ends, length))
    if tokens := _set(config, "begin_suppress_tokens"):
        length = _needed(prompt_length, "begin_suppress_tokens", tokens)
        first = length if length > 1 or _set(config, "forced_bos_token_id") is None else length + 1
        theirs.append(SuppressTokensAtBeginLogitsProcessor(tokens, first))
    return [_wrapped(theirs)] if theirs else []


def _max_length(config: Any, prompt_length: int | None) -> int:
    if (new := _set(config, "max_new_tokens")) is not None:
        return _needed(prompt_length, "forced_eos_token_id", config.forced_eos_token_id) + new
    if (length := _set(config, "max_length")) is None:
        raise BadOption(
            PART, forced_eos_token_id=config.forced_eos_token_id, wanted="max_length or max_new_tokens with it"
        )
    return length


def _needed(prompt_length: int | None, setting: str, value: Any) -> int:
    if prompt_length is None:
        raise BadOption(PART, wanted="the length of the prompt with it, which it counts from", **{setting: value})
    return prompt_length


def _sampling(config: Any, least: int) -> list[Processor]:
    parts: list[Processor] = []
    if (temperature := _set(config, "temperature")) not in (None, 1):
        parts.append(Temperature(temperature))
    if (top_h := _set(config, "top_h")) is not None:
        parts.append(TopH(top_h))
    if top_k := _set(config, "top_k"):
        parts.append(TopK(top_k, least))
    if (top_p := _set(config, "top_p")) is not None and top_p < 1:
        parts.append(TopP(top_p, least))
    if (min_p := _set(config, "min_p")) is not None:
        parts.append(MinP(min_p, least))
    if (typical := _set(config, "typical_p")) is not None and typical < 1:
        parts.append(Typical(typical, least))
    if 0 < (_set(config, "epsilon_cutoff") or 0) < 1:
        parts.append(Epsilon(config.epsilon_cutoff, least))
    if 0 < (_set(config, "eta_cutoff") or 0) < 1:
        parts.append(Eta(config.eta_cutoff, least))
    return parts


def _last(config: Any, vocab_size: int | None, device: Any) -> list[Processor]:
    from transformers import LogitNormalization

    theirs: list[Any] = []
    if (watermark := _set(config, "watermarking_config")) is not None:
        if vocab_size is None:
            raise BadOption(PART, watermarking_config=watermark, wanted="vocab_size with it, the width of the logits")
        theirs.append(watermark.construct_processor(vocab_size, device))
    if _set(config, "renormalize_logits"):
        theirs.append(LogitNormalization())
    return [_wrapped(theirs, Stage.TRUNCATE)] if theirs else []


def _wrapped(theirs: list[Any], stage: Stage = Stage.HARD) -> Any:
    # Any: its stage is an option, where the contract has a constant of the class.
    return TransformersProcessors(theirs, stage)
