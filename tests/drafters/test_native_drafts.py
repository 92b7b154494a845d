"""The drafter of a model's own modules: its laws, its noise, what it remembers, and what transformers drafts with them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from drafters.native_families import (
    CHECKPOINTS,
    FAMILIES,
    checkpoint,
    hidden_of,
    native_model,
    native_modules,
    read_again,
)
from transformers import GenerationConfig
from transformers.generation.candidate_generator import MTPCandidateGenerator
from transformers.modeling_outputs import CausalLMOutputWithPast

from decodeplug.discovery import Plugins
from decodeplug.drafters import NativeDrafts
from decodeplug.errors import BadOption, IncompatibleParts
from decodeplug.native_modules import width_of
from decodeplug.noise import gumbel
from decodeplug.testing import check_drafter, lane_views
from decodeplug.values import NO_DRAFT, LaneView, Opening

IDS = torch.randint(0, 512, (80,), generator=torch.Generator().manual_seed(3)).tolist()
MakeLane = Callable[..., LaneView]


@pytest.fixture(scope="module", params=list(FAMILIES))
def family(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def model(family: str) -> Any:
    return native_model(family)


@pytest.fixture(scope="module")
def modules(model: Any) -> Any:
    return native_modules(model)


@pytest.fixture(scope="module")
def lane(model: Any) -> MakeLane:
    return lanes_of(model)


def lanes_of(model: Any) -> MakeLane:
    """A lane of the first ids of a text, with the hidden states of the last ``new`` positions that were fed."""

    def make(length: int, new: int | None = None, ids: Sequence[int] = IDS, **options: Any) -> LaneView:
        begin = 0 if new is None else length - 1 - new
        return LaneView(tuple(ids[:length]), 4, hidden=hidden_of(model, ids[: length - 1])[begin:], **options)

    return make


def test_it_keeps_the_laws_of_a_drafter(modules: Any, lane: MakeLane) -> None:
    lanes = [
        lane(2),
        lane(12),
        lane(31, seed=(5, 1)),
        lane(31, samples=True, seed=(5, 2)),
        lane(32, samples=True, wants_probabilities=True),
        *lane_views(),  # without hidden states
    ]
    check_drafter(NativeDrafts(modules), lanes, vocab=width_of(modules))


def test_it_drafts_a_token_for_each_module_and_none_without_hidden_states(modules: Any, lane: MakeLane) -> None:
    drafter, count = NativeDrafts(modules), len(modules.layers)
    assert drafter.draft(lane_views()[2], 4) == NO_DRAFT
    assert drafter.draft(lane(12, 0), 4) == NO_DRAFT
    assert len(drafter.draft(lane(12), 9)) == count
    assert len(drafter.draft(lane(12), 1)) == 1
    assert len(NativeDrafts(modules, num_tokens=1).draft(lane(12), 9)) == 1
    with pytest.raises(BadOption, match="num_tokens=0"):
        NativeDrafts(modules, num_tokens=0)


def test_drafting_turn_by_turn_is_drafting_from_scratch(modules: Any, lane: MakeLane) -> None:
    """Of each draft a few tokens are kept, none up to all; the layers with a window have filled it long before the end."""
    drafter, count = NativeDrafts(modules), len(modules.layers)
    ids, new, drafts = IDS[:5], 4, set[tuple[int, ...]]()
    for turn in range(16):
        view = lane(len(ids), new, ids)
        draft = drafter.draft(view, 9 if turn % 5 else 1).tokens
        assert draft == NativeDrafts(modules).draft(lane(len(ids), None, ids), 9).tokens[: len(draft)]
        kept = min(len(draft), (0, count, 1, count, 2)[turn % 5])
        ids, new = [*ids, *draft[:kept], IDS[20 + turn]], kept + 1
        drafts.add(draft)
    assert len(drafts) > 6


def test_what_is_remembered_matters_and_hypotheses_are_told_apart(modules: Any, lane: MakeLane) -> None:
    drafter = NativeDrafts(modules)
    logits: list[tuple[int, ...]] = []
    for length in range(30, 60, 3):
        drafter.draft(lane(length, seed=(0, 0)), 3)
        with_past = drafter.draft(lane(length + 1, 1, seed=(0, 0)), 3).tokens
        without = drafter.draft(lane(length + 1, 1, seed=(0, 1)), 3).tokens
        assert with_past == NativeDrafts(modules).draft(lane(length + 1), 3).tokens
        drafter = NativeDrafts(modules)
        logits += [with_past, without]
    assert logits[::2] != logits[1::2]


def test_positions_of_another_text_are_forgotten(modules: Any, lane: MakeLane) -> None:
    drafter = NativeDrafts(modules)
    drafter.draft(lane(40), 3)
    other = [*IDS[:25], *reversed(IDS[25:])]
    behind = len(modules.layers)  # of these positions the last module has read an id that is now another one
    found = drafter.draft(lane(30, 4 + behind, ids=other), 3).tokens
    assert found == NativeDrafts(modules).draft(lane(30, ids=other), 3).tokens


@pytest.mark.parametrize("family", ["deepseek-3", "inkling", "mellum"])
def test_what_a_window_has_let_go_of_is_not_built_on(family: str) -> None:
    """Once cropped, layers with a window or a state hold no more than they need to go on from there."""
    model = native_model(family)
    drafter, lane = NativeDrafts(native_modules(model)), lanes_of(model)
    drafter.draft(lane(40), 3)
    drafter.draft(lane(44, 4), 3)
    drafter.draft(lane(20, 2), 3)
    (remembered,) = drafter._remembered.all().values()
    known = [17, 18] if family != "deepseek-3" else [*range(19)]
    assert remembered.positions == known
    drafts = [NativeDrafts(drafter.modules).draft(view, 3).tokens for view in (lane(24, 6), lane(24))]
    assert drafter.draft(lane(24, 4), 3).tokens == drafts[family == "deepseek-3"]


def test_a_hole_in_what_is_remembered_is_left_open(modules: Any, lane: MakeLane) -> None:
    drafter = NativeDrafts(modules)
    drafter.draft(lane(20), 3)
    drafter.draft(lane(30, 2), 3)  # positions 19 to 26 never came
    (remembered,) = drafter._remembered.all().values()
    assert remembered.positions == [*range(19), 27, 28]


def test_a_lane_that_samples_draws_with_its_own_noise(modules: Any, lane: MakeLane) -> None:
    drafter = NativeDrafts(modules)
    view = lane(20, samples=True, wants_probabilities=True, seed=(9, 4))
    draft = drafter.draft(view, 3)
    assert len(draft.probabilities) == len(modules.layers)
    for step, table in enumerate(draft.probabilities):
        assert table is not None
        assert table.shape == (width_of(modules),)
        noisy = table.log() + gumbel([(9, 4, 20 + step)], torch.arange(len(table), device=table.device))[0]
        assert int(noisy.argmax()) == draft.tokens[step]
    others = {drafter.draft(replace(view, seed=(seed, 4)), 3).tokens for seed in range(8)}
    assert len(others) > 1
    assert drafter.draft(lane(20, wants_probabilities=True), 3).probabilities == ()


@pytest.mark.parametrize("family", CHECKPOINTS)
def test_the_drafts_are_those_of_transformers(family: str, tmp_path: Path) -> None:
    """Turn by turn with its candidate generator, on modules that both read from one checkpoint."""
    checkpoint(family, tmp_path)
    model = read_again(tmp_path)
    theirs = MTPCandidateGenerator(model, GenerationConfig(do_sample=False), {})
    theirs.mtp_model.eval()
    ours = NativeDrafts().open(Opening(model=model))
    assert theirs.mtp_model is not ours.modules
    ids, new, matches = IDS[:6], 5, 0
    for turn in range(12):
        hidden = hidden_of(model, ids[:-1])
        positions = torch.arange(len(ids), device=model.device)[None]
        found, _ = theirs.get_candidates(
            torch.tensor([ids], device=model.device),
            {"position_ids": positions, "attention_mask": torch.ones_like(positions)},
            CausalLMOutputWithPast(hidden_states=(hidden[None, -new:],)),
            is_first_iteration=False,
            n_last_matches=matches,
        )
        draft = ours.draft(LaneView(tuple(ids), 4, hidden=hidden[-new:]), 9).tokens
        assert list(draft) == found[0, len(ids) :].tolist()
        matches = (0, len(draft), 1)[turn % 3]
        ids, new = [*ids, *draft[:matches], IDS[20 + turn]], matches + 1


def test_modules_must_be_there_and_of_this_model() -> None:
    drafter: Any = Plugins.load("none").registry.build("drafter", "mtp")
    model = native_model("deepseek")
    with pytest.raises(BadOption, match="opened for its model"):
        drafter.draft(lanes_of(model)(9), 3)
    with pytest.raises(IncompatibleParts, match="output layer of another model"):
        NativeDrafts(native_modules(native_model("deepseek"))).open(Opening(model=model))
