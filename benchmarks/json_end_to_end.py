"""JSON from a real model, end to end: decodeplug beside transformers.generate with each peer's processor.

    python benchmarks/json_end_to_end.py [--quick] [--repeats N] [--device cuda] [--dtype bfloat16] [--markdown] [--json FILE]

The contestants take turns, case by case. Each row of the table is one contestant on one case: the median of
its runs, what the model was asked to do, whether the result validates, and how much faster decodeplug was.
Contestants do not write the same text (plain generate() is not constrained at all; the others differ in
what their schema compilers enforce), so seconds are compared per result and per token.
"""

from __future__ import annotations

import argparse
import json
import statistics
from dataclasses import dataclass
from typing import Any

import jsonschema
from contestants import LAYOUTS, Contestant, Models, decodeplug_contestant, generate_contestants
from json_cases import JSON_CASES, JsonCase
from loading import add_model_options, load
from measure import Run, Spread, cost_by_width, fastest, speedups, take_turns
from report import add_output_options, describe_machine, judge, show_line, show_table, show_verdicts, write_json

OURS = "decodeplug"
UNDRAFTED = "decodeplug, no drafts"
WIDTHS = (1, 2, 3, 5, 9, 17)
COLUMNS = ["case / contestant", "wall s: median (min - max)", "tokens", "tokens/s", "forwards", "per token"]
COLUMNS += ["mean width", "valid", "wall: x ours", "per token: x ours"]


def wall(run: Run) -> float:
    return run.wall_s


def per_token(run: Run) -> float:
    return run.per_token_s


def is_valid(text: str, schema: dict[str, Any]) -> bool:
    """Does the text parse, and does its value satisfy the schema?"""
    try:
        jsonschema.Draft202012Validator(schema).validate(json.loads(text))
    except (ValueError, jsonschema.ValidationError):
        return False
    return True


@dataclass(frozen=True)
class CaseResult:
    """All runs of one case.

    :ivar runs: For each contestant that takes part, its runs, round by round.
    :ivar undrafted: One run of decodeplug without drafts, or None if it does not take part.
    :ivar enforcing: Which peers enforce the schema: their results are as much work as ours.
    """

    case: JsonCase
    runs: dict[str, list[Run]]
    undrafted: Run | None
    enforcing: frozenset[str]

    @property
    def same_text(self) -> bool | None:
        """Did drafts leave the ids as they are? None if that was not measured."""
        if self.undrafted is None or OURS not in self.runs:
            return None
        return all(not run.error and run.token_ids == self.undrafted.token_ids for run in self.runs[OURS])

    def valid(self, name: str) -> bool:
        """Does every result of this contestant validate?"""
        return all(is_valid(run.text, self.case.schema) for run in self.runs[name])

    def wall_speedup(self) -> tuple[str, float] | None:
        """The fastest peer that enforces the schema, and how many times as long it took for its result."""
        peers = {name: runs for name, runs in self.runs.items() if name in self.enforcing}
        return fastest(self.runs[OURS], peers, wall) if OURS in self.runs else None

    def per_token_speedup(self) -> tuple[str, float] | None:
        """The fastest peer of all, and how many times as long it took for a token."""
        peers = {name: runs for name, runs in self.runs.items() if name != OURS}
        return fastest(self.runs[OURS], peers, per_token) if OURS in self.runs else None


def run_case(
    case: JsonCase, contestants: list[Contestant], undrafted: Contestant, models: Models, repeats: int
) -> CaseResult:
    """Everybody's runs of one case, taking turns."""
    prompt = models.prompt(case.messages)
    present = [contestant for contestant in [*contestants, undrafted] if not contestant.missing]
    ready = {
        contestant.name: contestant.ready(models, case.name, prompt, case.schema, case.max_new_tokens)
        for contestant in present
    }
    once = ready.pop(UNDRAFTED, None)
    runs = take_turns(ready, repeats)
    enforcing = frozenset(contestant.name for contestant in present if contestant.enforces and contestant.name in ready)
    return CaseResult(case, runs, None if once is None else once(), enforcing - {OURS})


def table_rows(result: CaseResult) -> list[list[str]]:
    """One row for each contestant."""
    rows = []
    for name, runs in result.runs.items():
        label, first = f"{result.case.name} / {name}", runs[0]
        failed = next((run.error for run in runs if run.error), "")
        if failed:
            rows.append([label, f"FAILED: {failed[:90]}", *["-"] * (len(COLUMNS) - 2)])
            continue
        rates = [1 / run.per_token_s for run in runs]
        versus = ["", ""]
        if name != OURS and OURS in result.runs:
            ours = result.runs[OURS]
            versus = [f"{statistics.median(speedups(ours, runs, figure)):.2f}" for figure in (wall, per_token)]
        rows.append(
            [label, Spread.of([run.wall_s for run in runs]).text(), str(len(first.token_ids))]
            + [f"{statistics.median(rates):.1f}", str(len(first.forwards.widths)), f"{first.forwards_per_token:.3f}"]
            + [f"{first.forwards.mean_width:.2f}", "yes" if result.valid(name) else "NO", *versus]
        )
    return rows


