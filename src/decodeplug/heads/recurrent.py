"""One decoder layer that foresees token after token: multi-token prediction with a recurrent layer.

Source: DeepSeek-V3, arXiv:2412.19437, section 2.2 (two normalised vectors, one linear map, one layer);
EAGLE, arXiv:2401.15077, section 4.1 (the output in place of the next hidden state); EAGLE-3,
arXiv:2503.01840, section 3.2 (trained on its own outputs, as it is used).
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from decodeplug.heads.independent import ECHO
from decodeplug.heads.layer import DecoderLayer, Memory, Past

__all__ = ["RecurrentHead"]

_HEAD_WIDTH = 64
_START = 0.02  # size of what the embedding adds before anything was learned


class RecurrentHead(nn.Module):
    """From hidden states and the embeddings of the tokens after them to the hidden states after those.

    The hidden state at position ``p`` and the embedding of the token at ``p + 1`` give an output that stands
    for the hidden state at ``p + 1``: the output layer makes of it the token at ``p + 2``. With that token's
    embedding it goes on. Before anything was learned, the output is a faint echo of the hidden state at ``p``.

    :param hidden: Width of the model's hidden states. :param embedding: That of its embeddings.
    :param scale: Root mean square of the hidden states.
    """

    kind: ClassVar[str] = "recurrent"

    def __init__(self, hidden: int, embedding: int, scale: float = 1.0) -> None:
        super().__init__()
        heads = max(hidden // _HEAD_WIDTH, 1)
        while hidden % heads or hidden // heads % 2:  # rotary positions need even parts
            heads -= 1
            if not heads:
                raise ValueError(f"a hidden size of {hidden} has no even parts")
        inner = 64 * ((8 * hidden // 3 + 63) // 64)
        self.hidden_norm = nn.RMSNorm(hidden, eps=1e-6, elementwise_affine=False)
        self.embedding_norm = nn.RMSNorm(embedding, eps=1e-6, elementwise_affine=False)
        self.joined = nn.Linear(hidden + embedding, hidden, bias=False)
        self.layer = DecoderLayer(hidden, heads, inner)
        self.norm = nn.RMSNorm(hidden, eps=1e-6)
        with torch.no_grad():
            self.joined.weight[:, :hidden] = torch.eye(hidden)
            self.joined.weight[:, hidden:].normal_(std=_START)
            self.norm.weight.fill_(ECHO * scale)

    def forward(
        self, hidden: Tensor, embeddings: Tensor, positions: Tensor, memory: Memory | None = None
    ) -> tuple[Tensor, Memory]:
        """New positions of one text or more.

        :param hidden: ``[batch, new, hidden]``. :param embeddings: ``[batch, new, embedding]`` of the tokens after them.
        :param positions: ``[new]`` int64. :param memory: Of earlier positions; not modified.
        :returns: The hidden states after them, ``[batch, new, hidden]``, and the memory with the new positions.
        """
        states, held = self.layer(self._join(hidden, embeddings), positions, memory)
        return self.norm(states), held

    def foresee(self, hidden: Tensor, embeddings: Tensor, count: int, *, thin: bool = False) -> list[Tensor]:
        """All drafts of a whole text at once, along the text as it is: what training and measuring need.

        :param hidden: ``[batch, positions, hidden]``. :param embeddings: ``[batch, positions, embedding]`` of the
            tokens of the text themselves. :param count: Tokens that every draft foresees.
        :param thin: Foresee each further token in half as many texts, the first ones: every depth costs as much as
            the first, and matters less.
        :returns: For each of them ``[batch, positions, hidden]`` (or fewer rows): at ``p``, what foresees the token at ``p + 2``,
            ``p + 3`` ... Where the text ends before that, it means nothing.
        """
        following = embeddings.roll(-1, 1)
        given, past, outputs = hidden, None, []
        for depth in range(count):
            rows = max(len(hidden) >> depth, 1) if thin else len(hidden)
            past = None if past is None else past.of_rows(rows)
            states, past = self._deeper(given[:rows], following[:rows], past)
            outputs.append(states.roll(-depth, 1))
            given = states.roll(1, 1)
        return outputs

    def _deeper(self, hidden: Tensor, embeddings: Tensor, past: Past | None) -> tuple[Tensor, Past]:
        states, past = self.layer.deeper(self._join(hidden, embeddings), past)
        return self.norm(states), past

    def _join(self, hidden: Tensor, embeddings: Tensor) -> Tensor:
        # In the dtype of the weights, and all that is added to it, where only the products are bfloat16.
        joined = self.joined(torch.cat([self.hidden_norm(hidden), self.embedding_norm(embeddings)], -1))
        return joined.to(self.norm.weight.dtype)
