"""Self-consistency: several sampled paths, and the answer that most of them come to."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

from decodeplug.errors import BadOption
from decodeplug.jury import Decision, Path
from decodeplug.strategies.answers import key_of, reader_of
from decodeplug.strategies.asking import ask, failed, number
from decodeplug.strategies.paths import check_count, mean_logprob

__all__ = ["SelfConsistency"]


@dataclass(frozen=True)
class SelfConsistency:
    """The answer that most of several sampled texts come to.

    The result is the likeliest of the texts that have this answer. A text without an answer has no vote. Answers with
    equally many votes: the one of the text with the lowest number.

    :param n: How many texts are sampled.
    :param answer: What a text says: a regular expression (its last match, or group 1 of it), a JSON pointer
        into the value or the text, or a function of a Result. None: the constrained value.
    :param weights: "count": every vote counts the same, and what can change nothing any more is cancelled.
        "likelihood": the exponential of the mean log-probability by the model. Or a function of a Result.
    :raises BadOption: An option has a value that it cannot have.
    Source: Wang et al. 2022, arXiv:2203.11171, section 2; the weights are those of its table 1, normalised by length.
    """

    n: int = 8
    answer: Any = None
    weights: Any = "count"
    name: ClassVar[str] = "self-consistency"
    samples: ClassVar[bool | None] = True
    selector: ClassVar[str] = "match"
    drafters: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self) -> None:
        check_count(self.name, self.n)
        if self.weights not in ("count", "likelihood") and not callable(self.weights):
            wanted = "'count', 'likelihood', or a function of a Result"
            raise BadOption(self.name, weights=self.weights, wanted=wanted)
        reader_of(self.answer)

    @cached_property
    def _read(self) -> Callable[[Path], Any]:
        return reader_of(self.answer)

    def lanes(self, request: Any) -> int:
        """``n``.

        :raises BadOption: Nothing says what the answer is.
        """
        if self.answer is None and request.constraint is None:
            raise BadOption(
                self.name,
                answer=None,
                wanted="answer=: a regular expression, a JSON pointer or a function; or a constraint, whose value it is",
            )
        return self.n

    def answer_of(self, path: Path) -> Any:
        """See ``answer``.

        :raises PluginError: The function failed, or its answer can be compared with no other.
        """
        given = ask(self._read, path, "answer")
        if given is not None:
            try:
                key_of(given)
            except TypeError as error:
                raise failed(self.answer if callable(self.answer) else self, "answer", error) from error
        return given

    def is_settled(self, paths: Sequence[Path], running: int) -> bool:
        """Has an answer so many votes that the running paths, all of one mind, could not even draw level?"""
        votes = Counter(_keys(paths).values()).most_common(2)
        if self.weights != "count" or not votes:
            return False
        second = votes[1][1] if len(votes) > 1 else 0
        return votes[0][1] > second + running

    def decide(self, paths: Sequence[Path]) -> Decision:
        """Count the votes; ``agreement`` is the winner's share of them. Paths without answer come last.

        :raises PluginError: The function that weighs failed; a weight is a number of at least 0.
        """
        votes = dict[Hashable, float]()  # in the order in which answers came
        keys = _keys(paths)
        for place, key in keys.items():
            votes[key] = votes.get(key, 0.0) + self._weight(paths[place])
        ranks = {key: rank for rank, key in enumerate(sorted(votes, key=lambda key: -votes[key]))}

        def rank(place: int) -> tuple[int, float, int]:
            ranked = ranks[keys[place]] if place in keys else len(ranks)
            return ranked, -mean_logprob(paths[place]), place

        order, cast = sorted(range(len(paths)), key=rank), sum(votes.values())
        return Decision(order, max(votes.values()) / cast if cast else 0.0)

    def _weight(self, path: Path) -> float:
        if self.weights == "count":
            return 1.0
        if self.weights == "likelihood":
            return math.exp(mean_logprob(path))
        return number(self.weights, path, "weights", least=0.0)


def _keys(paths: Sequence[Path]) -> dict[int, Hashable]:
    """Place to what its answer is compared by, of the paths that have an answer."""
    return {place: key_of(path.answer) for place, path in enumerate(paths) if path.answer is not None}
