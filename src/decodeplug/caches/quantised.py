"""Older keys and values as small whole numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from decodeplug.caches.coded import CodedLanes, Codes, Horizon
from decodeplug.caches.coded.packing import pack, unpack
from decodeplug.caches.seam import LayerPlan
from decodeplug.errors import BadOption
from decodeplug.whole import whole_number

__all__ = ["Quantised"]

_WIDTHS = (2, 4, 8)
_LARGEST = 4096


@dataclass(frozen=True, slots=True)
class Quantised:
    """Older keys and values in 8, 4 or 2 bits: an approximation. Keys are scaled by channel, values by id.

    :param bits: Of a number.
    :param group: Ids of a channel of keys, and channels of an id of values, that have a scale and an offset in common, 16 bits
        each: ``32 / group`` bits more a number. So many ids are coded together.
    :param window: Ids at the end that stay as they are, at least so many. :param first: And at the beginning of each text.
    :raises BadOption: One of them is no whole number, or out of its range; ``group`` is a multiple of 4.
    Source: Liu et al. 2024, "KIVI", arXiv:2402.02750, sections 3.2 and 3.3.
    """

    bits: int = 4
    group: int = 64
    window: int = 128
    first: int = 4
    name: ClassVar[str] = "quantised"
    exact: ClassVar[bool] = False
    can_rewind: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.bits not in _WIDTHS or isinstance(self.bits, bool):
            raise BadOption("cache 'quantised'", bits=self.bits, wanted="2, 4 or 8")
        whole_number("cache 'quantised'", "group", self.group, 4, _LARGEST)
        if self.group % 4:
            raise BadOption("cache 'quantised'", group=self.group, wanted="a multiple of 4")
        whole_number("cache 'quantised'", "window", self.window, 1)
        whole_number("cache 'quantised'", "first", self.first, 0, self.group - 1)

    def open(self, plan: LayerPlan) -> CodedLanes:
        """A new cache without lanes; memory is taken by the first forward."""
        codec = Rounding(self.bits, self.group)
        return CodedLanes(plan, Horizon(self.first, self.window, self.group), lambda layer: codec)


@dataclass(frozen=True, slots=True)
class Rounding:
    """See :class:`decodeplug.caches.coded.Codec`; a piece has as many ids as a group."""

    bits: int
    group: int

    def encode(self, keys: Tensor, values: Tensor, start: int) -> Codes:
        ids, heads, dim = values.shape
        groups = _groups(dim, self.group)
        return (
            *self._coded(keys, 0),
            *[
                part.view(-1, heads, groups, part.shape[-1])
                for part in self._coded(values.view(ids, heads, groups, -1), 3)
            ],
        )

    def decode(self, codes: Codes, starts: Sequence[int], like: Tensor) -> tuple[Tensor, Tensor]:
        return self._decoded(codes[:3], like), self._decoded(codes[3:], like).flatten(3)

    def _coded(self, rows: Tensor, along: int) -> Codes:
        """Numbers in bytes; scales and offsets of what stands along a dim, in half precision."""
        rows = rows.to(torch.promote_types(rows.dtype, torch.float32))
        least, most = rows.aminmax(dim=along, keepdim=True)
        limit = torch.finfo(torch.float16).max
        offset = least.float().clamp(-limit, limit).half()
        # What is stored is what is computed with.
        scale = ((most - offset.to(rows.dtype)) / (2**self.bits - 1)).float().clamp(2**-24, limit).half()
        numbers = ((rows - offset.to(rows.dtype)) / scale.to(rows.dtype)).round_().clamp_(0, 2**self.bits - 1)
        return pack(numbers.to(torch.uint8), self.bits), scale, offset

    def _decoded(self, codes: Codes, like: Tensor) -> Tensor:
        packed, scale, offset = codes
        dtype = torch.promote_types(like.dtype, torch.float32)  # half of the range of a half is not enough between
        rows = unpack(packed, self.bits).to(dtype).mul_(scale.to(dtype)).add_(offset.to(dtype))
        if like.dtype == torch.float16:
            rows.clamp_(-torch.finfo(torch.float16).max, torch.finfo(torch.float16).max)
        return rows.to(like.dtype)


def _groups(dim: int, group: int) -> int:
    """Groups of channels: of equal size, none larger than asked for."""
    return next(count for count in range(-(-dim // group), dim + 1) if dim % count == 0)
