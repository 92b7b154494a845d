"""The cache of a drafting model, which follows texts by their longest common prefix."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from torch import Tensor

from decodeplug.contracts import Session

__all__ = ["Prefixes", "common_prefix"]

_IDLE = 64  # turns after which the cache of a text that nobody asks for is dropped


@dataclass(slots=True)
class Slot:
    """One lane of the session: the ids that it holds, and for how many turns nobody wanted them."""

    ids: list[int] = field(default_factory=list[int])
    idle: int = 0


class Prefixes:
    """Texts to write on, each beside what the cache holds of it.

    Nobody says which text is which: each takes the slot that has most of it. So nothing goes wrong when a text is
    cut, forked or left out for a while; only more of it is computed again.

    :param session: A session without lanes; it is used by nobody else.
    :ivar fed: The most ids that the last forward fed for one of the texts.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._slots: list[Slot] = []
        self._texts: list[list[int]] = []
        self.fed = 0

    def aim(self, texts: Sequence[Sequence[int]]) -> None:
        """Make the first slots those of these texts; an empty one is not written on."""
        self._texts = [list(text) for text in texts]
        free = set(range(len(self._slots)))
        parents: list[int] = []
        lengths: list[int] = []
        slots: list[Slot] = []
        for text in self._texts:
            best, most = -1, 0
            for index in sorted(free) if text else ():
                shared = common_prefix(self._slots[index].ids, text)
                if shared > most:
                    best, most = index, shared
            free.discard(best)
            parents.append(best)
            lengths.append(min(most, len(text) - 1) if text else 0)  # the last id is fed: its logits are wanted
            slots.append(Slot(text[: lengths[-1]]))
        for index in sorted(free):
            slot = self._slots[index]
            if slot.ids and slot.idle < _IDLE:
                parents.append(index)
                lengths.append(len(slot.ids))
                slots.append(Slot(slot.ids, slot.idle + 1))
        for slot, held in zip(slots, self._session.keep(parents, lengths), strict=True):
            del slot.ids[held:]
        self._slots = slots

    def forward(self, written: Mapping[int, Sequence[int]]) -> Tensor:
        """Logits behind some of the texts and what was written since.

        :param written: Number of the text -> the ids written behind it, in rising order.
        :returns: ``[texts, vocab]``, in the same order.
        """
        feeds: list[list[int]] = [[] for _ in self._slots]
        for index, ids in written.items():
            slot = self._slots[index]
            feeds[index] = [*self._texts[index], *ids][len(slot.ids) :]
            slot.ids += feeds[index]
        self.fed = max(map(len, feeds), default=0)
        return self._session.forward(feeds, [int(index in written) for index in range(len(feeds))])


def common_prefix(one: Sequence[int], other: Sequence[int], sure: int = 0) -> int:
    """How many ids two texts begin with together; compared in bulk.

    :param sure: How many are known to be equal, where there are as many.
    """
    high = min(len(one), len(other))
    low = min(sure, high)
    if list(one[low:high]) == list(other[low:high]):
        return high
    while low < high - 1:  # the first ``low`` agree, the first ``high`` do not
        middle = (low + high) // 2
        if list(one[low:middle]) == list(other[low:middle]):
            low = middle
        else:
            high = middle
    return low
