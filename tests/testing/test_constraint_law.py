"""``check_constraint`` lets a sound constraint pass and names what is wrong with broken ones."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor

from decodeplug.testing import check_constraint

TEXTS = (b"red", b"green", b"greenish", b"", b"blue")
END = 256


class Bytes:
    """A vocabulary of the bytes, an end token, and a token of two bytes."""

    size = 258
    end_ids = frozenset({END})

    def token_bytes(self, token: int) -> bytes:
        return {END: b"", 257: b"ee"}.get(token, bytes([token % 256]))

    def encode(self, text: str) -> list[int]:
        spelling = []
        rest = text.encode()
        while rest:
            spelling.append(257 if rest.startswith(b"ee") else rest[0])
            rest = rest[len(self.token_bytes(spelling[-1])) :]
        return spelling


class OneOf:
    """One of some texts. A state is what was written so far."""

    texts: tuple[bytes, ...] = TEXTS
    vocabulary = Bytes()

    def start(self) -> Hashable:
        return b""

    def allowed(self, state: Any) -> Tensor:
        mask = torch.zeros(self.vocabulary.size, dtype=torch.bool)
        for token in (*{text[len(state)] for text in self.texts if text[: len(state)] == state != text}, 257):
            mask[token] = self.goes_on(state + self.vocabulary.token_bytes(token))
        return mask

    def goes_on(self, written: bytes) -> bool:
        return any(text.startswith(written) for text in self.texts)

    def advance(self, state: Any, token: int) -> Any | None:
        if token == END or token >= self.vocabulary.size:
            return None
        longer = state + self.vocabulary.token_bytes(token)
        return longer if self.goes_on(longer) else None

    def forced(self, state: Any) -> Sequence[int]:
        left = [text[len(state) :] for text in self.texts if text.startswith(state)]
        return self.vocabulary.encode(left[0].decode()) if len(left) == 1 else []

    def is_accepting(self, state: Any) -> bool:
        return state in self.texts

    def is_complete(self, state: Any) -> bool:
        return self.is_accepting(state) and not bool(self.allowed(state).any())


@dataclass(eq=False)
class Written:
    """The first ``length`` bytes of a list."""

    log: bytearray
    length: int = 0

    @property
    def text(self) -> bytes:
        return bytes(self.log[: self.length])


class AdvancesInPlace(OneOf):
    """The state is a list that is appended to, as mutable matchers do."""

    def start(self) -> Any:
        return Written(bytearray())

    def allowed(self, state: Any) -> Tensor:
        return super().allowed(state.text)

    def advance(self, state: Any, token: int) -> Any | None:
        longer = super().advance(state.text, token)
        if longer is None:
            return None
        state.log[:], state.length = longer, len(longer)
        return state

    def forced(self, state: Any) -> Sequence[int]:
        return super().forced(state.text)

    def is_accepting(self, state: Any) -> bool:
        return super().is_accepting(state.text)


class SharesALog(AdvancesInPlace):
    """Each advance gives a state of its own, but all write into one list: only forks show it."""

    def advance(self, state: Any, token: int) -> Any | None:
        longer = OneOf.advance(self, state.text, token)
        if longer is None:
            return None
        state.log[:] = longer
        return Written(state.log, len(longer))


class AllowsTheEnd(OneOf):
    def allowed(self, state: Any) -> Tensor:
        mask = super().allowed(state)
        mask[END] = self.is_accepting(state)
        return mask


class TakesTheEnd(OneOf):
    def advance(self, state: Any, token: int) -> Any | None:
        return state if token == END else super().advance(state, token)


class TakesUnknownIds(OneOf):
    def advance(self, state: Any, token: int) -> Any | None:
        return state if token >= 258 else super().advance(state, token)


class ForgetsATokenInTheMask(OneOf):
    def allowed(self, state: Any) -> Tensor:
        mask = super().allowed(state)
        mask[257] = False
        return mask


class AllowsWhatItRefuses(OneOf):
    def allowed(self, state: Any) -> Tensor:
        mask = super().allowed(state)
        mask[0] = True
        return mask


class NarrowMask(OneOf):
    def allowed(self, state: Any) -> Tensor:
        return super().allowed(state)[:257]


class ForcesNonsense(OneOf):
    def forced(self, state: Any) -> Sequence[int]:
        return [*super().forced(state), 0]


class HasADeadEnd(OneOf):
    def is_accepting(self, state: Any) -> bool:
        return state in self.texts and state != b"red"


class NeverComplete(OneOf):
    def is_complete(self, state: Any) -> bool:
        return False


class CompleteTooEarly(OneOf):
    def is_complete(self, state: Any) -> bool:
        return self.is_accepting(state)


class Unhashable(OneOf):
    def start(self) -> Any:
        return []


class TooWide(OneOf):
    texts = (*TEXTS, b"pink")


class TooNarrow(OneOf):
    texts = TEXTS[1:]


@dataclass(frozen=True)
class Spec:
    kind: ClassVar[str] = "one-of"

    def key(self) -> Hashable:
        return TEXTS

    def compile(self, vocabulary: Any) -> OneOf:
        return OneOf()

    def value(self, text: str) -> Any:
        return text


class SpecWithAChangingKey(Spec):
    def key(self) -> Hashable:
        return object()


class SpecThatJudgesOtherwise(Spec):
    def value(self, text: str) -> Any:
        raise ValueError("not today")


ACCEPTED, REJECTED = ("red", "green", "greenish", ""), ("pink", "re", "redd", "greenis")


def check(constraint: Any) -> None:
    check_constraint(constraint, Bytes(), texts_accepted=ACCEPTED, texts_rejected=REJECTED)


@pytest.mark.parametrize("sound", [OneOf(), Spec()])
def test_a_sound_constraint_passes(sound: Any) -> None:
    check(sound)


@pytest.mark.parametrize(
    ("broken", "says"),
    [
        (AdvancesInPlace, "advance changes its state|but advance refuses it|gives two states that differ"),
        (SharesALog, "a state is not a value: after"),
        (AllowsTheEnd, "end token 256 is allowed"),
        (TakesTheEnd, "advance takes 256|advance takes it"),
        (TakesUnknownIds, "advance takes 258"),
        (ForgetsATokenInTheMask, "token 257 is not allowed, but advance takes it"),
        (AllowsWhatItRefuses, "token 0 is allowed, but advance refuses it"),
        (NarrowMask, r"\[257\] on cpu, not torch.bool \[258\]"),
        (ForcesNonsense, "is no path: token"),
        (HasADeadEnd, "dead end: after"),
        (NeverComplete, "is_complete is False"),
        (CompleteTooEarly, "is_complete is True .* and something is allowed"),
        (TooWide, "'pink' was accepted"),
        (TooNarrow, "'red' is not allowed from token"),
        (SpecWithAChangingKey, "key.. of the spec differs"),
        (SpecThatJudgesOtherwise, "value.. refuses 'red'.*not today"),
    ],
)
def test_a_broken_constraint_is_named(broken: type, says: str) -> None:
    with pytest.raises(AssertionError, match=says):
        check(broken())


def test_a_state_that_cannot_be_hashed_is_no_value() -> None:
    with pytest.raises(TypeError, match="unhashable"):
        check(Unhashable())


def test_an_engine_may_insist_on_the_tokenizers_spelling_if_it_says_so() -> None:
    class InsistsOnItsSpelling(OneOf):
        def allowed(self, state: Any) -> Tensor:
            mask = super().allowed(state)
            if mask[257]:
                mask[ord("e")] = False
            return mask

    check_constraint(InsistsOnItsSpelling(), Bytes(), texts_accepted=ACCEPTED, texts_rejected=REJECTED, canonical=True)
    with pytest.raises(AssertionError, match="is not allowed, but advance takes it"):
        check(InsistsOnItsSpelling())


def test_texts_are_tried_in_every_spelling() -> None:
    class OnlyAsTheTokenizerSpellsIt(OneOf):
        def goes_on(self, written: bytes) -> bool:
            return super().goes_on(written) and not written.endswith(b"gre")

    with pytest.raises(AssertionError, match=r"'green' is not allowed from token 2 of \[103, 114, 101, 101, 110\]"):
        check(OnlyAsTheTokenizerSpellsIt())
