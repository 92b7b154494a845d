"""A small decoder layer of our own, so that heads fit any model family: pre-norm, RoPE, SwiGLU.

It runs in two ways that give the same numbers: over a whole text at once while it is trained, and
over a few new positions behind a memory of keys and values while it drafts.
"""

from __future__ import annotations

import math
from functools import cache
from typing import NamedTuple

import torch
from torch import Tensor, nn

__all__ = ["DecoderLayer", "Memory", "Past"]

_BASE = 10000.0


class Memory(NamedTuple):
    """Keys and values of positions that were computed: ``[batch, heads, positions, width]``."""

    keys: Tensor
    values: Tensor

    def between(self, begin: int, end: int) -> Memory:
        """Those of the positions ``begin .. end - 1`` among those held."""
        return Memory(self.keys[:, :, begin:end], self.values[:, :, begin:end])

    def of_rows(self, count: int) -> Memory:
        """Those of the first ``count`` texts."""
        return Memory(self.keys[:count], self.values[:count])

    def then(self, other: Memory) -> Memory:
        """These and, behind them, others."""
        return Memory(torch.cat([self.keys, other.keys], 2), torch.cat([self.values, other.values], 2))


class Past(NamedTuple):
    """What queries of a later depth see of the earlier ones, while a whole text is trained on.

    A draft of depth ``d`` that has reached position ``p`` began ``d - 1`` positions before. It sees
    the memory of depth 1 up to where it began, and of each later depth one position: its own steps.

    :ivar first: Depth 1. :ivar steps: Depths 2, 3 ... in order.
    """

    first: Memory
    steps: tuple[Memory, ...] = ()

    def of_rows(self, count: int) -> Past:
        """That of the first ``count`` texts."""
        return Past(self.first.of_rows(count), tuple(step.of_rows(count) for step in self.steps))


class DecoderLayer(nn.Module):
    """Attention and a gated feed-forward block, each added to what came in. Starts as the identity.

    :param width: Of what comes in and goes out; divided into ``heads`` parts of even width.
    :param inner: Width of the feed-forward block.
    """

    def __init__(self, width: int, heads: int, inner: int) -> None:
        super().__init__()
        self.heads = heads
        self.attention_norm, self.feed_norm = nn.RMSNorm(width, eps=1e-6), nn.RMSNorm(width, eps=1e-6)
        self.query_key_value = nn.Linear(width, 3 * width, bias=False)
        self.attended = nn.Linear(width, width, bias=False)
        self.gate_up, self.down = nn.Linear(width, 2 * inner, bias=False), nn.Linear(inner, width, bias=False)
        nn.init.zeros_(self.attended.weight)
        nn.init.zeros_(self.down.weight)

    def forward(self, states: Tensor, positions: Tensor, memory: Memory | None = None) -> tuple[Tensor, Memory]:
        """A few new positions, each of which sees the memory and the new ones up to itself.

        :param states: ``[batch, new, width]``. :param positions: ``[new]`` int64, in the text.
        :param memory: Of earlier positions; not modified.
        :returns: ``[batch, new, width]``, and the memory with the new positions behind it.
        """
        query, new = self._project(states, positions)
        held = new if memory is None else memory.then(new)
        count, length = states.shape[1], held.keys.shape[2]
        sees = None  # all of it
        if count > 1:
            sees = torch.ones(count, length, dtype=torch.bool, device=states.device).tril(length - count)
        mixed = nn.functional.scaled_dot_product_attention(query, held.keys, held.values, attn_mask=sees)
        return self._finish(states, mixed), held

    def deeper(self, states: Tensor, past: Past | None) -> tuple[Tensor, Past]:
        """A whole text at the next depth: see :class:`Past`.

        :param states: ``[batch, positions, width]``, beginning with the first position of the text.
        :param past: What the depths before left; None at depth 1.
        :returns: ``[batch, positions, width]``, and the past of the next depth.
        """
        positions = torch.arange(states.shape[1], device=states.device)
        query, new = self._project(states, positions)
        if past is None:
            mixed = nn.functional.scaled_dot_product_attention(query, new.keys, new.values, is_causal=True)
            return self._finish(states, mixed), Past(new)
        steps = (*past.steps, new)
        # For each step, what lies at the position of the draft's own step: so many positions before the query.
        shifts = range(len(steps) - 1, -1, -1)
        keys = [step.keys.roll(shift, 2) for step, shift in zip(steps, shifts, strict=True)]
        values = [step.values.roll(shift, 2) for step, shift in zip(steps, shifts, strict=True)]
        sees = (positions[:, None] - positions[None, :]) >= len(steps)
        scale = 1 / math.sqrt(query.shape[-1])
        before = (query @ past.first.keys.transpose(-1, -2) * scale).masked_fill(~sees, -math.inf)
        own = torch.stack([(query * key).sum(-1) * scale for key in keys], -1)
        shares = torch.cat([before, own], -1).softmax(-1)
        mixed = shares[..., : len(positions)] @ past.first.values
        for index, value in enumerate(values):
            mixed = mixed + shares[..., len(positions) + index, None] * value
        return self._finish(states, mixed), Past(past.first, steps)

    def _project(self, states: Tensor, positions: Tensor) -> tuple[Tensor, Memory]:
        batch, count, width = states.shape
        parts = self.query_key_value(self.attention_norm(states)).view(batch, count, 3, self.heads, width // self.heads)
        parts = parts.permute(2, 0, 3, 1, 4)
        query, key = _rotated(parts[:2], positions)
        return query, Memory(key, parts[2])

    def _finish(self, states: Tensor, mixed: Tensor) -> Tensor:
        states = states + self.attended(mixed.transpose(1, 2).flatten(2))
        gate, up = self.gate_up(self.feed_norm(states)).chunk(2, -1)
        return states + self.down(nn.functional.silu(gate) * up)


def _rotated(vectors: Tensor, positions: Tensor) -> Tensor:
    """Rotary positions (arXiv:2104.09864, section 3.2): ``[..., positions, width]``, halves rotated against each other."""
    angles = positions[:, None].float() * _frequencies(vectors.shape[-1] // 2, vectors.device)
    cos, sin = angles.cos().to(vectors.dtype), angles.sin().to(vectors.dtype)
    left, right = vectors.chunk(2, -1)
    return torch.cat([left * cos - right * sin, left * sin + right * cos], -1)


@cache
@torch.inference_mode(False)
def _frequencies(half: int, device: torch.device) -> Tensor:
    return _BASE ** (-torch.arange(half, device=device, dtype=torch.float32) / half)
