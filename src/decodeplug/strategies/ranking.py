"""Best of n: several sampled texts, and the one with the best score."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from decodeplug.errors import BadOption
from decodeplug.jury import Decision, Path
from decodeplug.strategies.asking import number
from decodeplug.strategies.paths import check_count, mean_logprob, sum_logprob

__all__ = ["BestOfN"]


@dataclass(frozen=True, slots=True)
class BestOfN:
    """The best of several sampled texts. Equal scores: the text with the lowest number.

    :param n: How many texts are sampled.
    :param scorer: "mean": the mean log-probability of a text's tokens by the model, before processors and
        constraint. "sum": that of the whole text, which prefers short ones. Or a function of a Result that gives
        a number, the higher the better.
    :raises BadOption: An option has a value that it cannot have.
    Source: by likelihood, sample and rank, Adiwardana et al. 2020, arXiv:2001.09977; by a scorer, Stiennon et al. 2020,
        arXiv:2009.01325, and Cobbe et al. 2021, arXiv:2110.14168.
    """

    n: int = 8
    scorer: Any = "mean"
    name: ClassVar[str] = "best-of-n"
    samples: ClassVar[bool | None] = True
    selector: ClassVar[str] = "match"
    drafters: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self) -> None:
        check_count(self.name, self.n)
        if self.scorer not in ("mean", "sum") and not callable(self.scorer):
            raise BadOption(self.name, scorer=self.scorer, wanted="'mean', 'sum', or a function of a Result")

    def lanes(self, request: Any) -> int:
        """``n``."""
        return self.n

    def answer_of(self, path: Path) -> Any:
        """None: texts are ranked, not counted."""
        return None

    def is_settled(self, paths: Sequence[Path], running: int) -> bool:
        """Never: the last one may be the best."""
        return False

    def decide(self, paths: Sequence[Path]) -> Decision:
        """Rank by score.

        :raises PluginError: The scorer failed, or gave no number.
        """
        scores = [self._score(path) for path in paths]
        return Decision(sorted(range(len(paths)), key=lambda place: -scores[place]), scores=scores)

    def _score(self, path: Path) -> float:
        if self.scorer == "mean":
            return mean_logprob(path)
        return sum_logprob(path) if self.scorer == "sum" else number(self.scorer, path, "scorer")
