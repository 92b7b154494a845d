"""The template processor: recent tokens become less likely."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from decodeplug.plugin import BadOption, Seen, Stage

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Template"]


@dataclass(frozen=True, slots=True)
class Template:
    """Make the tokens of the last few positions less likely.

    :param strength: Taken off the score of each recent token, in nats; 0 or more.
    :param window: How many positions count as recent; at least 1.
    :raises BadOption: An option is outside its range.
    """

    strength: float = 1.0
    window: int = 16
    name: ClassVar[str] = "template"
    stage: ClassVar[Stage] = Stage.PENALTY  # moves scores, removes no token
    keeps_argmax: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if not 0 <= self.strength < math.inf:
            raise BadOption("template", strength=self.strength, wanted="a finite number, 0 or more")
        if self.window < 1:
            raise BadOption("template", window=self.window, wanted="a whole number, 1 or more")

    def __call__(self, scores: Tensor, seen: Seen) -> Tensor:
        """Return scores with recent tokens lowered.

        :param scores: ``[rows, vocab]`` float32, natural log; not modified.
        :param seen: ``seen.ids[row]`` is the prefix of that row.
        :returns: ``[rows, vocab]``; a token at ``-inf`` stays there.
        """
        recent = [sorted(set(ids[-self.window :])) for ids in seen.ids]
        rows = [row for row, ids in enumerate(recent) for _ in ids]
        tokens = [token for ids in recent for token in ids]
        lowered = scores.clone()
        lowered[rows, tokens] -= self.strength  # each pair occurs once, so plain indexing is enough
        return lowered
