"""The paged cache under models: exact wherever blocks lie, and memory is taken as it is needed and given back."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from caches.paged_texts import fed, pages, prompt

from decodeplug.caches import Paged
from decodeplug.caches.paged.placement import Placement
from decodeplug.caches.paged.space import Space
from decodeplug.errors import BadOption, CacheFull
from decodeplug.target import Target
from decodeplug.target.rows import RowCosts
from decodeplug.testing import Float64Throughout, check_cache, tiny_model
from decodeplug.testing.families import family_model

WINDOWED = ["gemma3_text", "mistral", "gpt_oss", "llama4_text"]


@pytest.mark.parametrize("block_size", [1, 3, 16])
@pytest.mark.parametrize("kind", ["llama", "gpt2", "mamba", "deepseek"])
def test_the_law_of_caches(kind: str, block_size: int) -> None:
    model = tiny_model(kind)
    check_cache(lambda: Target(model).session(Paged(block_size)), model, vocab=256)


class AlwaysOneMore(RowCosts):
    """Every forward of several lanes is shown another one."""

    def __init__(self) -> None:
        self.shown = 0

    def widened(self, lanes: int, width: int, longest: int) -> int:
        return width

    def spare(self, lanes: int, width: int) -> int:
        self.shown += lanes > 1
        return int(lanes > 1)


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("kind", ["llama", "gpt2", "deepseek"])
def test_what_spare_lanes_compute_is_not_kept(kind: str, attention: str) -> None:
    model = copy.deepcopy(tiny_model(kind))
    model.set_attn_implementation(attention)
    target = Target(model)
    target.rows = costs = AlwaysOneMore()
    check_cache(lambda: target.session(Paged(2)), model, vocab=256)
    assert costs.shown


class Scattered(Space):
    """Gives out its blocks one by one, from anywhere."""

    def take(self, count: int, *, beside: bool = False) -> tuple[int, int]:
        begin, end = max(self.extents(), key=lambda extent: extent[1] - extent[0])
        self._cut(self.extents().index((begin, end)), (begin + end) // 2, 1)
        return (begin + end) // 2, 1

    def take_behind(self, block: int, count: int) -> int:
        return 0


@pytest.mark.parametrize("kind", ["llama", "deepseek"])
def test_it_does_not_matter_where_blocks_lie(kind: str) -> None:
    model, spec = tiny_model(kind), Paged(2)
    target = Target(model)
    session = target.session(spec)
    for group in pages(target, spec).groups.values():
        group.pool._space = Scattered()
    check_cache(lambda: session, model, vocab=256)
    assert session.facts()["copied_bytes"], "short pieces are put together"


def test_short_pieces_of_all_layers_are_put_together_in_one_place(monkeypatch: pytest.MonkeyPatch) -> None:
    rooms: list[tuple[int, torch.Tensor]] = []  # alive, so that their places are not given to others
    room = Placement.room

    def noted(self: Placement, kind: int, *others: Any) -> torch.Tensor:
        found = room(self, kind, *others)
        rooms.append((kind, found))
        return found

    monkeypatch.setattr(Placement, "room", noted)
    model, spec = tiny_model(), Paged(2)
    target = Target(model)
    session = target.session(spec)
    (group,) = pages(target, spec).groups.values()
    group.pool._space = Scattered()
    session.keep([-1], [0])
    for step in range(6):
        session.forward([prompt(40) if step == 0 else [step]], [1])
        session.keep([0], [40 + step])
    assert len(rooms) == 5 * 2 * model.config.num_hidden_layers, (
        "keys and values of each layer in each step but the first"
    )
    assert len({(kind, found.data_ptr()) for kind, found in rooms}) == 2


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_attention_that_knows_no_blocks_reads_a_copy(attention: str) -> None:
    model = copy.deepcopy(tiny_model())
    model.set_attn_implementation(attention)
    target = Target(model)
    sessions = []

    def session() -> Any:
        sessions.append(target.session(Paged(4)))
        return sessions[0]

    check_cache(session, model, vocab=256, steps=8)
    copied = sessions[0].facts()["copied_bytes"]
    assert (copied > 100_000) == (attention == "eager"), copied


@pytest.mark.parametrize("family", WINDOWED)
def test_blocks_that_leave_the_window_are_given_back_and_no_logit_changes(family: str) -> None:
    model = family_model(family)
    target, spec = Target(model), Paged(2, idle_bytes=0)
    session, oracle = target.session(spec), target.session("none")
    windows = [window for window in pages(target, spec).groups if window is not None]
    texts = [prompt(9), prompt(21, 5)]
    session.keep([-1, -1], [0, 0])
    oracle.keep([-1, -1], [0, 0])
    held = [0, 0]
    with Float64Throughout():
        for step in range(40):
            drafted = [[*text, 17, 18, 19] if step % 3 == lane else text for lane, text in enumerate(texts)]
            wants = [len(whole) - len(text) + 1 for whole, text in zip(drafted, texts, strict=True)]
            feeds = [whole[start:] for whole, start in zip(drafted, held, strict=True)]
            assert (session.forward(feeds, wants) - oracle.forward(drafted, wants)).abs().max() < 1e-10
            held = session.keep([0, 1], [len(text) for text in texts])
            oracle.keep([0, 1], [len(text) for text in texts])
            texts = [[*text, 5 + (step + lane) % 30] for lane, text in enumerate(texts)]
    assert windows, "the family has no window"
    for window in windows:
        pool = pages(target, spec).groups[window].pool
        assert pool.held <= 2 * (window // 2 + 3), (pool.held, window)


def test_what_left_the_window_is_fed_again_where_a_text_is_cut_back() -> None:
    model = family_model("gemma3_text")
    target = Target(model)
    session = target.session(Paged(2))
    text = prompt(60)
    session.keep([-1], [0])
    with Float64Throughout():
        session.forward([text[:50]], [1])
        session.keep([0], [50])
        assert session.keep([0], [12]) == [0]
        again = session.forward([text[:13]], [1])
        oracle = target.session("none")
        oracle.keep([-1], [0])
        assert (again - oracle.forward([text[:13]], [1])).abs().max() < 1e-10


def test_a_fork_copies_only_the_rows_of_its_last_block() -> None:
    target, spec = Target(tiny_model()), Paged(4)
    session = target.session(spec)
    session.keep([-1], [0])
    session.forward([prompt(30)], [1])
    session.keep([0, 0, 0], [30, 30, 30])
    assert session.facts()["copied_bytes"] == 0
    assert session.facts()["shared_blocks"] == 8
    session.forward([[5], [6], [7]], [1, 1, 1])
    group = pages(target, spec).groups[None]
    assert session.facts()["copied_bytes"] == 2 * 2 * group.block_bytes // 4
    assert session.facts()["shared_blocks"] == 7
    assert session.bytes() == (7 + 3) * group.block_bytes


def test_no_more_slots_are_unused_than_a_block_has_but_one() -> None:
    target, spec = Target(tiny_model()), Paged(8)
    session = target.session(spec)
    lengths = [1, 7, 8, 9, 31]
    session.keep([-1] * 5, [0] * 5)
    session.forward([prompt(length, 3 + lane) for lane, length in enumerate(lengths)], [1] * 5)
    assert pages(target, spec).groups[None].pool.held == sum(-(-length // 8) for length in lengths)


def test_memory_is_taken_when_it_is_needed_and_given_back() -> None:
    target, spec = Target(tiny_model()), Paged(8, idle_bytes=0)
    session = target.session(spec)
    pool = pages(target, spec).groups[None].pool
    assert pool.total == session.bytes() == 0
    session.keep([-1], [0])
    session.forward([prompt(2000)], [1])
    assert pool.total >= 250
    session.keep([], [])
    assert pool.total == session.bytes() == session.facts()["reserved_bytes"] == 0


def test_a_session_that_nobody_closes_leaves_nothing_behind() -> None:
    target, spec = Target(tiny_model()), Paged(8, idle_bytes=0)
    session = target.session(spec)
    session.keep([-1], [0])
    session.forward([prompt(20)], [1])
    del session
    target.session(spec).keep([], [])
    assert pages(target, spec).groups[None].pool.total == 0


@pytest.mark.parametrize("family", ["gemma2", "gpt_oss"])
def test_layers_of_two_windows_share_a_budget(family: str) -> None:
    target = Target(family_model(family))
    fed(target.session(Paged(2)), prompt(3))
    groups = pages(target, Paged(2)).groups
    assert len(groups) == 2
    room = sum(20 * group.block_bytes for group in groups.values())
    spec = Paged(2, max_bytes=room)
    for first in (3, 4, 5):
        session = target.session(spec)
        fed(session, prompt(40, first))
        session.keep([], [])
    assert pages(target, spec).bytes_taken <= room


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ({"block_size": 0}, "a whole number of at least 1"),
        ({"block_size": True}, "a whole number of at least 1"),
        ({"block_size": 5000}, "a whole number of at least 1 and at most 4096"),
        ({"block_size": 2.0}, "a whole number of at least 1"),
        ({"max_bytes": 0}, "a whole number of at least 1, or None"),
        ({"idle_bytes": -1}, "a whole number of at least 0"),
        ({"idle_bytes": None}, "a whole number of at least 0"),
    ],
)
def test_sizes_that_are_none_are_refused(options: dict[str, Any], wanted: str) -> None:
    with pytest.raises(BadOption, match=wanted):
        Paged(**options)


def test_a_session_without_room_says_so_before_the_model_runs_and_goes_on() -> None:
    model = tiny_model()
    target = Target(model)
    fed(target.session(Paged(4)), prompt(8))
    room = 6 * pages(target, Paged(4)).groups[None].block_bytes
    session = target.session(Paged(4, max_bytes=room))
    session.keep([-1, -1], [0, 0])
    with pytest.raises(CacheFull, match="and may hold") as full:
        session.forward([prompt(12), prompt(16, 5)], [1, 1])
    assert (full.value.lane, full.value.budget_bytes) == (1, room)
    assert full.value.wanted_bytes > room
    assert session.keep([0], [0]) == [0]
    with Float64Throughout():
        logits = session.forward([prompt(24)], [1])
        oracle = target.session("none")
        oracle.keep([-1], [0])
        assert (logits - oracle.forward([prompt(24)], [1])).abs().max() < 1e-10
