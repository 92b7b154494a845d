"""How many forwards of the model a token takes, by drafter and by kind of prompt; and what it does to the time.

    python benchmarks/speculation.py [--heads FOLDER ...] [--quick] [--repeats N] [--device cuda] [--json FILE]

Counts first: every drafter on every prompt, greedy, with the same text as without drafts or the line says so. Heads are
those that ``decodeplug train-heads`` wrote; without folders their columns are left out. Then seconds per token, all
drafters beside none, and beside ``generate()`` plain and with ``prompt_lookup_num_tokens``, taken in turns.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from contestants import Models
from loading import add_model_options, load
from measure import Spread
from report import add_output_options, describe_machine, judge, show_line, show_table, show_verdicts, write_json
from speculation_cases import CASES, KINDS, SpeculationCase
from speculation_formula import farthest, formula_rows

from decodeplug import json_schema

_LOOKUP_TOKENS = 10  # what the documentation of transformers recommends


def settings(heads: list[str]) -> dict[str, list[Any]]:
    """Drafters by the name of their column."""
    named = {Path(folder).name: {"name": "heads", "path": folder} for folder in heads}
    best = list(named.values())[:1]
    return {
        "none": [],
        "lookup": ["lookup"],
        **{f"heads {name}": [part] for name, part in named.items()},
        **({"lookup + heads": ["lookup", *best]} if best else {}),
        "all": ["forced", "lookup", *best],
    }


def ours(models: Models, case: SpeculationCase, drafters: list[Any]) -> Any:
    """The result of one prompt."""
    constraint = None if case.schema is None else json_schema(case.schema)
    return models.host.generate(
        case.prompt, constraint=constraint, drafters=drafters, max_new_tokens=case.max_new_tokens
    )


def counts(models: Models, case: SpeculationCase, drafters: dict[str, list[Any]]) -> tuple[dict[str, float], bool]:
    """Forwards per token of every setting, and whether all wrote one text."""
    results = {name: ours(models, case, parts) for name, parts in drafters.items()}
    same = len({tuple(result.token_ids) for result in results.values()}) == 1
    return {name: result.trace.forwards_per_token for name, result in results.items()}, same


def seconds_per_token(models: Models, case: SpeculationCase, drafters: list[Any]) -> dict[str, Callable[[], float]]:
    """What is timed: ours with and without drafts, and, where there is no schema, generate() both ways."""

    def timed(write: Callable[[], int]) -> Callable[[], float]:
        def run() -> float:
            began = time.perf_counter()
            count = write()
            return (time.perf_counter() - began) / max(1, count)

        return run

    def generate(**options: Any) -> int:
        chat = not isinstance(case.prompt, str)
        ids = models.prompt(case.prompt) if chat else models.tokenizer(case.prompt)["input_ids"]
        table = torch.tensor([ids], device=models.model.device)
        output = models.model.generate(
            table, attention_mask=torch.ones_like(table), do_sample=False, max_new_tokens=case.max_new_tokens, **options
        )
        return output.shape[1] - len(ids)

    runs = {
        "all": timed(lambda: len(ours(models, case, drafters).token_ids)),
        "none": timed(lambda: len(ours(models, case, []).token_ids)),
    }
    if case.schema is None:
        runs["generate()"] = timed(generate)
        runs["generate(), lookup"] = timed(lambda: generate(prompt_lookup_num_tokens=_LOOKUP_TOKENS))
    return runs


def in_turns(runs: dict[str, Callable[[], float]], repeats: int) -> dict[str, list[float]]:
    """Every contestant once a round, in changing order."""
    taken: dict[str, list[float]] = {name: [] for name in runs}
    names = list(runs)
    for turn in range(repeats):
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            taken[name].append(runs[name]())
    return taken


def _fewer(counted: dict[str, Any], kind: str, name: str) -> str:
    figures = [figures for case, figures, _ in counted.values() if case.kind == kind]
    return f"{sum(one[name] < one['lookup'] for one in figures)} of {len(figures)}"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    add_model_options(parser)
    parser.add_argument("--heads", action="append", default=[], help="a folder with heads; repeat it, the best first")
    parser.add_argument("--quick", action="store_true", help="every third prompt, one round: a sample")
    parser.add_argument("--repeats", type=int, help="rounds of the timing (default 3; 1 with --quick; 0: counts only)")
    add_output_options(parser)
    options = parser.parse_args()

    models = load(options)
    drafters = settings(options.heads)
    cases = CASES[::3] if options.quick else CASES
    show_line(describe_machine())

    counted: dict[str, tuple[SpeculationCase, dict[str, float], bool]] = {}
    rows: list[list[str]] = []
    for case in cases:
        figures, same = counts(models, case, drafters)
        counted[case.name + "/" + case.kind] = case, figures, same
        rows.append([case.kind, case.name, *(f"{figures[name]:.3f}" for name in drafters), "yes" if same else "NO"])
        show_line(" | ".join(rows[-1]))
    medians = {
        kind: {
            name: statistics.median(figures[name] for case, figures, _ in counted.values() if case.kind == kind)
            for name in drafters
        }
        for kind in KINDS
    }
    rows += [[kind, "median", *(f"{medians[kind][name]:.3f}" for name in drafters), ""] for kind in KINDS]
    show_table("Forwards per token", ["kind", "prompt", *drafters, "same text"], rows, options.markdown)
    with_heads = [name for name in drafters if "heads" in name]
    fewer = [[kind, *(_fewer(counted, kind, name) for name in with_heads)] for kind in KINDS if with_heads]
    if fewer:
        show_table("Prompts with fewer forwards than with lookup alone", ["kind", *with_heads], fewer, options.markdown)

    repeats = (1 if options.quick else 3) if options.repeats is None else options.repeats
    speed, slowest = [], float("inf")
    for case in cases if repeats else ():
        taken = in_turns(seconds_per_token(models, case, drafters["all"]), repeats)
        ratios = {
            name: Spread.of([theirs / mine for theirs, mine in zip(taken[name], taken["all"], strict=True)])
            for name in taken
            if name != "all"
        }
        slowest = min(slowest, ratios["none"].median)
        peers = ("none", "generate()", "generate(), lookup")
        speed.append([case.kind, case.name, *(ratios[name].text(2) if name in ratios else "-" for name in peers)])
        show_line(" | ".join(speed[-1]))
    title = "All drafters are x as fast, per token, as: median (min - max)"
    show_table(title, ["kind", "prompt", "no drafts", "generate()", "generate(), lookup"], speed, options.markdown)

    formula = formula_rows()
    columns = ["draft length", "kept of judged", "tokens per forward", "expected", "ratio", "autocorrelation"]
    show_table("A true assistant: tokens per forward", columns, [row.cells() for row in formula], options.markdown)
    figures = {f"{kind}_at_most": medians[kind]["all"] for kind in KINDS}
    verdicts = judge(
        "speculation",
        {
            **figures,
            "same_text_share_at_least": sum(same for _, _, same in counted.values()) / len(counted),
            "speed_against_plain_at_least": slowest if speed else None,
            "formula_distance_at_most": farthest(formula),
        },
    )
    show_verdicts(verdicts, options.markdown)
    if options.json:
        write_json(options.json, verdicts, counts=rows, speed=speed, formula=[row.cells() for row in formula])


if __name__ == "__main__":
    main()
