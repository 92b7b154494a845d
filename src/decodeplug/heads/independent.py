"""Heads beside each other: each foresees one token from the last hidden state alone.

Source: Medusa-1, arXiv:2401.10774, section 2.1. There a head has an output layer of its own, which can unlearn that the
hidden state speaks of the next token. Here the output layer is the model's and frozen, so the block can: what it keeps
of the hidden state is learned, and what it adds has a linear map of its own.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

__all__ = ["ECHO", "IndependentHeads"]

ECHO = 0.3
"""How much of the hidden state is in what heads say before they have learned anything. All of it would be what the model
said of the token before, with all its confidence, which had to be unlearned first; none of it would be noise."""


class _Block(nn.Module):
    """``gain * h + A SiLU(W h)``. Before anything was learned, a faint echo of the hidden state."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.full((hidden,), ECHO))
        self.inner, self.outer = nn.Linear(hidden, hidden), nn.Linear(hidden, hidden, bias=False)
        nn.init.zeros_(self.outer.weight)

    def forward(self, hidden: Tensor) -> Tensor:
        return self.gain * hidden + self.outer(nn.functional.silu(self.inner(hidden)))


class IndependentHeads(nn.Module):
    """For each head a residual block on the hidden state.

    :param hidden: Width of the model's hidden states. :param heads: How many tokens are foreseen.
    """

    kind: ClassVar[str] = "independent"

    def __init__(self, hidden: int, heads: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(_Block(hidden) for _ in range(heads))

    def forward(self, hidden: Tensor) -> Tensor:
        """``[..., hidden]`` to ``[..., heads, hidden]``; head 0 foresees the token at ``p + 2``, the next the one after."""
        return torch.stack([block(hidden) for block in self.blocks], -2)
