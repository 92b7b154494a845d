"""Regular expressions and choices: which texts they allow, and which patterns are refused."""

from __future__ import annotations

import random
import re
import time
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from decodeplug.constraints import accepts, choice, regex
from decodeplug.constraints.character_classes import translated
from decodeplug.constraints.pattern import read_pattern
from decodeplug.errors import BadOption, InvalidResult, UnsupportedGrammar
from decodeplug.testing import bpe_tokenizer, byte_tokenizer
from decodeplug.vocabulary import Vocabulary

BYTES = Vocabulary(byte_tokenizer(), 259, {258})
BPE = Vocabulary(bpe_tokenizer(), 515, {514})

ALL_OF_UNICODE = "".join(chr(code) for code in range(0x110000) if not 0xD800 <= code < 0xE000)


def runs(pattern: str, flags: int = 0) -> list[str]:
    """All runs of characters that match, in all of Unicode."""
    return re.findall(f"(?:{pattern})+", ALL_OF_UNICODE, flags)


PATTERNS = [
    r"\d{4}-\d{2}-\d{2}",
    r"(?:[A-Z][a-z]{1,8} ?){1,3}",
    r"\w+@\w+\.(?:com|org)",
    r"[^\W\d]*",
    r"\S+\s\S+",
    r"\W\D[^\s]",
    r"(?i)yes|no",
    r"^a|b$",
    r"a*?b+?c??",
    r"(?P<first>a)(?P<second>\.)",
    r"[]a\]^-]{1,3}",
    r"(?s).{2}",
    r".{2}",
    r"\/\\\"'\n\t\x41\u00e9",
    r"",
    r"(?:|a)",
    r"a{3}|b{2,}|c{0,1}",
]


@pytest.mark.parametrize("pattern", PATTERNS)
@settings(deadline=None, max_examples=25)
@given(data=st.data())
def test_a_text_is_accepted_exactly_if_python_matches_all_of_it(pattern: str, data: Any) -> None:
    likely = st.from_regex(pattern, fullmatch=True) | st.text("abc .-1é\n/", max_size=4)
    text = data.draw(likely | st.text(st.characters(exclude_categories=["Cs"]), max_size=3))
    matches = re.fullmatch(pattern, text) is not None
    assert accepts(regex(pattern).compile(BYTES), BYTES, text) == matches
    if matches:
        assert regex(pattern).value(text) == text
    else:
        with pytest.raises(InvalidResult, match="does not match"):
            regex(pattern).value(text)


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("vocabulary", [BYTES, BPE], ids=["bytes", "bpe"])
def test_whatever_is_written_at_random_matches(pattern: str, vocabulary: Vocabulary) -> None:
    for seed in range(8):
        chance = random.Random(seed)
        constraint = regex(pattern).compile(vocabulary)
        state, written = constraint.start(), []
        while not constraint.is_accepting(state) or chance.random() < 0.5:
            choices = np.flatnonzero(constraint.allowed(state).numpy())
            if len(choices) == 0:
                break
            written.append(int(chance.choice(choices)))
            state = constraint.advance(state, written[-1])
        if constraint.is_accepting(state):
            assert re.fullmatch(pattern, vocabulary.decode(written))


@pytest.mark.parametrize(
    ("pattern", "because", "column"),
    [
        ("ab(?=c)", "look-ahead", 3),
        ("(?!a)b", "look-ahead", 1),
        ("a(?<=b)", "look-behind", 2),
        ("(?<!b)", "look-behind", 1),
        (r"(a)\1", "back-reference", 4),
        ("(?P<n>a)(?P=n)", "back-reference", 9),
        ("(?>a)", "atomic", 1),
        ("a*+", "possessive", 3),
        ("a{2}+", "possessive", 5),
        (r"\bfoo", "word boundaries", 1),
        ("(?x) a", "verbose", 1),
        ("(?#note)a", "comments", 1),
        ("(a", "unterminated", 1),
        ("a)", "unbalanced", 2),
        ("[a", "unterminated", 1),
        (r"\p{L}", "bad escape", 1),
        ("[b-a]", "bad character range", 2),
        ("*a", "nothing to repeat", 1),
        ("(a)(?(1)b|c)", "conditional", 4),
    ],
)
def test_what_is_not_in_the_dialect_is_refused_with_its_column(pattern: str, because: str, column: int) -> None:
    with pytest.raises(UnsupportedGrammar, match=because) as caught:
        regex(pattern)
    assert (caught.value.line, caught.value.column) == (1, column)


