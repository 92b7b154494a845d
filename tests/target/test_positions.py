from __future__ import annotations

from typing import Any

import pytest
from families.walk import walk

from decodeplug.positions import StepInputs, columns_wanted, pad_feeds
from decodeplug.target import Target
from decodeplug.testing.families import family_model

DYNAMIC = {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 10000.0}


def _long(limit: int) -> dict[str, Any]:
    return {
        "rope_type": "longrope", "rope_theta": 10000.0, "factor": 2.0, "short_factor": [1.0] * 8,
        "long_factor": [2.0 + number / 4 for number in range(8)], "original_max_position_embeddings": limit,
    }  # fmt: skip


@pytest.mark.parametrize("cache", ["dense", "none"])
@pytest.mark.parametrize("limit", [8, 14])
@pytest.mark.parametrize("kind", ["dynamic", "longrope", "phi3"])
def test_frequencies_follow_each_text_and_not_the_longest_of_the_batch(kind: str, limit: int, cache: str) -> None:
    if kind == "dynamic":
        model = family_model("llama", max_position_embeddings=limit, rope_parameters=DYNAMIC)
    else:
        family = "llama" if kind == "longrope" else "phi3"
        options = {"original_max_position_embeddings": limit} if kind == "phi3" else {}
        model = family_model(family, max_position_embeddings=2 * limit, rope_parameters=_long(limit), **options)
    outcome = walk(model, cache, fresh=True)
    assert outcome.wrong_rows == 0
    assert outcome.worst < 1e-9


def test_a_module_with_dynamic_frequencies_is_left_as_it_was_built() -> None:
    model = family_model("llama", max_position_embeddings=8, rope_parameters=DYNAMIC)
    rotary = model.model.rotary_emb
    before = rotary.inv_freq.clone()
    session = Target(model).session()
    session.keep([-1], [0])
    session.forward([list(range(3, 23))], [1])
    assert rotary.inv_freq.equal(before)
    assert not rotary.inv_freq.is_inference()
    assert rotary.max_seq_len_cached == rotary.original_max_seq_len


def test_padding_rows_stay_within_their_lane() -> None:
    ids, positions = pad_feeds([[5, 6, 7], [8], []], [0, 4, 2], 3).tolist()
    assert ids == [[5, 6, 7], [8, 8, 8], [0, 0, 0]]
    assert positions == [[0, 1, 2], [4, 4, 4], [1, 1, 1]]


def test_a_padding_row_never_leaves_the_table_of_positions() -> None:
    model = family_model("gpt2", n_positions=16)
    session = Target(model).session()
    session.keep([-1, -1], [0, 0])
    session.forward([list(range(3, 19)), [5]], [1, 1])
    session.keep([0, 1], [15, 1])
    assert session.forward([[7], [6, 7, 8, 9]], [1, 4]).isfinite().all()


@pytest.mark.parametrize(
    ("counts", "wants", "keep", "lanes", "columns"),
    [
        ([3, 3], [1, 1], 1, [0, 1], [0, 0]),
        ([3, 1], [1, 1], [0, 2], [0, 1], [1, 0]),
        ([3, 2], [2, 1], 2, [0, 0, 1], [0, 1, 0]),
        ([3, 0], [3, 0], 3, [0, 0, 0], [0, 1, 2]),
        ([2, 2], [0, 0], 1, [], []),
    ],
)
def test_only_the_wanted_columns_are_projected(
    counts: list[int], wants: list[int], keep: Any, lanes: list[int], columns: list[int]
) -> None:
    assert columns_wanted(counts, wants, max(counts)) == (keep, lanes, columns)


def test_inputs_made_ahead_are_those_of_each_step_wherever_it_is() -> None:
    steps = StepInputs(Target(family_model("llama")).inputs, masked=True)
    places = [*range(5, 150), 3, 4, 900, 3, 5000, 5001, 5002]
    for number, position in enumerate(places):
        ids, where, mask = steps.at(number, position)
        assert (ids.tolist(), where.tolist()) == ([[number]], [[position]])
        assert mask is not None
        assert mask.shape == (1, position + 1)
        assert mask.all()


def test_inputs_made_ahead_are_kept_by_whoever_keeps_them() -> None:
    steps = StepInputs(Target(family_model("llama")).inputs, masked=False)
    kept = [steps.at(number, number) for number in range(200)]
    assert [int(ids) for ids, _, _ in kept] == list(range(200))
    assert {mask for _, _, mask in kept} == {None}
