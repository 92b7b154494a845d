"""Propose what followed the last time that the text ended like this."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from decodeplug.drafters.occurrences import Occurrences
from decodeplug.errors import BadOption
from decodeplug.values import NO_DRAFT, Draft, LaneView, Opening

__all__ = ["Lookup"]


@dataclass(frozen=True, slots=True)
class Lookup:
    """Find the end of the text earlier in it, or in texts that the caller names, and propose what followed there.

    The longest match wins, up to ``max_ngram`` ids; of equally long ones the text's own before one in
    a ``reference`` of the request, and the latest. Matches are found without a scan, by an index that
    grows with the text, among the latest 128 occurrences of the last ``min_ngram`` ids.

    :param max_ngram: Longest match to look for. :param min_ngram: Shortest one.
    :param max_tokens: Longest draft.
    :raises BadOption: Not ``1 <= min_ngram <= max_ngram``, or ``max_tokens < 1``.
    Source: prompt lookup decoding, Saxena 2023, github.com/apoorvumang/prompt-lookup-decoding;
        references: LLMA, Yang et al. 2023, arXiv:2304.04487, section 3.
    """

    max_ngram: int = 16
    min_ngram: int = 2
    max_tokens: int = 16
    name: ClassVar[str] = "lookup"
    prior: ClassVar[float] = 0.5
    reads_references: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not 1 <= self.min_ngram <= self.max_ngram:
            raise BadOption(
                "lookup", min_ngram=self.min_ngram, max_ngram=self.max_ngram, wanted="1 <= min_ngram <= max_ngram"
            )
        if self.max_tokens < 1:
            raise BadOption("lookup", max_tokens=self.max_tokens, wanted="at least 1")

    def open(self, request: Opening) -> _Opened:
        """A drafter with an index of the references, and one for each hypothesis that it is asked for."""
        return _Opened(self, request)

    def draft(self, lane: LaneView, room: int) -> Draft:
        """The ids that followed the longest earlier match; unopened, the whole text is indexed at each call."""
        return self.open(Opening()).draft(lane, room)


class _Opened:
    """``Lookup`` for the lanes of one request.

    Its memory saves time and decides nothing: what is drafted depends on the ids of the lane and on the references.
    """

    name: ClassVar[str] = Lookup.name
    prior: ClassVar[float] = Lookup.prior
    reads_references: ClassVar[bool] = True

    def __init__(self, options: Lookup, request: Opening) -> None:
        self._options = options
        self._prompt_length = len(request.prompt)
        self._references = Occurrences(options.min_ngram, request.references)
        self._texts: dict[int, Occurrences] = {}  # by the number of the hypothesis

    def draft(self, lane: LaneView, room: int) -> Draft:
        """The ids that followed the longest match."""
        own, most = self._text_of(lane), self._options.max_ngram
        length, place = own.longest(own.ids, most)
        elsewhere = self._references.longest(own.ids, most) if length < most else (0, 0)
        texts = own
        if elsewhere[0] > length:
            texts, (length, place) = self._references, elsewhere
        if not length:
            return NO_DRAFT
        tokens = texts.after(place, min(room, self._options.max_tokens))
        confidence = tuple(_confidence(length + index) for index in range(len(tokens)))
        return Draft(tokens, (self.name,) * len(tokens), confidence=confidence)

    def _text_of(self, lane: LaneView) -> Occurrences:
        text = self._texts.setdefault(lane.seed[1], Occurrences(self._options.min_ngram))
        # All lanes of a request begin with its prompt, so that need not be compared at each call.
        text.follow(lane.ids, self._prompt_length if lane.prompt_length == self._prompt_length else 0)
        return text


def _confidence(matched: int) -> float:
    """How probable it is that the text goes on as it did behind ``matched`` equal ids.

    Fitted by eye to 20,000 matches in texts of a small chat model: 0.4 of those of 2 ids were right (0.53 in greedy texts,
    0.29 in sampled ones), 0.65 of 4, 0.75 of 8, 0.96 of 16 and more.
    """
    return max(0.2, 1 - 1.2 / matched)
