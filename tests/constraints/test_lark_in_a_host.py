"""Lark grammars in a host: trees, names that plugins offer, recipes, drafts."""

from __future__ import annotations

from typing import Any

import pytest
from lark import Lark, Token, Tree

import decodeplug
from decodeplug import Host, Recipe, Result, lark
from decodeplug.constraints import NamedGrammar
from decodeplug.plugin import hookimpl
from decodeplug.testing import bpe_tokenizer, tiny_model


@pytest.fixture(scope="module")
def host() -> Host:
    tokenizer = bpe_tokenizer()
    return Host(tiny_model(vocab=len(tokenizer)), tokenizer, plugins=[Grammars()])


class Grammars:
    @hookimpl
    def decodeplug_register(self, registry: Any) -> None:
        registry.grammar("two-words", lambda: 'start: "red" | "blue"')


def test_the_value_is_the_tree_that_lark_gives(host: Host) -> None:
    text = 'start: a b\na: "x" | "y"\nb: DIGIT~3\nDIGIT: /[0-9]/'
    result = host.generate("A code: ", constraint=lark(text), max_new_tokens=20)
    assert result.finish_reason == "stop"
    assert result.value == result.tree == Lark(text).parse(result.text)
    assert isinstance(result.tree, Tree)


def test_a_lone_token_is_a_tree_too(host: Host) -> None:
    result = host.generate("A digit: ", constraint=lark("?start: DIGIT\nDIGIT: /[0-9]/"), max_new_tokens=5)
    assert isinstance(result.tree, Token)


def test_there_is_no_tree_without_a_grammar_or_of_half_a_text(host: Host) -> None:
    assert host.generate("Yes? ", constraint=decodeplug.choice(["yes"]), max_new_tokens=9).tree is None
    cut = host.generate("A date: ", constraint=lark("iso8601_date"), max_new_tokens=9, timeout_s=1e-9)
    assert (cut.finish_reason, cut.value, cut.tree) == ("timeout", None, None)


def test_a_plugin_offers_a_grammar_by_name(host: Host) -> None:
    assert isinstance(lark("two_words"), NamedGrammar)
    for constraint in (lark("two_words"), {"name": "lark", "source": "two-words"}):
        assert host.generate("A colour: ", constraint=constraint, max_new_tokens=9).text in ("red", "blue")
    assert host.accepts(lark("two-words"), "red")
    with pytest.raises(decodeplug.DecodeplugError, match="there is no grammar 'three-words'"):
        host.accepts(lark("three-words"), "red")


def test_a_recipe_names_a_grammar(host: Host) -> None:
    recipe = Recipe.from_toml('constraint = { name = "lark", source = "iso8601_time" }\nmax_new_tokens = 40\n')
    result: Result = host.generate("Now: ", **recipe.options)
    assert result.tree is None or result.tree.data == "start"
    assert host.accepts(recipe.options["constraint"], "23:59:59Z")


@pytest.mark.parametrize("drafters", [[], ["forced"], ["forced", "lookup"]])
@pytest.mark.parametrize("do_sample", [False, True])
def test_drafts_change_no_text(host: Host, drafters: list[str], do_sample: bool) -> None:
    options: dict[str, Any] = {"do_sample": do_sample, "seed": 3, "max_new_tokens": 60}
    for name in ("tool_call", "sql_select", "markdown_table"):
        plain = host.generate("Call: ", constraint=lark(name), drafters=[], **options)
        assert host.generate("Call: ", constraint=lark(name), drafters=drafters, **options).token_ids == plain.token_ids
