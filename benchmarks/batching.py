"""Many requests of mixed lengths: tokens per second beside transformers' static and continuous batches, same model.

    python benchmarks/batching.py [--quick] [--repeats N] [--device cuda] [--dtype bfloat16] [--markdown] [--json FILE]

A static batch is ``generate()`` over eight prompts with padding on the left, in the order of the requests: it ends with
its longest text, and what it writes beyond a request's own budget counts for nothing. The continuous batches are those
of transformers' own manager, which is given a fixed number of blocks so that it runs without a GPU; if it does not run,
its error is shown and it is not measured. All decode greedily. The three take turns, round by round.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from batching_cases import BATCH_CASES, prompt_ids
from contestants import Models
from loading import add_model_options, load
from measure import Run, Spread, await_device, speedups, take_turns, watch
from report import add_output_options, describe_machine, judge, show_line, show_table, show_verdicts, write_json

OURS, STATIC, CONTINUOUS = "decodeplug", "transformers, static", "transformers, continuous"
COLUMNS = ["contestant", "tokens per second: median (min - max)", "forwards", "decodeplug is x as fast", "same texts"]
STATIC_BATCH = 8
BLOCKS, PAGE = 512, 32  # room for 16,384 ids, more than all requests of one moment need

Work = Sequence[tuple[list[int], int]]
"""Prompts, and how many tokens follow each."""


def static(models: Models, work: Work) -> list[list[int]]:
    """generate() over eight prompts at a time."""
    config = copy.deepcopy(models.model.generation_config)
    config.eos_token_id, config.do_sample = None, False
    texts = []
    for first in range(0, len(work), STATIC_BATCH):
        some = work[first : first + STATIC_BATCH]
        width = max(len(prompt) for prompt, _ in some)
        ids = torch.tensor([[0] * (width - len(prompt)) + prompt for prompt, _ in some], device=models.model.device)
        mask = torch.tensor([[0] * (width - len(prompt)) + [1] * len(prompt) for prompt, _ in some], device=ids.device)
        config.max_new_tokens = max(count for _, count in some)
        rows = models.model.generate(ids, attention_mask=mask, generation_config=config)[:, width:].tolist()
        texts += [row[:count] for row, (_, count) in zip(rows, some, strict=True)]
    return texts


def continuous(model: Any, work: Work) -> list[list[int]]:
    """transformers' own continuous batches; every request has its own budget.

    :param model: A copy, because the manager changes the attention of the one that it is given.
    """
    from transformers import ContinuousBatchingConfig

    config = copy.deepcopy(model.generation_config)
    config.eos_token_id, config.do_sample = -1, False
    config.max_new_tokens = max(count for _, count in work)
    sizes = ContinuousBatchingConfig(
        num_blocks=BLOCKS, page_size=PAGE, max_batch_tokens=2048, use_cuda_graph=model.device.type == "cuda"
    )
    texts: dict[str, list[int]] = {}
    manager_of = model.continuous_batching_context_manager
    with manager_of(generation_config=config, continuous_batching_config=sizes, timeout=5) as manager:
        names = [manager.add_request(prompt, max_new_tokens=count) for prompt, count in work]
        while len(texts) < len(work):
            output = manager.get_result(timeout=1)
            if output is not None and output.error is not None:
                raise RuntimeError(output.error)
            if output is not None and output.is_finished():
                texts[output.request_id] = list(output.generated_tokens)
            elif output is None and not manager.is_running():
                raise RuntimeError("its thread ended before the requests did")
    return [texts[name] for name in names]


def ours(models: Models, work: Work) -> list[list[int]]:
    from decodeplug import Request

    requests = [Request(prompt, max_new_tokens=count, end_ids=[], strategy="greedy") for prompt, count in work]
    return [result.token_ids for result in models.host.generate_batch(requests)]


def timed(
    name: str, model: Any, write: Callable[[], list[list[int]]], texts: list[list[int]], count: int
) -> Callable[[], Run]:
    """What writes all texts once, measures it and says so; leaves the texts in ``texts``."""

    def run() -> Run:
        with watch(model) as forwards:
            began = time.perf_counter()
            try:
                texts[:] = write()
            except Exception as error:
                return Run(time.perf_counter() - began, [], "", forwards, error=f"{type(error).__name__}: {error}")
            await_device(model.device)
            wall_s = time.perf_counter() - began
        assert sum(map(len, texts)) == count, "a contestant wrote fewer tokens than it was asked for, or more"
        show_line(f"{name}: {wall_s:.1f} s, {len(forwards.widths)} forwards")
        return Run(wall_s, [token for text in texts for token in text], "", forwards)

    return run


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    add_model_options(parser)
    parser.add_argument("--quick", action="store_true", help="the first eight requests, one round: shows that it runs")
    parser.add_argument("--repeats", type=int, default=3, help="rounds (default 3)")
    add_output_options(parser)
    options = parser.parse_args()

    models = load(options)
    if models.host is None:
        raise SystemExit(f"MISSING CONTESTANT: {OURS}: this version has no Host")
    show_line(describe_machine())

    def encode(text: str) -> list[int]:
        return models.tokenizer(text, add_special_tokens=False)["input_ids"]

    cases = BATCH_CASES[:8] if options.quick else BATCH_CASES
    work = [(prompt_ids(case, encode), case.new_tokens) for case in cases]
    count, apart = sum(count for _, count in work), copy.deepcopy(models.model)
    writers: dict[str, tuple[Any, Callable[[], list[list[int]]]]] = {
        OURS: (models.model, lambda: ours(models, work)),
        STATIC: (models.model, lambda: static(models, work)),
        CONTINUOUS: (apart, lambda: continuous(apart, work)),
    }
    texts: dict[str, list[list[int]]] = {name: [] for name in writers}
    ready = {name: timed(name, model, write, texts[name], count) for name, (model, write) in writers.items()}
    runs = take_turns(ready, 1 if options.quick else options.repeats)
    rows, ratios = [], dict[str, float | None]()
    for name, own in runs.items():
        error = next((run.error for run in own if run.error), "")
        if error:
            ratios[name] = None
            rows.append([name, f"FAILED: {error[:200]}", "-", "-", "-"])
            continue
        speed = Spread.of([count / run.wall_s for run in own])
        ratios[name] = statistics.median(speedups(runs[OURS], own, lambda run: run.wall_s))
        same = sum(text == our for text, our in zip(texts[name], texts[OURS], strict=True))
        forwards = str(len(own[0].forwards.widths))
        rows.append([name, speed.text(1), forwards, f"{ratios[name]:.2f}", f"{same} of {len(work)}"])
    show_table(f"{len(work)} requests, {count} tokens, {len(runs[OURS])} rounds", COLUMNS, rows, options.markdown)
    figures = {
        "speed_against_static_at_least": ratios[STATIC],
        "speed_against_continuous_at_least": ratios[CONTINUOUS],
    }
    verdicts = judge("batching", figures)
    show_verdicts(verdicts, options.markdown)
    if options.json:
        write_json(options.json, verdicts, rows=[dict(zip(COLUMNS, row, strict=True)) for row in rows])


if __name__ == "__main__":
    main()
