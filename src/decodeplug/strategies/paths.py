"""The paths that a strategy decides between: how many, and how likely the model found each."""

from __future__ import annotations

import math
import numbers
from typing import Any

from decodeplug.errors import BadOption
from decodeplug.jury import Path

__all__ = ["check_count", "mean_logprob", "sum_logprob"]


def sum_logprob(path: Path) -> float:
    """Natural-log probability of the whole text, by the model alone: before processors and constraint."""
    return math.fsum(path.raw_logprobs or ())


def mean_logprob(path: Path) -> float:
    """The same per token, so that long texts are not worse for being long; ``-inf`` for no token."""
    return sum_logprob(path) / len(path.token_ids) if path.token_ids else -math.inf


def check_count(name: str, n: Any) -> None:
    """Refuse a number of paths that is none.

    :raises BadOption: With the name of the strategy.
    """
    if isinstance(n, bool) or not isinstance(n, numbers.Integral) or n < 1:
        raise BadOption(name, n=n, wanted="a whole number of at least 1")