def test_the_column_is_counted_in_its_line() -> None:
    with pytest.raises(UnsupportedGrammar) as caught:
        regex("a\nb(?=c)")
    assert (caught.value.line, caught.value.column) == (2, 2)


@pytest.mark.parametrize("pattern", ["[[a-z]&&b]", "[a--b]", "[a||b]"])
def test_a_class_that_python_and_the_engine_read_differently_is_refused(pattern: str) -> None:
    with pytest.raises(UnsupportedGrammar, match="read it differently"):
        regex(pattern)


@pytest.mark.parametrize("pattern", ["a{,3}", "a^b", "a$b", "(?a)a"])
def test_what_the_engine_alone_refuses_is_refused_when_compiled(pattern: str) -> None:
    with pytest.raises(UnsupportedGrammar, match="the regex cannot be enforced"):
        regex(pattern).compile(BYTES)


@pytest.mark.parametrize(
    "pattern",
    ["(a{1,500}){1,500}", "((a{100}){100}){100}", "a{99999999}", "(?:(?:(?:a{1,20}){1,20}){1,20}){1,20}", "(" * 5000],
)
def test_a_pattern_that_explodes_is_refused_within_a_second(pattern: str) -> None:
    began = time.perf_counter()
    with pytest.raises(UnsupportedGrammar):
        regex(pattern).compile(BYTES)
    assert time.perf_counter() - began < 1


@pytest.mark.parametrize("pattern", ["(a+)+", "(a|aa)*b?", "(?:a{1,10} ?){1,10}", "(x+x+)+y?", "(a|b)*a(a|b){18}"])
def test_patterns_that_only_look_dangerous_work(pattern: str) -> None:
    constraint = regex(pattern).compile(BYTES)
    text = "aaa" if re.fullmatch(pattern, "aaa") else "xxxy" if "x" in pattern else "ba" + "b" * 18
    assert accepts(constraint, BYTES, text)


def test_a_match_that_takes_for_ever_is_no_result() -> None:
    began = time.perf_counter()
    with pytest.raises(InvalidResult, match="within a second"):
        regex("(a|aa)+c?").value("a" * 100 + "b")
    assert time.perf_counter() - began < 5


def test_a_pattern_must_be_text() -> None:
    with pytest.raises(BadOption, match="a pattern as text"):
        regex(b"a")


@pytest.mark.parametrize(
    ("pattern", "size", "may_explode"),
    [
        ("abc", 3, False),
        ("[a-z]{3}(?:x|yy)", 6, False),
        ("(?:ab){10}", 20, False),
        ("(?:a?b){10}", 20, True),
        ("(?:a+b)*", 2, False),
        (r"\(\[[)(]{2}\]", 5, False),
    ],
)
def test_the_size_of_a_pattern_is_that_of_its_repetitions(pattern: str, size: int, may_explode: bool) -> None:
    shape = read_pattern(pattern)
    assert (shape.size, shape.may_explode) == (size, may_explode)


@pytest.mark.parametrize(
    "pattern", [r"\w", r"\d", r"\s", r"\W", r"\D", r"\S", r"[^\w]", r"[\s\d_]", r"[^\D\s]", r"[]\d]", r"[^]\d]"]
)
def test_classes_that_are_written_out_mean_the_same(pattern: str) -> None:
    assert "".join(runs(translated(pattern))) == "".join(runs(pattern))


@pytest.mark.parametrize("pattern", [r"\w", r"\d", r"\s", r"\W", r"[^\W]", r"[^\S\d]"])
def test_classes_of_a_schema_mean_what_both_python_and_ecma_mean(pattern: str) -> None:
    chosen = "".join(runs(translated(pattern, ecma=True)))
    assert chosen
    assert set(chosen) <= set("".join(runs(pattern)))
    if pattern in (r"\w", r"\d"):
        assert chosen == "".join(runs(pattern, re.ASCII))


