"""XGrammar's matchers, with the verbs that constraints ask for."""

from __future__ import annotations

import ctypes

import numpy as np
from xgrammar import CompiledGrammar, GrammarMatcher

__all__ = ["Compiled", "XGrammarMatcher"]


class XGrammarMatcher:
    """One of XGrammar's matchers. Implements ``decodeplug.constraints.matcher.Matcher``.

    Every spelling of an allowed text may follow. These matchers know no error.
    """

    __slots__ = ("_inner",)

    def __init__(self, inner: GrammarMatcher) -> None:
        self._inner = inner

    def deep_copy(self) -> XGrammarMatcher:
        return XGrammarMatcher(self._inner.fork())

    def try_consume_tokens(self, tokens: list[int]) -> int:
        for taken, token in enumerate(tokens):
            if not self._inner.accept_token(token):
                return taken
        return len(tokens)

    def rollback(self, num_tokens: int) -> bool:
        self._inner.rollback(num_tokens)
        return True

    def validate_tokens(self, tokens: list[int]) -> int:
        taken = self.try_consume_tokens(tokens)
        self._inner.rollback(taken)
        return taken

    def is_accepting(self) -> bool:
        return self._inner.is_completed()

    def is_stopped(self) -> bool:
        return False  # only a mask tells

    def is_error(self) -> bool:
        return False

    def get_error(self) -> str:
        return ""

    def compute_ff_tokens(self) -> list[int]:
        return []  # no spelling is forced

    def compute_ff_bytes(self) -> bytes:
        """The text that must follow; empty where it begins or ends inside a character, which XGrammar cannot say."""
        try:
            return self._inner.find_jump_forward_string().encode()
        except UnicodeDecodeError:
            return b""

    def unsafe_compute_mask_ptr(self, trg_pointer: int, trg_byte_size: int) -> None:
        words = (ctypes.c_int32 * (trg_byte_size // 4)).from_address(trg_pointer)
        self._inner.fill_next_token_bitmask(np.ctypeslib.as_array(words))


class Compiled:
    """A compiled grammar: where matchers come from. Implements ``decodeplug.constraints.matcher.Source``."""

    def __init__(self, grammar: CompiledGrammar) -> None:
        self._grammar = grammar
        self.build = 0

    def copy(self) -> tuple[XGrammarMatcher, int]:
        return XGrammarMatcher(GrammarMatcher(self._grammar)), self.build

    def spoil(self, build: int) -> None:
        """Matchers share nothing that wears out, so there is nothing to build anew."""
