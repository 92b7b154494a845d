"""Samples against the law: the tests that are made, all together at one level."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from decodeplug.result import Result
from decodeplug.testing.lossless import comparisons
from decodeplug.testing.lossless.law import Reading
from decodeplug.testing.lossless.statistics import Squares, holm, most_that_differ, smallest_distance
from decodeplug.testing.lossless.verdict import Finding

__all__ = ["LawTests"]

_LIKELY, _FREQUENT, _SHARED, _TEXTS = (
    "likely and unlikely tokens",
    "frequent tokens",
    "tokens after shared beginnings",
    "whole texts",
)


class LawTests:
    """The tests, made when this is built.

    :param texts: For each sample the index of its prompt, and its new ids.
    :param readings: What plain sampling says of each.
    :param plain: Plain samples of other seeds, each for the prompt of its partner.
    :param laws: Of each prompt every text and its probability; None where these are too many.
    :ivar smallest_tv: The smallest distance that would have been found. :ivar of: Of which laws.
    """

    def __init__(
        self,
        texts: Sequence[tuple[int, tuple[int, ...]]],
        readings: Sequence[Reading],
        plain: Sequence[Result],
        laws: Sequence[Mapping[tuple[int, ...], float]] | None,
        *,
        alpha: float,
        seed: int,
    ) -> None:
        self._alpha = alpha
        facts = [fact for reading in readings for fact in reading.facts]
        squares: dict[str, Squares] = {
            _LIKELY: comparisons.by_classes(facts, "rank"),
            _FREQUENT: comparisons.by_classes(facts, "token"),
            **(
                {_SHARED: comparisons.by_prefixes(facts)}
                if laws is None
                else {_TEXTS: comparisons.by_texts(texts, laws)}
            ),
        }
        squares = {name: one for name, one in squares.items() if one.freedom}
        level = alpha / (len(squares) + 2)
        self._chances = {
            **{name: one.p for name, one in squares.items()},
            "surprise of tokens": comparisons.by_surprise(facts),
            "surprise of texts": comparisons.swapped(readings, plain, rounds=int(3 / level), seed=seed),
        }
        many = {_LIKELY: len(facts), _FREQUENT: len(facts), _TEXTS: len(texts)}
        self._distances = {
            name: smallest_distance(one, many[name], level) for name, one in squares.items() if name in many
        }
        if laws is None:
            self.of, self.smallest_tv = "next tokens", max(self._distances.values(), default=1.0)
        elif all(len(law) == 1 for law in laws):  # any other text is impossible, and none came up
            self.of, self.smallest_tv = _TEXTS, most_that_differ(0, len(texts), alpha)
        else:
            self.of, self.smallest_tv = _TEXTS, self._distances.get(_TEXTS, 1.0)

    def findings(self) -> list[Finding]:
        """One for each test, with the p-value by itself and after all of them."""
        adjusted = holm(list(self._chances.values()))
        return [
            Finding(
                name,
                f"p = {chance:.2g}, {after:.2g} after {len(self._chances)} tests",
                p=chance,
                adjusted=after,
                failed=after < self._alpha,
                smallest_tv=self._distances.get(name),
            )
            for (name, chance), after in zip(self._chances.items(), adjusted, strict=True)
        ]
