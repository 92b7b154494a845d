"""Models with large layers, and what is found out about their products."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from decodeplug.target import products
from decodeplug.target.products import Products
from decodeplug.target.ways import Choice, Way, blocks_of, in_blocks, transposed

__all__ = ["PLAIN", "always", "found_out", "large", "linear", "noting", "parted", "plain", "replaced", "taking"]

linear = nn.functional.linear
PLAIN = (None,) * 33


def large(dtype: torch.dtype = torch.float32) -> nn.Module:
    return nn.Sequential(*(nn.Linear(512, 2048, bias=False, dtype=dtype) for _ in range(3)))


def parted(*shapes: tuple[int, int], output: tuple[int, int] | None = None) -> Any:
    """Layers whose weights have these shapes, and an output layer."""
    module: Any = nn.Module()
    module.layers = nn.Sequential(*(nn.Linear(inputs, outputs, bias=False) for outputs, inputs in shapes))
    module.output = None if output is None else nn.Linear(output[1], output[0], bias=False)
    module.get_decoder, module.get_output_embeddings = lambda: module.layers, lambda: module.output
    return module


def replaced(module: nn.Module) -> int:
    return sum("forward" in part.__dict__ for part in module.modules())


def always(way: Way) -> tuple[Way | None, ...]:
    return (None, *[way] * 32)


def taking(
    monkeypatch: pytest.MonkeyPatch,
    plain: Sequence[float],
    right: Sequence[float],
    left: Sequence[float] = (9.0,),
    turned: Sequence[float] = (9.0,),
    *,
    of: Callable[[Tensor], float] = lambda weight: 1.0,
) -> list[int]:
    """Products take so many seconds, for 1, 2 ... 8, 12, 16 and 32 rows, plain, with blocks on the right and on the left, and with
    the weight in the place of the rows; what is said last holds for all further numbers. Returns how many ways were tried.

    :param of: With a weight, ways that are not plain take so many times what they take else.
    """
    tried: list[int] = []

    def seconds(tries: Sequence[Sequence[Tensor]], ways: Sequence[Way | None]) -> products._Taken:
        tried.append(len(ways))
        given = {None: plain, in_blocks: right, blocks_of: left, transposed: turned}
        return {
            (way, rows): [given[way][: place + 1][-1] * (1.0 if way is None else of(weight)) for weight in tries[0]]
            for way in ways
            for place, rows in enumerate(products._ROWS)
        }

    monkeypatch.setattr(products, "_seconds", seconds)
    return tried


def plain(found: Products) -> bool:
    return all(chosen.of(512) == PLAIN for chosen in found._tried().chosen)


def noting(used: list[int], way: Way = blocks_of) -> Way:
    """The same, and the numbers of rows are noted."""

    def noted(states: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        used.append(states.numel() // states.shape[-1])
        return way(states, weight, bias)

    return noted


def found_out(module: nn.Module, choice: Choice) -> Products:
    """As if this had been found out."""
    chosen, dtype = products._Chosen({}, choice), next(module.parameters()).dtype
    products._KNOWN[module] = {(torch.get_num_threads(), True, dtype): products._Tried([], (chosen, chosen))}
    return Products(module)
