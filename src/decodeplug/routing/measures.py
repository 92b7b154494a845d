"""Measures of routing, each with its definition: how evenly experts are used, and how the use changes.

All of them take ``experts`` ``[tokens, layers, k]`` int64, where -1 is nobody, and give one value for each layer. They work
on any device, and in training as well as afterwards.

Words: ``N`` experts, ``k`` of them for each token; *load* is how often an expert was chosen. Tokens that a layer never computed, whose
experts are all -1 and whose probabilities are all 0, do not count.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from decodeplug.errors import BadOption
from decodeplug.routing.report import load_of

if TYPE_CHECKING:
    from decodeplug.routing.report import Routing

__all__ = [
    "Balance",
    "auxiliary_loss",
    "balance",
    "drift",
    "fractions",
    "mean_probs",
    "overlap",
    "repetition",
    "repetition_by_chance",
]


@dataclass(frozen=True, slots=True, eq=False)
class Balance:
    """How evenly the experts of each layer are used. All ``[layers]``, float64 but for ``dead``.

    :ivar entropy: Of the load, in nats, divided by ``log N``: 1 where all are used alike, 0 where one does everything.
    :ivar confidence: 1 less the mean entropy of the router's probabilities, divided by ``log N``: 0 where the router thinks all
        experts equally good for every token, 1 where it is sure of one.
    :ivar variation: Coefficient of variation of the load: its standard deviation divided by its mean (Shazeer et al. 2017,
        arXiv:1701.06538, section 4, from which the first loss for importance came).
    :ivar peak: The largest load divided by the mean.
    :ivar dead: ``[layers]`` int64, experts that were never chosen.
    :ivar loss: The auxiliary loss with a factor of 1; see :func:`auxiliary_loss`.
    """

    entropy: Tensor
    confidence: Tensor
    variation: Tensor
    peak: Tensor
    dead: Tensor
    loss: Tensor

    def to_dict(self) -> dict[str, Any]:
        """As lists, one value for each layer."""
        return {name: getattr(self, name).tolist() for name in self.__slots__}


def fractions(experts: Tensor, count: int, mask: Tensor | None = None) -> Tensor:
    """f_i: the fraction of tokens for which expert i was chosen; of a layer they sum to k.

    Source: Fedus et al. 2021, arXiv:2101.03961, equation 5, where k is 1.

    :param count: N. :param mask: ``[tokens]`` bool, which tokens count; None: all.
    :returns: ``[layers, N]`` float64.
    """
    chosen = experts if mask is None else experts[mask]
    computed = (chosen >= 0).any(-1).sum(0).clamp(min=1)
    return load_of(chosen, count).to(torch.float64) / computed[:, None]


def mean_probs(probs: Tensor, mask: Tensor | None = None) -> Tensor:
    """P_i: the mean of the router's probability of expert i.

    Source: Fedus et al. 2021, arXiv:2101.03961, equation 6.

    :param probs: ``[tokens, layers, N]``. :param mask: As of :func:`fractions`. :returns: ``[layers, N]`` float64.
    """
    counted = probs if mask is None else probs[mask]
    computed = (counted > 0).any(-1).sum(0).clamp(min=1)
    return counted.to(torch.float64).sum(0) / computed[:, None]


def auxiliary_loss(
    experts: Tensor, probs: Tensor, *, alpha: float = 1.0, mask: Tensor | None = None, by_layer: bool = True
) -> Tensor:
    """alpha N sum_i f_i P_i: the load balancing loss. With a router that is even it is ``alpha k``, its least where f follows P.

    Over all layers at once, with ``alpha=1``, it is what ``load_balancing_loss_func`` of transformers gives.

    Source: Fedus et al. 2021, arXiv:2101.03961, equation 4.

    :param by_layer: Of each layer, ``[layers]``; else over the tokens of all layers, a single value.
    """
    count = probs.shape[-1]
    f, p = fractions(experts, count, mask), mean_probs(probs, mask)
    if by_layer:
        return alpha * count * (f * p).sum(-1)
    return alpha * count * (f.mean(0) * p.mean(0)).sum()


def balance(routing: Routing) -> Balance:
    """How evenly the experts of each layer are used over the tokens of a routing."""
    load = routing.load.to(torch.float64)
    sizes = torch.tensor(list(routing.counts), dtype=torch.float64)
    exists = torch.arange(load.shape[-1]) < sizes[:, None]
    mean = load.sum(-1) / sizes
    spread = (((load - mean[:, None]) ** 2) * exists).sum(-1) / sizes
    probs = routing.probs.to(torch.float64)
    most = sizes.log().clamp(min=1e-300)
    return Balance(
        entropy=_entropy(load / load.sum(-1, keepdim=True).clamp(min=1)) / most,
        confidence=1 - _entropy(probs).sum(0) / (probs > 0).any(-1).sum(0).clamp(min=1) / most,
        variation=spread.sqrt() / mean.clamp(min=1e-300),
        peak=load.max(-1).values / mean.clamp(min=1e-300),
        dead=((load == 0) & exists).sum(-1),
        loss=_loss_of(routing),
    )


def _loss_of(routing: Routing) -> Tensor:
    f, p = fractions(routing.experts, routing.probs.shape[-1]), mean_probs(routing.probs)
    return torch.tensor(list(routing.counts), dtype=torch.float64) * (f * p).sum(-1)


def _entropy(shares: Tensor) -> Tensor:
    return torch.special.entr(shares).sum(-1)


def repetition(experts: Tensor) -> tuple[Tensor, Tensor]:
    """How often two tokens in a row are computed by the same experts.

    Source: Jiang et al. 2024 (Mixtral), arXiv:2401.04088, table 5.

    :returns: The share of pairs whose first experts are the same, and of those that have any expert in common; both
        ``[layers]`` float64, NaN for a single token.
    """
    before, after = experts[:-1], experts[1:]
    computed = ((before >= 0).any(-1) & (after >= 0).any(-1)).sum(0).to(torch.float64)
    same = (before[..., 0] == after[..., 0]) & (after[..., 0] >= 0)
    shared = ((before[..., :, None] == after[..., None, :]) & (after[..., None, :] >= 0)).any(-1).any(-1)
    return same.sum(0) / computed, shared.sum(0) / computed


def repetition_by_chance(count: int, k: int) -> tuple[float, float]:
    """What :func:`repetition` would give if experts were drawn evenly: 1/N, and 1 - C(N-k, k) / C(N, k)."""
    return 1 / count, 1 - math.comb(count - k, k) / math.comb(count, k)


def overlap(experts: Tensor) -> Tensor:
    """``[layers, layers]`` float64: of the experts of a token in one layer (row), the share that has the same number in another.

    By chance it is k/N. Numbers mean something across layers only where experts began as copies of one another.
    """
    layers = experts.shape[1]
    shares = torch.ones((layers, layers), dtype=torch.float64)
    for one in range(layers):
        for other in range(one):
            first, second = experts[:, one], experts[:, other]
            common = ((first[:, :, None] == second[:, None, :]) & (first[:, :, None] >= 0)).sum().to(torch.float64)
            shares[one, other] = common / (first >= 0).sum().clamp(min=1)
            shares[other, one] = common / (second >= 0).sum().clamp(min=1)
    return shares


def drift(experts: Tensor, count: int, windows: int = 4) -> Tensor:
    """How the load changes over a text: ``[windows - 1, layers]`` float64, from 0 (the same) to 1 (no expert in common).

    The Jensen-Shannon divergence, in bits, between the loads of windows of equal length that follow one another
    (Lin 1991, IEEE Transactions on Information Theory 37(1), section IV).

    :param count: N.
    :raises BadOption: There are fewer tokens than windows, or fewer than two windows.
    """
    if windows < 2 or len(experts) < windows:
        raise BadOption("drift", windows=windows, wanted=f"from 2 to the {len(experts)} tokens of the text")
    length = len(experts) // windows
    shares = []
    for window in range(windows):
        load = load_of(experts[window * length : (window + 1) * length], count).to(torch.float64)
        shares.append(load / load.sum(-1, keepdim=True).clamp(min=1))
    pairs = itertools.pairwise(shares)
    return torch.stack([_entropy((p + q) / 2) - (_entropy(p) + _entropy(q)) / 2 for p, q in pairs]) / math.log(2)
