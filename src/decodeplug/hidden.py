"""The last hidden states of a model, for drafters that read them."""

from __future__ import annotations

from typing import Any

from torch import Tensor

__all__ = ["HiddenTap"]


class HiddenTap:
    """Sees what a model's output layer reads, in the forwards that are made while it is open (``with tap:``).

    :param module: The model. Nothing is left on it when the tap is closed.
    """

    def __init__(self, module: Any) -> None:
        self._decoder = module.get_decoder()
        self._handle: Any = None
        self._seen: Tensor | None = None

    def __enter__(self) -> HiddenTap:
        self._handle = self._decoder.register_forward_hook(self._note)
        return self

    def __exit__(self, *_: object) -> None:
        self._handle.remove()

    def take(self) -> Tensor | None:
        """``[lanes, width, hidden]`` of the last forward; None if the tap was closed."""
        seen, self._seen = self._seen, None
        return seen

    def _note(self, module: Any, inputs: Any, output: Any) -> None:
        self._seen = output[0]
