"""Caches that code older ids: what a text says does not depend on how it was fed, and bytes are what was promised."""

from __future__ import annotations

import itertools
import random
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as some

from decodeplug.caches import Dense, Quantised
from decodeplug.caches.coded import Horizon
from decodeplug.caches.coded.packing import WIDTHS, pack, unpack
from decodeplug.caches.pieces import InPieces
from decodeplug.caches.quantised import Rounding
from decodeplug.errors import BadOption, IncompatibleParts
from decodeplug.target import Target
from decodeplug.testing import Float64Throughout, check_cache, tiny_model
from decodeplug.testing.families import family_model

SMALL = Quantised(4, group=4, window=3, first=1)
"""So little stays as it is that most of a short text is coded."""
OTHER, OTHERS = Quantised(2, group=8, window=1, first=0), Quantised(8, group=4, window=9, first=3)


@given(some.sampled_from(WIDTHS), some.integers(1, 4), some.integers(0, 2**32))
def test_numbers_come_back_as_they_were(bits: int, pieces: int, seed: int) -> None:
    numbers = torch.randint(2**bits, (pieces, 16, 2, 3), generator=torch.Generator().manual_seed(seed)).to(torch.uint8)
    packed = torch.stack([pack(piece, bits) for piece in numbers])
    assert packed.numel() == numbers.numel() * bits // 8
    assert torch.equal(unpack(packed, bits), numbers)


@given(some.integers(0, 8), some.integers(1, 40), some.integers(1, 16), some.integers(0, 200))
def test_what_an_id_sees_coded_follows_from_its_position(first: int, window: int, step: int, position: int) -> None:
    horizon = Horizon(first, window, step)
    room = horizon.room(position)
    assert 0 <= horizon.coded(position) <= max(0, position - window)
    assert room >= 1
    assert horizon.coded(position + room - 1) == horizon.coded(position) < horizon.coded(position + room)


LAW = list(itertools.product(["llama", "gpt2", "mamba", "deepseek"], [SMALL, OTHER, OTHERS], range(2)))
BRIEFLY = [("llama", SMALL, 0), ("llama", OTHER, 1), ("gpt2", OTHERS, 0), ("mamba", SMALL, 1), ("deepseek", SMALL, 0)]


@pytest.mark.parametrize(
    ("kind", "spec", "seed"),
    [pytest.param(*cell, marks=[] if cell in BRIEFLY else [pytest.mark.slow]) for cell in LAW],
)
def test_the_law_of_approximate_caches(kind: str, spec: Quantised, seed: int) -> None:
    model = tiny_model(kind)
    target = Target(model)
    check_cache(lambda: target.session(spec), model, exact=False, longest=30, steps=16, seed=seed, vocab=256)


@pytest.mark.parametrize("family", ["bamba", "falcon_h1", "gemma3_text", "gpt_oss", "gpt_neo", "bloom", "bert"])
def test_the_law_holds_with_states_windows_and_prompts_that_are_fed_whole(family: str) -> None:
    model = family_model(family)
    target = Target(model)
    assert (family in ("gemma3_text", "gpt_oss", "bloom")) == target.feeds_in_pieces(SMALL)
    check_cache(lambda: target.session(SMALL), model, exact=False, longest=20, steps=12, seed=1, vocab=50)


def fed(spec: Any, ids: list[int]) -> tuple[Any, torch.Tensor]:
    session = Target(tiny_model()).session(spec)
    session.keep([-1], [0])
    with Float64Throughout():
        return session, session.forward([ids], [len(ids)])


def text(count: int, seed: int = 0) -> list[int]:
    chance = random.Random(seed)
    return [chance.randrange(256) for _ in range(count)]


def test_nothing_is_lost_within_the_window_and_little_of_eight_bits_behind_it() -> None:
    ids = text(60)
    exact = fed(Dense(), ids)[1]
    assert torch.equal(fed(Quantised(2, window=64), ids)[1], exact)
    away = [float((fed(Quantised(bits, group=4, window=4, first=0), ids)[1] - exact).std()) for bits in (8, 4, 2)]
    assert 0 < away[0] < 0.01 * float(exact.std())
    assert away == sorted(away)


