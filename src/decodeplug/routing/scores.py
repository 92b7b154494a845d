"""Which function a router turns its logits into scores with: seen as it does so, once for each router."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

__all__ = ["Scoring", "probabilities", "scoring_of"]

_LEARNED: weakref.WeakKeyDictionary[nn.Module, str] = weakref.WeakKeyDictionary()
_NAMES = {"softmax": "softmax", "sigmoid": "sigmoid", "logsigmoid": "sigmoid", "log_sigmoid": "sigmoid", "softplus": "sqrtsoftplus"}  # fmt: skip


class Scoring(TorchFunctionMode):
    """Sees the first function from logits to scores that is called while it is open.

    :ivar name: "softmax", "sigmoid" or "sqrtsoftplus" (the root of softplus); None: none was called.
    :ivar output: What it gave.
    """

    def __init__(self) -> None:
        super().__init__()
        self.name: str | None = None
        self.output: Tensor | None = None

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        output = func(*args, **(kwargs or {}))
        name = _NAMES.get(getattr(func, "__name__", ""))
        if name is not None and self.name is None:
            self.name, self.output = name, output
        return output

    def learn(self, router: nn.Module, scores: Tensor) -> None:
        """Take down how a router that was run while this was open makes scores.

        :param scores: What it put out first: its logits, or scores already.
        """
        given = self.output is not None and self.output.data_ptr() == scores.data_ptr()
        _LEARNED[router] = "none" if given else self.name or "softmax"
        self.output = None


def scoring_of(router: nn.Module) -> str | None:
    """What was learned of a router; "none" if it puts out scores and no logits, None if nothing was learned yet."""
    return _LEARNED.get(router)


def probabilities(scores: Tensor, scoring: str) -> Tensor:
    """What a router puts out, as probabilities over experts.

    Scores that do not sum to 1, as those of sigmoids, are divided by their sum (DeepSeek-V3, arXiv:2412.19437,
    equation 19).

    :param scores: ``[..., experts]``; not modified.
    :param scoring: As of :func:`scoring_of`.
    :returns: The same shape, in float32 or wider.
    """
    wide = scores.to(torch.promote_types(scores.dtype, torch.float32))
    if scoring == "softmax":
        return wide.softmax(-1)
    values = _FUNCTIONS[scoring](wide)
    return values / values.sum(-1, keepdim=True)


_FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "sigmoid": torch.sigmoid,
    "sqrtsoftplus": lambda logits: nn.functional.softplus(logits).sqrt(),
    "none": lambda scores: scores,
}
