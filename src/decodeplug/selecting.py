"""What a selector is given, what it gives back, and what it promises."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, ClassVar, NamedTuple, Protocol, runtime_checkable

from decodeplug.values import Draft, Extension, LaneView

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["JointSelector", "Proposal", "Rows", "Selector"]


class Rows:
    """The rows of one score table that a selector sees, and whose they are.

    :ivar lanes: The lanes, in order. :ivar drafts: Their drafts.
    :ivar first: For each lane, the index of its first row; lane ``i`` has rows
        ``first[i] .. first[i] + len(drafts[i])``, one per drafted token and one more.
    :ivar count: All rows.
    :ivar ends: Would lane ``i`` end with these tokens? Their end token, stop string, constraint or budget says
        so. :ivar finished: The hypotheses that have ended. Both of a joint selector only.
    """

    __slots__ = ("count", "drafts", "ends", "finished", "first", "lanes")

    def __init__(
        self,
        lanes: Sequence[LaneView],
        drafts: Sequence[Draft],
        ends: Callable[[int, tuple[int, ...]], bool] = lambda lane, tokens: False,
        finished: Sequence[LaneView] = (),
    ) -> None:
        self.lanes, self.drafts, self.ends, self.finished = lanes, drafts, ends, finished
        self.first: list[int] = []
        self.count = 0
        for draft in drafts:
            self.first.append(self.count)
            self.count += len(draft.tokens) + 1


class Proposal(NamedTuple):
    """What a selector proposes: on the device of the scores, or, on the CPU, plain lists.

    :ivar candidates: ``[rows, k]`` int64 ids, best first.
    :ivar values: ``[rows, k]``: what they were chosen by: their score, with noise where noise is
        drawn (of a joint selector without it). The first one is not finite where nothing can be chosen.
    :ivar margins: ``[rows]``: how far each choice is ahead of what would have been chosen in
        its place (``inf``: nothing).
    """

    candidates: Tensor | list[list[int]]
    values: Tensor | list[list[float]]
    margins: Tensor | list[float]


@runtime_checkable
class Selector(Protocol):
    """Chooses among the scored tokens, in two halves with one transfer between them.

    One with ``takes_logprobs = True`` gets scores that began as ``log_softmax(logits)`` in float32, before the
    first processor; what processors return is not normalised again. One with ``only_drafters = (name, ...)``
    takes drafts of no others.
    """

    name: ClassVar[str]
    takes_drafts: ClassVar[bool]

    def propose(self, scores: Tensor, rows: Rows) -> Proposal:
        """The tensor half: choose on the device, without reading anything back.

        :param scores: ``[rows, vocab]`` float32 after processors; not modified.
        """
        ...

    def extend(
        self, candidates: Sequence[Sequence[int]], values: Sequence[Sequence[float]], rows: Rows
    ) -> list[Extension]:
        """The plain half: which lanes go on, with which tokens.

        :param candidates: What was proposed, ``[rows, k]``. :param values: Likewise.
        """
        ...


@runtime_checkable
class JointSelector(Selector, Protocol):
    """Chooses for all lanes of a request at once: some go on several times, others not at all.

    A request begins with one lane. Extensions that go on come best first: their place among them is the number
    of the hypothesis, ``seed[1]`` of its view from then on.
    """

    joint: ClassVar[bool]
    """True."""
    width: int
    """How many hypotheses that have ended are kept."""

    def worth(self, lane: LaneView) -> float:
        """By what hypotheses that have ended are compared; the higher the better."""
        ...

    def is_settled(self, running: Sequence[LaneView], finished: Sequence[LaneView]) -> bool:
        """May the search end? Asked after every turn in which some hypothesis goes on.

        :param finished: The best that have ended, at most ``width``, best first.
        """
        ...
