"""A transformers text-generation pipeline that decodes here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from transformers import TextGenerationPipeline

from decodeplug.errors import UnsupportedModel
from decodeplug.request import option_names

if TYPE_CHECKING:
    from decodeplug.host import Host

__all__ = ["HostPipeline", "parts_of"]

# What generate() does not know; it reads the others from the generation config itself.
_OWN = sorted({*option_names()} - {"do_sample", "max_new_tokens", "num_return_sequences", "stopping_criteria"})


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
    """

    def __init__(self, host: Host, **options: Any) -> None:
        self.host = host
        self.host_options = options
        super().__init__(
            model=host.target.module, tokenizer=host.tokenizer, task="text-generation", device=host.target.device
        )

    def _forward(self, model_inputs: Any, **generate_kwargs: Any) -> Any:
        own = {name: generate_kwargs.pop(name) for name in _OWN if name in generate_kwargs}
        decode = self.host.custom_generate(**{**self.host_options, **own})
        return super()._forward(model_inputs, custom_generate=decode, **generate_kwargs)
