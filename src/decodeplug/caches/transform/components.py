"""Keys and values of an id as a few numbers, each with as many bits as it is worth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor

from decodeplug.caches.coded import Codes
from decodeplug.caches.coded.packing import pack, unpack
from decodeplug.caches.transform.rotary import Rotation, Turns

__all__ = ["ROUNDED", "Basis", "Components", "unbent"]

ROUNDED = (1, 2, 3, 4, 6, 8)
"""Bits of a component that is rounded; one of 16 is stored in half precision."""

PLANES = {8: {8: 0}, 4: {4: 0, 6: 2}, 2: {2: 0, 3: 1, 6: 0}, 1: {1: 0, 3: 0}}
"""In parts of how many bits numbers are stored: for each, of components with how many bits, and at which bit it begins. Parts of
components with fewer bits come first."""


@dataclass(frozen=True, eq=False, slots=True)
class Basis:
    """What a calibration knows of one layer.

    :ivar heads, key_dim, value_dim: Of the layer; ``dim = heads * (key_dim + value_dim)``.
    :ivar rotation: That is taken from the keys; None: none is.
    :ivar mean: ``[dim]``. :ivar encode: ``[dim, dim]``: ``(row - mean) @ encode`` are the components, sorted by their worth.
    :ivar decode: ``[dim, dim]``, its inverse.
    :ivar steps, bends: ``[6, dim]``: a component that has as many bits as ``ROUNDED`` says is ``steps * (n + bends * n**3)``, where
        ``n`` is the number that is stored less the middle one: near zero values lie closer to each other than far from it.
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
    bends: Tensor
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
        bent = unbent(rows @ on.encode, on.bends)
        numbers = (bent + on.middles).round_().clamp_(on.zero, 2 * on.middles).to(torch.uint8)
        codes = [pack((numbers[:, columns] >> shifts) & (2**bits - 1), bits) for bits, columns, shifts in on.planes]
        if on.halves.shape[1]:
            limit = torch.finfo(torch.float16).max
            codes.append((rows @ on.halves).clamp_(-limit, limit).half())
        return tuple(codes)

    def decode(self, codes: Codes, starts: Sequence[int], like: Tensor) -> tuple[Tensor, Tensor]:
        basis, on = self.basis, self._on(like)
        parts = {bits: unpack(part, bits) for (bits, _, _), part in zip(on.planes, codes, strict=False)}
        nothing = torch.empty((len(starts), self.ids, 0), dtype=torch.uint8, device=on.mean.device)
        numbers = _joined(parts, on.counts, nothing).to(on.mean.dtype).sub_(on.middles)
        found = torch.addcmul(on.one, numbers * on.bends, numbers).mul_(numbers)
        if len(codes) > len(parts):
            found = torch.cat([found, codes[-1].to(on.mean.dtype)], dim=-1)
        rows = torch.addmm(on.mean, found.flatten(0, 1), on.decode).view(*found.shape[:2], -1)
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

    :ivar mean: ``[dim]``. :ivar encode: ``[dim, rounded]``: to components in steps, those with fewer bits first. With ``bends`` and
        ``middles`` ``[rounded]`` they become numbers. :ivar zero, one: ``[1]``.
    :ivar halves: ``[dim, halves]``: to components that are not rounded.
    :ivar planes: Bits of a part, and of which columns of the numbers it is, ``[columns]``, beginning at which bit.
    :ivar counts: How many components have as many bits as :data:`ROUNDED` says.
    :ivar decode: ``[rounded + halves, dim]``.
    """

    mean: Tensor
    encode: Tensor
    bends: Tensor
    middles: Tensor
    zero: Tensor
    one: Tensor
    halves: Tensor
    planes: Sequence[tuple[int, Tensor, Tensor]]
    counts: Sequence[int]
    decode: Tensor


def unbent(values: Tensor, bends: Tensor) -> Tensor:
    """The ``n`` of which ``n + bends * n**3`` are these values; the bends are 0 or more, and the function rises."""
    size = (3 * bends).sqrt()
    solved = 2 * torch.sinh(torch.asinh(1.5 * size * values) / 3) / size
    return torch.where(bends > 0, solved, values)


def _joined(parts: Mapping[int, Tensor], counts: Sequence[int], nothing: Tensor) -> Tensor:
    """Numbers ``[pieces, ids, rounded]`` uint8 from the parts that they were stored in."""
    found: list[Tensor] = [nothing]
    read = dict.fromkeys(parts, 0)
    for width, count in zip(ROUNDED, counts, strict=True):
        number: Tensor | None = None
        for bits, begins in PLANES.items():
            if count and width in begins:
                part = parts[bits].narrow(2, read[bits], count)
                read[bits] += count
                part = part << begins[width] if begins[width] else part
                number = part if number is None else number | part
        if number is not None:
            found.append(number)
    return torch.cat(found, dim=-1)


def _matrices(basis: Basis, bits: Tensor, device: torch.device, dtype: torch.dtype) -> Matrices:
    chosen = torch.cat([(bits == width).nonzero().squeeze(1) for width in ROUNDED])
    widths = bits[chosen]
    row = torch.tensor([ROUNDED.index(width) for width in widths.tolist()], dtype=torch.int64)
    steps, bends = basis.steps[row, chosen], basis.bends[row, chosen]
    middles = (2.0**widths - 1) / 2
    planes: list[tuple[int, Tensor, Tensor]] = []
    for part, begins in PLANES.items():
        columns = torch.isin(widths, torch.tensor(list(begins))).nonzero().squeeze(1)
        shifts = torch.tensor([begins[width] for width in widths[columns].tolist()], dtype=torch.uint8)
        if len(columns):
            planes.append((part, columns.to(device), shifts.to(device)))
    whole = (bits == 16).nonzero().squeeze(1)
    back = basis.decode[chosen] * steps[:, None]
    return Matrices(
        basis.mean.to(device, dtype),
        (basis.encode[:, chosen] / steps).to(device, dtype),
        bends.to(device, dtype),
        middles.to(device, dtype),
        torch.zeros(1, dtype=dtype, device=device),
        torch.ones(1, dtype=dtype, device=device),
        basis.encode[:, whole].to(device, dtype),
        planes,
        [int((widths == width).sum()) for width in ROUNDED],
        torch.cat([back, basis.decode[whole]]).to(device, dtype),
    )
