"""Several answers and how they compare: the best texts that a constraint allows, each with its score.

    python examples/beams.py [--num-beams N]

Every hypothesis satisfies the constraint. In one layout, so that no two of them differ in spaces alone.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from enum import Enum

from decodeplug import Host, json_schema
from pydantic import BaseModel


class Mood(Enum):
    cheerful = "cheerful"
    sleepy = "sleepy"
    grumpy = "grumpy"
    brave = "brave"


class Bear(BaseModel):
    """What we want to know."""

    mood: Mood
    likes_honey: bool


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the three best answers, best first."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--num-beams", type=int, default=6, help="hypotheses that are compared (default 6)")
    options = parser.parse_args(arguments)
    with Host.from_pretrained("smollm2") as host:
        prompt = [{"role": "user", "content": "A small bear yawns under a tree. Describe it as JSON."}]
        search = {"num_beams": options.num_beams, "num_return_sequences": 3}
        best = host.generate(prompt, constraint=json_schema(Bear, layout="compact"), max_new_tokens=48, **search)
        for result in (best, *best.alternatives):
            bear = result.value
            print(f"{result.score:.3f}  {bear.mood.value}, {'honey' if bear.likes_honey else 'no honey'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
