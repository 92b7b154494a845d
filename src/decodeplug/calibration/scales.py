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
_TAIL, _GROUP = 32, 32
"""Values of a component at either end that count for themselves; the others are taken together."""


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
    points, weights = _points((moments.rows.double() - moments.mean) @ encode)
    steps, bends, lost = zip(*(_curves(points, weights, worth.sqrt(), width) for width in ROUNDED), strict=True)
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


def _points(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Few values ``[points, dim]`` of each component that stand for many, and for how many of them each, ``[points, 1]``, in shares."""
    values = rows.sort(0).values
    between = len(values) - 2 * _TAIL
    groups = max(between, 0) // _GROUP
    if groups < 2:
        return values, values.new_full((len(values), 1), 1 / len(values))
    inside = values[_TAIL : _TAIL + groups * _GROUP].unflatten(0, (groups, _GROUP)).mean(1)
    points = torch.cat([values[:_TAIL], inside, values[_TAIL + groups * _GROUP :]])
    weights = values.new_ones((len(points), 1))
    weights[_TAIL : _TAIL + groups] = _GROUP
    return points, weights / weights.sum()


def _curves(points: Tensor, weights: Tensor, deviations: Tensor, bits: int) -> tuple[Tensor, Tensor, Tensor]:
    """For each component ``[dim]``, steps and bends (see :class:`Basis`) that are best, and the mean squared error with them."""
    last = 2**bits - 1
    middle = last / 2
    best = torch.full_like(deviations, torch.inf)
    steps, bends = deviations.clone(), torch.zeros_like(deviations)
    for more in _BENDS if bits > 1 else _BENDS[:1]:
        bend = torch.tensor(more / middle**2).to(deviations)
        for factor in _TRIED.tolist():
            size = (deviations * (_STEPS[bits] * factor / (1 + more))).clamp(min=1e-12)
            numbers = (unbent(points / size, bend) + middle).round_().clamp_(0, last) - middle
            values = (numbers + bend * numbers**3) * size
            lost = ((values - points).square_() * weights).sum(0)
            better = lost < best
            steps, best = torch.where(better, size, steps), torch.where(better, lost, best)
            bends = torch.where(better, bend, bends)
    return steps, bends, best
