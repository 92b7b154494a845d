"""What keys and values of a model are like, and how much it matters where they are changed.

A document is read in two parts. The keys and values of the first are then the leaves of a second pass over the last ids, whose
next tokens are drawn from what the model says itself: the mean outer product of the gradient of their log-likelihood is the
Fisher information, to second order the KL divergence that a change causes (Kullback 1959, chapter 2, section 6). Only ids that
lie so far back that a cache would have coded them are counted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import CacheLayerMixin

from decodeplug.caches.dense import LayeredCache
from decodeplug.caches.transform.rotary import Rotation
from decodeplug.calibration.rotation import ids_to_try, rotations

__all__ = ["FIRST", "Moments", "begun", "gather"]

FIRST = 4  # ids at the beginning of a document, which no cache codes
_ROWS = 4096  # of each layer, that are kept to try scales on


class Leaf(CacheLayerMixin):
    """A layer that keeps what it is given as it is, so that a gradient can be taken."""

    is_sliding = False
    is_croppable = False

    def __init__(self) -> None:
        super().__init__()
        self.past: tuple[Tensor, Tensor] | None = None

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        """Nothing is to be made."""

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        """Keys and values ``[texts, heads, width, dim]`` behind those that are there."""
        new = key_states, value_states
        if self.past is None:
            self.past = new
            return new
        keys, values = (torch.cat([old, some], dim=2) for old, some in zip(self.past, new, strict=True))
        return keys, values

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        return self.get_seq_length() + query_length, 0

    def get_seq_length(self) -> int:
        return 0 if self.past is None else self.past[0].shape[2]

    def get_max_length(self) -> int:
        return -1


@dataclass(eq=False)
class Moments:
    """Of one layer, of keys (before their rotation) and values behind one another, all heads: ``dim`` numbers an id.

    :ivar heads, key_dim, value_dim: Their shapes. :ivar rotation: Of the keys; None: they are taken as they are.
    :ivar mean: ``[dim]``. :ivar covariance, fisher: ``[dim, dim]`` float64; the latter of the log-likelihood, for one id.
    :ivar rows: ``[ids, dim]``, some of them.
    """

    heads: int
    key_dim: int
    value_dim: int
    rotation: Rotation | None
    count: int = 0
    total: Tensor = field(default_factory=lambda: torch.zeros(()))
    square: Tensor = field(default_factory=lambda: torch.zeros(()))
    gradient: Tensor = field(default_factory=lambda: torch.zeros(()))
    kept: list[Tensor] = field(default_factory=list[Tensor])

    @property
    def mean(self) -> Tensor:
        return self.total / self.count

    @property
    def covariance(self) -> Tensor:
        return self.square / self.count - torch.outer(self.mean, self.mean)

    @property
    def fisher(self) -> Tensor:
        return self.gradient / self.count

    @property
    def rows(self) -> Tensor:
        return torch.cat(self.kept)

    def joined(self, keys: Tensor, values: Tensor, start: int) -> Tensor:
        """Keys ``[ids, heads, key_dim]`` and values, of ids from ``start`` on, as ``[ids, dim]``."""
        if self.rotation is not None:
            cos, sin = self.rotation.table(start, len(keys), keys)
            keys = self.rotation.turn(keys, cos, -sin)
        return torch.cat([keys.flatten(1), values.flatten(1)], dim=1)

    def add(self, rows: Tensor, gradients: Tensor, keep: int) -> None:
        """Take ``[ids, dim]`` of each into account; ``keep`` of the rows are kept."""
        exact, slopes = rows.double(), gradients.double()
        self.count += len(rows)
        self.total = self.total + exact.sum(0)
        self.square = self.square + exact.T @ exact
        self.gradient = self.gradient + slopes.T @ slopes
        self.kept.append(rows[:: max(1, len(rows) // keep)].clone())


def gather(
    host: Any,
    documents: Sequence[Sequence[int]],
    *,
    window: int,
    queries: int,
    seed: int,
    tell: Callable[[float], None],
    stop: Callable[[], bool],
) -> tuple[list[Moments], int]:
    """Read documents, and see what their keys and values are like.

    :param host: A ``decodeplug.Host``; its model is not changed. :param documents: Ids; each longer than ``window + queries + 4``.
    :param window: Ids before the last ``queries``, which are not counted. :param seed: Of the tokens that are drawn.
    :param tell: Called with the share of documents that have been read. :param stop: Asked between two documents: is it enough?
    :returns: For each layer with keys and values; and how many documents were read.
    """
    target = host.target
    trained = [weight for weight in target.module.parameters() if weight.requires_grad]
    random = torch.Generator().manual_seed(seed)
    keep = -(-_ROWS // len(documents))
    count = 0
    with target.lock:
        for weight in trained:
            weight.requires_grad_(False)
        try:
            moments = begun(target)
            for count, ids in enumerate(documents, start=1):
                _read(target, ids, moments, window, queries, random, keep)
                tell(count / len(documents))
                if stop():
                    break
        finally:
            for weight in trained:
                weight.requires_grad_(True)
    return moments, count


def begun(target: Any) -> list[Moments]:
    """Nothing read yet: shapes and rotations of all layers."""
    ids = torch.tensor(ids_to_try(target.vocab_size), device=target.device)[:, None]

    def keys_at(position: int) -> list[Tensor]:
        cache = _cache(target, 0)
        with torch.no_grad():
            target.inputs(ids, torch.full_like(ids, position), None, cache)
        return [layer.past[0][:, :, 0] for layer in cache.layers]

    window = target.context_window or 1 << 16
    found = rotations(keys_at, window) if target.inputs.takes_positions else None
    cache = _cache(target, 0)
    with torch.no_grad():
        target.inputs(ids[:1], torch.zeros_like(ids[:1]), None, cache)
    return [
        Moments(
            layer.past[0].shape[1],
            layer.past[0].shape[3],
            layer.past[1].shape[3],
            None if found is None else found[number],
        )
        for number, layer in enumerate(cache.layers)
    ]


def _cache(target: Any, held: int) -> LayeredCache:
    return LayeredCache([Leaf() for _ in target.choice.kinds], SimpleNamespace(longest=held))


def _read(
    target: Any,
    ids: Sequence[int],
    moments: Sequence[Moments],
    window: int,
    queries: int,
    random: torch.Generator,
    keep: int,
) -> None:
    begin = len(ids) - queries
    both = torch.tensor([list(ids)], device=target.device)
    positions = torch.arange(len(ids), device=target.device)[None]
    cache = _cache(target, 0)
    with torch.no_grad():
        target.inputs(both[:, :begin], positions[:, :begin], None, cache, keep=1)
    cache.slots.longest = begin
    for layer in cache.layers:
        layer.past = tuple(rows.detach().requires_grad_() for rows in layer.past)
    with torch.enable_grad():
        said = target.inputs(both[:, begin:], positions[:, begin:], None, cache).logits[0].float().log_softmax(-1)
        drawn = said.detach().exp().cpu().multinomial(1, generator=random).to(said.device)
        leaves = [rows for layer in cache.layers for rows in layer.past]
        slopes = torch.autograd.grad(said.gather(1, drawn).sum(), leaves)
    last = begin - window
    for number, layer in enumerate(moments):
        rows = [_rows(some, last) for some in leaves[2 * number : 2 * number + 2]]
        gradients = [_rows(some, last) for some in slopes[2 * number : 2 * number + 2]]
        layer.add(layer.joined(rows[0], rows[1], FIRST), layer.joined(gradients[0], gradients[1], FIRST), keep)


def _rows(states: Tensor, last: int) -> Tensor:
    """``[1, heads, ids, dim]`` as ``[ids, heads, dim]``, without the first ids and those from ``last`` on."""
    return states.detach()[0, :, FIRST:last].transpose(0, 1)
