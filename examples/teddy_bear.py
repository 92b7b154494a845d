"""A teddy bear as a Python object, and what temperature does to the next token.

First the model fills in a pydantic class. Then one prompt is continued by one token at several
temperatures, and the probabilities of the likeliest tokens are drawn as a bar chart: a low
temperature sharpens the distribution, a high one flattens it.

    python examples/teddy_bear.py
    python examples/teddy_bear.py --prompt "My favourite food is" --temperatures 0.2 1 5 --plot food.svg
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from decodeplug import Host, Request
from pydantic import BaseModel, Field

from svg_bars import grouped_bars

Name = Annotated[str, Field(pattern="^[A-Z][a-z]{1,14}$")]
Book = Annotated[str, Field(min_length=3, max_length=50)]


class Bear(BaseModel):
    """A teddy bear. Everything has bounds, so no answer can run on for ever."""

    first_name: Name
    last_name: Name
    age: Annotated[int, Field(ge=0, le=120)]
    hobby: Annotated[str, Field(min_length=3, max_length=60)]
    favourite_books: Annotated[list[Book], Field(min_length=2, max_length=3)]


def invent(host: Host, max_new_tokens: int) -> Bear:
    """A bear of the model's own invention.

    :raises BudgetTooSmall: Not even the shortest bear fits.
    """
    question = "Invent a teddy bear: its first name, last name, age, hobby and favourite books. Answer in JSON."
    messages = [{"role": "user", "content": question}]
    return host.generate(messages, constraint=Bear, max_new_tokens=max_new_tokens).value


def next_token(host: Host, prompt: str, temperatures: Sequence[float], count: int) -> dict[float, dict[str, float]]:
    """Temperature -> token -> probability, for the ``count`` likeliest next tokens.

    All temperatures are rows of one batch, and so of one call of the model. ``logprobs`` are those
    after processors, so they are the distribution that a token would be drawn from.
    """
    requests = [
        Request(prompt, processors=[f"temperature={value}"], max_new_tokens=1, logprobs=count, seed=0)
        for value in temperatures
    ]
    distributions = {}
    for temperature, result in zip(temperatures, host.generate_batch(requests), strict=True):
        assert result.top_logprobs is not None
        likeliest = result.top_logprobs[0]
        distributions[temperature] = {host.tokenizer.decode([token]): math.exp(value) for token, value in likeliest}
    return distributions


def main(arguments: Sequence[str] | None = None) -> None:
    """Invent a bear, then draw the distributions."""
    parser = argparse.ArgumentParser(
        description="A teddy bear as a Python object, and what temperature does to the next token."
    )
    parser.add_argument("--model", default="smollm2", help="hub id, local folder, or smollm2, the embedded default")
    parser.add_argument("--prompt", default="The teddy bear sat on the")
    parser.add_argument("--temperatures", type=float, nargs="+", default=[0.3, 0.7, 1.0, 2.0], help="each above 0")
    parser.add_argument("--tokens", type=int, default=8, help="how many of the likeliest tokens are drawn")
    parser.add_argument("--plot", type=Path, default=Path("next_token.svg"), help="the SVG file to write")
    parser.add_argument("--max-new-tokens", type=int, default=200)
    given = parser.parse_args(arguments)

    with Host.from_pretrained(given.model) as host:
        bear = invent(host, given.max_new_tokens)
        print(f"{bear.first_name} {bear.last_name}, {bear.age}, likes {bear.hobby} and reads:")
        for book in bear.favourite_books:
            print(f"  {book}")
        distributions = next_token(host, given.prompt, given.temperatures, given.tokens)

    labels = list(next(iter(distributions.values())))  # temperature does not change which are likeliest
    series = {f"T = {value:g}": [found[label] for label in labels] for value, found in distributions.items()}
    given.plot.write_text(
        grouped_bars(f"{given.prompt} …", [label.strip() for label in labels], series), encoding="utf-8"
    )
    print(f"\nAfter {given.prompt!r}:")
    for value, found in distributions.items():
        print(f"  T = {value:g}: " + ", ".join(f"{label!r} {share:.1%}" for label, share in list(found.items())[:3]))
    print(f"The chart is in {given.plot}.")


if __name__ == "__main__":
    main()
