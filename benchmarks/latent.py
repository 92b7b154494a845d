"""Multi-head latent attention: a step of decodeplug, which never expands the history, beside one of transformers, which does.

    python benchmarks/latent.py [--quick] [--rounds N] [--heads N] [--layers N] [--markdown] [--json FILE]

The model has the attention of DeepSeek-V3 and random weights; its other layers are small, so that attention is what is
timed. Both are fed the same ids, and take turns step by step. What they compute is compared at the output of each
attention, in float64: norms of whole models work in float32 and would hide a difference.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import torch
from measure import Spread
from report import add_output_options, describe_machine, judge, show_line, show_table, show_verdicts, write_json
from transformers import DeepseekV3Config, DeepseekV3ForCausalLM, DynamicCache

from decodeplug.target import Target

WIDTHS = (1, 2, 4, 8, 16, 32, 64, 128, 192, 256)
COLUMNS = ["history, new ids", "ms: transformers, median (min - max)", "ms: decodeplug", "x as fast"]
RANK, NOPE, ROPE, VALUE = 512, 128, 64, 128


def model_of(heads: int, layers: int, dtype: torch.dtype) -> Any:
    """Attention of full size, and little else."""
    config = DeepseekV3Config(
        vocab_size=1024, hidden_size=512, intermediate_size=512, num_hidden_layers=layers, num_attention_heads=heads,
        num_key_value_heads=heads, kv_lora_rank=RANK, qk_nope_head_dim=NOPE, qk_rope_head_dim=ROPE, v_head_dim=VALUE,
        q_lora_rank=256, first_k_dense_replace=layers, max_position_embeddings=8192, attn_implementation="sdpa",
    )  # fmt: skip
    torch.manual_seed(0)
    return DeepseekV3ForCausalLM(config).to(dtype).eval()


def ids_of(count: int, first: int = 0) -> list[int]:
    return [5 + (37 * place + 11 * first) % 1000 for place in range(count)]


class Steps:
    """One lane that takes the same step again and again: what it was fed is dropped after each."""

    def __init__(self, model: Any, history: int) -> None:
        self.model, self.history = model, history
        self.cache = DynamicCache(config=model.config)
        self.session = Target(model).session()
        self.session.keep([-1], [0])
        with torch.inference_mode():
            for first in range(0, history, 512):
                some = ids_of(history)[first : first + 512]
                self.model(torch.tensor([some]), cache=self.cache, use_cache=True, logits_to_keep=1)
                self.session.forward([some], [1])

    @torch.inference_mode()
    def theirs(self, width: int) -> float:
        began = time.perf_counter()
        self.model(torch.tensor([ids_of(width, 3)]), cache=self.cache, use_cache=True, logits_to_keep=1)
        took = time.perf_counter() - began
        self.cache.crop(-width)
        return took

    def ours(self, width: int) -> float:
        began = time.perf_counter()
        self.session.forward([ids_of(width, 3)], [1])
        took = time.perf_counter() - began
        self.session.keep([0], [self.history])
        return took


def outputs(model: Any, run: Callable[[], object]) -> list[torch.Tensor]:
    """What each attention gives while something runs."""
    seen: list[torch.Tensor] = []
    hooks = [
        layer.self_attn.register_forward_hook(lambda module, args, output: seen.append(output[0].clone()))
        for layer in model.model.layers
    ]
    try:
        run()
    finally:
        for hook in hooks:
            hook.remove()
    return seen


def difference(heads: int, layers: int) -> float:
    """Largest difference of an attention output in float64, over several widths, relative to the largest output."""
    steps, worst = Steps(model_of(heads, layers, torch.float64), 300), 0.0
    for width in (1, 3, 40):
        ours = outputs(steps.model, lambda width=width: steps.ours(width))
        theirs = outputs(steps.model, lambda width=width: steps.theirs(width))
        for mine, other in zip(ours, theirs, strict=True):
            real = mine[:, : other.shape[1]]  # ours may have been padded
            worst = max(worst, float((real - other).abs().max() / other.abs().max()))
    return worst


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="three rounds, three widths")
    parser.add_argument("--rounds", type=int, default=9, help="steps of each (default 9)")
    parser.add_argument("--heads", type=int, default=16, help="of each layer (default 16)")
    parser.add_argument("--layers", type=int, default=3, help="(default 3)")
    add_output_options(parser)
    options = parser.parse_args()
    show_line(describe_machine())
    rounds, widths = (3, WIDTHS[::4]) if options.quick else (options.rounds, WIDTHS)
    model = model_of(options.heads, options.layers, torch.float32)
    rows: list[list[str]] = []
    speedups: dict[tuple[int, int], float] = {}
    for history in (2048, 4096):
        steps = Steps(model, history)
        for width in widths:
            pairs = [(steps.theirs(width), steps.ours(width)) for _ in range(rounds + 1)][1:]
            theirs, ours = (Spread.of([1000 * pair[side] for pair in pairs]) for side in range(2))
            speedups[history, width] = theirs.median / ours.median
            rows.append([f"{history}, {width}", theirs.text(1), ours.text(1), f"{speedups[history, width]:.2f}"])
            show_line(" | ".join(rows[-1]))
    show_table(f"{options.layers} layers, {options.heads} heads, {rounds} rounds", COLUMNS, rows, options.markdown)
    formula = 4096 * options.layers * (RANK + ROPE) * 4
    figures: dict[str, float | None] = {
        "speedup_at_2048_at_least": speedups[2048, 1],
        "speedup_at_4096_at_least": speedups[4096, 1],
        "speedup_at_any_width_at_least": min(speedups.values()),
        "difference_at_most": difference(options.heads, options.layers),
        "bytes_against_formula_at_most": _bytes_of(model, 4096) / formula,
    }
    verdicts = judge("latent", figures)
    show_verdicts(verdicts, options.markdown)
    if options.json:
        write_json(options.json, verdicts, rows=[dict(zip(COLUMNS, row, strict=True)) for row in rows])


def _bytes_of(model: Any, count: int) -> int:
    """Of a text that has grown to so many ids, in blocks; the buffer of the dense cache has room for more."""
    session = Target(model).session("paged")
    session.keep([-1], [0])
    for held in range(count - 40, count + 1):
        session.forward([ids_of(count - 40) if held == count - 40 else ids_of(1)], [1])
        session.keep([0], [held])
    return session.bytes()


if __name__ == "__main__":
    main()
