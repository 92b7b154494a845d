"""What choosing the next token's candidates costs: decodeplug's processors and transformers' warpers, in turns.

    python benchmarks/sampling.py [--vocab N ...] [--bits B ...] [--repeats N] [--threads N] [--markdown] [--json [FILE]]

Recipe of a row: ``vocab`` scores ``-a * log(rank)`` (Zipf's law, as the next-token distribution of a language model
roughly has it) plus Gaussian noise of 0.5, shuffled, and ``a`` chosen so that softmax has the entropy asked for;
``flat`` is Gaussian noise of 0.01. One row, float32, seed 0. Both contestants get the same tensors and take
turns, each round starting with another one. Then each contestant cuts ``--checked`` fresh rows, and the kept sets are
compared: a row where they differ counts as rounding if a sum in float64 lies within 1e-5 of the limit there.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from measure import Spread
from report import describe_machine, judge, machine, show_line, show_table, show_verdicts, write_json
from torch import Tensor
from transformers import (
    LogitsProcessorList,
    MinPLogitsWarper,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from decodeplug.contracts import Processor
from decodeplug.processors import MinP, Temperature, TopK, TopP
from decodeplug.values import Seen

NOTHING = Seen.nothing(1)
NO_IDS = torch.zeros(1, 0, dtype=torch.long)
TOP_P = 0.9
CLOSE = 1e-5
Cut = Callable[[Tensor], Tensor]
COLUMNS = ["processors, vocabulary, entropy in bits", "kept", "decodeplug, us: median (min - max)"]
COLUMNS += ["transformers, us: median (min - max)", "times faster: median (min - max)", "same kept set"]


def ours(*parts: Processor) -> Cut:
    def cut(scores: Tensor) -> Tensor:
        for part in parts:
            scores = part(scores, NOTHING)
        return scores

    return cut


def theirs(*warpers: Any) -> Cut:
    chain = LogitsProcessorList(warpers)
    return lambda scores: chain(NO_IDS, scores)


CONTESTS: dict[str, tuple[Cut, Cut]] = {
    "top-p 0.9": (ours(TopP(TOP_P)), theirs(TopPLogitsWarper(TOP_P))),
    "top-k 50": (ours(TopK(50)), theirs(TopKLogitsWarper(50))),
    "min-p 0.05": (ours(MinP(0.05)), theirs(MinPLogitsWarper(0.05))),
    "temperature 0.7 + top-k 50 + top-p 0.9": (
        ours(Temperature(0.7), TopK(50), TopP(TOP_P)),
        theirs(TemperatureLogitsWarper(0.7), TopKLogitsWarper(50), TopPLogitsWarper(TOP_P)),
    ),
}


def entropy_bits(scores: Tensor) -> float:
    logs = scores.double().log_softmax(-1)
    return float(-(logs.exp() * logs).sum() / torch.log(torch.tensor(2.0)))


def score_row(vocab: int, bits: float | None, noise: torch.Generator) -> Tensor:
    """``[1, vocab]`` float32 with an entropy of ``bits``, or flat; see the recipe above."""
    jitter = torch.randn(vocab, generator=noise)
    order = torch.randperm(vocab, generator=noise)
    if bits is None:
        return (jitter * 0.01)[None]
    ranks = torch.arange(1, vocab + 1).log()
    low, high = 0.0, 50.0
    for _ in range(40):
        slope = (low + high) / 2
        scores = (0.5 * jitter - slope * ranks)[order][None]
        low, high = (slope, high) if entropy_bits(scores) > bits else (low, slope)
    return scores


def timed(cut: Cut, scores: Tensor) -> float:
    began = time.perf_counter()
    cut(scores)
    return (time.perf_counter() - began) * 1e6


def race(contest: tuple[Cut, Cut], scores: Tensor, repeats: int) -> tuple[Spread, Spread, Spread]:
    """Microseconds of both, and theirs divided by ours round by round."""
    for cut in contest:
        cut(scores)  # the first call pays for loading code
    spent: tuple[list[float], list[float]] = ([], [])
    for turn in range(repeats):
        for place in (0, 1) if turn % 2 else (1, 0):
            spent[place].append(timed(contest[place], scores))
    ratios = [their / our for our, their in zip(*spent, strict=True)]
    return Spread.of(spent[0]), Spread.of(spent[1]), Spread.of(ratios)


def is_rounding(scores: Tensor, one: Tensor, other: Tensor) -> bool:
    """Do the two sets differ only in tokens at which the mass meets top-p within the rounding of float32?"""
    differing = (one.isfinite() != other.isfinite())[0]
    base = scores if int(one.isfinite().sum()) > 50 else one.maximum(other)
    masses = base.double().softmax(-1)[0]
    return all(
        abs(float(masses[base[0] > base[0, token]].sum()) - TOP_P) < CLOSE for token in differing.nonzero().flatten()
    )


def compare(contest: tuple[Cut, Cut], rows: list[Tensor]) -> dict[str, int]:
    """In how many rows the kept sets are equal, and in how many of the others rounding explains it."""
    pairs = [(row, contest[0](row), contest[1](row)) for row in rows]
    unequal = [pair for pair in pairs if not torch.equal(pair[1].isfinite(), pair[2].isfinite())]
    return {
        "rows": len(rows),
        "equal": len(rows) - len(unequal),
        "rounding": sum(is_rounding(*pair) for pair in unequal),
    }


def measure_all(options: argparse.Namespace) -> list[dict[str, Any]]:
    measured = []
    for vocab in options.vocab:
        for bits in options.bits:
            noise = torch.Generator().manual_seed(0)
            rows = [score_row(vocab, bits, noise) for _ in range(options.checked)]
            for name, contest in CONTESTS.items():
                our, their, ratio = race(contest, rows[0], options.repeats)
                measured.append({
                    "processors": name, "vocab": vocab, "bits": bits, "entropy_bits": round(entropy_bits(rows[0]), 3),
                    "kept": int(contest[0](rows[0]).isfinite().sum()), "decodeplug_us": vars_of(our),
                    "transformers_us": vars_of(their), "times_faster": vars_of(ratio), "same_set": compare(contest, rows),
                })  # fmt: skip
    return measured


def vars_of(spread: Spread) -> dict[str, float]:
    return {"median": spread.median, "min": spread.low, "max": spread.high}


def text_of(spread: dict[str, float], digits: int) -> str:
    return Spread(spread["median"], spread["min"], spread["max"]).text(digits)


def line_of(row: dict[str, Any]) -> list[str]:
    same = row["same_set"]
    verdict = f"{same['equal']} of {same['rows']}"
    if same["equal"] < same["rows"]:
        verdict += f", {same['rounding']} by rounding"
    entropy = "flat" if row["bits"] is None else f"{row['bits']:g}"
    return [
        f"{row['processors']}, {row['vocab']:,}, {entropy}",
        f"{row['kept']:,}",
        text_of(row["decodeplug_us"], 0),
        text_of(row["transformers_us"], 0),
        text_of(row["times_faster"], 1),
        verdict,
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vocab", type=int, nargs="+", default=[49_152, 151_936], help="vocabulary sizes")
    parser.add_argument(
        "--bits",
        type=lambda text: None if text == "flat" else float(text),
        nargs="+",
        default=[1.0, 2.0, 3.0, 6.0, 7.0, 8.0, None],
        help="entropies of the rows in bits, or flat",
    )
    parser.add_argument("--repeats", type=int, default=31, help="rounds of each contest")
    parser.add_argument("--checked", type=int, default=10, help="rows whose kept sets are compared")
    parser.add_argument("--threads", type=int, default=1, help="threads of torch")
    parser.add_argument("--markdown", action="store_true", help="tables in markdown")
    parser.add_argument(
        "--json", nargs="?", const="-", metavar="FILE", help="one JSON object, to FILE or instead of the tables"
    )
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    measured = measure_all(options)
    top_p = [
        row["times_faster"]["median"] for row in measured if row["processors"] == "top-p 0.9" and row["vocab"] == 49_152
    ]
    verdicts = judge("sampling", {"top_p_speedup_at_least": min(top_p, default=None)})
    if options.json == "-":
        judged = [
            {"claim": one.claim, "figure": one.figure, "threshold": one.threshold, "holds": one.holds}
            for one in verdicts
        ]
        sys.stdout.write(json.dumps({"machine": machine(), "verdicts": judged, "rows": measured}) + "\n")
        return
    show_line(f"Machine: {describe_machine()}")
    show_table("Candidates of one row", COLUMNS, [line_of(row) for row in measured], options.markdown)
    show_line("The smallest of the medians of top-p at 49,152 is judged.")
    show_verdicts(verdicts, options.markdown)
    if options.json:
        write_json(Path(options.json), verdicts, rows=measured)


if __name__ == "__main__":
    main()
