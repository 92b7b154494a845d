"""A constraint that says what byte or character may follow becomes one over tokens, exactly."""

from __future__ import annotations

import random
import re
from collections.abc import Hashable
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from decodeplug import Host, product, regex, union
from decodeplug.constraints import accepts
from decodeplug.constraints.transitions import Transitions
from decodeplug.constraints.trie import Trie
from decodeplug.errors import BadOption, InvalidResult, PluginError, Unsatisfiable
from decodeplug.plugin import ByteConstraint, CharacterConstraint
from decodeplug.testing import bpe_tokenizer, byte_tokenizer, check_constraint, tiny_model
from decodeplug.vocabulary import Vocabulary

BYTES = Vocabulary(byte_tokenizer(), 300, {258})
BPE = Vocabulary(bpe_tokenizer(), 600, {514})


@dataclass(frozen=True)
class Balanced(CharacterConstraint):
    """Brackets that are closed in order, at most so many deep; words of a and b between them."""

    deepest: int = 3
    characters: ClassVar[str | None] = "()[]ab"

    def start(self) -> tuple[str, ...]:
        return ()

    def step(self, open_: tuple[str, ...], char: str) -> tuple[str, ...] | None:
        if char in "ab":
            return open_
        if char in "([":
            return (*open_, char) if len(open_) < self.deepest else None
        return open_[:-1] if open_ and open_[-1] + char in ("()", "[]") else None

    def is_accepting(self, open_: tuple[str, ...]) -> bool:
        return not open_


@dataclass(frozen=True)
class Listed(ByteConstraint):
    """One of some texts, by what was written: every text has a state of its own."""

    texts: tuple[bytes, ...]

    def start(self) -> bytes:
        return b""

    def step(self, written: bytes, byte: int) -> bytes | None:
        longer = written + bytes([byte])
        return longer if any(text.startswith(longer) for text in self.texts) else None

    def is_accepting(self, written: bytes) -> bool:
        return written in self.texts


@dataclass(frozen=True)
class Anything(ByteConstraint):
    """Any bytes, counted."""

    most: int = 1000

    def start(self) -> int:
        return 0

    def step(self, count: int, byte: int) -> int | None:
        return count + 1 if count < self.most else None

    def is_accepting(self, count: int) -> bool:
        return True


@dataclass(frozen=True)
class Increasing(CharacterConstraint):
    """Characters in the order of their code points, from the whole of Unicode; the last one is at least a g."""

    characters: ClassVar[str | None] = None

    def start(self) -> str:
        return ""

    def step(self, last: str, char: str) -> str | None:
        return char if char > last else None

    def is_accepting(self, last: str) -> bool:
        return last >= "g"


LAWFUL: dict[str, tuple[ByteConstraint | CharacterConstraint, list[str], list[str]]] = {
    "balanced": (Balanced(), ["", "()", "([a]b)", "ab(ab[(a)])"], ["(", ")", "(]", "((((a))))", "c"]),
    "listed": (
        Listed((b"the bear", b"the bears", "é😀".encode(), b"")),
        ["the bear", "the bears", "é😀", ""],
        ["the", "the bear ", "é"],
    ),
    "anything": (Anything(3), ["", "abc", "é"], ["abcd", "éé"]),
    "increasing": (Increasing(), ["g", "abcgh", "Aé€😀"], ["", "a", "gg", "é€ü"]),
}


@pytest.mark.parametrize("vocabulary", [BYTES, BPE], ids=["bytes", "bpe"])
@pytest.mark.parametrize("name", LAWFUL)
def test_the_constraint_laws_hold(name: str, vocabulary: Vocabulary) -> None:
    spec, right, wrong = LAWFUL[name]
    check_constraint(
        spec, vocabulary, texts_accepted=right, texts_rejected=wrong, states=8 if name == "increasing" else 30
    )


@settings(deadline=None, max_examples=40)
@given(texts=st.sets(st.text("abé ", max_size=6), min_size=1, max_size=6), seed=st.integers(0, 10**6))
def test_every_mask_along_a_random_walk_is_what_the_bytes_say(texts: set[str], seed: int) -> None:
    spec = Listed(tuple(sorted(text.encode() for text in texts)))
    constraint, chance = spec.compile(BPE), random.Random(seed)
    state: Any = constraint.start()
    while not constraint.is_complete(state):
        fits = [
            any(text.startswith(state + BPE.token_bytes(token)) for text in spec.texts) for token in range(BPE.size)
        ]
        expected = [fit and bool(BPE.token_bytes(token)) for token, fit in enumerate(fits)]
        assert constraint.allowed(state).tolist() == expected
        state = constraint.advance(state, chance.choice(constraint.allowed(state).nonzero()[:, 0].tolist()))
    assert state.decode() in texts


