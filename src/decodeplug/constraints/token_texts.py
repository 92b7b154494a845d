"""What each id of a vocabulary adds to a text, all of it at once, and ids that spell some bytes."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from decodeplug.constraints.trie import Trie
from decodeplug.contracts import Vocabulary

__all__ = ["TokenTexts", "single_bytes", "token_texts"]


class TokenTexts:
    """The bytes of every id.

    :ivar texts: For each id below ``vocabulary.size`` its bytes; empty for ids that no constraint allows (ends,
        special ones, those without text). :ivar ids: Bytes -> the first id that stands for them.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        never = getattr(vocabulary, "never_allowed", vocabulary.end_ids)
        self.texts = [b"" if token in never else vocabulary.token_bytes(token) for token in range(vocabulary.size)]
        self.ids: dict[bytes, int] = {}
        for token, text in enumerate(self.texts):
            if text:
                self.ids.setdefault(text, token)
        self.longest = max(map(len, self.texts), default=0)
        self._crossing: dict[tuple[bytes, int], list[tuple[int, bytes]]] = {}
        self._along: dict[bytes, list[int]] = {}

    @cached_property
    def has_text(self) -> Tensor:
        """``[size]`` bool: which ids have bytes. Not to be modified."""
        return torch.tensor([bool(text) for text in self.texts])

    @cached_property
    def trie(self) -> Trie:
        """All tokens as a tree of bytes."""
        return Trie(self.texts)

    def crossing(self, marker: bytes, matched: int) -> list[tuple[int, bytes]]:
        """Ids with which a text that ends with ``marker[:matched]`` has the whole marker, each with its bytes behind it."""
        found = self._crossing.get((marker, matched))
        if found is None:
            begun, end = marker[:matched], len(marker)
            whole = [
                (token, begun + text, (begun + text).find(marker)) for token, text in enumerate(self.texts) if text
            ]
            found = [(token, longer[at + end :]) for token, longer, at in whole if at >= 0]
            self._crossing[marker, matched] = found
        return found

    def along(self, wanted: bytes) -> list[int]:
        """Ids whose bytes are a beginning of ``wanted``."""
        found = self._along.get(wanted)
        if found is None:
            found = [token for token, text in enumerate(self.texts) if text and wanted.startswith(text)]
            self._along[wanted] = found
        return found

    def spell(self, wanted: bytes) -> list[int] | None:
        """The fewest ids that spell exactly ``wanted``; None if there are none. Any bytes, also half a character."""
        ways: list[list[int] | None] = [[]]
        for end in range(1, len(wanted) + 1):
            best: list[int] | None = None
            for start in range(max(0, end - self.longest), end):
                before, token = ways[start], self.ids.get(wanted[start:end])
                if before is not None and token is not None and (best is None or len(before) + 1 < len(best)):
                    best = [*before, token]
            ways.append(best)
        return ways[-1]


_KNOWN: weakref.WeakKeyDictionary[Any, TokenTexts] = weakref.WeakKeyDictionary()
_SINGLES: weakref.WeakKeyDictionary[Any, Mapping[int, int]] = weakref.WeakKeyDictionary()
_LOCK = threading.Lock()


def token_texts(vocabulary: Vocabulary) -> TokenTexts:
    """The bytes of every id, read once for each vocabulary (0.1 s for 49,152 ids)."""
    own: Any = getattr(vocabulary, "vocabulary", vocabulary)  # a view of a vocabulary has the same tokens
    with _LOCK:
        known = _KNOWN.get(own)
        if known is None:
            known = _KNOWN[own] = TokenTexts(own)
    return known


def single_bytes(vocabulary: Vocabulary, spell: Callable[[bytes], Sequence[int]]) -> Mapping[int, int]:
    """Byte -> the id that stands for it alone, where there is one; found once for each vocabulary.

    :param spell: Ids of a text, as this vocabulary splits it.
    """
    own: Any = getattr(vocabulary, "vocabulary", vocabulary)
    with _LOCK:
        known = _SINGLES.get(own)
        if known is None:
            spelt = {byte: spell(bytes([byte])) for byte in range(256)}
            known = {byte: ids[0] for byte, ids in spelt.items() if len(ids) == 1 and ids[0] < own.size}
            _SINGLES[own] = known
    return known
