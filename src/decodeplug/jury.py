"""What a strategy promises that has several texts written and decides between them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

from decodeplug.contracts import Strategy

__all__ = ["Decision", "Jury", "Path"]


class Path(Protocol):
    """A finished text that a jury decides about: a ``Result``, of which these are the attributes that matter."""

    text: str
    token_ids: list[int]
    finish_reason: str
    value: Any
    raw_logprobs: list[float] | None
    """``[tokens]``: those of the model, before processors; a jury's paths always have them."""
    hypothesis: int
    answer: Any
    """What ``answer_of`` said of it."""


class Decision(NamedTuple):
    """What a jury decided.

    :ivar order: Places of the paths it was given, each once, best first: the first one is the result.
    :ivar agreement: How sure it is, from 0 to 1, if it can say so.
    :ivar scores: For each path, in the order given, by what it was ranked; may be empty.
    """

    order: Sequence[int]
    agreement: float | None = None
    scores: Sequence[float] = ()


@runtime_checkable
class Jury(Strategy, Protocol):
    """A strategy that has several texts of one request written, its paths, and decides between them in the end.

    Its methods change nothing, and depend on nothing but what they are given.
    """

    def lanes(self, request: Any) -> int:
        """How many paths a request has.

        :raises BadOption: It cannot decide about the texts of this request; says what to do.
        """
        ...

    def answer_of(self, path: Path) -> Any:
        """What a path says, which ``path.answer`` is from then on; None if it says nothing. Asked once."""
        ...

    def is_settled(self, paths: Sequence[Path], running: int) -> bool:
        """Is the answer certain, whatever the other paths will say? They are cancelled then.

        :param paths: Those that have ended, by number. :param running: How many have not.
        """
        ...

    def decide(self, paths: Sequence[Path]) -> Decision:
        """Rank the paths.

        :param paths: At least one, by number.
        """
        ...
