"""Many questions about one text, which is computed once: the first of them pays for it, the others go on from there.

    python examples/shared_prompt.py [--cache dense]

The cache keeps what was computed in blocks, and knows them by their ids. So the text need not be named or fed in before:
requests that begin alike share what they have in common, whether they come at once or one after the other.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from decodeplug import Host, Request

RULES = """You are the librarian of the bears. The library is in the old oak by the river. It opens when the sun is up and closes
when the owl calls. A bear may borrow two books for a week, a cub one book for a day. Books about honey are read in the oak. Wet books are
dried on the stones, one page at a time. Answer in one short sentence."""
QUESTIONS = ("When do you open?", "How many books may a cub borrow?", "May I take a book about honey home?")


def main(arguments: Sequence[str] | None = None) -> int:
    """Print each answer, and how much of its prompt was computed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--cache", default="paged", help='where keys and values are kept (default "paged")')
    parser.add_argument("--max-new-tokens", type=int, default=30, help="of each answer")
    options = parser.parse_args(arguments)
    requests = [
        Request(
            [{"role": "system", "content": RULES}, {"role": "user", "content": question}],
            cache=options.cache,
            max_new_tokens=options.max_new_tokens,
        )
        for question in QUESTIONS
    ]
    with Host.from_pretrained("smollm2") as host:
        for question, result in zip(QUESTIONS, host.run(requests, ordered=True), strict=True):
            length, known = len(result.prompt_ids), result.trace.cache["reused"]
            print(f"{question} {result.text.strip()} ({length - known} of {length} ids of the prompt computed)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
