"""A sum is thought through several times, and the answer that most thoughts come to is taken.

The question is asked with worked examples. Each path is sampled on its own; the prompt is computed once for all of them.
When the paths that have ended cannot be outvoted any more, the others are cancelled.

    python examples/self_consistency.py
    python examples/self_consistency.py --n 16 --temperature 0.5 --question "A dog has 4 legs. How many have 3 dogs?"
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from decodeplug import Host, Result
from decodeplug.prompting import ChainOfThought, chat

QUESTION = "Emma has 12 shells and gives 5 of them to a friend. How many shells are left?"
THINKING = ChainOfThought()
EXAMPLES = (
    THINKING.example("Lena has 5 coins and gets 6 more. How many coins does she have now?", "5 + 6 = 11.", "11"),
    THINKING.example("4 rows have 7 jars each. 3 jars are empty. How many are full?", "4 * 7 = 28. 28 - 3 = 25.", "25"),
)


def think(host: Host, question: str, n: int, temperature: float, max_new_tokens: int, seed: int) -> Result:
    """The likeliest text with the answer that most of ``n`` texts come to."""
    return host.generate(
        chat(THINKING.ask(question), examples=EXAMPLES),
        strategy="self-consistency",
        answer=THINKING.answer,
        n=n,
        processors=[f"temperature={temperature}"],
        max_new_tokens=max_new_tokens,
        seed=seed,
    )


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--question", default=QUESTION)
    parser.add_argument("--n", type=int, default=5, help="how many texts")
    parser.add_argument("--temperature", type=float, default=0.7)
    parser.add_argument("--max-new-tokens", type=int, default=60, help="of each text")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)

    with Host.from_pretrained("smollm2") as host:
        result = think(host, options.question, options.n, options.temperature, options.max_new_tokens, options.seed)
    for path in sorted([result, *result.alternatives], key=lambda path: path.hypothesis):
        said = "no answer" if path.answer is None else path.answer
        print(f"{path.hypothesis}: {said} ({path.finish_reason}, {len(path.token_ids)} tokens)")
    for note in result.trace.notes:
        print(note)
    print(f"Most say: {result.answer}, {result.agreement:.0%} of the votes. One of them wrote: {result.text.strip()}")


if __name__ == "__main__":
    main()
