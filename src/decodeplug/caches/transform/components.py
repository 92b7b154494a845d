"""Keys and values of an id as a few numbers, each with as many bits as it is worth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor

from decodeplug.caches.coded import Codes
from decodeplug.caches.coded.packing import pack, unpack
from decodeplug.caches.transform.rotary import Rotation, Turns

__all__ = ["ROUNDED", "Basis", "Components"]

ROUNDED = (1, 2, 3, 4, 6, 8)
"""Bits of a component that is rounded; one of 16 is stored in half precision."""

PLANES = {8: {8: 0}, 4: {4: 0, 6: 2}, 2: {2: 0, 3: 1, 6: 0}, 1: {1: 0, 3: 0}}
"""In parts of how many bits numbers are stored: for each, of components with how many bits, and at which bit it begins."""


@dataclass(frozen=True, eq=False, slots=True)
class Basis:
    """What a calibration knows of one layer.

    :ivar heads, key_dim, value_dim: Of the layer; ``dim = heads * (key_dim + value_dim)``.
    :ivar rotation: That is taken from the keys; None: none is.
    :ivar mean: ``[dim]``. :ivar encode: ``[dim, dim]``: ``(row - mean) @ encode`` are the components, sorted by their worth.
    :ivar decode: ``[dim, dim]``, its inverse.
    :ivar steps: ``[6, dim]``: between neighbouring values of a component that has as many bits as ``ROUNDED`` says.
    :ivar losses: ``[8, dim]``: what is lost with as many bits as :data:`WIDTHS` says.
    """

    heads: int
    key_dim: int
    value_dim: int
    rotation: Rotation | None
    mean: Tensor
    encode: Tensor
    decode: Tensor
    steps: Tensor
    losses: Tensor


@dataclass(eq=False)
class Components:
    """See :class:`decodeplug.caches.coded.Codec`.

    :param basis: Of the layer. :param bits: ``[dim]``, for each component. :param ids: Of a piece. :param turns: Shared by the layers of a model.
    All is computed in float32, for models in float64 in that.
    """

    basis: Basis
    bits: Tensor
    ids: int
    turns: dict[bytes, Turns] = field(default_factory=dict[bytes, Turns])
    _matrices: dict[tuple[torch.device, torch.dtype], Matrices] = field(
        init=False, default_factory=dict[tuple[torch.device, torch.dtype], "Matrices"]
    )
    _turns: Turns | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        rotation = self.basis.rotation
        if rotation is not None:
            key = rotation.kind.encode() + rotation.angles.numpy().tobytes()
            self._turns = self.turns.setdefault(key, Turns(rotation))

    def encode(self, keys: Tensor, values: Tensor, start: int) -> Codes:
        on = self._on(keys)
        if self._turns is not None:
            cos, sin = self._turns.behind(start, len(keys), on.mean)
            keys = self._turns.rotation.turn(keys.to(on.mean.dtype), cos, -sin)
        rows = torch.cat([keys.flatten(1).to(on.mean.dtype), values.flatten(1).to(on.mean.dtype)], dim=1) - on.mean
        numbers = (rows @ on.encode + on.middles).round_().clamp_(on.zero, 2 * on.middles).to(torch.uint8)
        codes = [pack((numbers[:, columns] >> shifts) & (2**bits - 1), bits) for bits, columns, shifts in on.planes]
        if on.halves.shape[1]:
            limit = torch.finfo(torch.float16).max
            codes.append((rows @ on.halves).clamp_(-limit, limit).half())
        return tuple(codes)

    def decode(self, codes: Codes, starts: Sequence[int], like: Tensor) -> tuple[Tensor, Tensor]:
        basis, on = self.basis, self._on(like)
        numbers = [unpack(part, bits).to(on.mean.dtype) for (bits, _, _), part in zip(on.planes, codes, strict=False)]
        nothing = on.mean.new_empty((len(starts), self.ids, 0))
        found = torch.cat([nothing, *numbers, *(part.to(on.mean.dtype) for part in codes[len(numbers) :])], dim=-1)
        rows = torch.addmm(on.rest, found.flatten(0, 1), on.decode).view(*found.shape[:2], -1)
        keys, values = rows.split([basis.heads * basis.key_dim, basis.heads * basis.value_dim], dim=-1)
        keys = keys.unflatten(-1, (basis.heads, basis.key_dim))
        if self._turns is not None:
            cos, sin = self._turns.of(starts, found.shape[1], on.mean)
            keys = self._turns.rotation.turn(keys, cos, sin)
        return keys.to(like.dtype), values.unflatten(-1, (basis.heads, basis.value_dim)).to(like.dtype)

    def _on(self, like: Tensor) -> Matrices:
        key = like.device, torch.promote_types(like.dtype, torch.float32)
        if key not in self._matrices:
            self._matrices[key] = _matrices(self.basis, self.bits, *key)
        return self._matrices[key]


class Matrices(NamedTuple):
    """What one layer is coded and decoded with.

    :ivar mean: ``[dim]``. :ivar encode: ``[dim, rounded]``: to numbers, of which ``middles`` ``[rounded]`` stand for zero.
    :ivar zero: ``[1]``, 0. :ivar halves: ``[dim, halves]``: to components that are not rounded.
    :ivar planes: Bits of a part, and of which columns of the numbers it is, ``[columns]``, beginning at which bit.
    :ivar decode: ``[columns of all planes + halves, dim]``. :ivar rest: ``[dim]``, added to what that gives.
    """

    mean: Tensor
    encode: Tensor
    middles: Tensor
    zero: Tensor
    halves: Tensor
    planes: Sequence[tuple[int, Tensor, Tensor]]
    decode: Tensor
    rest: Tensor


def _matrices(basis: Basis, bits: Tensor, device: torch.device, dtype: torch.dtype) -> Matrices:
    chosen = ((bits > 0) & (bits < 16)).nonzero().squeeze(1)
    widths = bits[chosen]
    steps = basis.steps.new_ones(len(chosen))
    for row, width in enumerate(ROUNDED):
        steps = torch.where(widths == width, basis.steps[row, chosen], steps)
    middles = (2.0**widths - 1) / 2
    back = basis.decode[chosen] * steps[:, None]
    planes: list[tuple[int, Tensor, Tensor]] = []
    rows: list[Tensor] = []
    for part, begins in PLANES.items():
        columns = torch.isin(widths, torch.tensor(list(begins))).nonzero().squeeze(1)
        shifts = torch.tensor([begins[width] for width in widths[columns].tolist()], dtype=torch.uint8)
        if len(columns):
            planes.append((part, columns.to(device), shifts.to(device)))
            rows.append(back[columns] * (2.0**shifts)[:, None])
    whole = (bits == 16).nonzero().squeeze(1)
    return Matrices(
        basis.mean.to(device, dtype),
        (basis.encode[:, chosen] / steps).to(device, dtype),
        middles.to(device, dtype),
        torch.zeros(1, dtype=dtype, device=device),
        basis.encode[:, whole].to(device, dtype),
        planes,
        torch.cat([*rows, basis.decode[whole]]).to(device, dtype),
        (basis.mean - middles @ back).to(device, dtype),
    )
