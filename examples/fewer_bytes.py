"""A long text in caches that take fewer bytes: what each holds of it, and what is written then.

    python examples/fewer_bytes.py [--cache quantised=bits=2] [--cache latent=calibration=FOLDER] [--model NAME]

"quantised" needs no preparation; a folder for "latent" is made by ``decodeplug cache calibrate``; "transformers-quantized" is
that of transformers. All of them approximate, so the answers may differ; with a schema, as here, each is valid all the same.
"stored-input" is exact, and wants a model of GPT-2's kind.
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
CACHES = ["dense", "quantised=bits=8", "quantised", "quantised=bits=2", "transformers-quantized=backend=fp8"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Print each cache, the bytes that it held at most, and the answer."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--cache", action="append", help="one to try; repeat the option")
    parser.add_argument("--model", default="smollm2", help="folder or hub id (default: smollm2)")
    parser.add_argument("--reports", type=int, default=16, help="how long the text is")
    options = parser.parse_args(arguments)
    reports = [
        REPORT.format(number=n, salmon=n % 7 + 2, berries=13 * n % 40 + 5) for n in range(1, options.reports + 1)
    ]
    question = "".join(reports) + "Who walks, and where does it find berries?"
    with Host.from_pretrained(options.model) as host:
        chats = getattr(host.tokenizer, "chat_template", None) is not None
        messages = [{"role": "user", "content": question}] if chats else question
        for cache in options.cache or CACHES:
            result = host.generate(messages, constraint=SCHEMA, cache=cache, max_new_tokens=40)
            megabytes = result.trace.cache["peak_bytes"] / 1e6
            print(f"{cache}: {megabytes:.1f} MB for {len(result.prompt_ids)} ids: {json.dumps(result.value)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
