"""What a greedy step costs beside the model: decodeplug's loop and transformers.generate on the same model.

    python benchmarks/loop_overhead.py [--repeats N] [--tokens N] [--device cuda] [--markdown] [--json FILE]

A Llama-shaped model of two layers, hidden size 64 and a vocabulary of 49,152, random weights, fp32. Overhead
per step = (wall seconds - seconds inside the model's forward) / forwards. Both take turns in one run. The time
inside the model is reported too, so that work which moved into the forward would be seen. On a GPU a forward
is timed until the GPU is done with it.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from measure import Run, Spread, take_turns, watch
from report import add_output_options, describe_machine, judge, show_line, show_table, show_verdicts, write_json
from transformers import LlamaConfig, LlamaForCausalLM

OURS, PEER = "decodeplug", "transformers.generate"
VOCABULARY = 49_152
COLUMNS = ["contestant", "beside the model, us per step: median (min - max)", "inside the model, us per step"]
COLUMNS += ["whole step, us", "forwards"]


def small_model(device: str) -> LlamaForCausalLM:
    """Two layers, random weights, no end token: every run has the same length."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=1024,
        bos_token_id=None,
        eos_token_id=None,
        pad_token_id=0,
        dtype=torch.float32,
    )
    model = LlamaForCausalLM(config).eval()
    torch.nn.Module.to(model, device)
    return model


def measured(model: LlamaForCausalLM, generate: Callable[[], list[int]]) -> Callable[[], Run]:
    """A run of ``generate`` with its forwards watched."""

    def run() -> Run:
        with watch(model, awaited=True) as forwards:
            began = time.perf_counter()
            ids = generate()
            wall_s = time.perf_counter() - began
        return Run(wall_s, ids, "", forwards)

    return run


def contestants(model: LlamaForCausalLM, prompt: list[int], tokens: int) -> dict[str, Callable[[], Run]]:
    """Both loops, greedy, from the same ids."""
    ids = torch.tensor([prompt], device=model.device)

    def by_transformers() -> list[int]:
        mask = torch.ones_like(ids)
        return model.generate(ids, attention_mask=mask, max_new_tokens=tokens, do_sample=False)[
            0, len(prompt) :
        ].tolist()

    both = {PEER: measured(model, by_transformers)}
    try:
        from decodeplug import Host
    except ImportError as error:
        show_line(f"MISSING CONTESTANT: {OURS}: {error}")
        return both
    host = Host(model, None)
    both[OURS] = measured(model, lambda: list(host.generate(prompt, max_new_tokens=tokens).token_ids))
    return both


def table_row(name: str, runs: list[Run]) -> list[str]:
    """One contestant's microseconds per step."""

    def us(seconds: list[float]) -> str:
        return Spread.of([figure * 1e6 for figure in seconds]).text(0)

    inside = [run.forwards.inside_s / len(run.forwards.widths) for run in runs]
    whole = [run.wall_s / len(run.forwards.widths) for run in runs]
    return [name, us([run.beside_s for run in runs]), us(inside), us(whole), str(len(runs[0].forwards.widths))]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--repeats", type=int, default=15, help="runs of each contestant (default 15)")
    parser.add_argument("--tokens", type=int, default=200, help="new tokens in each run (default 200)")
    parser.add_argument("--device", default="cpu", help="where the model runs, such as cuda (default: cpu)")
    parser.add_argument("--threads", type=int, help="threads of torch (default: torch's own choice)")
    add_output_options(parser)
    options = parser.parse_args()
    if options.threads is not None:
        torch.set_num_threads(options.threads)

    show_line(describe_machine())
    model = small_model(options.device)
    prompt = torch.randint(1, VOCABULARY, (16,)).tolist()
    both = contestants(model, prompt, options.tokens)
    take_turns(both, 2)  # warms up
    runs = take_turns(both, options.repeats)
    rows = [table_row(name, runs[name]) for name in both]
    title = f"Greedy, {options.tokens} new tokens, {options.repeats} interleaved runs each"
    show_table(title, COLUMNS, rows, options.markdown)
    ratio = None
    if OURS in runs:
        ratios = [ours.beside_s / peer.beside_s for ours, peer in zip(runs[OURS], runs[PEER], strict=True)]
        ratio = statistics.median(ratios)
        same = runs[OURS][0].token_ids == runs[PEER][0].token_ids
        show_line(f"{OURS} / {PEER}, median (min - max): {Spread.of(ratios).text(3)}; same ids: {same}")
    verdicts = judge("loop_overhead", {"ratio_at_most": ratio})
    show_verdicts(verdicts, options.markdown)
    if options.json:
        write_json(options.json, verdicts, rows=[dict(zip(COLUMNS, row, strict=True)) for row in rows])


if __name__ == "__main__":
    main()
