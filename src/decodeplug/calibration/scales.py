"""From what keys and values are like to components, and how coarsely each may be rounded."""

from __future__ import annotations

import torch
from torch import Tensor

from decodeplug.caches.transform.components import ROUNDED, Basis, unbent
from decodeplug.calibration.moments import Moments

__all__ = ["basis_of"]

_FLOOR = 1e-6  # of the mean importance of a direction, that every direction has at least
_STEPS = {
    1: 1.6,
    2: 1.0,
    3: 0.59,
    4: 0.33,
    6: 0.1,
    8: 0.03,
}  # about the best for a normal distribution, in standard deviations
_TRIED = torch.logspace(-0.3, 0.9, 20, base=10.0)  # of that
_BENDS = (0.0, 0.3, 0.6, 1.0, 1.6, 2.5, 4.0)
"""How much larger than with equal steps the largest value may be, less one."""
_TAIL = 32  # values of a component at either end that count for themselves, at least
_GROUP = {1: 32, 2: 32, 3: 32, 4: 32, 6: 8, 8: 8}  # others that are taken together while scales are tried, by bits


def basis_of(moments: Moments) -> Basis:
    """Components in which changes cost equally much and do not depend on each other, and what rounding costs.

    With ``F`` the Fisher information and ``C`` the covariance, they are the eigenvectors of ``F^(1/2) C F^(1/2)``, the
    Karhunen-Loeve transform of what matters.
    """
    fisher = moments.fisher
    dim = len(fisher)
    fisher = fisher + _FLOOR * fisher.trace() / dim * torch.eye(dim, dtype=fisher.dtype, device=fisher.device)
    values, vectors = torch.linalg.eigh(fisher)
    root, inverse = ((vectors * values**power) @ vectors.T for power in (0.5, -0.5))
    worth, turned = torch.linalg.eigh(root @ moments.covariance @ root)
    turned = turned.flip(1)
    worth = worth.flip(0).clamp(min=0)
    encode, decode = root @ turned, turned.T @ inverse
    values = ((moments.rows.double() - moments.mean) @ encode).sort(0).values
    steps, bends, lost = zip(*(_curves(values, worth.sqrt(), width) for width in ROUNDED), strict=True)
    losses = torch.stack([worth, *lost, worth * 2.0**-24])
    return Basis(
        moments.heads,
        moments.key_dim,
        moments.value_dim,
        moments.rotation,
        *(
            tensor.float().cpu()
            for tensor in (moments.mean, encode, decode, torch.stack(steps), torch.stack(bends), losses)
        ),
    )


def _points(values: Tensor, group: int) -> tuple[Tensor, Tensor]:
    """Few values ``[points, dim]`` of each component that stand for many, and for how many of them each, ``[points, 1]``.

    :param values: Ascending, ``[rows, dim]``. :param group: How many between the ends are taken together.
    """
    groups = max(0, len(values) - 2 * _TAIL) // group
    end = _TAIL + groups * group
    if not groups:
        return values, values.new_ones((len(values), 1))
    inside = values[_TAIL:end].unflatten(0, (groups, group)).mean(1)
    points = torch.cat([values[:_TAIL], inside, values[end:]])
    weights = points.new_ones((len(points), 1))
    weights[_TAIL : _TAIL + groups] = group
    return points, weights


def _curves(values: Tensor, deviations: Tensor, bits: int) -> tuple[Tensor, Tensor, Tensor]:
    """For each component ``[dim]``, steps and bends (see :class:`Basis`) that are best, and the mean squared error with them.

    :param values: Of each component, ascending, ``[rows, dim]``. They are found with fewer points, and the error is that of all.
    """
    points, weights = _points(values, _GROUP[bits])
    middle = (2**bits - 1) / 2
    best = torch.full_like(deviations, torch.inf)
    steps, bends = deviations.clone(), torch.zeros_like(deviations)
    for more in _BENDS if bits > 1 else _BENDS[:1]:
        bend = torch.full_like(deviations, more / middle**2)
        for factor in _TRIED.tolist():
            size = (deviations * (_STEPS[bits] * factor / (1 + more))).clamp(min=1e-12)
            lost = (_away(points, size, bend, middle) * weights).sum(0)
            better = lost < best
            steps, bends, best = (
                torch.where(better, one, other) for one, other in ((size, steps), (bend, bends), (lost, best))
            )
    return steps, bends, _away(values, steps, bends, middle).mean(0)


def _away(values: Tensor, steps: Tensor, bends: Tensor, middle: float) -> Tensor:
    """By how much each value is missed, squared."""
    numbers = (unbent(values / steps, bends) + middle).round_().clamp_(0, 2 * middle) - middle
    return ((numbers + bends * numbers**3) * steps - values).square_()
