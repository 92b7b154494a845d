"""From what keys and values are like to components, and how coarsely each may be rounded."""

from __future__ import annotations

import torch
from torch import Tensor

from decodeplug.caches.transform.components import ROUNDED, Basis
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
_TRIED = torch.logspace(-0.25, 0.85, 18, base=10.0)  # of that


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
    rows = moments.rows.double()
    found = (rows - moments.mean) @ encode
    steps, lost = zip(*(_steps(found, worth.sqrt(), width) for width in ROUNDED), strict=True)
    losses = torch.stack([worth, *lost, worth * 2.0**-24])
    return Basis(
        moments.heads,
        moments.key_dim,
        moments.value_dim,
        moments.rotation,
        *(tensor.float().cpu() for tensor in (moments.mean, encode, decode, torch.stack(steps), losses)),
    )


def _steps(rows: Tensor, deviations: Tensor, bits: int) -> tuple[Tensor, Tensor]:
    """For each component ``[dim]``, the best distance between values, and the mean squared error with it."""
    last = 2**bits - 1
    best = torch.full_like(deviations, torch.inf)
    chosen = deviations.clone()
    for factor in _TRIED.tolist():
        steps = (deviations * (_STEPS[bits] * factor)).clamp(min=1e-12)
        rounded = ((rows / steps + last / 2).round_().clamp_(0, last) - last / 2).mul_(steps)
        lost = (rounded - rows).square_().mean(0)
        chosen = torch.where(lost < best, steps, chosen)
        best = torch.minimum(lost, best)
    return chosen, best
