"""How many forwards of the model a token takes, by drafter and by kind of prompt; and what it does to the time.

    python benchmarks/speculation.py [--heads FOLDER ...] [--costs free] [--quick] [--repeats N] [--device cuda] [--json FILE]

Counts first: every drafter on every prompt, greedy, with the same text as without drafts or the line says so. Heads are
those that ``decodeplug train-heads`` wrote; without folders their columns are left out. How much is drafted depends on
what a wider forward costs, so they are counted twice: where it costs nothing, as on a GPU or with a model that is bound
by reading its weights (a drafted token of heads or modules costs a twentieth of a forward), which gives the same counts
wherever logits round alike; and at the costs that are measured on this one, where drafts that do not pay are not made. Then
seconds per token, all drafters beside none, and beside ``generate()`` plain and with ``prompt_lookup_num_tokens``,
taken in turns; a row that is near the threshold or below it is measured for three times as many rounds.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from contestants import Models
from loading import add_model_options, load
from measure import Spread
from report import (
    add_output_options,
    describe_machine,
    judge,
    show_line,
    show_table,
    show_verdicts,
    thresholds,
    write_json,
)
from speculation_cases import CASES, KINDS, SpeculationCase
from speculation_formula import farthest, formula_rows

from decodeplug import json_schema
from decodeplug.widths import WidthCosts

_SURE = 0.05  # a median that is so much above what is wanted is believed at once
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


def in_turns(runs: dict[str, Callable[[], float]], repeats: int, wanted: float) -> dict[str, list[float]]:
    """Every contestant once a round, in changing order.

    :param wanted: Where ``all`` is hardly more than so many times as fast as ``none``, in the median of these rounds,
        there are twice as many more, since a single one is off by more than what is judged. All of them count.
    """
    taken: dict[str, list[float]] = {name: [] for name in runs}
    names = list(runs)
    for turn in range(3 * repeats):
        if turn == repeats and _ratio(taken, "none").median >= wanted + _SURE:
            break
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            taken[name].append(runs[name]())
    return taken


def _ratio(taken: dict[str, list[float]], name: str) -> Spread:
    """How many times as fast as a contestant ``all`` was, round by round."""
    return Spread.of([theirs / mine for theirs, mine in zip(taken[name], taken["all"], strict=True)])


@dataclass(frozen=True)
class Counted:
    """Forwards per token: for each prompt by the name of the setting, and whether all settings wrote one text."""

    cases: list[SpeculationCase]
    figures: list[dict[str, float]]
    same: list[bool]

    def of_kind(self, kind: str) -> list[dict[str, float]]:
        return [figures for case, figures in zip(self.cases, self.figures, strict=True) if case.kind == kind]

    def medians(self, kind: str) -> dict[str, float]:
        own = self.of_kind(kind)
        return {name: statistics.median(figures[name] for figures in own) for name in own[0]}

    def fewer(self, kind: str, name: str) -> str:
        own = self.of_kind(kind)
        return f"{sum(one[name] < one['lookup'] for one in own)} of {len(own)}"

    def rows(self) -> list[list[str]]:
        rows = [_row(*one) for one in zip(self.cases, self.figures, self.same, strict=True)]
        return rows + [[kind, "median", *_shown(self.medians(kind)), ""] for kind in KINDS]

    def to_judge(self) -> dict[str, float | None]:
        """By the name of the threshold."""
        goals: dict[str, float | None] = {f"{kind}_at_most": self.medians(kind)["all"] for kind in KINDS}
        return {**goals, "same_text_share_at_least": sum(self.same) / len(self.same)}


def _row(case: SpeculationCase, figures: dict[str, float], same: bool) -> list[str]:
    return [case.kind, case.name, *_shown(figures), "yes" if same else "NO"]


def _shown(figures: dict[str, float]) -> list[str]:
    return [f"{figure:.3f}" for figure in figures.values()]


def count(
    models: Models, cases: list[SpeculationCase], drafters: dict[str, list[Any]], title: str, markdown: bool
) -> Counted:
    """All prompts with every setting, shown as they are done."""
    counted = Counted(cases, [], [])
    for case in cases:
        figures, same = counts(models, case, drafters)
        counted.figures.append(figures)
        counted.same.append(same)
        show_line(" | ".join(_row(case, figures, same)))
    show_table(f"Forwards per token, {title}", ["kind", "prompt", *drafters, "same text"], counted.rows(), markdown)
    with_heads = [name for name in drafters if "heads" in name]
    if with_heads:
        fewer = [[kind, *(counted.fewer(kind, name) for name in with_heads)] for kind in KINDS]
        show_table("Prompts with fewer forwards than with lookup alone", ["kind", *with_heads], fewer, markdown)
    return counted


class FreeWidth(WidthCosts):
    """A wider forward takes no longer, and how long one takes is not known."""

    def relative(self, width: int, lanes: int = 1) -> float:
        return 1.0

    def seconds(self, lanes: int = 1) -> float:
        return 0.0


@contextmanager
def free_width(host: Any) -> Iterator[None]:
    """Within it, drafts are as long as they are where width costs nothing."""
    measured, host._runner._costs = host._runner._costs, FreeWidth()
    try:
        yield
    finally:
        host._runner._costs = measured


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    add_model_options(parser)
    parser.add_argument("--heads", action="append", default=[], help="a folder with heads; repeat it, the best first")
    parser.add_argument("--costs", choices=["free", "measured", "both"], default="both", help="which counts to take")
    parser.add_argument("--quick", action="store_true", help="every third prompt, one round: a sample")
    parser.add_argument("--repeats", type=int, help="rounds of the timing (default 3; 1 with --quick; 0: counts only)")
    add_output_options(parser)
    options = parser.parse_args()

    models = load(options)
    drafters = settings(options.heads)
    cases = CASES[::3] if options.quick else CASES
    show_line(describe_machine())

    counted: dict[str, Counted] = {}
    if options.costs != "measured":
        with free_width(models.host):
            counted["free"] = count(models, cases, drafters, "where width costs nothing", options.markdown)
    if options.costs != "free":
        counted["measured"] = count(models, cases, drafters, "at the costs of this machine", options.markdown)

    repeats = (1 if options.quick else 3) if options.repeats is None else options.repeats
    speed, slowest, wanted = [], float("inf"), thresholds("speculation")["speed_against_plain_at_least"]
    for case in cases if repeats else ():
        taken = in_turns(seconds_per_token(models, case, drafters["all"]), repeats, wanted)
        ratios = {name: _ratio(taken, name) for name in taken if name != "all"}
        slowest = min(slowest, ratios["none"].median)
        peers = ("none", "generate()", "generate(), lookup")
        shown = (ratios[name].text(2) if name in ratios else "-" for name in peers)
        speed.append([case.kind, case.name, *shown, str(len(taken["all"]))])
        show_line(" | ".join(speed[-1]))
    title = "All drafters are x as fast, per token, as: median (min - max)"
    show_table(
        title, ["kind", "prompt", "no drafts", "generate()", "generate(), lookup", "rounds"], speed, options.markdown
    )

    formula = formula_rows()
    columns = ["draft length", "kept of judged", "tokens per forward", "expected", "ratio", "autocorrelation"]
    show_table("A true assistant: tokens per forward", columns, [row.cells() for row in formula], options.markdown)
    not_counted = dict.fromkeys([*(f"{kind}_at_most" for kind in KINDS), "same_text_share_at_least"])
    verdicts = judge(
        "speculation",
        {
            **(counted["measured"].to_judge() if "measured" in counted else not_counted),
            "speed_against_plain_at_least": slowest if speed else None,
            "formula_distance_at_most": farthest(formula),
        },
    )
    verdicts += judge("speculation_free_width", counted["free"].to_judge() if "free" in counted else not_counted)
    show_verdicts(verdicts, options.markdown)
    if options.json:
        rows = {name: one.rows() for name, one in counted.items()}
        write_json(options.json, verdicts, counts=rows, speed=speed, formula=[row.cells() for row in formula])


if __name__ == "__main__":
    main()
