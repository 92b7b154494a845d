"""XGrammar's matchers answer as the core's constraints ask."""

from __future__ import annotations

import random

import numpy as np
import pytest
from decodeplug.constraints.following import ends_after, followed
from decodeplug.testing import byte_tokenizer
from decodeplug.vocabulary import Vocabulary
from test_laws import CONSTRAINTS
from vocabularies import PIECES
from xgrammar import Grammar, GrammarCompiler, TokenizerInfo

from decodeplug_xgrammar import choice
from decodeplug_xgrammar.matcher import Compiled, XGrammarMatcher

TOKENS = [b"a", b"b", b"ab", b""]
A, B, AB, END = range(4)


def matcher(rule: str) -> XGrammarMatcher:
    tokens = TokenizerInfo(TOKENS, vocab_size=len(TOKENS), stop_token_ids=[END])
    compiler = GrammarCompiler(tokens, max_threads=1, cache_enabled=False)
    return Compiled(compiler.compile_grammar(Grammar.from_ebnf(f"root ::= {rule}"))).copy()[0]


def allowed(asked: XGrammarMatcher, before: int) -> list[int]:
    """Ids that may follow.

    :param before: What each word of the memory holds before the mask is written.
    """
    words = np.full(1, before, np.uint32)
    asked.unsafe_compute_mask_ptr(words.ctypes.data, words.nbytes)
    return [token for token in range(len(TOKENS)) if words[0] >> token & 1]


def test_tokens_are_taken_up_to_the_first_that_is_refused() -> None:
    asked = matcher('"abab"')
    assert asked.try_consume_tokens([A, B, B, A]) == 2
    assert asked.try_consume_tokens([AB]) == 1
    assert asked.is_accepting()
    assert asked.rollback(2)  # the token "ab" and the token "b" before it
    assert allowed(asked, 0) == [B]


@pytest.mark.parametrize(
    ("tokens", "count"), [([AB, END], 2), ([A, B, A, END], 3), ([END], 0), ([B], 0), ([A, A], 1), ([], 0)]
)
def test_to_look_ahead_takes_nothing(tokens: list[int], count: int) -> None:
    asked = matcher('"ab" ("ab")*')
    assert asked.validate_tokens(tokens) == count
    assert not asked.is_accepting()
    assert allowed(asked, 0) == [A, AB]
    assert asked.try_consume_tokens([A, B]) == 2


def test_a_copy_goes_its_own_way() -> None:
    asked = matcher('"abb"')
    assert asked.try_consume_tokens([A]) == 1
    copy = asked.deep_copy()
    assert copy.try_consume_tokens([B, B]) == 2
    assert copy.is_accepting()
    assert not asked.is_accepting()
    assert copy.rollback(3)
    assert asked.try_consume_tokens([B]) == 1


@pytest.mark.parametrize("before", [0, 0xFFFFFFFF])
@pytest.mark.parametrize(("rule", "following"), [("[ab]*", [A, B, AB, END]), ('"b"', [B]), ('"a"?', [A, END])])
def test_a_mask_does_not_depend_on_what_the_memory_held(rule: str, following: list[int], before: int) -> None:
    assert allowed(matcher(rule), before) == following


def test_nothing_is_forced_where_the_text_may_end() -> None:
    asked = matcher('"a" "b"?')
    assert asked.compute_ff_bytes() == b"a"
    assert asked.try_consume_tokens([A]) == 1
    assert asked.compute_ff_bytes() == b""


@pytest.mark.parametrize("name", CONSTRAINTS)
def test_an_end_is_seen_ahead_where_walking_there_finds_it(name: str) -> None:
    spec, accepted, rejected = CONSTRAINTS[name]
    chance = random.Random(0)
    for text in (*accepted, *rejected):
        constraint = spec.compile(PIECES)
        ids = PIECES.encode(text)
        for begun in range(len(ids) + 1):
            state = followed(constraint, constraint.start(), ids[:begun])
            if state is None:
                break
            for rest in (ids[begun:], ids[begun:-1], [*ids[begun:], chance.randrange(PIECES.size)]):
                seen = ends_after(constraint, state, rest)
                after = followed(constraint, state, rest)
                assert seen == (after is not None and constraint.is_accepting(after)), (ids[:begun], rest)


def test_an_id_that_ends_a_text_is_never_forced() -> None:
    two = Vocabulary(byte_tokenizer(), 259, {ord("2")})  # text for the tokenizer, the end for the model
    constraint = choice(["a12", "b"]).compile(two)
    state = followed(constraint, constraint.start(), b"a")
    assert state is not None
    assert constraint.forced(state) == ()
