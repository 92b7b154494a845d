"""What is written at random by a grammar, Lark parses."""

from __future__ import annotations

import random
from functools import cache
from typing import Any

import lark as plain_lark
import pytest
from random_decoding.checks import check_texts
from random_decoding.chooser import VOCABULARIES

from decodeplug import lark
from decodeplug.grammar_library import FOLDER, find_grammar, library

OWN = {
    "nested": """
        start: item ("," item)*
        item: /[a-z]{1,4}/ | "(" start ")"
    """,
    "settings": """
        start: (line "\\n")*
        line: KEY "=" VALUE
        KEY: /[a-z_]+/
        VALUE: /[0-9]+/ | "true" | "false"
        %ignore " "
    """,
    "calls": """
        start: NAME "(" [argument ("," argument)*] ")"
        argument: NAME "=" (NUMBER | start)
        NAME: /[a-z]\\w*/
        %import common.NUMBER
    """,
    "either case": """
        start: "select"i FIELD ("," FIELD)* "from"i FIELD
        FIELD: /[a-z]+/
        %ignore /[ \\n]{1,3}/
    """,
    "tags": """
        start: "<" TAG ">" (start | TEXT)* "</" TAG ">"
        TAG: /[a-z]{1,3}/
        TEXT: /[^<>]+/
    """,
}
NAMES = [*(grammar.name for grammar in library()), *OWN]


@cache
def parser(name: str) -> Any:
    """Lark's own."""
    text = OWN[name] if name in OWN else find_grammar(name).text()
    return plain_lark.Lark(text, import_paths=[str(FOLDER)], source_path=str(FOLDER / f"{name}.lark"))


def check_grammar(name: str, vocabulary: str, count: int) -> None:
    chance = random.Random(f"{name} {vocabulary}")
    spec = lark(OWN.get(name, name))
    parse = parser(name).parse
    whole = check_texts(lambda: spec, parse, VOCABULARIES[vocabulary], chance, count, may_be_cut=True)
    assert whole is not None
    assert whole >= 0.95 * count, f"{count - whole} of {count} texts were cut"


@pytest.mark.parametrize("vocabulary", VOCABULARIES)
@pytest.mark.parametrize("name", NAMES)
def test_random_texts_are_parsed(name: str, vocabulary: str) -> None:
    check_grammar(name, vocabulary, 4)


@pytest.mark.slow
@pytest.mark.parametrize("vocabulary", VOCABULARIES)
@pytest.mark.parametrize("name", NAMES)
def test_many_random_texts_are_parsed(name: str, vocabulary: str) -> None:
    check_grammar(name, vocabulary, 40)
