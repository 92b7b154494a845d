"""Behind a constraint any engine will do whose matchers have the verbs of the contract."""

from __future__ import annotations

import ctypes

import numpy as np
import pytest

from decodeplug.constraints import MaskConstraint
from decodeplug.constraints.following import ends_after, followed
from decodeplug.constraints.matcher import Matcher
from decodeplug.errors import Unsatisfiable
from decodeplug.testing import byte_tokenizer, check_constraint
from decodeplug.vocabulary import Vocabulary

BYTES = Vocabulary(byte_tokenizer(), 259, {258})
END = BYTES.size  # for the engine, an id behind all others


class Listed:
    """A matcher of texts that are listed, each as its bytes and the end. Implements ``Matcher``."""

    def __init__(self, texts: list[tuple[int, ...]], taken: tuple[int, ...] = ()) -> None:
        self._texts, self._taken = texts, taken

    def _following(self) -> set[int]:
        count = len(self._taken)
        return {text[count] for text in self._texts if text[:count] == self._taken and len(text) > count}

    def deep_copy(self) -> Listed:
        return Listed(self._texts, self._taken)

    def try_consume_tokens(self, tokens: list[int]) -> int:
        for count, token in enumerate(tokens):
            if token not in self._following():
                return count
            self._taken = (*self._taken, token)
        return len(tokens)

    def rollback(self, num_tokens: int) -> bool:
        self._taken = self._taken[: len(self._taken) - num_tokens]
        return True

    def validate_tokens(self, tokens: list[int]) -> int:
        return self.deep_copy().try_consume_tokens(tokens)

    def is_accepting(self) -> bool:
        return END in self._following()

    def is_stopped(self) -> bool:
        return self._following() == {END}

    def is_error(self) -> bool:
        return False

    def get_error(self) -> str:
        return ""

    def compute_ff_tokens(self) -> list[int]:
        return []

    def compute_ff_bytes(self) -> bytes:
        ahead, forced = self.deep_copy(), bytearray()
        while len(following := ahead._following()) == 1 and END not in following:
            forced += bytes(following)
            ahead.try_consume_tokens(list(following))
        return bytes(forced)

    def unsafe_compute_mask_ptr(self, trg_pointer: int, trg_byte_size: int) -> None:
        bits = np.zeros(trg_byte_size * 8, np.uint8)
        bits[list(self._following())] = 1
        ctypes.memmove(trg_pointer, np.packbits(bits, bitorder="little").tobytes(), trg_byte_size)


class Lists:
    """Gives matchers of some texts. Implements ``Source``."""

    def __init__(self, texts: list[bytes]) -> None:
        self.build = 0
        self._texts = [(*text, END) for text in texts]

    def copy(self) -> tuple[Matcher, int]:
        return Listed(self._texts), self.build

    def spoil(self, build: int) -> None:
        raise AssertionError("nothing here wears out")


def one_of(*texts: bytes) -> MaskConstraint:
    return MaskConstraint(
        "listed",
        origin=texts,
        source=Lists(list(texts)),
        size=BYTES.size,
        engine_size=BYTES.size + 1,
        never=BYTES.never_allowed,
        never_index=BYTES.never_index,
        end=END,
        spell=BYTES.encode,
        any_spelling=True,
    )


def test_the_laws_hold_for_another_engine() -> None:
    constraint = one_of(b"one", b"one more", b"tea", b"ten", "é!".encode(), b"")
    check_constraint(constraint, BYTES, texts_accepted=["one", "one more", "é!", ""], texts_rejected=["on", "te", "!"])


def test_an_end_is_seen_ahead_where_walking_there_finds_it() -> None:
    constraint = one_of(b"one", b"one more", b"ten")
    for begun in (b"", b"o", b"one"):
        state = followed(constraint, constraint.start(), begun)
        for rest in (b"", b"ne", b"one", b"one mor", b"e", b" more", b" more!"):
            assert ends_after(constraint, state, rest) == (begun + rest in (b"one", b"one more", b"ten"))


def test_what_is_forced_is_asked_as_text() -> None:
    constraint = one_of(b"a bear", b"a bean")
    assert constraint.forced(constraint.start()) == tuple(b"a bea")
    state = followed(constraint, constraint.start(), b"a bea")
    assert state is not None
    assert constraint.forced(state) == ()


def test_a_grammar_without_any_text_is_named() -> None:
    nothing = one_of()
    with pytest.raises(Unsatisfiable, match="after 0 tokens no id of this vocabulary may follow"):
        nothing.allowed(nothing.start())
