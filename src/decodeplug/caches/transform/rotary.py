"""Rotary position embeddings, taken from keys before they are coded and given back when they are read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

__all__ = ["Rotation", "Turns", "pairs"]


@dataclass(frozen=True, eq=False, slots=True)
class Rotation:
    """What a position does to the keys of one layer: each of some pairs of numbers is turned by ``position * angle``.

    :param kind: "half": number ``i`` and number ``i + count`` are a pair; "interleaved": numbers ``2 i`` and ``2 i + 1`` are.
    :param angles: ``[count]`` float64, radians. Numbers behind the pairs are not turned.
    """

    kind: str
    angles: Tensor

    def table(self, start: int, count: int, like: Tensor) -> tuple[Tensor, Tensor]:
        """Cosines and sines of ``count`` positions from ``start`` on, ``[count, 1, pairs]``."""
        angles = self.angles.to(like.device)
        turned = torch.arange(start, start + count, device=like.device)[:, None, None] * angles
        return turned.cos().to(like.dtype), turned.sin().to(like.dtype)

    def turn(self, keys: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """Keys ``[..., ids, heads, dim]`` before the rotation as they are after it; ``-sin`` does the opposite. A new tensor."""
        count = len(self.angles)
        if not count:
            return keys.clone()
        if self.kind == "half":
            first, second, rest = keys[..., :count], keys[..., count : 2 * count], keys[..., 2 * count :]
            return torch.cat([first * cos - second * sin, second * cos + first * sin, rest], dim=-1)
        first, second, rest = keys[..., 0 : 2 * count : 2], keys[..., 1 : 2 * count : 2], keys[..., 2 * count :]
        turned = torch.stack([first * cos - second * sin, second * cos + first * sin], dim=-1)
        return torch.cat([turned.flatten(-2), rest], dim=-1)


@dataclass(eq=False, slots=True)
class Turns:
    """Cosines and sines of a rotation for all positions so far."""

    rotation: Rotation
    _tables: dict[tuple[torch.device, torch.dtype], tuple[Tensor, Tensor]] = field(
        init=False, default_factory=dict[tuple[torch.device, torch.dtype], tuple[Tensor, Tensor]]
    )

    def behind(self, start: int, count: int, like: Tensor) -> tuple[Tensor, Tensor]:
        """Of ``count`` positions from ``start`` on, ``[count, 1, pairs]``."""
        key = like.device, like.dtype
        cos, sin = self._tables.get(key, (like[:0], like[:0]))
        if len(cos) < start + count:
            cos, sin = self._tables[key] = self.rotation.table(0, 2 * (start + count), like)
        return cos[start : start + count], sin[start : start + count]

    def of(self, starts: Sequence[int], ids: int, like: Tensor) -> tuple[Tensor, Tensor]:
        """Of pieces of as many ids each, that begin at multiples of it: ``[pieces, ids, 1, pairs]``."""
        first, last = starts[0], starts[-1] + ids
        if list(starts) == list(range(first, last, ids)):  # behind one another
            cos, sin = self.behind(first, last - first, like)
            return cos.unflatten(0, (-1, ids)), sin.unflatten(0, (-1, ids))
        cos, sin = self.behind(0, max(starts) + ids, like)
        where = torch.tensor(starts).to(like.device, non_blocking=True) // ids
        return cos.unflatten(0, (-1, ids))[where], sin.unflatten(0, (-1, ids))[where]


def pairs(keys: Tensor, kind: str, count: int) -> Tensor:
    """The pairs as complex numbers, ``[..., count]``."""
    if kind == "half":
        return torch.complex(keys[..., :count], keys[..., count : 2 * count])
    return torch.complex(keys[..., 0 : 2 * count : 2], keys[..., 1 : 2 * count : 2])
