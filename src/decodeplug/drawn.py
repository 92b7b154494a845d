"""What a lane would choose if its model gave some logits: how drafters with a model of their own ask for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Choice", "Drawn", "Draws"]


class Drawn(NamedTuple):
    """One token as a lane would choose it: constraint, processors and noise of its own included.

    :ivar token: The id; None where the scored tokens have none that the lane allows. :ivar state: The constraint's state after it. :ivar ends: Nothing may be drafted behind it.
    :ivar probabilities: ``[vocab]`` float32: what it was drawn from; None where they are not wanted or nothing is
        drawn.
    """

    token: int | None
    state: Any = None
    ends: bool = False
    probabilities: Tensor | None = None


class Choice(NamedTuple):
    """The same before it is read.

    :ivar token: ``[1]`` int64, on the device of the logits. :ivar probabilities: See :class:`Drawn`.
    """

    token: Tensor
    probabilities: Tensor | None = None


class Draws(Protocol):
    """The choices of one lane: ``lane.draw(logits, drafted, state)``.

    With the lane's own noise, another model's choice is as often the lane's as their distributions allow. Who draws
    for many lanes calls :meth:`choice` for each, reads the tokens of all in one transfer, and calls :meth:`drawn`.
    """

    @property
    def is_plain(self) -> bool:
        """Are there neither constraint nor processors? Then only noise is between logits and choice."""
        ...

    def __call__(self, logits: Tensor, drafted: Sequence[int], state: Any) -> Drawn:
        """The token behind ``lane.ids`` and ``drafted``.

        :param logits: ``[vocab]`` of somebody's model there; any floating dtype and device, not modified. May be
            narrower than the vocabulary.
        :param state: The constraint's state there; None without constraint.
        :raises PartFailure: A processor or the constraint failed.
        """
        ...

    def choice(self, logits: Tensor, drafted: Sequence[int], state: Any) -> Choice:
        """The same, not read yet."""
        ...

    def drawn(self, choice: Choice, token: int, state: Any) -> Drawn:
        """What became of a choice: ``token`` is the one that was read, ``state`` that before it."""
        ...

    def behind(self, ids: Sequence[int]) -> Draws:
        """The same for the lane when it has these ids."""
        ...
