"""What the inspection of routing costs: steps of one model with the inspector and without, in turns.

    python benchmarks/routing_overhead.py [--repeats N] [--tokens N] [--device cuda] [--markdown] [--json FILE]

A Mixtral-shaped model of 24 layers, hidden size 64, 8 experts of which 2 compute each token, random weights, fp32. Wall seconds
over forwards; both take turns in one run, and both write the same ids.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from measure import Run, Spread, take_turns, watch
from report import add_output_options, describe_machine, judge, show_line, show_table, show_verdicts, write_json
from transformers import MixtralConfig, MixtralForCausalLM

from decodeplug import Host

PLAIN, INSPECTED = "without", "with moe-routing"


def small_model(device: str) -> MixtralForCausalLM:
    """24 layers, random weights, no end token: every run has the same length."""
    torch.manual_seed(0)
    config = MixtralConfig(
        vocab_size=1024,
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=24,
        num_attention_heads=4,
        num_key_value_heads=2,
        num_local_experts=8,
        num_experts_per_tok=2,
        max_position_embeddings=1024,
        bos_token_id=None,
        eos_token_id=None,
        pad_token_id=0,
        dtype=torch.float32,
    )
    model = MixtralForCausalLM(config).eval()
    torch.nn.Module.to(model, device)
    return model


def run_of(host: Host, prompt: list[int], tokens: int, inspectors: list[str]) -> Callable[[], Run]:
    """A greedy run with some inspectors."""

    def run() -> Run:
        with watch(host.model, awaited=True) as forwards:
            began = time.perf_counter()
            result = host.generate(prompt, max_new_tokens=tokens, inspectors=inspectors)
            wall_s = time.perf_counter() - began
        if inspectors:
            routing = result.reports["moe-routing"]
            assert routing.experts.shape == (len(prompt) + tokens - 1, 24, 2)
        return Run(wall_s, list(result.token_ids), "", forwards)

    return run


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--repeats", type=int, default=15, help="runs of each (default 15)")
    parser.add_argument("--tokens", type=int, default=100, help="new tokens in each run (default 100)")
    parser.add_argument("--device", default="cpu", help="where the model runs, such as cuda (default: cpu)")
    add_output_options(parser)
    options = parser.parse_args()
    show_line(describe_machine())
    with Host(small_model(options.device), None, plugins=[]) as host:
        prompt = [7 * place % 1000 + 1 for place in range(32)]
        both = {
            PLAIN: run_of(host, prompt, options.tokens, []),
            INSPECTED: run_of(host, prompt, options.tokens, ["moe-routing"]),
        }
        take_turns(both, 2)  # warms up
        runs = take_turns(both, options.repeats)
    steps = {name: [run.wall_s / len(run.forwards.widths) * 1e3 for run in runs[name]] for name in both}
    title = f"Greedy, {options.tokens} new tokens, {options.repeats} interleaved runs each"
    rows = [[name, Spread.of(steps[name]).text(2)] for name in both]
    show_table(title, ["", "a step, ms: median (min - max)"], rows, options.markdown)
    ratios = [one / other for one, other in zip(steps[INSPECTED], steps[PLAIN], strict=True)]
    same = all(run.token_ids == runs[PLAIN][0].token_ids for some in runs.values() for run in some)
    show_line(f"{INSPECTED} / {PLAIN}, median (min - max): {Spread.of(ratios).text(3)}; same ids: {same}")
    verdicts = judge("routing", {"step_ratio_at_most": statistics.median(ratios), "same_ids_at_least": float(same)})
    show_verdicts(verdicts, options.markdown)
    if options.json:
        write_json(options.json, verdicts, rows=[{"steps_ms": steps, "ratios": ratios}])


if __name__ == "__main__":
    main()
