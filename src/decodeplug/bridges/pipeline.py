"""A transformers text-generation pipeline that decodes here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from transformers import TextGenerationPipeline

from decodeplug.errors import BadOption, UnsupportedModel
from decodeplug.request import option_names

if TYPE_CHECKING:
    from decodeplug.host import Host

__all__ = ["HostPipeline", "parts_of"]

_GENERATES = (
    "do_sample",
    "early_stopping",
    "length_penalty",
    "max_new_tokens",
    "num_beams",
    "num_return_sequences",
    "stopping_criteria",
)
"""What generate() knows as well: it takes these, and the decoding reads them from what it has prepared."""
_OWN = sorted({*option_names(), "streamer"} - {*_GENERATES})


def parts_of(pipe: Any) -> tuple[Any, Any]:
    """The model and the tokenizer of a text-generation pipeline.

    :raises UnsupportedModel: The pipeline is for another task.
    """
    task = getattr(pipe, "task", type(pipe).__name__)
    if not isinstance(pipe, TextGenerationPipeline):
        raise UnsupportedModel(f"a {task!r} pipeline", because="only text-generation pipelines decode causal models")
    return pipe.model, pipe.tokenizer


class HostPipeline(TextGenerationPipeline):
    """``TextGenerationPipeline`` with its decoding done by a host.

    Inputs, outputs, batching and the model's generation config (sampling included) are the
    pipeline's own; only the decoding inside ``generate()`` is replaced.

    :param options: Options of every request, such as ``constraint=``; a call may give its own.
    :raises BadOption: The host has no tokenizer, or an option is wrong.
    """

    def __init__(self, host: Host, **options: Any) -> None:
        if host.tokenizer is None:
            raise BadOption("pipeline", wanted="a host with a tokenizer: Host(model, tokenizer)")
        generates = {name: options.pop(name) for name in _GENERATES if options.get(name) is not None}
        self._assistant: Host | None = None
        options = {**self._with_assistant(options), **options}
        host.custom_generate(**options)  # wrong options show here, not in the first call
        self.host = host
        self.host_options = options
        module: Any = host.target.module
        if getattr(module, "hf_device_map", None) is None:  # else accelerate has placed it, and it stays there
            generates["device"] = host.target.device
        super().__init__(model=module, tokenizer=host.tokenizer, task="text-generation", **generates)

    def _forward(self, model_inputs: Any, **generate_kwargs: Any) -> Any:
        own = self._with_assistant(generate_kwargs)
        own |= {name: generate_kwargs.pop(name) for name in _OWN if name in generate_kwargs}
        decode = self.host.custom_generate(**{**self.host_options, **own})
        return super()._forward(model_inputs, custom_generate=decode, **generate_kwargs)

    def _with_assistant(self, options: dict[str, Any]) -> dict[str, Any]:
        """The option ``assistant``, if these have what transformers calls ``assistant_model``, which is taken out of them."""
        assistant, tokenizer = (options.pop(f"assistant_{name}", None) for name in ("model", "tokenizer"))
        if isinstance(assistant, str) or (assistant is None and tokenizer is not None):
            raise BadOption("pipeline", assistant_model=assistant, wanted="a model that is loaded")
        if assistant is not None and options.get("assistant") is not None:
            raise BadOption("pipeline", assistant_model=type(assistant).__name__, wanted="it or assistant=, not both")
        if assistant is None:
            return {}
        if tokenizer is None:
            return {"assistant": assistant}
        from decodeplug.host import Host

        last = self._assistant  # one host for all calls, so that what it has measured and holds is kept
        if last is None or last.model is not assistant or last.tokenizer is not tokenizer:
            if last is not None:
                last.close()
            self._assistant = Host(assistant, tokenizer, plugins=[])
        return {"assistant": self._assistant}
