"""Beam search: bytes that reordering the cache moves, counted, and the time beside transformers' beam search.

    python benchmarks/beams.py [--quick] [--repeats N] [--device cuda] [--dtype bfloat16] [--markdown] [--json FILE]

Every step of a beam search continues some hypotheses several times and drops others, so the cache must follow.
transformers gathers all rows of all layers anew in each step; decodeplug copies the rows of lanes that take
another one's place, and leaves the others where they are. What either does when it appends the new keys is not
counted: transformers concatenates there, which copies the whole cache once more; decodeplug writes in place.
The two run one after the other on the same prompt, model and options; their ids must be the same.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from contestants import Models
from free_text_cases import COPYING, OPEN, TextCase
from loading import add_model_options, load
from measure import Run, Spread, speedups, take_turns, watch
from report import add_output_options, describe_machine, judge, show_line, show_table, show_verdicts, write_json
from transformers.cache_utils import DynamicLayer

OURS, PEER = "decodeplug", "transformers.generate"
COLUMNS = ["prompt, beams", "KiB moved per step: decodeplug", "transformers", "share", "rows moved per step"]
COLUMNS += ["decodeplug is x as fast: median (min - max)", "steps", "same ids"]
NEW_TOKENS = 48


@dataclass
class Moved:
    """Bytes written when a cache was reordered. ``rows`` counts those of one layer's keys only."""

    bytes: int = 0
    rows: int = 0


@contextmanager
def moved() -> Iterator[Moved]:
    """Count what reordering writes while the block runs, in decodeplug's cache and in transformers'."""
    from decodeplug.caches.layers import SlotBuffer

    seen, first = Moved(), list[Any]()
    ours, peer = SlotBuffer.move, DynamicLayer.reorder_cache

    def counted_move(self: Any, sources: Any, targets: Any, lanes: int, length: int) -> None:
        before = self.slots.copied
        ours(self, sources, targets, lanes, length)
        first.append(self)
        seen.bytes += self.slots.copied - before  # with what is copied where room for more lanes is made
        seen.rows += len(targets) if self is first[0] else 0

    def counted_reorder(self: Any, beam_idx: Any) -> None:
        peer(self, beam_idx)
        first.append(self)
        seen.bytes += sum(part.numel() * part.element_size() for part in (self.keys, self.values))
        seen.rows += len(beam_idx) if self is first[0] else 0

    SlotBuffer.move, DynamicLayer.reorder_cache = counted_move, counted_reorder  # put back below
    try:
        yield seen
    finally:
        SlotBuffer.move, DynamicLayer.reorder_cache = ours, peer


def contestants(models: Models, prompt: list[int], beams: int) -> dict[str, Callable[[], list[int]]]:
    """Both ways to search, from the same ids."""
    ids = torch.tensor([prompt], device=models.model.device)

    def by_transformers() -> list[int]:
        mask = torch.ones_like(ids)
        row = models.model.generate(
            ids, attention_mask=mask, num_beams=beams, do_sample=False, max_new_tokens=NEW_TOKENS
        )[0]
        return row[len(prompt) :].tolist()

    return {
        OURS: lambda: models.host.generate(prompt, num_beams=beams, max_new_tokens=NEW_TOKENS).token_ids,
        PEER: by_transformers,
    }


def timed(models: Models, generate: Callable[[], list[int]]) -> Callable[[], Run]:
    def run() -> Run:
        with watch(models.model) as forwards:
            began = time.perf_counter()
            ids = generate()
            return Run(time.perf_counter() - began, ids, "", forwards)

    return run


def measure(models: Models, case: TextCase, beams: int, repeats: int) -> tuple[list[str], float, float]:
    """One line of the table, the share of bytes and the ratio of times."""
    both = contestants(models, models.prompt(case.messages), beams)
    counts: dict[str, Moved] = {}
    for name, generate in both.items():
        with moved() as counts[name]:
            generate()
    runs = take_turns({name: timed(models, generate) for name, generate in both.items()}, repeats)
    steps = {name: len(runs[name][0].forwards.widths) for name in both}
    each = {name: counts[name].bytes / steps[name] for name in both}
    ratios = speedups(runs[OURS], runs[PEER], lambda run: run.wall_s)
    share = each[OURS] / each[PEER]
    row = [
        f"{case.name}, {beams}",
        *(f"{each[name] / 1024:.0f}" for name in (OURS, PEER)),
        f"{share:.3f}",
        f"{counts[OURS].rows / steps[OURS]:.2f} / {counts[PEER].rows / steps[PEER]:.2f}",
        Spread.of(ratios).text(2),
        f"{steps[OURS]} / {steps[PEER]}",
        "yes" if runs[OURS][0].token_ids == runs[PEER][0].token_ids else "NO",
    ]
    return row, share, statistics.median(ratios)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    add_model_options(parser)
    parser.add_argument("--quick", action="store_true", help="two prompts, four beams, one round")
    parser.add_argument("--repeats", type=int, default=3, help="rounds for each line (default 3)")
    add_output_options(parser)
    options = parser.parse_args()

    models = load(options)
    if models.host is None:
        raise SystemExit(f"MISSING CONTESTANT: {OURS}: this version has no Host")
    show_line(describe_machine())
    cases, widths, repeats = [*OPEN[:2], *COPYING[:2]], (2, 4, 8), options.repeats
    if options.quick:
        cases, widths, repeats = [OPEN[0], COPYING[0]], (4,), 1
    rows: list[list[str]] = []
    shares: list[float] = []
    ratios: list[float] = []
    for case in cases:
        for beams in widths:
            row, share, ratio = measure(models, case, beams, repeats)
            rows.append(row)
            shares.append(share)
            ratios.append(ratio)
            show_line(" | ".join(row))
    show_table(f"Beam search, {NEW_TOKENS} new tokens, {repeats} rounds", COLUMNS, rows, options.markdown)
    show_line(f"x as fast as generate(), median (min - max) over lines: {Spread.of(ratios).text(2)}")
    verdicts = judge("beams", {"moved_share_median_at_most": statistics.median(shares)})
    show_verdicts(verdicts, options.markdown)
    if options.json:
        write_json(options.json, verdicts, rows=[dict(zip(COLUMNS, row, strict=True)) for row in rows])


if __name__ == "__main__":
    main()
