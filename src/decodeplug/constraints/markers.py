"""A text that ends the free part of another one, and how much of it is there."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["MISSED", "Marker"]

MISSED = -1
"""How much of a marker is there that counts only at the beginning, once the text has begun otherwise."""


@dataclass(frozen=True, slots=True)
class Marker:
    """What is looked for in a text that grows: the first place where the marker stands.

    How much of it is there (``matched``) is the number of its bytes that the text ends with, or ``MISSED``.

    :ivar text: Its bytes, at least one. :ivar at_start: It counts only where the text begins with it.
    :ivar own: The special token that is named so: one more way to write these bytes. None: there is none.
    """

    text: bytes
    at_start: bool = False
    own: int | None = None
    _borders: tuple[int, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_borders", _borders(self.text))

    def behind(self, matched: int, added: bytes) -> bytes | None:
        """What stands behind the marker if ``added`` completes it; else None."""
        if matched == MISSED:
            return None
        longer = self.text[:matched] + added
        at = longer.find(self.text)
        return None if at < 0 or (at and self.at_start) else longer[at + len(self.text) :]

    def matched_after(self, matched: int, added: bytes) -> int:
        """How much of the marker is there after ``added``, which does not complete it.

        Source: the prefix function of Knuth, Morris and Pratt 1977, "Fast pattern matching in strings", section 2.
        """
        if self.at_start:
            longer = self.text[:matched] + added
            return len(longer) if matched != MISSED and self.text.startswith(longer) else MISSED
        for byte in added:
            while matched and self.text[matched] != byte:
                matched = self._borders[matched - 1]
            if self.text[matched] == byte:
                matched += 1
        return matched


def _borders(marker: bytes) -> tuple[int, ...]:
    """For each beginning of the marker: the longest shorter one that it ends with."""
    borders = [0] * len(marker)
    length = 0
    for end in range(1, len(marker)):
        while length and marker[length] != marker[end]:
            length = borders[length - 1]
        if marker[length] == marker[end]:
            length += 1
        borders[end] = length
    return tuple(borders)