def test_rounding_is_off_by_half_a_step_at_most() -> None:
    generator = torch.Generator().manual_seed(0)
    keys, values = (torch.randn(16, 2, dim, generator=generator, dtype=torch.float64) * 5 for dim in (8, 6))
    for bits in (2, 4, 8):
        codec = Rounding(bits, 16)
        codes = tuple(part[None] for part in codec.encode(keys, values, 0))
        found = [rows[0] for rows in codec.decode(codes, [0], keys)]
        for rows, back, along in zip((keys, values), found, (0, 2), strict=True):
            least, most = rows.aminmax(dim=along, keepdim=True)
            # Scales and offsets are rounded to half precision.
            assert bool(((rows - back).abs() <= (most - least) / (2**bits - 1) / 2 * 1.01 + most.abs() * 2**-9).all())


def test_rows_that_are_all_alike_and_those_that_are_huge_are_no_trouble() -> None:
    half = torch.tensor([-65000.0, 65000.0, 0.0, 1.0], dtype=torch.float16).view(4, 1, 1).expand(4, 1, 4)
    for found in Rounding(4, 4).decode(tuple(part[None] for part in Rounding(4, 4).encode(half, half, 0)), [0], half):
        assert found.dtype == torch.float16
        assert bool(found.isfinite().all())
    for value in (0.0, 3.0, 1e6):
        codec, rows = Rounding(4, 4), torch.full((4, 1, 4), value)
        found = codec.decode(tuple(part[None] for part in codec.encode(rows, rows, 0)), [0], rows)
        assert all(bool(back.isfinite().all()) for back in found)
        assert value == 1e6 or torch.equal(found[0][0], rows)


def test_bytes_of_a_coded_id_are_what_the_docstring_says() -> None:
    model = tiny_model()
    config = model.config
    numbers = config.num_hidden_layers * 2 * config.num_key_value_heads * config.head_dim
    for bits, group in ((2, 16), (4, 8), (8, 16)):
        session, _ = fed(Quantised(bits, group=group, window=16, first=0), text(16 + 64))
        session.keep([0], [80])
        session.forward([[1]], [1])
        coded = session.facts()["coded_bytes"]
        assert coded == 64 * numbers * (bits + 32 / group) / 8


@pytest.mark.parametrize("spec", [SMALL, Quantised(2, window=16)])
def test_what_a_forward_decoded_is_not_held_behind_it(spec: Quantised) -> None:
    session, _ = fed(spec, text(300))
    session.keep([0], [300])
    session.forward([[1]], [1])
    held: dict[int, int] = {}
    for layer in session.cache.rows:
        for value in vars(layer).values():
            if isinstance(value, torch.Tensor):
                held[value.untyped_storage().data_ptr()] = value.untyped_storage().nbytes()
        for buffer in layer.buffers:
            held[buffer.data.untyped_storage().data_ptr()] = buffer.data.untyped_storage().nbytes()
    assert sum(held.values()) == session.bytes() - session.facts()["coded_bytes"]


