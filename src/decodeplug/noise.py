"""Gumbel noise that is a function of where it is used, not of when.

Sampling here is ``argmax(scores + noise)`` (the Gumbel-max trick). The noise of a
token is a hash of (request seed, number of the hypothesis, absolute position,
token id), so every drafter, cache and batch layout sees the same noise, and with
it the same text. It is counter-based: nothing is drawn in order, and it can be
computed for a few tokens only.

Source: Gumbel-max trick, Maddison et al. 2014, arXiv:1411.0030, section 2;
drafter-invariant sampling, arXiv:2408.07978; the mixing function is the
finaliser of SplitMix64 (Steele, Lea, Flood 2014, figure 17).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from decodeplug.precision import widest

__all__ = ["NoiseKey", "apart", "gumbel", "normal", "perturb", "uniform"]

NoiseKey = tuple[int, int, int]
"""Request seed, number of the hypothesis within its request, absolute position."""

_MASK = (1 << 64) - 1
_STEP = 0x9E3779B97F4A7C15
_FIRST, _SECOND = 0xBF58476D1CE4E5B9, 0x94D049BB133111EB
_DENSE_SHARE = 0.25  # above this share of surviving tokens a dense table is cheaper than gathering


def _signed(value: int) -> int:
    value &= _MASK
    return value - (1 << 64) if value >> 63 else value


def _mix(value: int) -> int:
    value &= _MASK
    value = ((value ^ (value >> 30)) * _FIRST) & _MASK
    value = ((value ^ (value >> 27)) * _SECOND) & _MASK
    return value ^ (value >> 31)


def _shift(value: Tensor, bits: int) -> Tensor:
    # int64 has only an arithmetic shift: clear the copies of the sign bit.
    return (value >> bits).bitwise_and_((1 << (64 - bits)) - 1)


def _mix_tensor(value: Tensor) -> Tensor:
    value = (value ^ _shift(value, 30)).mul_(_signed(_FIRST))
    value = (value ^ _shift(value, 27)).mul_(_signed(_SECOND))
    return value ^ _shift(value, 31)


def _row_keys(keys: Sequence[NoiseKey], device: torch.device) -> Tensor:
    rows = []
    for seed, hypothesis, position in keys:
        mixed = _mix(seed + _STEP)
        mixed = _mix(mixed ^ (hypothesis + 1) * _STEP)
        rows.append(_signed(_mix(mixed ^ (position + 1) * _STEP)))
    return torch.tensor(rows, dtype=torch.int64).to(device, non_blocking=True)


def _to_gumbel(hashes: Tensor) -> Tensor:
    # 52 bits, centred: never 0 and never 1, so that both logarithms are finite.
    uniform = (_shift(hashes, 12).double() + 0.5).mul_(2.0**-52)
    return uniform.log_().neg_().log_().neg_().float()


def apart(keys: Sequence[NoiseKey], use: int) -> list[NoiseKey]:
    """Keys of the same places for another use: noise that has nothing to do with the first."""
    return [(seed + use * _FIRST, hypothesis, position) for seed, hypothesis, position in keys]


def uniform(keys: Sequence[NoiseKey], device: torch.device) -> Tensor:
    """Uniform noise in (0, 1), one number for each key: ``[rows]`` float64 (float32 on MPS)."""
    made_on = torch.device("cpu") if device.type == "mps" else device
    numbers = (_shift(_mix_tensor(_row_keys(keys, made_on)), 12).double() + 0.5) * 2.0**-52
    return numbers.to(device=device, dtype=widest(device))


def normal(seed: int, use: int, positions: Tensor, count: int) -> Tensor:
    """Standard normal noise, a row of it for each position.

    :param seed: Of the noise. :param use: What it is for: other uses get noise that has nothing to do with it.
    :param positions: ``[rows]`` int64; their device is used, and nothing is read back from it.
    :returns: ``[rows, count]`` float64 (float32 on MPS).
    """
    if positions.device.type == "mps":
        return normal(seed, use, positions.cpu(), count).to(positions.device, torch.float32)
    places = torch.arange(1, count + 1, device=positions.device) * _signed(_STEP)
    rows = _mix_tensor((positions + 1) * _signed(_STEP) ^ _signed(_mix(_mix(seed + _STEP) ^ (use + 1) * _STEP)))
    numbers = (_shift(_mix_tensor(rows[:, None] + places), 12).double() + 0.5) * 2.0**-52
    return torch.special.ndtri(numbers)


def gumbel(keys: Sequence[NoiseKey], tokens: Tensor) -> Tensor:
    """Standard Gumbel noise, one row of it for each key.

    :param keys: For each row, the seed, the hypothesis and the absolute position.
    :param tokens: ``[tokens]`` or ``[rows, tokens]`` int64 ids; their device is used.
    :returns: ``[rows, tokens]`` float32. The same numbers for the same keys and ids,
        whatever else is in the batch.
    """
    if tokens.device.type == "mps":  # it has no float64, which the noise of the other devices is computed in
        return gumbel(keys, tokens.cpu()).to(tokens.device)
    row_keys = _row_keys(keys, tokens.device)[:, None]
    return _to_gumbel(_mix_tensor(row_keys + (tokens + 1) * _signed(_STEP)))


def perturb(scores: Tensor, keys: Sequence[NoiseKey]) -> Tensor:
    """``scores + noise``, computed only where a token survives, when those are few.

    :param scores: ``[rows, vocab]`` float32; not modified. Forbidden tokens at ``-inf``.
    :param keys: One for each row.
    :returns: ``[rows, vocab]`` float32; ``-inf`` stays ``-inf`` and NaN stays NaN.
    """
    if scores.is_cpu:  # elsewhere, counting would make the device wait
        row, token = (scores != -torch.inf).nonzero(as_tuple=True)  # NaN too, so that whoever chooses sees it
        if len(row) < _DENSE_SHARE * scores.numel():
            row_keys = _row_keys(keys, scores.device)[row]
            noise = _to_gumbel(_mix_tensor(row_keys + (token + 1) * _signed(_STEP)))
            return torch.full_like(scores, -torch.inf).index_put_((row, token), scores[row, token] + noise)
    return scores + gumbel(keys, torch.arange(scores.shape[-1], device=scores.device))
