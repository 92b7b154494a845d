"""Paths as a strategy gets them, written by hand."""

from __future__ import annotations

from typing import Any

from decodeplug import Result
from decodeplug.trace import Trace

__all__ = ["path", "paths"]


def path(text: str = "", logprob: float = -1.0, *, tokens: int = 4, value: Any = None, answer: Any = None) -> Result:
    """A finished path whose tokens all have the same log-probability."""
    return Result(
        text, list(range(tokens)), "stop", Trace(), value=value, raw_logprobs=[logprob] * tokens, answer=answer
    )


def paths(*answers: Any, logprobs: tuple[float, ...] = ()) -> list[Result]:
    """Paths with these answers, by number."""
    found = [path(answer=answer) for answer in answers]
    for number, one in enumerate(found):
        one.hypothesis = number
        if logprobs:
            one.raw_logprobs = [logprobs[number]] * len(one.token_ids)
    return found
