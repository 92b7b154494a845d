"""Propose what followed the last time that the text ended like this."""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from typing import ClassVar

from decodeplug.errors import BadOption
from decodeplug.values import NO_DRAFT, Draft, LaneView

__all__ = ["Lookup"]


@dataclass(frozen=True, slots=True)
class Lookup:
    """Find the longest recent suffix of the text earlier in it, and propose its continuation.

    The latest occurrence of the longest matching suffix wins.

    :param max_ngram: Longest suffix to look for. :param min_ngram: Shortest one.
    :param max_tokens: Longest draft.
    :raises BadOption: Not ``1 <= min_ngram <= max_ngram``, or ``max_tokens < 1``.
    Source: prompt lookup decoding (Saxena 2023); LLMA, Yang et al. 2023, arXiv:2304.04487, section 3.
    """

    max_ngram: int = 8
    min_ngram: int = 2
    max_tokens: int = 16
    name: ClassVar[str] = "lookup"
    prior: ClassVar[float] = 0.5

    def __post_init__(self) -> None:
        if not 1 <= self.min_ngram <= self.max_ngram:
            raise BadOption(
                "lookup", min_ngram=self.min_ngram, max_ngram=self.max_ngram, wanted="1 <= min_ngram <= max_ngram"
            )
        if self.max_tokens < 1:
            raise BadOption("lookup", max_tokens=self.max_tokens, wanted="at least 1")

    def draft(self, lane: LaneView, room: int) -> Draft:
        """The ids that followed the longest earlier match; cost: one scan of the ids as bytes."""
        text = array("i", lane.ids)
        size, raw = text.itemsize, text.tobytes()
        for ngram in range(min(self.max_ngram, len(text) - 1), self.min_ngram - 1, -1):
            suffix = raw[-ngram * size :]
            found = raw.rfind(suffix, 0, -size)
            while found > 0 and found % size:  # a match across the borders of ids is none
                found = raw.rfind(suffix, 0, found + len(suffix) - 1)
            if found >= 0:
                after = found // size + ngram
                tokens = tuple(lane.ids[after : after + min(room, self.max_tokens)])
                return Draft(tokens, (self.name,) * len(tokens))
        return NO_DRAFT
