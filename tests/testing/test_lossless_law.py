"""The law that samples are held to is the one that the model, the constraint and the processors have."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch

from decodeplug import Host, regex
from decodeplug.testing import byte_tokenizer, tiny_model
from decodeplug.testing.lossless.enumeration import every_text
from decodeplug.testing.lossless.law import RANKS, Look, Reading, read
from decodeplug.testing.lossless.plain import plain_options

PROMPT = [1, 3, 0, 2]
END = 7


def silent(*_: object) -> None:
    """Nobody is told."""


@pytest.fixture(scope="module")
def small() -> Iterator[Host]:
    with Host(tiny_model(vocab=8), None, plugins=[]) as host:
        yield host


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    tokenizer = byte_tokenizer()
    with Host(tiny_model(vocab=len(tokenizer)), tokenizer, plugins=[]) as host:
        yield host


@torch.no_grad()
def law_of_next(host: Host, ids: list[int], temperature: float, keep: int) -> list[float]:
    """By hand: one forward, temperature, top-k."""
    logits = host.model(torch.tensor([ids], device=host.model.device)).logits[0, -1].float() / temperature
    kept = logits >= logits.topk(keep).values[-1]
    return torch.softmax(logits.masked_fill(~kept, -torch.inf).double(), -1).tolist()


@pytest.mark.parametrize(("temperature", "keep"), [(1.0, 8), (0.7, 3)])
def test_every_text_has_the_probability_that_forwards_by_hand_give_it(
    small: Host, temperature: float, keep: int
) -> None:
    expected: dict[tuple[int, ...], float] = {}
    for a, first in enumerate(law_of_next(small, PROMPT, temperature, keep)):
        if a == END and first:
            expected[a,] = first
        for b, second in enumerate(law_of_next(small, [*PROMPT, a], temperature, keep)) if a != END and first else ():
            if second:
                expected[a, b] = first * second
    processors = [f"temperature={temperature}", f"top-k={keep}"]
    plain = plain_options(small, {"strategy": "sample", "processors": processors}, 2, "dense")
    found = every_text(small, PROMPT, plain, limit=100, batch=7, tell=silent)
    assert found == pytest.approx(expected, rel=1e-5)
    assert every_text(small, PROMPT, plain, limit=len(expected) - 1, batch=7, tell=silent) is None


def test_texts_of_a_constraint_end_where_it_is_complete(host: Host) -> None:
    plain = plain_options(host, {"strategy": "sample", "constraint": regex("ab|c|[de]f")}, 5, "dense")
    law = every_text(host, "x", plain, limit=20, batch=8, tell=silent)
    assert law is not None
    texts = {bytes(token for token in text if token < 256).decode() for text in law}
    assert texts == {"ab", "c", "df", "ef"}
    assert sum(law.values()) == pytest.approx(1)


def reading_of(host: Host, options: dict[str, Any], text: tuple[int, ...], tokens: int, look: Look) -> Reading:
    plain = plain_options(host, {"strategy": "sample", **options}, tokens, "dense")
    return read(host, ["The bear "], plain, [(0, text)], look, batch=8, tell=silent, what="")[0]


def test_a_reading_has_the_log_probabilities_of_the_model_and_classes_that_sum_to_one(host: Host) -> None:
    result = host.generate("The bear ", strategy="sample", seed=3, max_new_tokens=9)
    text = tuple(result.token_ids)
    reading = reading_of(host, {}, text, 9, Look(classes=(text[0], 65)))
    assert reading.violation == ""
    assert [fact.logprob for fact in reading.facts] == pytest.approx(host.score("The bear ", text), abs=1e-5)
    for fact in reading.facts:
        assert float(fact.ranks.sum()) == pytest.approx(1)
        assert float(fact.classes.sum()) == pytest.approx(1)
        assert len(fact.ranks) == len(RANKS) + 1
        assert float(fact.ranks[fact.rank_class]) > 0
    assert reading.facts[0].token_class == 0


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("q", "token 113 at position 0 cannot follow there"),
        ("aq", "token 113 at position 1 cannot follow there"),
        ("a", "it ends at position 1, where the text goes on"),
        ("abab", "it goes on with token 97 at position 2, where the text ends"),
        ("ab", ""),
    ],
)
def test_a_text_that_plain_sampling_cannot_write_is_named(host: Host, text: str, says: str) -> None:
    options = {"constraint": regex("ab|ac")}
    assert reading_of(host, options, tuple(text.encode()), 8, Look()).violation == says
