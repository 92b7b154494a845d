"""What a model's rotary embedding does to the keys of each layer: measured, not read from its code.

A text of one id attends to itself alone, whatever its position is said to be; so if positions enter by a rotation of queries
and keys only, its keys at two positions differ by that rotation in every layer.

Source of the rotation: Su et al. 2021, "RoFormer", arXiv:2104.09864, section 3.2.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from decodeplug.caches.transform.rotary import Rotation, pairs

__all__ = ["rotations"]

_IDS = 64  # texts of one id
_NEAR = 1e-3  # of the norm of a key, how much may be left unexplained, where numbers are precise enough
_ROUNDINGS = 4  # else so many times their precision
_POSITIONS = (1, 16, 256, 4096)
_UNLIKE = 37  # a position that angles were not measured at


def rotations(keys_at: Callable[[int], Sequence[Tensor]], longest: int) -> list[Rotation | None]:
    """For each layer its rotation; None where keys at two positions do not differ by one.

    :param keys_at: At this position, the keys of some texts of one id each: ``[ids, heads, dim]`` for each layer.
    :param longest: Positions that the model has.
    """
    positions = [position for position in _POSITIONS if position < longest] or [1]
    measured = {position: keys_at(position) for position in {0, *positions, min(_UNLIKE, longest - 1)}}
    found: list[Rotation | None] = []
    for layer in range(len(measured[0])):
        near = max(_NEAR, _ROUNDINGS * torch.finfo(measured[0][layer].dtype).eps)
        keys = {position: keys[layer].double().cpu() for position, keys in measured.items()}
        # Mostly it is that of another layer, but for rounding.
        known = (one for one in found if one is not None and all(_explains(one, keys, place, near) for place in keys))
        found.append(next(known, None) or _rotation(keys, positions, near))
    return found


def _rotation(keys: dict[int, Tensor], positions: Sequence[int], near: float) -> Rotation | None:
    dim = keys[0].shape[-1]
    if all(float((some - keys[0]).norm()) <= near * float(keys[0].norm()) for some in keys.values()):
        return Rotation("half", torch.zeros(0, dtype=torch.float64))
    for kind in ("half", "interleaved"):
        for turned in range(dim - dim % 2, 0, -2):
            rotation = _fitted(keys, positions, kind, turned // 2, near)
            if rotation is not None:
                return rotation
    return None


def _fitted(keys: dict[int, Tensor], positions: Sequence[int], kind: str, count: int, near: float) -> Rotation | None:
    """The rotation of ``count`` pairs, if it explains the keys at all positions."""
    still = pairs(keys[0], kind, count)
    angles = torch.zeros(count, dtype=torch.float64)
    for position in positions:
        turned = (pairs(keys[position], kind, count) * still.conj()).flatten(0, -2).sum(0).angle()
        # So many whole turns as agree with what nearer positions said.
        turns = ((angles * position - turned) / (2 * math.pi)).round()
        angles = (turned + 2 * math.pi * turns) / position
        if position == positions[0] and not _explains(Rotation(kind, angles), keys, position, near):
            return None
    rotation = Rotation(kind, angles)
    return rotation if all(_explains(rotation, keys, position, near) for position in keys) else None


def _explains(rotation: Rotation, keys: dict[int, Tensor], position: int, near: float) -> bool:
    cos, sin = rotation.table(position, 1, keys[0])
    away = rotation.turn(keys[0], cos, sin) - keys[position]
    return float(away.norm()) <= near * float(keys[0].norm())


def ids_to_try(vocab_size: int) -> list[int]:
    """Some ids of a vocabulary, far from each other."""
    return [int(number) for number in torch.linspace(0, vocab_size - 1, min(_IDS, vocab_size)).tolist()]
