"""What sessions around other sessions have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from decodeplug.contracts import Session
from decodeplug.taps import Taps

__all__ = ["Around"]


class Around:
    """Holds nothing itself: what it takes and says of its cache is the inner session's. See :class:`decodeplug.contracts.Session`.

    :param inner: Feeds the model.
    """

    watched: Sequence[Tensor]
    reused: Sequence[int]

    def __init__(self, inner: Session) -> None:
        self.inner = inner
        self.max_draft = inner.max_draft
        self.watched, self.reused = (), ()

    def watch(self, taps: Taps) -> None:
        self.inner.watch(taps)

    def bytes(self) -> int:
        return self.inner.bytes()

    def facts(self) -> Mapping[str, int]:
        return self.inner.facts()
