"""A model that drafts for another: sessions over it, and its ids in the other's terms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from decodeplug.contracts import Session
from decodeplug.errors import BadOption, VocabularyMismatch
from decodeplug.target import Target

__all__ = ["Guide"]

_TAIL = 12  # ids before a draft that are tokenised again with it, so that tokens across the border are found


class Guide:
    """See :class:`decodeplug.drafters.assistant.Guide`.

    :param assistant: A model, or a ``Host`` around one.
    :param target: What it drafts for. :param tokenizer: That model's tokenizer.
    :raises UnsupportedModel: It is no causal language model.
    :raises VocabularyMismatch: Another vocabulary, and no tokenizer to translate with.
    """

    def __init__(self, assistant: Any, target: Target, tokenizer: Any) -> None:
        if isinstance(assistant, str):
            raise BadOption("request", assistant=assistant, wanted="a model, or a Host: Host.from_pretrained(...)")
        own = getattr(assistant, "target", None)
        self._model: Target = own if isinstance(own, Target) else Target(assistant)
        self._own_tokenizer: Any = assistant.tokenizer if isinstance(own, Target) else None
        self._tokenizer: Any = tokenizer
        self._width = target.vocab_size
        self.context_window = self._model.context_window
        self.same_ids = self._is_same()
        self._embedded: int = self._model.module.get_input_embeddings().weight.shape[0]
        sizes = [sum(weight.numel() for weight in model.module.parameters()) for model in (self._model, target)]
        self.relative_size = sizes[0] / max(1, sizes[1])

    def _is_same(self) -> bool:
        own, other = self._own_tokenizer, self._tokenizer
        if own is not None and other is not None:
            return own is other or own.get_vocab() == other.get_vocab()
        if self._model.vocab_size == self._width:
            return True
        raise VocabularyMismatch(
            self._model.vocab_size,
            self._width,
            because="its ids cannot be those of the model",
            who="the assistant",
            instead="Pass assistant=Host(assistant, its_tokenizer) to a host with a tokenizer: drafts travel as text then",
        )

    def session(self) -> Session:
        return self._model.session()

    def knows(self, ids: Sequence[int]) -> bool:
        return self._embedded >= self._width or max(ids, default=0) < self._embedded

    def fitted(self, logits: Tensor) -> Tensor:
        missing = self._width - logits.shape[-1]
        if missing <= 0:
            return logits[:, : self._width]
        return torch.nn.functional.pad(logits, (0, missing), value=-torch.inf)

    def translated(self, ids: Sequence[int]) -> list[int]:
        text = self._tokenizer.decode(list(ids), clean_up_tokenization_spaces=False)
        return self._own_tokenizer(text, add_special_tokens=False)["input_ids"] or [0]

    def back(self, ids: Sequence[int], drafted: Sequence[int]) -> list[int]:
        text = self._own_tokenizer.decode(list(drafted), clean_up_tokenization_spaces=False)
        tail = list(ids[-_TAIL:])
        before = self._tokenizer.decode(tail, clean_up_tokenization_spaces=False)
        whole = self._tokenizer(before + text, add_special_tokens=False)["input_ids"]
        if whole[: len(tail)] == tail:
            return whole[len(tail) :]
        return self._tokenizer(text, add_special_tokens=False)["input_ids"]
