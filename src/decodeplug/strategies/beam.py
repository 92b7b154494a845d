"""Several hypotheses that compete."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

__all__ = ["BeamSearch"]


@dataclass(frozen=True, slots=True)
class BeamSearch:
    """The best of ``num_beams`` hypotheses; drawn ones, where noise is drawn."""

    name: ClassVar[str] = "beam"
    samples: ClassVar[bool | None] = None
    selector: ClassVar[str] = "beam"
    drafters: ClassVar[tuple[str, ...]] = ()
    options: ClassVar[tuple[str, ...]] = ("num_beams", "length_penalty", "early_stopping", "max_new_tokens", "end_ids")
