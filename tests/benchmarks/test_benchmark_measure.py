"""The benchmarks' arithmetic: what is counted, and what is divided by what."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from measure import Forwards, Run, cost_by_width, fastest, speedups, take_turns, watch
from report import judge
from transformers import LlamaConfig, LlamaForCausalLM


def run_of(wall_s: float, tokens: int = 10, widths: list[int] | None = None, inside_s: float = 0.0) -> Run:
    return Run(wall_s, list(range(tokens)), "", Forwards(widths or [5, 1, 1], inside_s))


def wall(run: Run) -> float:
    return run.wall_s


@pytest.fixture(scope="module")
def model() -> LlamaForCausalLM:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=64,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=1,
    )
    return LlamaForCausalLM(config).double().eval()


def test_every_forward_is_counted_once_with_its_width(model: LlamaForCausalLM) -> None:
    with watch(model) as seen:
        model(input_ids=torch.tensor([[1, 2, 3]]))
        model.get_output_embeddings()(model.base_model(input_ids=torch.tensor([[4]])).last_hidden_state)
    assert seen.widths == [3, 1]
    assert seen.inside_s > 0


def test_watching_leaves_no_hook_behind(model: LlamaForCausalLM) -> None:
    with pytest.raises(RuntimeError, match="stop here"), watch(model):
        raise RuntimeError("stop here")
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in model.modules())


def test_figures_per_token_count_the_prefill_but_widths_do_not() -> None:
    run = run_of(2.0, tokens=8, widths=[100, 1, 3], inside_s=1.4)
    assert run.per_token_s == pytest.approx(0.25)
    assert run.forwards_per_token == pytest.approx(3 / 8)
    assert run.forwards.mean_width == pytest.approx(2.0)
    assert run.beside_s == pytest.approx(0.2)


def test_a_failed_run_never_reaches_a_threshold() -> None:
    failed = Run(math.inf, [], "", Forwards(), "it broke")
    assert failed.forwards_per_token == failed.per_token_s == math.inf


def test_a_speedup_is_theirs_divided_by_ours_round_by_round() -> None:
    assert speedups([run_of(1.0), run_of(2.0)], [run_of(3.0), run_of(3.0)], wall) == [3.0, 1.5]


def test_the_fastest_peer_is_the_one_that_counts_and_a_failed_one_does_not() -> None:
    ours = [run_of(1.0), run_of(1.0)]
    peers = {
        "slow": [run_of(4.0), run_of(4.0)],
        "fast": [run_of(2.0), run_of(3.0)],
        "failed": [run_of(math.inf), run_of(math.inf)],
    }
    assert fastest(ours, peers, wall) == ("fast", 2.5)
    assert fastest(ours, {"failed": peers["failed"]}, wall) is None


def test_turns_are_rotated_and_everyone_gets_each_round() -> None:
    order: list[str] = []

    def contestant(name: str) -> Callable[[], Run]:
        def run() -> Run:
            order.append(name)
            return run_of(1.0)

        return run

    runs = take_turns({name: contestant(name) for name in "abc"}, 3)
    assert "".join(order) == "abcbcacab"
    assert [len(taken) for taken in runs.values()] == [3, 3, 3]


def test_cost_by_width_is_relative_to_the_first_width(model: LlamaForCausalLM) -> None:
    costs = cost_by_width(model, [1, 4], held=8, repeats=1)
    assert costs[1] == 1.0
    assert costs[4] > 0


def test_a_figure_is_judged_by_its_threshold_and_a_missing_one_fails() -> None:
    assert judge("loop_overhead", {"ratio_at_most": 0.4})[0].holds
    assert not judge("loop_overhead", {"ratio_at_most": 0.6})[0].holds
    assert not judge("loop_overhead", {"ratio_at_most": None})[0].holds
    with pytest.raises(ValueError, match="loop_overhead"):
        judge("loop_overhead", {"another": 1.0})
