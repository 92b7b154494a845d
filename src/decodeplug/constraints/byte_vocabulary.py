"""A vocabulary of single bytes: to find out about a constraint where no tokenizer is at hand."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from llguidance import LLTokenizer

__all__ = ["ByteVocabulary"]


class ByteVocabulary:
    """256 ids, each a byte, and one that ends a text. Implements ``contracts.Vocabulary``, and knows the mask engine's side."""

    size = 256
    fingerprint = "bytes"
    end_ids = frozenset({256})
    never_allowed = frozenset({256})
    never_index = np.array([], np.int64)

    def token_bytes(self, token: int) -> bytes:
        return bytes([token]) if token < self.size else b""

    def encode(self, text: str) -> list[int]:
        return list(text.encode())

    def engine(self) -> LLTokenizer:
        return self._engine

    @cached_property
    def _engine(self) -> LLTokenizer:
        return LLTokenizer("byte")
