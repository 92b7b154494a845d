from __future__ import annotations

import pytest
import torch
from families.precision import StaysInFloat64
from target.random_walk import compare

from decodeplug.target import Target
from decodeplug.testing.families import family_model

KINDS = ["llama", "gemma3_text", "qwen3_next", "jamba", "bloom", "gpt_neo", "bert"]


@pytest.mark.parametrize("family", KINDS)
@pytest.mark.parametrize("seed", range(3))
def test_whatever_is_kept_dropped_forked_or_joined_the_logits_are_those_without_a_cache(family: str, seed: int) -> None:
    with StaysInFloat64():
        assert compare(Target(family_model(family)), seed) < 1e-9


def test_keep_answers_what_was_asked_where_the_cache_can_rewind() -> None:
    session = Target(family_model("llama")).session()
    assert session.keep([-1, -1], [0, 0]) == [0, 0]
    session.forward([[5, 6, 7], [8, 9]], [1, 1])
    assert session.keep([0, 1], [2, 9]) == [2, 2]
    assert session.keep([1, 0, 0, -1], [1, 2, 1, 0]) == [1, 2, 1, 0]


def test_a_state_is_put_back_to_what_it_was_before_a_draft() -> None:
    session = Target(family_model("qwen3_next")).session()
    session.keep([-1, -1], [0, 0])
    session.forward([[5, 6, 7], [8, 9, 10]], [1, 1])
    assert session.keep([0, 1], [3, 3]) == [3, 3]
    session.forward([[1, 2, 3], [4, 5, 6]], [3, 3])
    assert session.keep([0, 1], [6, 4]) == [6, 3]


def test_a_state_forgets_what_lies_behind_its_last_step() -> None:
    session = Target(family_model("qwen3_next")).session()
    session.keep([-1], [0])
    session.forward([[5, 6, 7]], [1])
    assert session.keep([0], [2]) == [0]


def test_part_of_a_prompt_that_saw_all_of_itself_is_not_kept() -> None:
    session = Target(family_model("bert")).session()
    session.keep([-1], [0])
    session.forward([[5, 6, 7, 8]], [1])
    assert session.keep([0], [4]) == [4]
    assert session.keep([0], [3]) == [0]


@pytest.mark.parametrize("family", ["llama", "mamba", "xlstm"])
def test_three_forks_of_one_lane_go_their_own_ways(family: str) -> None:
    target = Target(family_model(family))
    session, alone = target.session(), target.session()
    prompt = [5, 6, 7, 8, 9]
    session.keep([-1], [0])
    session.forward([prompt], [1])
    assert session.keep([0, 0, 0], [5, 5, 5]) == [5, 5, 5]
    for step in range(3):
        together = session.forward([[20 + step], [30 + step], [40 + step]], [1, 1, 1])
        session.keep([0, 1, 2], [6 + step] * 3)
        for lane, first in enumerate((20, 30, 40)):
            alone.keep([-1], [0])
            expected = alone.forward([prompt + [first + number for number in range(step + 1)]], [1])
            torch.testing.assert_close(together[lane], expected[0], rtol=0, atol=2e-5)


def test_dropping_a_draft_moves_no_memory() -> None:
    session = Target(family_model("llama")).session()
    session.keep([-1, -1], [0, 0])
    session.forward([[5, 6, 7], [8, 9]], [1, 1])
    before = [buffer.data.data_ptr() for layer in session.cache.layers for buffer in layer.buffers]
    session.keep([0, 1], [2, 1])
    session.forward([[6], [7]], [1, 1])
    session.keep([0], [3])
    assert before == [buffer.data.data_ptr() for layer in session.cache.layers for buffer in layer.buffers]
