"""Expressions of terminals are read as Python's matcher reads them."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from llguidance import LLMatcher

from decodeplug.constraints.first_match import begins_another, first_match, leaves_no_choice
from decodeplug.constraints.lark_terminals import UntranslatableError, translated_terminal
from decodeplug.constraints.terminal_automaton import TooLargeError
from decodeplug.constraints.terminal_syntax import NotRegularError, engine_form, read_terminal
from decodeplug.testing import byte_tokenizer
from decodeplug.vocabulary import Vocabulary

BYTES = Vocabulary(byte_tokenizer(), 259, {258})


def atoms() -> st.SearchStrategy[str]:
    return st.sampled_from(["a", "b", "[ab]", "[^b]", "ab", "."])


def larger(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    group = inner.map(lambda pattern: f"(?:{pattern})")
    repeated = st.builds(str.__add__, group, st.sampled_from(["*", "+", "?", "*?", "+?", "??", "{1,2}", "{2}?"]))
    return (
        st.builds(str.__add__, inner, inner) | st.builds("{}|{}".format, inner, inner).map("(?:{})".format) | repeated
    )


PATTERNS = st.recursive(atoms(), larger, max_leaves=6)
TEXTS = st.text("abc", max_size=6)


def taken(pattern: str, text: str) -> str | None:
    found = re.match(pattern, text)
    return found and found[0]


@settings(deadline=None, max_examples=250)
@given(pattern=PATTERNS, text=TEXTS)
def test_longest_and_shortest_are_what_python_takes(pattern: str, text: str) -> None:
    try:
        found = first_match(read_terminal(pattern))
    except TooLargeError:
        return
    match = taken(pattern, text)
    all_of_them = [text[:end] for end in range(len(text) + 1) if re.fullmatch(pattern, text[:end])]
    if found.longest:
        assert match == (all_of_them[-1] if all_of_them else None)
    elif found.shortest:
        assert match == (all_of_them[0] if all_of_them else None)
    if not found.longest:
        assert re.fullmatch(pattern, found.example)
        assert taken(pattern, found.example) != found.example


@settings(deadline=None, max_examples=100)
@given(pattern=PATTERNS, text=TEXTS)
def test_the_engine_is_given_the_texts_that_python_takes_whole(pattern: str, text: str) -> None:
    if re.match(pattern, ""):
        return
    try:
        expression = translated_terminal(read_terminal(pattern))
    except UntranslatableError:
        return
    matcher = LLMatcher(BYTES.engine(), f"start: T\nT: {expression}\n", log_level=0)
    assert not matcher.is_error(), matcher.get_error()
    ids = BYTES.encode(text)
    accepted = matcher.try_consume_tokens(ids) == len(ids) and matcher.is_accepting()
    assert accepted == (taken(pattern, text) == text)


@settings(deadline=None, max_examples=150)
@given(one=PATTERNS, other=PATTERNS, text=TEXTS)
def test_a_text_that_begins_another_is_found(one: str, other: str, text: str) -> None:
    try:
        found = begins_another(read_terminal(one), read_terminal(other))
    except TooLargeError:
        return
    if found is not None:
        assert re.fullmatch(one, found)
    elif re.fullmatch(other, text):
        assert not any(re.fullmatch(one, text[:end]) for end in range(len(text) + 1))


@pytest.mark.parametrize(
    ("pattern", "matching", "other"),
    [
        (r"(?i:straße)", ["STRAßE", "straẞe"], ["strasse"]),
        (r"(?i:k)", ["k", "K", "\u212a"], ["j"]),
        (r"(?ai:k)", ["k", "K"], ["\u212a"]),
        (r"(?i:[^k])", ["j"], ["K", "\u212a"]),
        (r"[\w-]+", ["é-_1"], ["a b"]),
        (r"(?a:\w\d)", ["a1"], ["é1", "a\u0663"]),
        (r"[^\W\d]", ["é", "_"], ["1", "-"]),
        (r"(?s:.)(?-s:.)", ["\na"], ["a\n"]),
        (r"(?x: a  b # c" + "\n)", ["ab"], ["a b"]),
        (r"\x41\u00e9\t\\\/[\]\-]", ["Aé\t\\/]"], ["Aé\t\\/"]),
        (r'".*?(?<!\\)(\\\\)*?"', ['""', r'"\""', r'"\\"'], [r'"\"', '"\n"', '"a"b"']),
        (r"(?s:'.*?(?<!\\)(\\\\)*?')", ["'a\nb'", r"'\''"], [r"'\'"]),
    ],
)
def test_classes_and_flags_mean_what_python_means(pattern: str, matching: list[str], other: list[str]) -> None:
    matcher: Any = LLMatcher(BYTES.engine(), f"start: T\nT: /{engine_form(read_terminal(pattern))}/\n", log_level=0)
    for text in matching + other:
        copy, ids = matcher.deep_copy(), BYTES.encode(text)
        accepted = copy.try_consume_tokens(ids) == len(ids) and copy.is_accepting()
        assert accepted == (text in matching), text
        if "?<!" not in pattern:  # Python's fullmatch goes on where its match stops
            assert bool(re.fullmatch(pattern, text)) == (text in matching), text


@pytest.mark.parametrize(
    "pattern", ["(?=a)b", "(?<!a)b", "^a", "a$", r"\ba", r"(a)\1", "a*+", "(?>a)", "(a)?(?(1)b|c)", r"[^\s\S]"]
)
def test_what_is_not_regular_is_said(pattern: str) -> None:
    with pytest.raises(NotRegularError):
        read_terminal(pattern)


def test_where_there_is_no_choice_there_is_none() -> None:
    patterns = ("ab", "a{2}b+", "a+b", "ab?c", "[ab]c")
    assert [leaves_no_choice(read_terminal(pattern)) for pattern in patterns] == [True, True, False, False, True]


def test_a_counted_loop_over_what_may_be_empty_is_not_followed() -> None:
    with pytest.raises(UntranslatableError, match="reasonable effort"):
        translated_terminal(read_terminal("x(a?){3}"))
