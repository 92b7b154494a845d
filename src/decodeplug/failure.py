"""How a part's failure reaches the place where it is named."""

from __future__ import annotations

__all__ = ["PartFailure"]


class PartFailure(Exception):  # noqa: N818 - it only carries a part to where it is named
    """A part raised, or gave back something that it must not.

    :ivar part: The part. :ivar cause: What it raised, or a TypeError that says what it gave back.
    """

    def __init__(self, part: object, cause: BaseException) -> None:
        super().__init__(str(cause))
        self.part, self.cause = part, cause
