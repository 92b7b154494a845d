"""One hypothesis, one token after the other: greedy decoding and sampling."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

__all__ = ["Greedy", "Sample"]


@dataclass(frozen=True, slots=True)
class Greedy:
    """The likeliest token at every position."""

    name: ClassVar[str] = "greedy"
    samples: ClassVar[bool | None] = False
    selector: ClassVar[str] = "match"
    drafters: ClassVar[tuple[str, ...]] = ()


@dataclass(frozen=True, slots=True)
class Sample:
    """A token drawn from the distribution that the processors leave, with noise keyed by the seed."""

    name: ClassVar[str] = "sample"
    samples: ClassVar[bool | None] = True
    selector: ClassVar[str] = "match"
    drafters: ClassVar[tuple[str, ...]] = ()
