"""Small whole numbers, several in a byte."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["WIDTHS", "pack", "unpack"]

WIDTHS = (1, 2, 4, 8)
"""Bits that a number can be stored in."""


def pack(numbers: Tensor, bits: int) -> Tensor:
    """Numbers below ``2 ** bits`` in fewer bytes.

    The first rows share bytes with those that stand as far behind the middle (the quarters, the eighths), so that unpacking writes
    whole pieces.

    :param numbers: ``[rows, ...]`` uint8, with a number of rows that ``8 // bits`` divides; not modified.
    :returns: ``[rows * bits // 8, ...]`` uint8.
    """
    if bits == 8:
        return numbers
    planes = numbers.chunk(8 // bits)
    packed = planes[0].clone()
    for number, plane in enumerate(planes[1:], start=1):
        packed |= plane << (bits * number)
    return packed


def unpack(packed: Tensor, bits: int) -> Tensor:
    """What was packed, for several pieces at once.

    :param packed: ``[pieces, rows * bits // 8, ...]`` uint8; not modified.
    :returns: ``[pieces, rows, ...]`` uint8.
    """
    if bits == 8:
        return packed
    count, mask = 8 // bits, 2**bits - 1
    pieces, rows = packed.shape[:2]
    numbers = packed.new_empty((pieces, count, rows, *packed.shape[2:]))
    torch.bitwise_and(packed, mask, out=numbers[:, 0])
    for number in range(1, count):
        torch.bitwise_right_shift(packed, bits * number, out=numbers[:, number])
    if count > 2:
        numbers[:, 1:-1] &= mask  # nothing stands above the last plane
    return numbers.flatten(1, 2)
