"""A long text in caches that take fewer bytes: what each holds of it, and what is written then.

    python examples/fewer_bytes.py [--cache quantised=bits=2] [--cache latent=calibration=FOLDER]

"quantised" needs no preparation; a folder for "latent" is made by ``decodeplug cache calibrate``. Both approximate, so the
answers may differ; with a schema, as here, each of them is valid all the same.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence

from decodeplug import Host

REPORT = """Report {number}. The bear walked along the river and counted {salmon} salmon. The weather was mild, and the owl slept in the
oak. In the evening it found {berries} berries by the old bridge and went home. """
SCHEMA = {
    "type": "object",
    "properties": {"animal": {"enum": ["bear", "owl", "salmon"]}, "place": {"type": "string", "maxLength": 20}},
    "required": ["animal", "place"],
    "additionalProperties": False,
}
CACHES = ["dense", "quantised=bits=8", "quantised", "quantised=bits=2"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Print each cache, the bytes that it held at most, and the answer."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--cache", action="append", help="one to try; repeat the option")
    parser.add_argument("--reports", type=int, default=16, help="how long the text is")
    options = parser.parse_args(arguments)
    reports = [
        REPORT.format(number=n, salmon=n % 7 + 2, berries=13 * n % 40 + 5) for n in range(1, options.reports + 1)
    ]
    messages = [{"role": "user", "content": "".join(reports) + "Who walks, and where does it find berries?"}]
    with Host.from_pretrained("smollm2") as host:
        for cache in options.cache or CACHES:
            result = host.generate(messages, constraint=SCHEMA, cache=cache, max_new_tokens=40)
            megabytes = result.trace.cache["peak_bytes"] / 1e6
            print(f"{cache}: {megabytes:.1f} MB for {len(result.prompt_ids)} ids: {json.dumps(result.value)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
