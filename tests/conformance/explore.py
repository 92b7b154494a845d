"""Write at random for a while, and say what went wrong: the known, by name, and each unknown with its schema.

Run it from the top of the repository: ``python -m tests.conformance.explore --seconds 60 --seed 1``.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from hypothesis import HealthCheck, given, seed, settings

sys.path.insert(0, str(Path(__file__).parents[1]))

from conformance.generated_schemas import documents
from conformance.known_writing_failures import known_as
from conformance.random_writing import Fault, faults_of
from conformance.writers import LAYOUTS, WRITERS

TEXTS = 3
SLOW = (HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much)
ROUND = 50  # schemas drawn in a row; then another seed


def main(arguments: Sequence[str] | None = None) -> int:
    """Print what was found; the exit status is 1 if anything was not known."""
    parser = argparse.ArgumentParser(prog="python -m tests.conformance.explore", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60, help="how long")
    parser.add_argument("--seed", type=int, default=0, help="the first seed of hypothesis")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    counts: Counter[str] = Counter()
    unknown: list[Fault] = []
    until = time.monotonic() + options.seconds
    number = options.seed
    while time.monotonic() < until:
        _write(number, counts, unknown)
        number += 1
    for what, count in counts.most_common():
        sys.stdout.write(f"{count:7}  {what}\n")
    for fault in sorted(unknown, key=lambda fault: len(json.dumps(fault.schema)))[:20]:
        sys.stdout.write(
            f"\n{fault.kind}: {fault.because}\n  schema {json.dumps(fault.schema)}\n  text   {fault.text}\n"
        )
    return int(bool(unknown))


def _write(number: int, counts: Counter[str], unknown: list[Fault]) -> None:
    chance = random.Random(number)

    @seed(number)
    @settings(max_examples=ROUND, deadline=None, database=None, suppress_health_check=SLOW)
    @given(documents())
    def each(schema: Any) -> None:
        writer, layout = chance.choice(sorted(WRITERS)), chance.choice(LAYOUTS)
        faults = faults_of(schema, WRITERS[writer], chance, TEXTS, layout=layout)
        counts["schemas"] += 1
        counts["refused schemas"] += faults is None
        counts["texts"] += 0 if faults is None else TEXTS
        for fault in faults or ():
            known = known_as(fault)
            counts["unknown failures" if known is None else f"known: {known.name}"] += 1
            if known is None:
                unknown.append(fault)

    each()


if __name__ == "__main__":
    raise SystemExit(main())
