"""What the tests of the paged cache feed, and how they look into it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from decodeplug.caches import Paged
from decodeplug.target import Target
from decodeplug.testing import Float64Throughout

__all__ = ["fed", "pages", "prompt"]


def prompt(length: int, first: int = 3) -> list[int]:
    return [first + (7 * place) % 40 for place in range(length)]


def pages(target: Target, spec: Paged) -> Any:
    return target.shared[spec]


def fed(session: Any, text: Sequence[int]) -> tuple[torch.Tensor, int]:
    """The logits behind a new text, and how many of its ids were known."""
    session.keep([-1], [0])
    with Float64Throughout():
        logits = session.forward([text], [1])
    known = session.reused[0] if session.reused else 0
    session.keep([0], [len(text)])
    return logits, known
