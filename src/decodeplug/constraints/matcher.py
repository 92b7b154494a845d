"""What constraints ask of a mask engine: all that it takes to put another engine behind them."""

from __future__ import annotations

from typing import Protocol

__all__ = ["Matcher", "Source"]


class Matcher(Protocol):
    """A grammar and the tokens that it was fed so far. Mutable; the verbs are those of llguidance's own.

    An engine's tokenizer has an id that ends a text. It may come where ``is_accepting`` says so, and last.
    """

    def deep_copy(self) -> Matcher:
        """Another matcher after the same tokens."""
        ...

    def try_consume_tokens(self, tokens: list[int], /) -> int:
        """Take tokens up to the first that may not follow; how many were taken."""
        ...

    def rollback(self, num_tokens: int, /) -> bool:
        """Take back the last tokens; False if that failed."""
        ...

    def validate_tokens(self, tokens: list[int], /) -> int:
        """How many of these tokens may follow, one after the other; takes none of them."""
        ...

    def is_accepting(self) -> bool:
        """May the text end here?"""
        ...

    def is_stopped(self) -> bool:
        """Is it known without a mask that nothing may follow?"""
        ...

    def is_error(self) -> bool:
        """Is the matcher of no more use? Either the engine gave up, or it found out that nothing may follow."""
        ...

    def get_error(self) -> str:
        """Why, in the first line, which is NoExtension or NoExtensionBias if nothing may follow; empty without an error."""
        ...

    def compute_ff_tokens(self) -> list[int]:
        """The ids that must follow; asked only where the grammar forces a spelling."""
        ...

    def compute_ff_bytes(self) -> bytes:
        """The bytes that must follow; empty where there are none, or the engine does not know."""
        ...

    def unsafe_compute_mask_ptr(self, trg_pointer: int, trg_byte_size: int, /) -> object:
        """Write which ids may follow: at an address, one bit an id, the lowest first, in words of 32 bits."""
        ...


class Source(Protocol):
    """Where matchers come from. All copies of one build share a lexer, which grows with use."""

    build: int
    """The number of the build that copies come from now."""

    def copy(self) -> tuple[Matcher, int]:
        """A matcher before the first token, and the number of its build."""
        ...

    def spoil(self, build: int) -> None:
        """Build anew before the next copy, unless that was done since."""
        ...
