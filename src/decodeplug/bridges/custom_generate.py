"""Decoding inside ``model.generate()``: what ``host.custom_generate()`` returns."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from decodeplug.bridges.generation_config import beam_options
from decodeplug.bridges.transformers_processors import TransformersProcessors, from_logits_processors
from decodeplug.errors import BadOption, IncompatibleParts
from decodeplug.guessing import by_default
from decodeplug.request import Request
from decodeplug.result import Result
from decodeplug.spec import Spec
from decodeplug.values import Stage

if TYPE_CHECKING:
    from decodeplug.host import Host

__all__ = ["CustomGenerate"]

_OTHER_WAYS = (
    "assistant_early_exit",
    "assistant_ensemble_weight",
    "dola_layers",
    "penalty_alpha",
    "constraints",
    "force_words_ids",
)
"""Settings that have ``generate()`` decode in a way of its own, which would not be taken here."""
_OUTPUTS = ("output_scores", "output_logits", "output_attentions", "output_hidden_states")


class CustomGenerate:
    """A decoding function for ``model.generate(**inputs, custom_generate=...)``.

    ``generate()`` has done its own work before it is called: the generation config is merged,
    processors and stopping criteria are built, rows are repeated for several sequences. All of
    it is honoured. Noise is seeded from torch's generator, so ``torch.manual_seed`` repeats a text.

    :param options: Options of every request, as for ``host.generate``; they win over the
        generation config. ``streamer=`` is given here, since ``generate()`` loses it. With ``seed``,
        each row of a batch has the noise of ``seed`` plus its number.
    :raises BadOption: An option is wrong, or belongs to ``generate()``.
    :raises UnknownPart: There is no such strategy.
    """

    def __init__(self, host: Host, options: Mapping[str, Any]) -> None:
        self._host = host
        self._options = {name: value for name, value in options.items() if value is not None}
        self._streamer = self._options.pop("streamer", None)
        asked = Request([0], **self._options)  # wrong options show here, not in the middle of generate()
        if asked.num_return_sequences > 1:
            raise BadOption(
                "custom_generate",
                num_return_sequences=asked.num_return_sequences,
                wanted="it as an option of generate() or of the pipeline's call, which make a row for each sequence",
            )
        self._samples: bool | None = None  # what the strategy says, if the options name one that says it
        if asked.strategy is not None:
            strategy: Any = host.plugins.registry.build("strategy", asked.strategy)
            self._samples = getattr(strategy, "samples", None)

    def __call__(
        self,
        model: Any,
        input_ids: Tensor,
        logits_processor: Any = None,
        stopping_criteria: Any = None,
        generation_config: Any = None,
        **model_inputs: Any,  # generate() would pass a parameter that is named here twice
    ) -> Any:
        """Called by ``generate()``.

        :param input_ids: ``[rows, tokens]`` int64, padded anywhere that ``attention_mask`` in ``model_inputs`` says.
        :returns: ``[rows, tokens + new]`` int64 (of beams, ``num_return_sequences`` rows for each prompt), padded with the pad id on the right, or the usual
            output object when the generation config asks for it.
        """
        if model is not self._host.model and model is not self._host.target.module:
            raise BadOption("custom_generate", model=type(model).__name__, wanted="the model that the host was made of")
        config = generation_config
        _refuse(config)
        attention_mask: Tensor | None = model_inputs.get("attention_mask")
        mask = torch.ones_like(input_ids) if attention_mask is None else attention_mask
        beams, each = config.num_beams or 1, 1
        shared = self._shared(input_ids.shape[1], config, stopping_criteria)
        if beams > 1:  # generate() has made a row for each beam, and wants so many back
            input_ids, mask, each = input_ids[::beams], mask[::beams], config.num_return_sequences or 1
            shared |= {**beam_options(config), "num_return_sequences": each}
        requests = []
        for index, (row, real) in enumerate(zip(input_ids, mask.bool(), strict=True)):
            parts = from_logits_processors(logits_processor or [], row=index * beams, padding=row[~real].tolist())
            requests.append(self._request(row[real].tolist(), index, shared, parts))
        found = [row for result in self._run(requests) for row in _rows(result, each)]
        prompts = input_ids.repeat_interleave(each, 0)
        sequences: Any = _padded(prompts, [list(ids) for ids, _ in found], self._pad_id(config))
        if not config.return_dict_in_generate:
            return sequences
        from transformers.generation.utils import GenerateBeamDecoderOnlyOutput, GenerateDecoderOnlyOutput

        if beams == 1:
            return GenerateDecoderOnlyOutput(sequences=sequences)
        scores: Any = torch.tensor([score for _, score in found]).to(input_ids.device)
        return GenerateBeamDecoderOnlyOutput(sequences=sequences, sequences_scores=scores)

    def _run(self, requests: Sequence[Request]) -> list[Result]:
        if self._streamer is None:
            return self._host.generate_batch(requests)
        if len(requests) > 1:
            raise BadOption(
                "custom_generate", streamer=self._streamer, wanted="one prompt at a time, as in transformers"
            )
        return [self._host.generate(requests[0].prompt, streamer=self._streamer, **requests[0].options)]

    def _shared(self, width: int, config: Any, criteria: Any) -> dict[str, Any]:
        """What generate() says to every row alike, as options of a request.

        :param width: Tokens of a row with its padding.
        """
        ends = _end_ids(config)
        # Without any, a constrained text could not end where nothing may follow: it keeps the host's.
        options: dict[str, Any] = {"end_ids": ends} if ends or "constraint" not in self._options else {}
        if self._samples is None:
            options["do_sample"] = bool(config.do_sample)
        if config.max_length is not None:
            # generate() counts the padded prompt; what is left for new tokens is the same for every row.
            options["max_new_tokens"] = config.max_length - width
        if getattr(config, "cache_implementation", None) == "quantized" and config.use_cache is not False:
            said = {name: value for name, value in (config.cache_config or {}).items() if name != "config"}
            options["cache"] = {"name": "transformers-quantized", **said}
        if drafters := _drafters(config):
            default = by_default("constraint" in self._options, bool(self._options.get("reference")))
            named = {Spec.of(part).name for part in drafters}
            options["drafters"] = [name for name in default if name not in named] + drafters
        options["stop"] = _stop_strings(criteria)
        options["stopping_criteria"] = _others(criteria)
        if (seconds := getattr(config, "max_time", None)) is not None:
            options["timeout_s"] = seconds
        return options

    def _request(self, row: list[int], index: int, shared: Mapping[str, Any], processors: list[Any]) -> Request:
        if self._samples is False:
            processors = _without_sampling(processors)
        options = {"processors": processors, **shared, **self._options}
        if "seed" in options:
            options["seed"] += index  # else the sequences of one prompt would all be the same
        elif self._samples or options.get("do_sample"):
            options["seed"] = int(torch.randint(2**62, (1,)))
        return Request(row, **options)

    def _pad_id(self, config: Any) -> int:
        if config.pad_token_id is not None:
            return int(config.pad_token_id)
        return next(iter(_end_ids(config)), self._host.pad_id)  # generate(), too, pads with the first end id then


def _refuse(config: Any) -> None:
    """Refuse what would be ignored.

    :raises IncompatibleParts: There is such a setting.
    """
    for name in _OTHER_WAYS:
        if value := getattr(config, name, None):
            raise IncompatibleParts(
                "custom_generate",
                f"{name}={value!r}",
                because="generate() leaves the decoding to decodeplug, which would ignore it",
                instead=f"Leave {name} out; for drafts give drafters= to custom_generate",
            )
    for name in _OUTPUTS:
        if config.return_dict_in_generate and getattr(config, name, None):
            raise IncompatibleParts(
                "custom_generate",
                f"{name}=True",
                because="its output has the sequences and nothing else",
                instead=f"Leave {name} out; host.generate(..., logprobs=True) gives log-probabilities",
            )


def _drafters(config: Any) -> list[Any]:
    """The drafters that a generation config asks for."""
    longest = getattr(config, "prompt_lookup_num_tokens", None)
    lookup = [{"name": "lookup", "max_tokens": longest}] if longest else []
    return lookup + ["mtp"] * bool(getattr(config, "use_mtp", None))


def _without_sampling(processors: Iterable[Any]) -> list[Any]:
    """What still matters when the likeliest token is taken: neither temperature nor truncation.

    A watermark of transformers stands behind them but is neither, so it is kept.
    """
    parts = [
        replace(part, stage=Stage.HARD) if isinstance(part, TransformersProcessors) else part for part in processors
    ]
    return [part for part in parts if part.stage not in (Stage.TEMPERATURE, Stage.TRUNCATE)]


def _end_ids(config: Any) -> list[int]:
    """The ids that end a text for this call; generate() knows no others, and -1 is how its users say none."""
    ends = config.eos_token_id
    if ends is None:
        return []
    return [end for end in torch.as_tensor(ends).reshape(-1).tolist() if end >= 0]


def _rows(result: Result, count: int) -> list[tuple[Sequence[int], float]]:
    """New ids and score of so many hypotheses; nothing, at -inf, for those that a constraint left none for."""
    found = [(one.token_ids, one.score or 0.0) for one in (result, *result.alternatives)]
    return [*found, *[((), -math.inf)] * (count - len(found))][:count]


def _padded(input_ids: Tensor, new: Sequence[list[int]], pad: int) -> Tensor:
    longest = max(map(len, new))
    tail = torch.tensor([[*ids, *[pad] * (longest - len(ids))] for ids in new], dtype=input_ids.dtype)
    return torch.cat([input_ids, tail.to(input_ids.device)], -1)


def _stop_strings(criteria: Any) -> list[str]:
    return [stop for part in criteria or () for stop in getattr(part, "stop_strings", ())]


def _others(criteria: Any) -> list[Any]:
    """Stopping criteria of the caller's own: those of transformers are rules here."""
    known = ("MaxLengthCriteria", "EosTokenCriteria", "StopStringCriteria", "MaxTimeCriteria")
    return [part for part in criteria or () if type(part).__name__ not in known]
