"""The vocabularies and layouts that random writing is tried with."""

from __future__ import annotations

from conformance.random_writing import Writer
from conformance.verdict import BYTES

from decodeplug.testing import bpe_tokenizer
from decodeplug.vocabulary import Vocabulary

__all__ = ["LAYOUTS", "WRITERS"]

WRITERS = {"bytes": Writer(BYTES), "bpe": Writer(Vocabulary(bpe_tokenizer(800), 803, {802}))}
LAYOUTS = ("spaced", "compact", "any")
