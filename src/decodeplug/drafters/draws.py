"""How a drafter that has scores of its own chooses its tokens: as the lane would, with the lane's own noise."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from decodeplug.noise import gumbel
from decodeplug.precision import widest
from decodeplug.values import NO_DRAFT, Draft, LaneView

if TYPE_CHECKING:
    from decodeplug.heads.cut import CutVocabulary

__all__ = ["Draws"]


class Draws:
    """The tokens of one draft as they are chosen.

    Where a lane has constraint or processors, the scores go through them as the model's own do. Else nothing is
    read back from the device before the last token.

    :param vocabulary: The tokens that are scored. :param lane: Not modified.
    :ivar ended: Whether the text would end with the last token: nothing is to be drafted behind it.
    """

    def __init__(self, vocabulary: CutVocabulary, lane: LaneView) -> None:
        self._vocabulary, self._lane = vocabulary, lane
        self._tokens: list[Tensor] = []
        self._laws: list[Tensor | None] = []
        self._confidence: list[Tensor] = []
        self._drafted: list[int] = []
        self._state = lane.state
        self.ended = False

    def add(self, scores: Tensor) -> Tensor:
        """Choose from ``[1, kept]`` scores: the best, or where noise is drawn the best with it. ``[1]`` int64.

        Where the lane allows none of them, nothing is chosen, and the draft has ended.
        """
        lane, ids = self._lane, self._vocabulary.ids
        if lane.draw is not None and not lane.draw.is_plain:
            return self._drawn(scores)
        noisy = scores
        if lane.samples:
            noisy = scores + gumbel([(*lane.seed, len(lane.ids) + len(self._tokens))], ids)
        best = noisy.argmax(-1)
        if lane.samples:
            self._laws.append(
                self._vocabulary.spread(scores.float().softmax(-1))[0] if lane.wants_probabilities else None
            )
        return self._chosen(ids[best], best, scores)

    def _drawn(self, scores: Tensor) -> Tensor:
        """The same, as the lane itself chooses."""
        assert self._lane.draw is not None
        logits = self._vocabulary.spread(scores, fill=-torch.inf)[0]
        drawn = self._lane.draw(logits, self._drafted, self._state)
        self._state, self.ended = drawn.state, drawn.ends
        if drawn.token is None:
            return self._vocabulary.ids[:1]
        self._drafted.append(drawn.token)
        self._laws.append(drawn.probabilities)
        token = torch.tensor([drawn.token]).to(scores.device, non_blocking=True)
        return self._chosen(token, self._vocabulary.places(token).clamp(0), scores)

    def _chosen(self, token: Tensor, place: Tensor, scores: Tensor) -> Tensor:
        self._tokens.append(token)
        if not self._lane.samples:  # of noise that is shared nobody knows how often it agrees
            self._confidence.append(scores.float().softmax(-1)[0, place])
        return token

    @property
    def hope(self) -> float:
        """How probable it is that all of them are kept; 1 where nobody knows, or where reading it would be waiting."""
        if not self._confidence or not self._confidence[0].is_cpu:
            return 1.0
        return math.prod(map(float, self._confidence))

    def draft(self, name: str) -> Draft:
        """All that was chosen, in one transfer.

        :param name: Of the drafter.
        """
        if not self._tokens:
            return NO_DRAFT
        exact = widest(self._tokens[0].device)  # for ids as well
        numbers = torch.cat([part.to(exact) for part in (*self._tokens, *self._confidence)]).tolist()
        count = len(self._tokens)
        laws = tuple(self._laws) if any(law is not None for law in self._laws) else ()
        return Draft(tuple(map(int, numbers[:count])), (name,) * count, laws, tuple(numbers[count:]))
