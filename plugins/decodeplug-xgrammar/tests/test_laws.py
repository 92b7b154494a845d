"""The laws of constraints: states are values, and a draft changes the speed, never the text."""

from __future__ import annotations

import itertools
from functools import cache
from typing import Any

import decodeplug
import pytest
from decodeplug import Host, Request
from decodeplug.testing import bpe_tokenizer, check_constraint, tiny_model
from decodeplug.vocabulary import Vocabulary
from vocabularies import BYTES, PIECES

from decodeplug_xgrammar import choice, grammar, json_schema, regex

BOOK = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 12},
        "age": {"type": "integer", "minimum": 0, "maximum": 99},
        "price": {"type": "number", "minimum": 0.5, "exclusiveMaximum": 12},
        "tags": {"type": "array", "items": {"enum": ["red", "green", "blue"]}, "maxItems": 3},
        "code": {"type": "string", "pattern": "^[A-Z]{2}-[0-9]+$"},
    },
    "required": ["name", "age", "tags"],
    "additionalProperties": False,
    "minProperties": 4,
}
TREE = {
    "$defs": {"tree": {"type": "array", "items": {"$ref": "#/$defs/tree"}, "maxItems": 2}},
    "$ref": "#/$defs/tree",
}
CONSTRAINTS: dict[str, tuple[Any, list[str], list[str]]] = {
    "closed object": (
        json_schema(BOOK),
        [
            '{"name": "é\\"", "age": 7, "price": 0.75, "tags": ["red"]}',
            '{"name": "", "age": 0, "tags": [], "code": "AB-1"}',
        ],
        ['{"name": "a", "age": 7, "tags": []}', '{"name": "a", "age": 100, "price": 1, "tags": []}', "{}", ""],
    ),
    "compact": (
        json_schema(BOOK, "compact"),
        ['{"name":"a","age":7,"price":1,"tags":["red","blue"]}'],
        ['{"name": 1}'],
    ),
    "free layout": (json_schema({"enum": [[1, 2], None]}, "any"), ["[1, 2]", "null"], ["[1,2,3]"]),
    "any value": (json_schema({}), ['{"a": [1.5e3, null, "\\n"]}', "true"], ["{", '"\\ud800"', "nul"]),
    "open object": (
        json_schema({"type": "object", "properties": {"ab": {"type": "null"}}}),
        ['{"ab": null, "abc": 1}', '{"a": 1}', "{}"],
        ['{"ab": 1}', '{"\\u0061b": 1}', '{"a\\/": 1}'],
    ),
    "recursive": (json_schema(TREE, "compact"), ["[]", "[[],[[]]]"], ["[[],[],[]]", "[["]),
    "regex": (regex(r"[0-9]{4}-[0-9]{2}( [a-zé]{2,8}){1,6}\."), ["2024-01 bär bé.".replace("ä", "e")], ["2024-1", ""]),
    "choice": (choice(["the red bear", "the red bearing", "ü", ""]), ["the red bear", "ü", ""], ["the red", "u"]),
    "grammar": (grammar('root ::= "(" root* ")" | word\nword ::= [a-z]{1,5}'), ["((a)(b()))"], ["(a", "()()"]),
}
SCHEMAS = ["closed object", "compact", "recursive", "regex", "choice", "grammar"]
DRAFTERS = {"none": ["none"], "lookup": ["lookup=min_ngram=1"], "forced": ["forced"], "both": ["forced", "lookup"]}
SELECTIONS: dict[str, dict[str, Any]] = {
    "greedy": {"strategy": "greedy"},
    "sample": {"strategy": "sample", "processors": ["temperature=0.8", "top-p=0.95"]},
}
PROMPTS = ['{"name": "Ada", "age": 4, "tags": ["red"]} and once more: ', "The red bear reads: ", "2024-01 a"]


@pytest.mark.parametrize("name", CONSTRAINTS)
@pytest.mark.parametrize("vocabulary", [BYTES, PIECES], ids=["bytes", "pieces"])
@pytest.mark.parametrize("seed", range(2))
def test_the_laws_of_constraints_hold(name: str, vocabulary: Vocabulary, seed: int) -> None:
    constraint, accepted, rejected = CONSTRAINTS[name]
    check_constraint(constraint, vocabulary, texts_accepted=accepted, texts_rejected=rejected, seed=seed)


@cache
def host() -> Host:
    tokenizer = bpe_tokenizer()
    return Host(tiny_model(vocab=len(tokenizer)), tokenizer, plugins=[])


def request(prompt: str, selection: str, constraint: str, drafter: str, seed: int) -> Request:
    return Request(
        prompt,
        constraint=CONSTRAINTS[constraint][0],
        drafters=DRAFTERS[drafter],
        seed=seed,
        max_new_tokens=40,
        **SELECTIONS[selection],
    )


@cache
def plain(prompt: str, selection: str, constraint: str, seed: int) -> list[int]:
    """Without drafts, alone."""
    return host().generate_batch([request(prompt, selection, constraint, "none", seed)])[0].token_ids


@pytest.mark.parametrize(
    ("selection", "drafter", "constraint"), list(itertools.product(SELECTIONS, ["lookup", "forced", "both"], SCHEMAS))
)
def test_the_text_is_that_of_no_draft_and_no_batch(selection: str, drafter: str, constraint: str) -> None:
    rows = list(enumerate(PROMPTS))
    results = host().generate_batch([request(p, selection, constraint, drafter, seed) for seed, p in rows])
    assert [result.token_ids for result in results] == [plain(p, selection, constraint, seed) for seed, p in rows]


def test_forced_drafts_are_kept_so_the_table_compares_something() -> None:
    results = host().generate_batch([request(p, "greedy", "closed object", "forced", 0) for p in PROMPTS])
    assert sum(result.trace.acceptance["forced"].kept for result in results) > 0


def test_what_is_written_is_valid() -> None:
    for seed in range(6):
        asked = request(PROMPTS[seed % 3], "sample", "closed object", "both", seed)
        result = host().generate_batch([asked])[0]
        assert result.finish_reason == "length" or result.value["age"] <= 99


def test_it_works_with_the_constraints_that_are_made_of_others() -> None:
    short = decodeplug.product(json_schema(BOOK, "compact"), decodeplug.regex('(?s).{0,20}"age":[0-9],.*'))
    assert host().accepts(short, '{"name":"a","age":7,"price":1,"tags":[]}')
    assert not host().accepts(short, '{"name":"a","age":17,"price":1,"tags":[]}')
    later = decodeplug.phases(choice(["yes", "no"]), marker="so ", budget=6)
    result = host().generate("Well: ", constraint=later, max_new_tokens=20)
    assert result.value in ("yes", "no")
