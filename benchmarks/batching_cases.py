"""Sixty-four requests of mixed lengths, drawn once with a fixed seed, for the benchmark of batches.

Prompts are pieces of the questions and tasks of ``free_text_cases.py``, strung together, and begin at different
places of them, so that no two share a beginning by design. What a model makes of them does not matter: every request
writes exactly as many tokens as it says, and its end tokens count for nothing.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from free_text_cases import COPYING, OPEN

__all__ = ["BATCH_CASES", "BatchCase", "prompt_ids"]

SEED = 20
REQUESTS = 64
PROMPT_TOKENS = (10, 500)
NEW_TOKENS = (10, 200)


@dataclass(frozen=True)
class BatchCase:
    """One request: where its prompt begins in the words of all cases, and how long it and its text are, in tokens."""

    first_word: int
    prompt_tokens: int
    new_tokens: int


WORDS: Sequence[str] = " ".join(case.prompt for case in (*OPEN, *COPYING)).split()


def _drawn() -> tuple[BatchCase, ...]:
    draw = random.Random(SEED)
    return tuple(
        BatchCase(draw.randrange(len(WORDS)), draw.randint(*PROMPT_TOKENS), draw.randint(*NEW_TOKENS))
        for _ in range(REQUESTS)
    )


BATCH_CASES = _drawn()


def prompt_ids(case: BatchCase, encode: Callable[[str], Sequence[int]]) -> list[int]:
    """The prompt of a case: exactly ``case.prompt_tokens`` ids.

    :param encode: Text to ids, without special tokens.
    """
    words = itertools.islice(itertools.cycle(WORDS), case.first_word, case.first_word + case.prompt_tokens)
    ids = list(encode(" ".join(words)))  # a word is at least one id
    return ids[: case.prompt_tokens]
