"""Samples of a model's weights: no byte twice, and only weights of one kind in each other's place."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from decodeplug.target.weights import linear_weights, sample, samples


def _large(dtype: torch.dtype = torch.float32) -> list[nn.Linear]:
    return [nn.Linear(512, 2048, bias=False, dtype=dtype) for _ in range(3)]


def test_weights_of_other_kinds_do_not_stand_for_each_other() -> None:
    odd = nn.Linear(512, 2048, bias=False)
    odd.weight = nn.Parameter(torch.randn(512, 2048).T)  # not contiguous
    single, double = _large(), _large(torch.float64)
    layers = [odd, *(layer for pair in zip(single, double, strict=True) for layer in pair)]
    share, tries = sample(linear_weights(layers))
    assert [[weight.data_ptr() for weight in one] for one in tries] == [[layer.weight.data_ptr()] for layer in single]
    assert share == 10, "of forty megabytes"


def test_a_large_weight_is_tried_piece_by_piece() -> None:
    layer = nn.Linear(512, 8192 + 32)
    _, tries = sample(linear_weights([layer]))
    begins = [[weight.storage_offset() // 512 for weight in one] for one in tries]
    assert begins == [[0], [2048], [4096], [6144]]
    assert {len(weight) for one in tries for weight in one} == {2048}


def test_what_cannot_be_cut_is_tried_in_pieces_that_cannot() -> None:
    _, tries = sample([(torch.zeros(8193, 512), False)])
    assert len(tries[0][0]) == 2047, "not the 2,048 there is room for"


def test_of_nothing_there_is_an_empty_try() -> None:
    assert sample([]) == (0, [[]])


def test_an_output_layer_among_the_layers_is_no_layer() -> None:
    module: Any = nn.Module()
    module.layers, module.output = nn.Sequential(*_large()), nn.Linear(512, 4096, bias=False)
    module.get_output_embeddings = lambda: module.output
    layers, output = samples(module)  # it has no get_decoder
    assert layers.share * sum(weight.nbytes for weight in layers.tries[0]) == 3 * 2048 * 512 * 4
    assert output.share * sum(weight.nbytes for weight in output.tries[0]) == 4096 * 512 * 4
