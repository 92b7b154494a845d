from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import ClassVar

import pytest
import torch
from families.walk import generated, prompts

from decodeplug.caches import Dense, LaneCache, LayerPlan, NoCache
from decodeplug.errors import BadOption, IncompatibleParts
from decodeplug.target import Target
from decodeplug.testing.families import family_model


def test_wanted_rows_come_lane_after_lane() -> None:
    target = Target(family_model("llama"))
    session = target.session()
    session.keep([-1, -1, -1], [0, 0, 0])
    logits = session.forward([[5, 6, 7], [8, 9], [4]], [2, 0, 1])
    assert logits.shape == (3, target.vocab_size)
    oracle = target.session("none")
    oracle.keep([-1, -1], [0, 0])
    torch.testing.assert_close(logits, oracle.forward([[5, 6, 7], [4]], [2, 1]), rtol=0, atol=1e-9)


def test_nothing_fed_is_nothing_computed() -> None:
    session = Target(family_model("llama")).session()
    session.keep([-1, -1], [0, 0])
    assert session.forward([[], []], [0, 0]).shape[0] == 0
    assert session.keep([0, 1], [5, 5]) == [0, 0]


@pytest.mark.parametrize("family", ["llama", "gemma3_text", "qwen3_next", "deepseek_v4"])
def test_a_lane_without_new_ids_is_left_as_it_is(family: str) -> None:
    target = Target(family_model(family))
    session, alone = target.session(), target.session()
    for one in (session, alone):
        one.keep([-1, -1], [0, 0])
        one.forward([[5, 6, 7], [8, 9, 10, 11]], [1, 1])
        one.keep([0, 1], [3, 4])
    for step in range(3):
        session.forward([[], [20 + step]], [0, 1])
        session.keep([0, 1], [3, 5 + step])
    torch.testing.assert_close(
        session.forward([[30], []], [1, 0]), alone.forward([[30], []], [1, 0]), rtol=0, atol=1e-9
    )


def test_a_new_lane_joins_lanes_that_hold_ids_already() -> None:
    model = family_model("llama")
    truth = [generated(model, prompt, 3) for prompt in prompts()[:2]]
    session = Target(model).session()
    session.keep([-1], [0])
    session.forward([truth[0][0][:6]], [1])
    session.keep([0, -1], [6, 0])
    logits = session.forward([truth[0][0][6:7], truth[1][0][:12]], [1, 1])
    torch.testing.assert_close(logits, torch.stack([truth[0][1][2], truth[1][1][0]]), rtol=0, atol=1e-9)


@pytest.mark.parametrize("family", ["llama", "qwen3_next"])
def test_two_threads_with_a_session_each_do_not_disturb_one_another(family: str) -> None:
    model = family_model(family)
    target = Target(model)
    truth = [generated(model, prompt) for prompt in prompts()]
    failures: list[str] = []

    def run(lane: int) -> None:
        text, rows = truth[lane]
        length = len(prompts()[lane])
        for _ in range(5):
            session = target.session()
            session.keep([-1], [0])
            held = 0
            for step, expected in enumerate(rows):
                logits = session.forward([text[held : length + step]], [1])
                held = session.keep([0], [length + step])[0]
                if (logits[0] - expected).abs().max() > 1e-4:
                    failures.append(f"lane {lane} step {step}")

    threads = [threading.Thread(target=run, args=(lane,)) for lane in range(len(truth))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def test_generate_is_the_same_while_a_target_exists() -> None:
    model = family_model("gemma3_text")
    before = generated(model, prompts()[1])
    target = Target(model)
    session = target.session()
    session.keep([-1, -1], [0, 0])
    session.forward([[5, 6, 7], [8, 9]], [1, 1])
    after = generated(model, prompts()[1])
    assert before[0] == after[0]
    assert torch.equal(before[1], after[1])


def test_a_target_leaves_no_hook_behind() -> None:
    model = family_model("bart")
    session = Target(model).session()
    assert any(part._forward_pre_hooks for part in model.modules())
    del session
    assert not any(part._forward_pre_hooks or part._forward_hooks for part in model.modules())


def test_a_cache_is_named_or_given() -> None:
    target = Target(family_model("llama"))
    for cache in ("dense", "none", Dense(), NoCache()):
        session = target.session(cache)
        session.keep([-1], [0])
        assert session.forward([[5, 6]], [1]).shape == (1, target.vocab_size)
    with pytest.raises(BadOption, match="wanted one of dense, none"):
        target.session("paged-out")


@dataclass(frozen=True)
class Quantised:
    """A cache spec of a plugin."""

    name: ClassVar[str] = "quantised"
    exact: ClassVar[bool] = False
    can_rewind: ClassVar[bool] = True

    def open(self, plan: LayerPlan) -> LaneCache | None:
        return Dense().open(plan)


@pytest.mark.parametrize("family", ["rwkv", "openai-gpt"])
def test_a_cache_that_the_model_cannot_use_is_refused_before_a_session_and_by_it(family: str) -> None:
    target = Target(family_model(family))
    for refused in (target.refuse_cache, target.session):
        with pytest.raises(IncompatibleParts, match=r"cache 'quantised' cannot work with .*: this model keeps its own"):
            refused(Quantised())
    for spec in (Dense(), NoCache()):
        target.refuse_cache(spec)


def test_a_cache_that_the_model_can_use_is_not_refused() -> None:
    target = Target(family_model("llama"))
    target.refuse_cache(Quantised())
    session = target.session(Quantised())
    session.keep([-1], [0])
    assert session.forward([[5, 6]], [1]).shape == (1, target.vocab_size)


def test_bytes_are_those_of_the_buffers() -> None:
    target = Target(family_model("llama"))
    session, oracle = target.session(), target.session("none")
    session.keep([-1], [0])
    oracle.keep([-1], [0])
    assert session.bytes() == oracle.bytes() == 0
    session.forward([[5, 6, 7]], [1])
    oracle.forward([[5, 6, 7]], [1])
    assert oracle.bytes() == 0
    # 2 layers x (keys, values) x 64 slots x 2 heads x 16 x 8 bytes.
    assert session.bytes() == 2 * 2 * 64 * 2 * 16 * 8


@pytest.mark.parametrize("family", ["llama", "qwen3_next", "xlstm"])
def test_a_session_without_lanes_takes_no_memory_and_can_go_on(family: str) -> None:
    session = Target(family_model(family)).session()
    session.keep([-1, -1], [0, 0])
    before = session.forward([[5, 6, 7], [8, 9]], [1, 1])
    assert session.bytes() > 0
    session.keep([], [])
    assert session.bytes() == 0
    session.keep([-1, -1], [0, 0])
    torch.testing.assert_close(session.forward([[5, 6, 7], [8, 9]], [1, 1]), before, rtol=0, atol=0)


def test_a_cache_grows_beyond_its_first_buffer() -> None:
    model = family_model("llama")
    text = [3 + number % 200 for number in range(150)]
    target = Target(model)
    session, oracle = target.session(), target.session("none")
    session.keep([-1, -1], [0, 0])
    oracle.keep([-1, -1], [0, 0])
    for start in range(0, 150, 30):
        session.forward([text[start : start + 30], text[start // 2 : start // 2 + 15]], [1, 1])
        session.keep([0, 1], [start + 30, start // 2 + 15])
    expected = oracle.forward([[*text, 9], [*text[:75], 9]], [1, 1])
    torch.testing.assert_close(session.forward([[9], [9]], [1, 1]), expected, rtol=0, atol=1e-9)
