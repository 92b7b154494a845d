"""The output layer of heads: rows of the model's own, and the way back to its ids."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from decodeplug.heads.cut import IGNORED, CutVocabulary, OutputLayer, commonest

IDS = torch.tensor([3, 7, 8, 40])


def test_the_commonest_ids_are_kept_and_the_lower_one_of_equals() -> None:
    counts = {9: 5, 4: 2, 6: 2, 30: 2}
    assert commonest(counts, 3, 50).tolist() == [4, 6, 9]
    assert commonest(counts, 6, 50).tolist() == [0, 1, 4, 6, 9, 30]


def test_no_more_ids_are_kept_than_there_are() -> None:
    assert commonest({}, 99, 5).tolist() == [0, 1, 2, 3, 4]


def test_places_and_ids_are_each_others_way_back() -> None:
    vocabulary = CutVocabulary(IDS, 50)
    assert vocabulary.places(IDS).tolist() == [0, 1, 2, 3]
    assert vocabulary.places(torch.tensor([[7, 9], [0, 40]])).tolist() == [[1, IGNORED], [IGNORED, 3]]


def test_a_table_is_spread_to_the_ids_it_is_of() -> None:
    table = torch.tensor([[0.1, 0.2, 0.3, 0.4], [1.0, 0.0, 0.0, 0.0]])
    spread = CutVocabulary(IDS, 50).spread(table)
    assert spread.shape == (2, 50)
    assert torch.equal(spread[:, IDS], table)
    assert float(spread.sum()) == float(table.sum())


def test_the_output_layer_scores_as_the_model_does(model: Any) -> None:
    states = torch.randn(5, 64, generator=torch.Generator().manual_seed(0))
    found = OutputLayer(model, CutVocabulary(IDS, model.config.vocab_size))(states)
    assert torch.allclose(found, model.lm_head(states.double())[:, IDS].float(), atol=1e-4)


def test_the_output_layer_has_the_bias_of_the_model(model: Any) -> None:
    import copy

    biased = copy.deepcopy(model)
    biased.lm_head = nn.Linear(64, model.config.vocab_size, bias=True, dtype=torch.float64)
    states = torch.zeros(1, 64)
    found = OutputLayer(biased, CutVocabulary(IDS, model.config.vocab_size))(states)
    assert torch.allclose(found[0], biased.lm_head.bias[IDS].float())
