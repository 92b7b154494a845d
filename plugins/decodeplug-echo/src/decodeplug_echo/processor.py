"""The echo processor: what was said before becomes likelier."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from decodeplug.plugin import BadOption, Seen, Stage

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["EchoBonus"]


@dataclass(frozen=True, slots=True)
class EchoBonus:
    """Make every token that a row has seen likelier.

    :param bonus: Added to the score of each of them, in nats; 0 or more.
    :raises BadOption: ``bonus`` is negative or not finite.
    """

    bonus: float = 0.5
    name: ClassVar[str] = "echo"
    stage: ClassVar[Stage] = Stage.PENALTY
    keeps_argmax: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if not 0 <= self.bonus < math.inf:
            raise BadOption("echo", bonus=self.bonus, wanted="a finite number, 0 or more")

    def __call__(self, scores: Tensor, seen: Seen) -> Tensor:
        """Return scores with the seen tokens raised.

        :param scores: ``[rows, vocab]`` float32, natural log; not modified.
        :param seen: ``seen.ids[row]`` is the prefix of that row.
        :returns: ``[rows, vocab]``; a token at ``-inf`` stays there.
        """
        known = [sorted(set(ids)) for ids in seen.ids]
        rows = [row for row, ids in enumerate(known) for _ in ids]
        tokens = [token for ids in known for token in ids]
        raised = scores.clone()
        raised[rows, tokens] += self.bonus
        return raised