@settings(deadline=None, max_examples=40)
@given(texts=st.lists(st.binary(max_size=5), max_size=30))
def test_a_trie_has_a_path_for_every_token_and_shares_beginnings(texts: list[bytes]) -> None:
    trie = Trie(texts)
    paths = {0: b""}
    for level in trie.levels:
        for offset, (parent, byte) in enumerate(zip(level.parents.tolist(), level.bytes.tolist(), strict=True)):
            paths[level.first + offset] = paths[parent] + bytes([byte])
    assert [paths[end] for end in trie.ends.tolist()] == [text for text in texts if text]
    assert trie.tokens.tolist() == [token for token, text in enumerate(texts) if text]
    assert len(set(paths.values())) == len(paths) == trie.nodes


def test_each_pair_of_state_and_byte_is_asked_for_once() -> None:
    asked: list[tuple[Any, int]] = []

    @dataclass(frozen=True)
    class Counted(Anything):
        def step(self, count: int, byte: int) -> int | None:
            asked.append((count, byte))
            return super().step(count, byte)

    constraint = Counted(9).compile(BPE)
    for state in range(5):
        constraint.allowed(state)
    assert len(asked) == len(set(asked)) > 500


def test_what_was_found_out_is_forgotten_where_it_would_be_too_much() -> None:
    transitions = Transitions(lambda state, byte: state + 1)
    for state in range(20_000):
        transitions.number(state)
    transitions.forget_if_many()
    assert transitions.number(7) == 1


def test_what_must_follow_is_forced_up_to_a_choice_or_a_place_to_end() -> None:
    constraint = Listed((b"the bear", b"the bears", b"the bee")).compile(BPE)
    assert BPE.decode(constraint.forced(b"")) == "the be"
    assert BPE.decode(constraint.forced(b"the bea")) == "r"
    assert constraint.forced(b"the bear") == ()


def test_the_value_is_the_text_and_says_where_a_wrong_one_is_wrong() -> None:
    assert Balanced().value("(a)") == "(a)"
    for text, because in (
        ("(]", "character 1, ']', may not follow"),
        ("(", "it may not end there"),
        ("x", "character 0"),
    ):
        with pytest.raises(InvalidResult, match=re.escape(because)):
            Balanced().value(text)
    with pytest.raises(InvalidResult, match="byte 2 may not follow"):
        Anything(2).value("abc")
    with pytest.raises(InvalidResult, match="it may not end there"):
        Listed((b"ab",)).value("a")


def test_the_kind_is_the_name_of_the_class_unless_it_says_otherwise() -> None:
    class Named(Anything):
        kind = "any-bytes"

    assert (Anything.kind, Named.kind) == ("Anything", "any-bytes")


@dataclass(frozen=True)
class Broken(Anything):
    first: Any = 0

    def start(self) -> Hashable:
        return self.first

    def step(self, count: int, byte: int) -> int | None:
        raise ValueError("step is broken")


def test_states_that_cannot_be_hashed_are_refused() -> None:
    with pytest.raises(BadOption, match="Broken: wanted states and options that can be hashed"):
        Broken(first=[]).compile(BYTES)


def test_a_class_that_does_not_say_its_characters_is_refused() -> None:
    class Silent(CharacterConstraint):
        def start(self) -> int:
            return 0

        def step(self, state: int, char: str) -> int | None:
            return state

        def is_accepting(self, state: int) -> bool:
            return True

    with pytest.raises(BadOption, match="Silent: wanted characters = "):
        Silent().compile(BYTES)


def test_one_that_allows_nothing_is_refused_before_the_first_token() -> None:
    with pytest.raises(Unsatisfiable, match="Listed: no token may come first"):
        Listed(()).compile(BYTES)


@cache
def host() -> Host:
    tokenizer = bpe_tokenizer()
    return Host(tiny_model(vocab=len(tokenizer)), tokenizer, plugins=[])


def test_a_step_that_fails_is_named() -> None:
    with pytest.raises(PluginError, match="step is broken"):
        host().generate("The bear ", constraint=union(regex("a"), Broken()), max_new_tokens=5)


def test_a_host_writes_what_an_own_constraint_says_alone_and_combined() -> None:
    for seed in range(5):
        options: dict[str, Any] = {"processors": ["temperature=1.5"], "seed": seed, "max_new_tokens": 40}
        result = host().generate("Brackets: ", constraint=Balanced(2), **options)
        assert result.value is None or Balanced(2).value(result.text) == result.text
        both = host().generate("Brackets: ", constraint=product(Balanced(2), regex(r"\(.{2,12}\)")), **options)
        assert both.value is None or (both.text[0], both.text[-1]) == ("(", ")")
        assert both.value is None or Balanced(2).value(both.text)


def test_equal_constraints_share_what_they_found_out() -> None:
    assert Balanced(2).compile(BPE) is Balanced(2).compile(BPE)
    assert Balanced(2).compile(BPE) is not Balanced(3).compile(BPE)
    assert accepts(Balanced(2).compile(BPE), BPE, "(())")
    assert not accepts(Balanced(1).compile(BPE), BPE, "(())")
