"""The vocabularies that the tests compile for, and asking one of them."""

from __future__ import annotations

from typing import Any

from decodeplug.constraints import accepts
from decodeplug.testing import bpe_tokenizer, byte_tokenizer
from decodeplug.testing.tokenizer import END
from decodeplug.vocabulary import Vocabulary

__all__ = ["BYTES", "PIECES", "allows"]

BYTES = Vocabulary(byte_tokenizer(), 259, {258})
"""Every byte is a token, and few others are."""

PIECES = Vocabulary(bpe_tokenizer(), len(bpe_tokenizer()), {bpe_tokenizer().get_vocab()[END]})
"""Tokens of several characters, which cross the borders of what a grammar speaks of."""


def allows(constraint: Any, text: str) -> bool:
    """Would this very text, and then the end, be allowed?"""
    return accepts(constraint.compile(BYTES), BYTES, text)
