"""Drafts by a smaller model, checked by the large one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

__all__ = ["Speculative"]


@dataclass(frozen=True, slots=True)
class Speculative:
    """Greedy decoding or sampling with the request's ``assistant`` as a drafter.

    Source: Leviathan et al. 2022, arXiv:2211.17192; Chen et al. 2023, arXiv:2302.01318.
    """

    name: ClassVar[str] = "speculative"
    samples: ClassVar[bool | None] = None
    selector: ClassVar[str] = "match"
    drafters: ClassVar[tuple[str, ...]] = ("assistant",)
