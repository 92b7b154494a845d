"""Decoding inside ``model.generate()``: what ``host.custom_generate()`` returns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from decodeplug.bridges.transformers_processors import from_logits_processors
from torch import Tensor

from decodeplug.errors import BadOption, IncompatibleParts
from decodeplug.request import Request
from decodeplug.result import Result

if TYPE_CHECKING:
    from decodeplug.host import Host

__all__ = ["CustomGenerate"]


class CustomGenerate:
    """A decoding function for ``model.generate(**inputs, custom_generate=...)``.

    ``generate()`` has done its own work before it is called: the generation config is merged,
    processors and stopping criteria are built, rows are repeated for several sequences. All of
    it is honoured. Noise is seeded from torch's generator, so ``torch.manual_seed`` repeats a text.

    :param options: Options of every request, as for ``host.generate``; they win over the
        generation config. ``streamer=`` is given here, since ``generate()`` loses it.
    """

    def __init__(self, host: Host, options: Mapping[str, Any]) -> None:
        self._host = host
        self._options = dict(options)
        self._streamer = self._options.pop("streamer", None)
        Request([0], **self._options)  # wrong options show here, not in the middle of generate()

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
        :returns: ``[rows, tokens + new]`` int64 padded with the pad id on the right, or the usual
            output object when the generation config asks for it.
        """
        if model is not self._host.model and model is not self._host.target.module:
            raise BadOption("custom_generate", model=type(model).__name__, wanted="the model that the host was made of")
        config = generation_config
        if (config.num_beams or 1) > 1 and "strategy" not in self._options:
            raise IncompatibleParts(
                "custom_generate",
                f"num_beams={config.num_beams}",
                because="the strategy of its requests is not beam search",
                instead="Leave num_beams out",
            )
        attention_mask: Tensor | None = model_inputs.get("attention_mask")
        mask = torch.ones_like(input_ids) if attention_mask is None else attention_mask
        requests = []
        for index, (row, real) in enumerate(zip(input_ids, mask.bool(), strict=True)):
            parts = from_logits_processors(logits_processor or [], row=index, padding=row[~real].tolist())
            requests.append(self._request(row[real].tolist(), input_ids.shape[1], config, parts, stopping_criteria))
        results = self._run(requests)
        sequences = _padded(input_ids, [result.token_ids for result in results], self._host.pad_id)
        if not config.return_dict_in_generate:
            return sequences
        from transformers.generation.utils import GenerateDecoderOnlyOutput

        return GenerateDecoderOnlyOutput(sequences=sequences)

    def _run(self, requests: Sequence[Request]) -> list[Result]:
        if self._streamer is None:
            return self._host.generate_batch(requests)
        if len(requests) > 1:
            raise BadOption(
                "custom_generate", streamer=self._streamer, wanted="one prompt at a time, as in transformers"
            )
        return [self._host.generate(requests[0].prompt, streamer=self._streamer, **requests[0].options)]

    def _request(self, row: list[int], width: int, config: Any, processors: list[Any], criteria: Any) -> Request:
        options: dict[str, Any] = {"do_sample": bool(config.do_sample), "processors": processors}
        if config.do_sample:
            options["seed"] = int(torch.randint(2**62, (1,)))
        if config.max_length is not None:
            # generate() counts the padded prompt; what is left for new tokens is the same for every row.
            options["max_new_tokens"] = config.max_length - width
        options["stop"] = _stop_strings(criteria)
        options["stopping_criteria"] = _others(criteria)
        if (seconds := getattr(config, "max_time", None)) is not None:
            options["timeout_s"] = seconds
        return Request(row, **{**options, **self._options})


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