def summary(results: list[CaseResult]) -> dict[str, float | None]:
    """The figures that thresholds.toml asks for; None for what could not be measured."""
    ours = [result for result in results if OURS in result.runs]

    def median(figures: list[float | None]) -> float | None:
        known = [figure for figure in figures if figure is not None]
        return statistics.median(known) if known and len(known) == len(figures) else None

    def share(claims: list[bool | None]) -> float | None:
        known = [claim for claim in claims if claim is not None]
        return sum(known) / len(known) if known and len(known) == len(claims) else None

    return {
        "forwards_per_token_median_at_most": median([result.runs[OURS][0].forwards_per_token for result in ours]),
        "valid_share_at_least": share([result.valid(OURS) for result in ours]),
        "wall_speedup_median_at_least": median(
            [best[1] if (best := result.wall_speedup()) else None for result in ours]
        ),
        "per_token_speedup_median_at_least": median(
            [best[1] if (best := result.per_token_speedup()) else None for result in ours]
        ),
        "identical_share_at_least": share([result.same_text for result in ours]),
    }


def medians_table(results: list[CaseResult], names: list[str]) -> list[list[str]]:
    """For each contestant, the medians over the cases that it finished."""
    rows = []
    for name in names:
        done = [result for result in results if name in result.runs and not any(run.error for run in result.runs[name])]
        if not done:
            continue
        runs = [run for result in done for run in result.runs[name]]
        valid = sum(result.valid(name) for result in done)
        rows.append(
            [name, f"{len(done)} of {len(results)}", f"{valid} of {len(results)}"]
            + [f"{statistics.median(run.per_token_s for run in runs) * 1e3:.1f}"]
            + [f"{statistics.median(run.forwards_per_token for run in runs):.3f}"]
            + [f"{statistics.median(run.forwards.mean_width for run in runs):.2f}"]
        )
    return rows


def progress(result: CaseResult) -> str:
    """A case's figures in one line, shown as soon as they are there."""
    said = [f"{result.case.name} ({result.case.shape})"]
    for name, runs in result.runs.items():
        figures = f"{runs[0].forwards_per_token:.3f} forwards a token, {'valid' if result.valid(name) else 'NOT valid'}"
        said.append(f"{name}: {runs[0].error or figures}")
    for unit, best in (("result", result.wall_speedup()), ("token", result.per_token_speedup())):
        if best is not None:
            said.append(f"per {unit} {best[1]:.2f} x as fast as {best[0]}")
    return "; ".join([*said, f"drafts leave the text as it is: {result.same_text}"])


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    add_model_options(parser)
    parser.add_argument("--quick", action="store_true", help="every fourth case, two repeats: a fair sample")
    parser.add_argument("--repeats", type=int, help="runs of each contestant on each case (default 5; 2 with --quick)")
    parser.add_argument("--only", nargs="+", metavar="CASE", help="these cases alone")
    parser.add_argument("--contestants", nargs="+", metavar="NAME", help="only these; the others count as missing")
    parser.add_argument(
        "--layout",
        choices=LAYOUTS,
        default="spaced",
        help="whitespace of the JSON (default: spaced, as decodeplug writes it unasked)",
    )
    add_output_options(parser)
    options = parser.parse_args()

    cases = [case for case in JSON_CASES if case.name in options.only] if options.only else list(JSON_CASES)
    cases = cases[::4] if options.quick else cases
    repeats = options.repeats or (2 if options.quick else 5)
    models = load(options)
    contestants = [decodeplug_contestant(models, options.layout, OURS), *generate_contestants(models, options.layout)]
    undrafted = decodeplug_contestant(models, options.layout, UNDRAFTED, drafters=[])
    for contestant in contestants:
        if options.contestants and contestant.name not in options.contestants:
            contestant.missing = "left out by --contestants"
    missing = [f"MISSING CONTESTANT: {c.name}: {c.missing}" for c in contestants if c.missing]
    for line in [describe_machine(), *missing]:
        show_line(line)
    warm_up = JSON_CASES[3]  # a short one: imports, kernels and compilers are paid for here
    run_case(warm_up, contestants, undrafted, models, 1)

    results = []
    for number, case in enumerate(cases, 1):
        results.append(run_case(case, contestants, undrafted, models, repeats))
        show_line(f"{number} of {len(cases)}: {progress(results[-1])}")
    absent = [[f"every case / {c.name}", "MISSING", *[""] * (len(COLUMNS) - 2)] for c in contestants if c.missing]
    show_table(
        f"{len(cases)} cases, {repeats} interleaved runs each, layout {options.layout}",
        COLUMNS,
        [row for result in results for row in table_rows(result)] + absent,
        options.markdown,
    )
    names = [contestant.name for contestant in contestants]
    columns = ["contestant", "finished", "valid", "ms per token", "forwards per token", "mean width"]
    show_table("Medians", columns, medians_table(results, names), options.markdown)
    costs = cost_by_width(models.model, WIDTHS)
    rows = [["relative to width 1", *[f"{cost:.2f}" for cost in costs.values()]]]
    show_table("Cost of a plain forward by width", ["", *map(str, costs)], rows, options.markdown)
    compiling = [
        [c.name, Spread.of(list(c.compile_s.values())).text()] for c in contestants if c.compile_s and c.name != "plain"
    ]
    show_table(
        "Seconds to compile a schema (not part of the runs)",
        ["contestant", "median (min - max)"],
        compiling,
        options.markdown,
    )
    verdicts = judge("json", summary(results))
    show_verdicts(verdicts, options.markdown)
    if options.json:
        rows_as_data = [dict(zip(COLUMNS, row, strict=True)) for result in results for row in table_rows(result)]
        texts = {result.case.name: {name: runs[0].text for name, runs in result.runs.items()} for result in results}
        write_json(options.json, verdicts, rows=rows_as_data, texts=texts, cost_by_width=costs, missing=missing)


if __name__ == "__main__":
    main()
