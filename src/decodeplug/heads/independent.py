"""Heads beside each other: each foresees one token from the last hidden state alone.

Source: Medusa-1, arXiv:2401.10774, section 2.1.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

__all__ = ["IndependentHeads"]


class IndependentHeads(nn.Module):
    """For each head a residual block, ``h + SiLU(W h)``, on the hidden state. Starts as the identity.

    :param hidden: Width of the model's hidden states. :param heads: How many tokens are foreseen.
    """

    kind: ClassVar[str] = "independent"

    def __init__(self, hidden: int, heads: int) -> None:
        super().__init__()
        blocks = [nn.Linear(hidden, hidden) for _ in range(heads)]
        for block in blocks:
            nn.init.zeros_(block.weight)
            nn.init.zeros_(block.bias)
        self.blocks = nn.ModuleList(blocks)

    def forward(self, hidden: Tensor) -> Tensor:
        """``[..., hidden]`` to ``[..., heads, hidden]``; head 0 foresees the token at ``p + 2``, the next the one after."""
        return torch.stack([hidden + nn.functional.silu(block(hidden)) for block in self.blocks], -2)