@pytest.mark.parametrize("family", ["llama", "deepseek_v3", "gemma3_text", "gpt2"])
def test_what_is_coded_is_attended_where_it_is_and_once_for_all_that_have_it(
    family: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = Target(family_model(family))
    session, other = target.session(SMALL), target.session(SMALL)
    parents, counts = [0, 2, 0, 1, 0, 2], [3, 1, 3, 3, 3, 2]
    prompts = [[2 + number % 40 for number in text(count, count)] for count in (30, 9, 41)]
    texts = [prompts[parent] for parent in parents]
    most = 0
    for step in range(8):
        news = [[2 + (7 * lane + step + row) % 40 for row in range(count)] for lane, count in enumerate(counts)]
        logits: list[torch.Tensor] = []
        for one in (session, other):
            with monkeypatch.context() as patch, Float64Throughout():
                if one is other:
                    patch.setattr(InPieces, "can_attend", lambda self, query, mask: False)
                if not step:
                    one.keep([-1] * 3, [0] * 3)
                    one.forward(prompts, [1] * 3)
                    one.keep(parents, list(map(len, texts)))
                logits.append(one.forward(news, counts))
        texts = [text + new for text, new in zip(texts, news, strict=True)]
        assert (logits[0] - logits[1]).abs().max() < 1e-10
        begins = [run.lanes for run in session.cache.past.reading.runs if not run.slot]
        assert len(begins) <= 3, "each prompt is read once for its texts"
        most = max(most, sum(map(len, begins)))
        for one in (session, other):
            one.keep(range(6), list(map(len, texts)))
    assert most > 3
    assert session.facts()["copied_bytes"] < other.facts()["copied_bytes"] / 4


def test_a_lane_that_is_fed_nothing_yet_is_no_trouble_beside_one_that_is_coded() -> None:
    alone, beside = (Target(tiny_model()).session(SMALL) for _ in range(2))
    with Float64Throughout():
        for one, others in ((alone, []), (beside, [[], []])):
            one.keep([-1], [0])
            one.forward([text(50)], [1])
            one.keep([0, *[-1 for _ in others]], [50, *[0 for _ in others]])
        expected, found = alone.forward([[1]], [1]), beside.forward([[1], [], []], [1, 0, 0])
    assert (found - expected).abs().max() < 1e-10
    assert beside.keep(range(3), [51, 0, 0]) == [51, 0, 0]


def test_texts_that_fork_share_what_is_coded() -> None:
    session, _ = fed(SMALL, text(50))
    session.keep([0], [50])
    before = session.facts()["coded_bytes"]
    session.keep([0] * 8, [50] * 8)
    session.forward([[1]] * 8, [1] * 8)
    assert session.facts()["coded_bytes"] == before > 0


def test_a_rejected_draft_behind_which_ids_were_coded_is_no_reason_to_feed_a_text_again() -> None:
    session, _ = fed(SMALL, text(19))
    assert session.keep([0], [19]) == [19]
    session.forward([text(9, seed=1)], [9])
    for kept in (20, 21):
        assert session.keep([0], [kept]) == [kept]
        session.forward([text(9, seed=2)], [9])
    assert session.keep([0], [3]) == [0], "what is further back is gone"


@pytest.mark.parametrize("first", [1, 2, 3])
def test_a_state_is_put_back_behind_a_draft_that_was_fed_in_pieces(first: int) -> None:
    session = Target(family_model("bamba")).session(SMALL)
    ids = [token % 50 for token in text(SMALL.window + 5 * SMALL.group - first)]
    session.keep([-1], [0])
    session.forward([ids], [1])
    assert session.keep([0], [len(ids)]) == [len(ids)]
    session.forward([[1, 2, 3, 4, 5]], [5])  # the first of them are one piece, the others the next
    assert session.keep([0], [len(ids)]) == [len(ids)]


def test_room_that_a_long_prompt_took_is_given_back() -> None:
    ids = [token % 50 for token in text(100)]
    session = Target(family_model("gpt_neo")).session(SMALL)  # one that is fed whole
    session.keep([-1], [0])
    session.forward([ids], [1])
    whole = session.bytes()
    session.keep([0], [100])
    session.forward([[1]], [1])
    session.keep([0], [101])
    assert session.bytes() < whole / 2
    session.keep([], [])
    assert session.bytes() == 0


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ({"bits": 3}, "2, 4 or 8"),
        ({"bits": True}, "2, 4 or 8"),
        ({"group": 6}, "a multiple of 4"),
        ({"group": 0}, "at least 4"),
        ({"window": 0}, "at least 1"),
        ({"first": 64}, "at most 63"),
        ({"first": -1}, "at least 0"),
    ],
)
def test_an_option_out_of_range_is_one_clear_error(options: dict[str, Any], wanted: str) -> None:
    with pytest.raises(BadOption, match=wanted):
        Quantised(**options)


def test_a_model_with_a_cache_of_its_own_is_refused() -> None:
    with pytest.raises(IncompatibleParts, match="keeps its own cache"):
        Target(family_model("xlnet")).session(SMALL)
