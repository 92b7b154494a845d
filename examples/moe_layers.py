"""Mixture-of-experts layers on one screen: dense, sparse, and the loss that keeps a sparse one balanced.

    python examples/moe_layers.py

A layer has N experts E_i, each a small network, and a router G that says how much each counts for a token x. The dense
layer computes all of them; the sparse one only the k that count most, so it has N times the weights of one expert and
k times its cost.

Sources: Shazeer et al. 2017, arXiv:1701.06538, section 2; Mixtral, arXiv:2401.04088, section 2.1; the loss: Fedus et al. 2021,
arXiv:2101.03961, section 2.2.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import torch
from torch import Tensor, nn


class Expert(nn.Module):
    """A gated network, as in Mixtral: ``down(SiLU(gate x) * up x)``."""

    def __init__(self, hidden: int, inner: int) -> None:
        super().__init__()
        self.gate, self.up = nn.Linear(hidden, inner, bias=False), nn.Linear(hidden, inner, bias=False)
        self.down = nn.Linear(inner, hidden, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.down(nn.functional.silu(self.gate(x)) * self.up(x))


class DenseMoE(nn.Module):
    """y = sum_i G(x)_i E_i(x), with G = softmax(W x): every expert computes every token."""

    def __init__(self, hidden: int, inner: int, experts: int) -> None:
        super().__init__()
        self.router = nn.Linear(hidden, experts, bias=False)
        self.experts = nn.ModuleList(Expert(hidden, inner) for _ in range(experts))

    def forward(self, x: Tensor) -> Tensor:
        """``[tokens, hidden]`` to the same."""
        shares = self.router(x).softmax(-1)
        return sum((shares[:, [i]] * expert(x) for i, expert in enumerate(self.experts)), torch.zeros_like(x))


class SparseMoE(DenseMoE):
    """The same sum over the k largest G(x)_i only, which are made to sum to 1: Mixtral's layer."""

    def __init__(self, hidden: int, inner: int, experts: int, k: int) -> None:
        super().__init__(hidden, inner, experts)
        self.k = k

    def forward(self, x: Tensor) -> Tensor:
        shares, chosen = self.router(x).softmax(-1).topk(self.k)
        shares, y = shares / shares.sum(-1, keepdim=True), torch.zeros_like(x)
        for i, expert in enumerate(self.experts):
            token, place = (chosen == i).nonzero(as_tuple=True)
            y[token] += shares[token, place, None] * expert(x[token])
        return y


def balancing_loss(shares: Tensor, chosen: Tensor) -> Tensor:
    """N sum_i f_i P_i: least where every expert is chosen as often, and thought as good, as every other.

    :param shares: ``[tokens, N]`` of the router. :param chosen: ``[tokens, k]``, the experts that were taken.
    """
    count = shares.shape[-1]
    f = nn.functional.one_hot(chosen, count).sum(1).to(shares).mean(0)
    return count * (f * shares.mean(0)).sum()


def main(arguments: Sequence[str] | None = None) -> int:
    """Show that a sparse layer with k = N is the dense one, and what a smaller k costs and changes."""
    torch.manual_seed(0)
    x = torch.randn(512, 32)
    sparse = SparseMoE(32, 64, experts=8, k=8)
    dense = DenseMoE(32, 64, experts=8)
    dense.load_state_dict(sparse.state_dict())
    with torch.inference_mode():
        y = dense(x)
        for k in (8, 4, 2, 1):
            sparse.k = k
            off = (sparse(x) - y).norm() / y.norm()
            print(f"{k} of 8 experts: {k / 8:.1%} of the multiplications, {off:.1%} off the dense layer")
        shares = sparse.router(x).softmax(-1)
        print(f"balancing loss with k = 2: {balancing_loss(shares, shares.topk(2).indices):.3f}, even routing gives 2")
    return 0


if __name__ == "__main__":
    sys.exit(main())
