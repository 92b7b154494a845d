"""The assistants of a host: one drafter for all requests that draft with the same model, so that it serves them at once."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from decodeplug.contracts import Drafter
from decodeplug.guide import Guide
from decodeplug.registry import Registry

if TYPE_CHECKING:
    from decodeplug.target import Target

__all__ = ["Assistants"]

_KEPT = 4  # assistants that are not prepared again when a request names them


class Assistants:
    """Drafters by the model that they draft with and their options.

    :param target: What is drafted for. :param tokenizer: Its tokenizer, or None.
    """

    def __init__(self, registry: Registry, target: Target, tokenizer: Any) -> None:
        self._registry, self._target, self._tokenizer = registry, target, tokenizer
        self._known: OrderedDict[tuple[int, str], tuple[Any, Drafter]] = OrderedDict()
        self._lock = threading.Lock()

    def close(self) -> None:
        """Let go of all of them."""
        with self._lock:
            self._known.clear()

    def drafter(self, part: Any, assistant: Any) -> Drafter:
        """The drafter that a name with options means.

        :param part: A name, a line or a mapping. :param assistant: A model, or a host around one.
        :raises UnsupportedModel: It is no causal language model.
        :raises VocabularyMismatch: Its ids are others, and nothing translates them.
        """
        key = (id(assistant), repr(part))
        with self._lock:
            if key not in self._known:
                guide = Guide(assistant, self._target, self._tokenizer)
                self._known[key] = (assistant, self._registry.build("drafter", part, model=guide))
                if len(self._known) > _KEPT:
                    self._known.popitem(last=False)
            self._known.move_to_end(key)
            return self._known[key][1]
