"""Where the end of a text occurred before: an index of n-grams that grows with the text."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from itertools import accumulate, chain, pairwise

from decodeplug.drafters.prefixes import common_prefix

__all__ = ["CANDIDATES", "Occurrences"]

CANDIDATES = 128  # occurrences that are compared; among 32,000 ids of code or prose no more were ever needed


class Occurrences:
    """The occurrences of every n-gram of some texts, latest first.

    A *place* is a number of ids, counted from the beginning of the first text: the id behind it went
    on after the n-gram in front of it. Each place knows the one before it with the same n-gram, so an
    id is indexed in constant time, and the last ones can be taken back.

    :param size: Ids of an n-gram, at least 1: a shorter match is not found.
    :param texts: The texts, in order. Nothing is matched or continued across a border of two.
    Source: the chained table of RFC 1951, section 4, without its hash.
    """

    __slots__ = ("_before", "_ends", "_latest", "_size", "ids")

    def __init__(self, size: int, texts: Iterable[Sequence[int]] = ()) -> None:
        self._size = size
        self._latest: dict[tuple[int, ...], int] = {}
        self._before = [0] * size  # for each place the one before it with the same n-gram; 0 where there is none
        self._ends = list(accumulate(map(len, texts := list(texts))))
        self.ids = list(chain.from_iterable(texts))
        for begin, end in pairwise([0, *self._ends]):
            self._before += [0] * (begin + size - len(self._before))
            self._index_up_to(end)

    def follow(self, ids: Sequence[int], sure: int = 0) -> None:
        """Make ``ids`` the text, whatever it was; of an index that was made without texts.

        Cost: ids that differ from those before are indexed, or taken back, one by one. Those that are
        common to both are compared in bulk.

        :param ids: Not modified. :param sure: How many ids are known to be what they were, where there are as many.
        """
        common = common_prefix(self.ids, ids, sure)
        last = min(common, len(ids) - 1)  # a place needs an id behind it
        while len(self._before) > max(last + 1, self._size):
            self._take_back()
        self.ids[common:] = ids[common:]
        self._index_up_to(len(self.ids))

    def longest(self, text: Sequence[int], most: int) -> tuple[int, int]:
        """The longest match of the end of a text, and its place; ``(0, 0)`` where there is none.

        Of equally long ones the latest. The latest ``CANDIDATES`` occurrences of the n-gram at the end are compared.

        :param most: Ids at which a match is long enough. Cost: at most ``most`` ids for each occurrence.
        """
        length = found = 0
        place = self._latest.get(tuple(text[-self._size :]), 0)
        for _ in range(CANDIDATES):
            if not place or length >= most:
                break
            reached = self._matching(text, place, most)
            if reached > length:
                length, found = reached, place
            place = self._before[place]
        return length, found

    def after(self, place: int, most: int) -> tuple[int, ...]:
        """At most ``most`` of the ids behind a place, up to the end of its text."""
        return tuple(self.ids[place : min(self._text_at(place)[1], place + most)])

    def _matching(self, text: Sequence[int], place: int, most: int) -> int:
        """How many ids at the end of a text are those in front of a place, where the n-grams are known to be equal."""
        length, most = self._size, min(most, place - self._text_at(place)[0], len(text))
        while length < most and text[-1 - length] == self.ids[place - 1 - length]:
            length += 1
        return length

    def _text_at(self, place: int) -> tuple[int, int]:
        """Where the text begins that a place is in, and where it ends."""
        text = bisect_right(self._ends, place)
        begin = self._ends[text - 1] if text else 0
        return begin, self._ends[text] if text < len(self._ends) else len(self.ids)

    def _index_up_to(self, end: int) -> None:
        for place in range(len(self._before), end):
            gram = tuple(self.ids[place - self._size : place])
            self._before.append(self._latest.get(gram, 0))
            self._latest[gram] = place

    def _take_back(self) -> None:
        place, before = len(self._before) - 1, self._before.pop()
        gram = tuple(self.ids[place - self._size : place])
        if before:
            self._latest[gram] = before
        else:
            del self._latest[gram]
