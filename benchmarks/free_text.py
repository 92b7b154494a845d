"""Free text, where drafts may not help: decodeplug with lookup drafts beside plain generate(), same model.

    python benchmarks/free_text.py [--quick] [--repeats N] [--device cuda] [--dtype bfloat16] [--markdown] [--json FILE]

Open questions have no answer to be found in the prompt: there decodeplug must not be slower than plain
generate(). Copying tasks have one: there it should be faster. The two run one after the other, and the order
changes from round to round; the ratio is taken within a round and its median counts.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable

from contestants import Contestant, Models, decodeplug_contestant, generate_contestants
from free_text_cases import COPYING, OPEN, TextCase
from loading import add_model_options, load
from measure import Run, Spread, speedups, take_turns
from report import add_output_options, describe_machine, judge, show_line, show_table, show_verdicts, write_json

OURS, PLAIN = "decodeplug, lookup", "plain"
COLUMNS = ["prompt", "ms per token: ours", "plain", "ours is x as fast: median (min - max)"]
COLUMNS += ["tokens", "forwards per token", "mean width", "same text"]


def per_token(run: Run) -> float:
    return run.per_token_s


def run_case(case: TextCase, contestants: list[Contestant], models: Models, repeats: int) -> dict[str, list[Run]]:
    """Both contestants' runs of one prompt, taking turns."""
    prompt = models.prompt(case.messages)
    ready: dict[str, Callable[[], Run]] = {
        contestant.name: contestant.ready(models, case.name, prompt, None, case.max_new_tokens)
        for contestant in contestants
    }
    return take_turns(ready, repeats)


def table_row(kind: str, case: TextCase, runs: dict[str, list[Run]]) -> list[str]:
    """One prompt's figures; a failure is named in place of the figures."""
    ours, plain = runs[OURS], runs[PLAIN]
    failed = next((run.error for run in [*ours, *plain] if run.error), "")
    if failed:
        return [f"{kind} / {case.name}", f"FAILED: {failed[:90]}", *["-"] * (len(COLUMNS) - 2)]
    same = all(our.token_ids == their.token_ids for our, their in zip(ours, plain, strict=True))
    return [
        f"{kind} / {case.name}",
        *(f"{statistics.median(map(per_token, side)) * 1e3:.1f}" for side in (ours, plain)),
        Spread.of(speedups(ours, plain, per_token)).text(3),
        str(len(ours[0].token_ids)),
        f"{ours[0].forwards_per_token:.3f}",
        f"{ours[0].forwards.mean_width:.2f}",
        "yes" if same else "NO",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    add_model_options(parser)
    parser.add_argument("--quick", action="store_true", help="every third prompt, three repeats: a fair sample")
    parser.add_argument("--repeats", type=int, help="rounds for each prompt (default 7; 3 with --quick)")
    add_output_options(parser)
    options = parser.parse_args()

    models = load(options)
    ours = decodeplug_contestant(models, "any", OURS, drafters=["lookup"])
    if ours.missing:
        raise SystemExit(f"MISSING CONTESTANT: {ours.name}: {ours.missing}")
    contestants = [ours, next(c for c in generate_contestants(models, "any") if c.name == PLAIN)]
    show_line(describe_machine())
    repeats = options.repeats or (3 if options.quick else 7)
    cases = [("open", case) for case in OPEN] + [("copying", case) for case in COPYING]
    cases = cases[::3] if options.quick else cases
    run_case(OPEN[0], contestants, models, 1)  # warms up

    rows, ratios = [], {"open": [], "copying": []}
    for kind, case in cases:
        runs = run_case(case, contestants, models, repeats)
        rows.append(table_row(kind, case, runs))
        ratios[kind].append(statistics.median(speedups(runs[OURS], runs[PLAIN], per_token)))
        show_line(" | ".join(rows[-1]))
    show_table(f"{len(cases)} prompts, {repeats} rounds each", COLUMNS, rows, options.markdown)
    for kind, figures in ratios.items():
        show_line(
            f"{kind}: x as fast as plain generate(), median (min - max) over prompts: {Spread.of(figures).text(3)}"
        )
    verdicts = judge("free_text", {"speed_against_plain_at_least": min(ratios["open"])})
    show_verdicts(verdicts, options.markdown)
    if options.json:
        write_json(options.json, verdicts, rows=[dict(zip(COLUMNS, row, strict=True)) for row in rows])


if __name__ == "__main__":
    main()
