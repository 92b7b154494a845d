"""How the keys and values of a layer are made of its input, where that is by one matrix and nothing else."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

__all__ = ["Calls", "Columns", "Projection", "is_view_of"]

Calls = dict[nn.Module, tuple[Tensor, Tensor]]
"""Linear layer -> what it was given last, and what it made of that."""


def is_view_of(rows: Tensor, out: Tensor) -> bool:
    """Do two tensors lie in the same memory?"""
    return rows.untyped_storage().data_ptr() == out.untyped_storage().data_ptr()


@dataclass(frozen=True, eq=False)
class Columns:
    """Numbers that a plain linear layer puts out: the keys, or the values, of all heads.

    :param part: An ``nn.Linear``, or transformers' ``Conv1D``. Its weights are read when they are asked for.
    :param first: Where the first number of the first head is in its output. :param stride: How far it is to the next head.
    """

    part: nn.Linear | Conv1D
    first: int
    stride: int
    heads: int
    dim: int

    @property
    def weight(self) -> Tensor:
        """``[heads, dim, input]``, without a copy."""
        weight = self.part.weight
        rows = weight if isinstance(self.part, nn.Linear) else weight.T
        down, across = rows.stride()
        return rows.as_strided(
            (self.heads, self.dim, rows.shape[1]),
            (self.stride * down, down, across),
            rows.storage_offset() + self.first * down,
        )

    @property
    def bias(self) -> Tensor | None:
        """``[heads, dim]``, without a copy."""
        bias = self.part.bias
        if bias is None:
            return None
        (step,) = bias.stride()
        return bias.as_strided(
            (self.heads, self.dim), (self.stride * step, step), bias.storage_offset() + self.first * step
        )

    def of(self, inputs: Tensor) -> Tensor:
        """What the layer makes of its inputs ``[lanes, rows, input]``: ``[lanes, heads, rows, dim]``."""
        weight, bias = self.weight.flatten(0, 1), self.bias
        made = torch.nn.functional.linear(inputs, weight, None if bias is None else bias.flatten())
        return made.unflatten(-1, (self.heads, self.dim)).transpose(1, 2)


@dataclass(frozen=True, eq=False)
class Projection:
    """Keys and values of one layer, both of the same input.

    :param views: Whether the keys, and the values, are the linear layer's output itself, seen as heads, and no copy of it.
    """

    keys: Columns
    values: Columns
    views: tuple[bool, bool]

    def made(self, calls: Calls, keys: Tensor, values: Tensor) -> Tensor | None:
        """The input that these keys and values ``[lanes, heads, width, dim]`` were made of, and nothing done to them since.

        :param calls: Of the linear layers that were called and have no hook. None is returned where an adapter has come between:
            what it does to keys is not in the linear layer's output. It cannot be told of keys that were copied even without one.
        """
        given, _ = calls.get(self.keys.part, (None, None))
        for part, rows, is_view in zip((self.keys.part, self.values.part), (keys, values), self.views, strict=True):
            some, out = calls.get(part, (None, None))
            if some is not given or out is None or (is_view and not is_view_of(rows, out)):
                return None
        return given

    @property
    def width(self) -> int:
        """Numbers of one input."""
        return self.keys.weight.shape[2]

    @property
    def saves(self) -> bool:
        """Has an input fewer numbers than its keys and values?"""
        return self.width < sum([some.heads * some.dim for some in (self.keys, self.values)])