def test_a_backslash_before_a_backslash_is_no_class() -> None:
    assert translated(r"\\d\\[\\w]") == r"\\d\\[\\w]"


OPTIONS = st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=6), min_size=1, max_size=6)


@settings(deadline=None, max_examples=150)
@given(options=OPTIONS, other=st.text(st.characters(exclude_categories=["Cs"]), max_size=6))
def test_exactly_the_options_are_accepted(options: list[str], other: str) -> None:
    for vocabulary in (BYTES, BPE):
        constraint = choice(options).compile(vocabulary)
        assert all(accepts(constraint, vocabulary, option) for option in options)
        assert accepts(constraint, vocabulary, other) == (other in options)


@pytest.mark.parametrize(
    "option",
    [
        "a.b",
        "a|b",
        "[x]",
        "(?i)a",
        "a\\",
        "\\d",
        '"q"',
        "it's",
        "a\nb",
        "\t",
        "\0",
        "/",
        "#",
        "é😀",
        " ",
        "",
        "{,3}",
        "^$",
        "<|end|>",
    ],
)
def test_characters_that_mean_something_in_patterns_mean_themselves(option: str) -> None:
    for vocabulary in (BYTES, BPE):
        constraint = choice([option, "other"]).compile(vocabulary)
        assert accepts(constraint, vocabulary, option)
        assert not accepts(constraint, vocabulary, option + "x")
        assert not accepts(constraint, vocabulary, "axb")


def test_the_value_is_the_option_that_was_written() -> None:
    assert choice(["a", "ab"]).value("ab") == "ab"
    with pytest.raises(InvalidResult, match="none of the options"):
        choice(["a", "ab"]).value("b")


def test_an_option_given_twice_counts_once() -> None:
    assert choice(["a", "b", "a"]).options == ("a", "b")


def test_many_options_are_quick() -> None:
    options = [f"option number {number}" for number in range(2000)]
    began = time.perf_counter()
    constraint = choice(options).compile(BPE)
    assert accepts(constraint, BPE, options[1234])
    assert time.perf_counter() - began < 1


@pytest.mark.parametrize("options", [[], (), "abc", b"abc", 3, None, ["a", 1], [["a"]], ["\ud800"]])
def test_what_is_no_list_of_strings_is_refused(options: Any) -> None:
    with pytest.raises(BadOption, match="choice: options="):
        choice(options)


def test_a_text_with_surrogates_is_never_accepted() -> None:
    assert not accepts(regex("(?s).*").compile(BYTES), BYTES, "\ud800")


@pytest.mark.parametrize("pattern", [r"(?i)\W", r"(?i:\W)", r"(?i)[\W]", r"(?i)[^\w]"])
def test_no_word_character_is_let_in_by_another_case_of_what_is_none(pattern: str) -> None:
    spec = regex(pattern)
    constraint = spec.compile(BYTES)
    for char in "\u0264\u03b9\u019b":  # each has another case that is no word character, to Python
        assert not accepts(constraint, BYTES, char)
    assert accepts(constraint, BYTES, "-")
    assert accepts(constraint, BYTES, "€")
    assert not accepts(regex(r"(?i)[^\W]").compile(BYTES), BYTES, "\u0345")


@pytest.mark.parametrize("pattern", [r"(?i)\w", r"(?i)[\wa]", r"(?i)\W", r"(?i)[^\W]", r"(?i)[^\w]", r"(?i)\S"])
def test_no_other_case_is_drawn_into_a_class(pattern: str) -> None:
    """Another case of iota is a mark below a letter, and newer versions of Unicode have cases that Python has not heard of."""
    constraint = regex(pattern).compile(BYTES)
    marks = ["\u0345", "\u0264", "\u019b", "\ua7cb", "\ua7dc", "\u1fbe", "k", "\u212a", "\u00e9", " ", "3", "\u03b9"]

    allowed = [mark for mark in marks if accepts(constraint, BYTES, mark)]
    assert allowed
    assert all(re.fullmatch(pattern, mark) for mark in allowed)
