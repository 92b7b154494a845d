"""Regular expressions, choices and grammars: the texts that they allow."""

from __future__ import annotations

import itertools
import re
from typing import Any

import pytest
from decodeplug.plugin import BadOption, InvalidResult, Unsatisfiable, UnsupportedGrammar
from vocabularies import BYTES, allows

from decodeplug_xgrammar import choice, grammar, regex

WORDS = ["".join(letters) for count in range(5) for letters in itertools.product("ab1-", repeat=count)]
TEXTS = [
    *WORDS,
    "é",
    "éa",
    "a\n",
    "\n",
    " ",
    "A",
    "AB",
    "\u017f",
    "\u212a",
    "😀",
    "a|b",
    "[",
    "]",
    "a]",
    "\\",
    "^",
    "a$",
    '"',
]
PATTERNS = [
    *("a", "", "a|b", "(a|b)*1?", "a{2,3}", "[ab]{2,}", "(?:ab)+", "[^a]*", ".", ".*a", "(a*)*", "((a|)|b){2}"),
    *(r"\d+", r"\w", r"\s", r"\D\W", "(?i)a[b]?", "(?i)k", "(?s).", "a??b*?", "^a$", "^a|b$", r"a\|b", "[]a]+"),
    *("[^]]", r"\\", r"a\$", "(a|b|)(1|-)", "(?P<n>a)b", "[é-ü]a?", r"\x41\u0042"),
]


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_regular_expression_allows_what_python_matches_from_end_to_end(pattern: str) -> None:
    constraint = regex(pattern)
    assert [text for text in TEXTS if allows(constraint, text) != bool(re.fullmatch(pattern, text))] == []


@pytest.mark.parametrize(
    "pattern", ["(?=a)b", r"(a)\1", r"\ba", "a(?>b)", "a++", "(^a)", "(a$)b", "(?m)^a$", "(", "[a-", r"\p{L}"]
)
def test_what_is_not_regular_is_refused_before_the_first_token(pattern: str) -> None:
    with pytest.raises(UnsupportedGrammar):
        regex(pattern).compile(BYTES)


def test_a_choice_allows_its_options_and_nothing_else() -> None:
    options = ["a", "ab", "", 'é"\\\n', "a|b", "😀"]
    assert [text for text in [*TEXTS, *options, "a|", "abb"] if allows(choice(options), text)] == [
        text for text in [*TEXTS, *options, "a|", "abb"] if text in options
    ]


@pytest.mark.parametrize("options", [[], [[1, 2], [3]], "yes", [1]])
def test_a_choice_of_anything_but_strings_is_refused(options: Any) -> None:
    with pytest.raises(BadOption):
        choice(options)


def test_a_grammar_allows_what_it_generates_and_judges_the_text_by_it() -> None:
    brackets = grammar('start ::= "" | "(" start ")" start', root="start")
    assert allows(brackets, "(()())()")
    assert not allows(brackets, "(()")
    assert brackets.value("()") == "()"
    assert brackets.value("") == ""
    for text in ("(", "())", "a"):
        with pytest.raises(InvalidResult):
            brackets.value(text)


@pytest.mark.parametrize(
    ("text", "line", "column"),
    [('root ::= "a"\nother ::= missing', 2, 11), ("root ::= (", 1, None), ("nothing", 1, None)],
)
def test_a_grammar_that_cannot_be_read_is_refused_with_its_place(text: str, line: int, column: int | None) -> None:
    with pytest.raises(UnsupportedGrammar) as caught:
        grammar(text)
    assert caught.value.line == line
    assert column is None or caught.value.column == column


@pytest.mark.parametrize(
    "text",
    ['root ::= "a" TagDispatch(("x", b))\nb ::= "x"', "root ::= Token(3)", 'root ::= a (="x")\na ::= "a"'],
)
def test_macros_and_look_ahead_are_refused(text: str) -> None:
    with pytest.raises(UnsupportedGrammar, match="no rule, text or count"):
        grammar(text)


@pytest.mark.parametrize(
    "text", ['root ::= "x" y\ny ::= "a" y', "root ::= root", 'root ::= y{2,3} "x"\ny ::= "(" y ")"']
)
def test_a_grammar_that_never_ends_is_unsatisfiable(text: str) -> None:
    with pytest.raises(Unsatisfiable):
        grammar(text)


def test_a_rule_within_reach_that_never_ends_is_refused_and_one_out_of_reach_is_not() -> None:
    with pytest.raises(UnsupportedGrammar, match="y never comes to an end"):
        grammar('root ::= "b" | "x" y\ny ::= "a" y')
    assert allows(grammar('root ::= "b" x{0,2}\nx ::= "c" | "(" x\ny ::= "a" y'), "b(c")


@pytest.mark.parametrize(("text", "root"), [("", "root"), (" ", "root"), ('root ::= "a"', "")])
def test_options_of_a_grammar_are_checked(text: str, root: str) -> None:
    with pytest.raises(BadOption):
        grammar(text, root)
