"""The drafter of prediction heads: its laws, its noise, and what it remembers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from heads.guessing import random_heads
from target.large_layers import always, found_out, noting
from torch import Tensor

from decodeplug.discovery import Plugins
from decodeplug.drafters import HeadDrafts
from decodeplug.drafters.measured import MeasuredPrice
from decodeplug.errors import BadOption, IncompatibleParts
from decodeplug.heads import Heads
from decodeplug.noise import gumbel
from decodeplug.testing import check_drafter, lane_views, tiny_model
from decodeplug.values import NO_DRAFT, Draft, LaneView

KINDS = ["independent", "recurrent"]
MakeLane = Callable[..., LaneView]


@pytest.fixture(scope="module")
def model() -> Any:
    return tiny_model()


@pytest.fixture(scope="module", params=KINDS)
def heads(request: pytest.FixtureRequest, model: Any) -> Heads:
    return random_heads(model, request.param, ids=half(model))


@pytest.fixture(scope="module")
def recurrent(model: Any) -> Heads:
    return random_heads(model, "recurrent", ids=half(model))


def half(model: Any) -> torch.Tensor:
    """Every second id."""
    return torch.arange(0, model.config.vocab_size, 2)


IDS = torch.randint(0, 259, (60,), generator=torch.Generator().manual_seed(3)).tolist()


@pytest.fixture(scope="module")
def lane(model: Any) -> MakeLane:
    """A lane of the first ids of a text, with the hidden states of the last ``new`` positions that were fed."""

    def make(length: int, new: int | None = None, ids: Sequence[int] = IDS, **options: Any) -> LaneView:
        begin = 0 if new is None else length - 1 - new
        return LaneView(tuple(ids[:length]), 4, hidden=hidden_of(model, ids[: length - 1])[begin:], **options)

    return make


def hidden_of(model: Any, ids: Sequence[int]) -> Tensor:
    with torch.inference_mode():
        return model.model(torch.tensor([ids], device=model.device)).last_hidden_state[0]


def test_it_keeps_the_laws_of_a_drafter(heads: Heads, lane: MakeLane) -> None:
    lanes = [
        lane(12),
        lane(30, 1),
        lane(31, 4, seed=(5, 1)),
        lane(31, samples=True, seed=(5, 2)),
        lane(32, samples=True, wants_probabilities=True),
        lane(33, wants_probabilities=True),
        *lane_views(),  # without hidden states
    ]
    check_drafter(HeadDrafts(heads=heads, num_tokens=9), lanes, vocab=259)


def test_without_hidden_states_there_is_no_draft(heads: Heads, lane: MakeLane) -> None:
    drafter = HeadDrafts(heads=heads, num_tokens=9)
    assert drafter.draft(lane_views()[2], 4) == NO_DRAFT
    assert drafter.draft(lane(12, 0), 4) == NO_DRAFT
    assert len(drafter.draft(lane(12), 9)) == 3
    assert len(drafter.draft(lane(12), 2)) == 2
    assert len(HeadDrafts(heads=heads, num_tokens=2).draft(lane(12), 9)) == 2
    with pytest.raises(BadOption, match="num_tokens=0"):
        HeadDrafts(heads=heads, num_tokens=0)


def test_independent_heads_foresee_from_the_last_hidden_state(model: Any, lane: MakeLane) -> None:
    heads = random_heads(model, "independent", ids=half(model))
    states: Any = heads.part(hidden_of(model, IDS[:19])[-1].float())
    expected = heads.vocabulary.ids[heads.output(states).argmax(-1)].tolist()
    assert list(HeadDrafts(heads=heads, num_tokens=9).draft(lane(20, 1), 3).tokens) == expected


def test_the_recurrent_head_drafts_what_it_was_trained_to_foresee(recurrent: Heads, model: Any, lane: MakeLane) -> None:
    draft = HeadDrafts(heads=recurrent, num_tokens=9).draft(lane(20), 3).tokens
    ids = [*IDS[:20], *draft]  # along its own draft, training sees what drafting saw
    foreseen = recurrent.foresee(hidden_of(model, ids)[None].float(), torch.tensor([ids], device=model.device))
    found = [int(recurrent.vocabulary.ids[recurrent.output(states[0, 18]).argmax()]) for states in foreseen]
    assert tuple(found) == draft


def test_drafting_turn_by_turn_is_drafting_from_scratch(recurrent: Heads, lane: MakeLane) -> None:
    drafter = HeadDrafts(heads=recurrent, num_tokens=9)
    length, by_turns, afresh = 6, [], []
    for kept in (5, 1, 3, 1, 1, 2, 4, 1):  # ids that a turn has committed
        by_turns.append(drafter.draft(lane(length, kept), 3).tokens)
        afresh.append(HeadDrafts(heads=recurrent, num_tokens=9).draft(lane(length), 3).tokens)
        length += 3
        drafter.draft(lane(length - 1, 2), 3)
        drafter.draft(lane(length, 1), 3)
    assert by_turns == afresh
    assert len(set(by_turns)) > 4


def test_what_is_remembered_matters_and_hypotheses_are_told_apart(recurrent: Heads, lane: MakeLane) -> None:
    drafter = HeadDrafts(heads=recurrent, num_tokens=9)
    drafter.draft(lane(40, seed=(0, 0)), 3)
    with_past = drafter.draft(lane(41, 1, seed=(0, 0)), 3).tokens
    without = drafter.draft(lane(41, 1, seed=(0, 1)), 3).tokens
    assert with_past == HeadDrafts(heads=recurrent, num_tokens=9).draft(lane(41), 3).tokens
    assert without == HeadDrafts(heads=recurrent, num_tokens=9).draft(lane(41, 1), 3).tokens
    assert with_past != without


def test_positions_of_another_text_are_forgotten(recurrent: Heads, lane: MakeLane) -> None:
    drafter = HeadDrafts(heads=recurrent, num_tokens=9)
    drafter.draft(lane(40), 3)
    other = [*IDS[:25], *reversed(IDS[25:])]
    # The position before the first other id knows that id: the new hidden states begin there.
    assert IDS[25] != other[25]
    found = drafter.draft(lane(30, 5, ids=other), 3).tokens
    assert found == HeadDrafts(heads=recurrent, num_tokens=9).draft(lane(30, ids=other), 3).tokens
    shorter = drafter.draft(lane(12, 1), 3).tokens
    assert shorter == HeadDrafts(heads=recurrent, num_tokens=9).draft(lane(12), 3).tokens


def test_a_hole_in_what_is_remembered_is_left_open(recurrent: Heads, lane: MakeLane) -> None:
    drafter = HeadDrafts(heads=recurrent, num_tokens=9)
    drafter.draft(lane(20), 3)
    drafter.draft(lane(30, 2), 3)  # positions 19 to 26 never came
    (remembered,) = drafter._remembered.all().values()
    assert remembered.positions == [*range(19), 27, 28]
    assert remembered.memory.keys.shape[2] == 21


def test_no_more_is_remembered_than_it_looks_back(
    recurrent: Heads, lane: MakeLane, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("decodeplug.drafters.heads._WINDOW", 8)
    monkeypatch.setattr("decodeplug.drafters.hypotheses.HYPOTHESES", 2)
    drafter = HeadDrafts(heads=recurrent, num_tokens=9)
    drafter.draft(lane(30), 3)
    by_turns = drafter.draft(lane(33, 3), 3).tokens
    assert [len(kept.positions) for kept in drafter._remembered.all().values()] == [8]
    assert by_turns == HeadDrafts(heads=recurrent, num_tokens=9).draft(lane(33), 3).tokens
    for number in range(5):
        drafter.draft(lane(30, seed=(0, number)), 3)
    assert list(drafter._remembered.all()) == [(0, 3), (0, 4)]


def test_a_lane_that_samples_draws_with_its_own_noise(heads: Heads, lane: MakeLane) -> None:
    drafter = HeadDrafts(heads=heads, num_tokens=9)
    view = lane(20, samples=True, wants_probabilities=True, seed=(9, 4))
    draft = drafter.draft(view, 3)
    assert len(draft.probabilities) == 3
    for step, table in enumerate(draft.probabilities):
        assert table is not None
        assert table.shape == (259,)
        noisy = table.log() + gumbel([(9, 4, 20 + step)], torch.arange(259, device=table.device))[0]
        assert int(noisy.argmax()) == draft.tokens[step]
        assert float(table[1::2].sum()) == 0  # the ids that were cut away
    others = {drafter.draft(replace(view, seed=(seed, 4)), 3).tokens for seed in range(8)}
    assert len(others) > 1


def test_greedy_drafts_are_drawn_from_nothing(heads: Heads, lane: MakeLane) -> None:
    drafter = HeadDrafts(heads=heads, num_tokens=9)
    assert drafter.draft(lane(20), 3).probabilities == ()
    assert drafter.draft(lane(20, wants_probabilities=True), 3).probabilities == ()


def test_a_folder_is_bound_to_the_model_that_it_was_trained_for(
    heads: Heads, model: Any, lane: MakeLane, tmp_path: Path
) -> None:
    heads.save(tmp_path, {})
    drafter: Any = Plugins.load("none").registry.build("drafter", f"heads={tmp_path},num_tokens=9")
    with pytest.raises(BadOption, match="bound to its model"):
        drafter.draft(lane(20), 3)
    with pytest.raises(IncompatibleParts, match="the heads in"):
        drafter.bind(tiny_model(seed=1))
    bound, given = drafter.bind(model).draft(lane(20), 3), HeadDrafts(heads=heads, num_tokens=9).draft(lane(20), 3)
    assert bound.tokens[0] == given.tokens[0]
    assert bound.confidence == pytest.approx(given.confidence, abs=0.05), "bfloat16 at most is between them"


@pytest.mark.parametrize(
    ("single", "half", "in_half"),
    [(2.0, 1.0, True), (1.0, 2.0, False), (None, None, False)],
    ids=["half", "single", "small"],
)
def test_heads_that_are_loaded_to_draft_are_in_the_faster_dtype(
    heads: Heads,
    model: Any,
    lane: MakeLane,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    single: float | None,
    half: float | None,
    in_half: bool,
) -> None:
    def seconds(self: Heads) -> Any:
        took = half if self.output.rows.dtype == torch.bfloat16 else single
        return SimpleNamespace(seconds=lambda: () if took is None else (0.0, took), quick=lambda rows: nullcontext())

    heads.save(tmp_path, {})
    monkeypatch.setattr("decodeplug.heads.trained.multiplies_faster_in_bfloat16", lambda device: True)
    monkeypatch.setattr(Heads, "products", property(seconds))
    drafter = HeadDrafts(path=str(tmp_path), num_tokens=9).bind(model)
    assert drafter.heads is not None
    dtype = torch.bfloat16 if in_half and model.device.type != "cuda" else torch.float32
    assert {part.dtype for part in (*drafter.heads.part.parameters(), drafter.heads.output.rows)} == {dtype}
    assert len(drafter.draft(lane(20), 3)) == len(drafter.draft(lane(23, 3), 3)) == 3
    view = lane(26, 3, samples=True, wants_probabilities=True)
    assert all(law is not None and law.dtype == torch.float32 for law in drafter.draft(view, 3).probabilities)


def test_heads_multiply_their_few_rows_as_is_fastest(
    heads: Heads, lane: MakeLane, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = HeadDrafts(heads=heads, num_tokens=3).draft(lane(20), 3)
    monkeypatch.setattr("decodeplug.target.weights._LEAST_WEIGHT", 0)
    again, used = replace(heads), list[int]()
    found_out(again.layers, always(noting(used)))
    quick = HeadDrafts(heads=again, num_tokens=3).draft(lane(20), 3)
    assert quick.tokens == plain.tokens
    assert quick.confidence == pytest.approx(plain.confidence, abs=1e-5)
    assert (1 in used) == heads.output.rows.is_cpu


def test_a_further_token_is_drafted_while_those_before_it_are_likelier_than_it_is_dear(
    recurrent: Heads, lane: MakeLane, monkeypatch: pytest.MonkeyPatch
) -> None:
    def drafted(price: float, **options: Any) -> Draft:
        monkeypatch.setattr(MeasuredPrice, "of", lambda self, lane: price)
        return HeadDrafts(heads=recurrent).draft(lane(20, **options), 3)

    whole = HeadDrafts(heads=recurrent, num_tokens=3).draft(lane(20), 3)
    first, second = (whole.confidence[place] or 0.0 for place in range(2))
    assert 0 < first < 1 and 0 < second < 1  # noqa: PT018
    on_cpu = recurrent.output.rows.is_cpu  # elsewhere to know it would be to wait for it
    for likely, count in ((first, 1), (first * second, 2)):
        assert drafted(1.01 * likely) == (whole.first(count) if on_cpu else whole)
        assert len(drafted(0.99 * likely)) > count
    assert len(drafted(0.99, samples=True)) == 3, "of noise nobody knows how often it agrees"


def test_loaded_heads_are_of_one_model_too(heads: Heads, model: Any) -> None:
    drafter = HeadDrafts(heads=heads, num_tokens=9)
    assert drafter.bind(model) is drafter
    assert drafter.bind(tiny_model()) is drafter  # the same weights
    with pytest.raises(IncompatibleParts):
        drafter.bind(tiny_model(seed=1))


@pytest.mark.parametrize("options", [{}, {"path": "x", "heads": "y"}])
def test_exactly_one_source_of_heads_must_be_given(options: dict[str, Any]) -> None:
    with pytest.raises(BadOption, match="a folder that `decodeplug train-heads` wrote, or heads"):
        HeadDrafts(**options)
