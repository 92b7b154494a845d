"""The output layer of the heads: the model's own, cut down to the tokens that are commonest.

Most of what a head costs is its output layer, and most rows of it belong to tokens that hardly ever
come up. A token that was cut away cannot be drafted; it costs a rejected draft and never a wrong text.

Source: frequency-ranked cut vocabularies for drafting, Zhao et al. 2025, arXiv:2502.14856, section 3.2.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from decodeplug.identity import layers_of

__all__ = ["IGNORED", "CutVocabulary", "OutputLayer", "commonest"]

IGNORED = -100
"""In place of the index of a token that was cut away; ``cross_entropy`` passes over it."""


def commonest(counts: Mapping[int, int], size: int, vocab_size: int) -> Tensor:
    """The ids of the ``size`` commonest tokens, ascending: ``[kept]`` int64.

    Of equally common ones the lower id comes first: tokenizers number their tokens by how common they were.
    """
    ranked = sorted(range(vocab_size), key=lambda token: (-counts.get(token, 0), token))
    return torch.tensor(sorted(ranked[:size]))


class CutVocabulary:
    """Some ids of a vocabulary, and the way there and back.

    :ivar ids: ``[kept]`` int64, ascending. :ivar size: Ids of the whole vocabulary.
    """

    def __init__(self, ids: Tensor, size: int) -> None:
        self.ids, self.size = ids, size
        self._places = torch.full((size,), IGNORED, dtype=torch.int64, device=ids.device)
        self._places[ids] = torch.arange(len(ids), device=ids.device)

    def __len__(self) -> int:
        return len(self.ids)

    def places(self, ids: Tensor) -> Tensor:
        """For each id its index among the kept ones, or ``IGNORED``; any shape."""
        return self._places[ids]

    def spread(self, table: Tensor, fill: float = 0.0) -> Tensor:
        """``[rows, kept]`` over the whole vocabulary, ``[rows, size]``; ``fill`` elsewhere."""
        return table.new_full((len(table), self.size), fill).index_copy_(1, self.ids, table)


class OutputLayer(nn.Module):
    """The rows of the model's output layer that belong to a cut vocabulary, in float32. Frozen.

    They are gathered from the model, so a file of heads holds the ids and not the rows.

    :param model: A transformers causal language model; not changed.
    """

    def __init__(self, model: Any, vocabulary: CutVocabulary) -> None:
        super().__init__()
        _, output = layers_of(model)
        ids = vocabulary.ids.to(output.weight.device)
        bias = getattr(output, "bias", None)
        self.vocabulary = vocabulary
        self._scores = nn.Linear(output.weight.shape[1], len(ids), bias=bias is not None, device="meta")
        self._scores.weight = nn.Parameter(output.weight.detach()[ids].float(), requires_grad=False)
        if bias is not None:
            self._scores.bias = nn.Parameter(bias.detach()[ids].float(), requires_grad=False)

    @property
    def rows(self) -> Tensor:
        """``[kept, hidden]``."""
        return self._scores.weight

    def forward(self, states: Tensor) -> Tensor:
        """Scores of the kept tokens: ``[..., hidden]`` to ``[..., kept]``."""
        return self._scores(states)
