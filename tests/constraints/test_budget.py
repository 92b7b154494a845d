"""``max_new_tokens`` is a promise: a text is complete and valid within it, or refused before the first token."""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import cache
from typing import Any

import pytest

from decodeplug import Host
from decodeplug.constraints import choice, json_schema, lark, phases, product, regex, union, within_budget
from decodeplug.constraints.budget import known_text
from decodeplug.errors import BudgetTooSmall
from decodeplug.plugin import CharacterConstraint
from decodeplug.testing import bpe_tokenizer, byte_tokenizer, check_constraint, tiny_model
from decodeplug.vocabulary import Vocabulary

BYTES, PIECES = byte_tokenizer(), bpe_tokenizer()
VOCABULARIES = {
    "bytes": Vocabulary(BYTES, len(BYTES), {BYTES.eos_token_id}),
    "merged": Vocabulary(PIECES, len(PIECES), {PIECES.eos_token_id}),
}


@dataclass(frozen=True)
class Balanced(CharacterConstraint):
    """Round brackets, all closed in the end."""

    characters = "()"

    def start(self) -> int:
        return -1

    def step(self, depth: int, char: str) -> int | None:
        depth = max(depth, 0) + (1 if char == "(" else -1)
        return depth if 0 <= depth <= 9 else None

    def is_accepting(self, depth: int) -> bool:
        return depth == 0


SMALL = {"type": "integer", "minimum": 0, "maximum": 12}
CLOSED = {"type": "object", "additionalProperties": False}
OPEN = {
    "name": {"type": "string"},
    "numbers": {"type": "array", "items": {"type": "number"}},
    "object": {"type": "object", "properties": {"a": {"type": "string"}, "b": SMALL}, "required": ["b"]},
    "optional": {"type": "object", "properties": {"a": {"type": "string", "minLength": 8}, "b": {"type": "null"}}},
    "nested": {"type": "array", "minItems": 1, "items": {"type": "object", "additionalProperties": {"type": "string"}}},
    "recursive": {"$ref": "#/$defs/n", "$defs": {"n": {"type": "array", "items": {"$ref": "#/$defs/n"}}}},
    "pattern": {"type": "string", "pattern": "^[a-f]+-[0-9]{2,}$"},
    "unique": {"type": "array", "items": SMALL, "uniqueItems": True, "minItems": 3},
    "either": {"anyOf": [{"type": "array", "minItems": 4, "items": SMALL}, {"type": "object", "required": ["k"]}]},
    "implied": {"type": "object", "properties": {"a": SMALL, "b": SMALL}, "dependentRequired": {"a": ["b"]}},
}
SPECS: dict[str, Any] = {
    **{
        f"{name}, {layout}": json_schema(schema, layout)
        for name, schema in OPEN.items()
        for layout in ("model", "spaced")
    },
    "regex": regex("[a-z]+@[a-z]{3}"),
    "regex that goes round": regex(r"[a-z]{2,}@(?:[a-z]+\.)+[a-z]{2,4}"),
    "balanced": Balanced(),
    "lark": lark("arithmetic"),
    "grammar": lark("json"),
    "union": union(regex("a{9}b*"), json_schema(SMALL)),
    "product": product(json_schema({"type": "string"}), regex('"(ab)*[^"]*"')),
    "phases": phases(json_schema(SMALL), marker="##"),
}
FINITE: dict[str, Any] = {
    "choice": choice(["no", "yes", "perhaps", "a"]),
    "one long": choice(["perhaps not"]),
    "regex": regex("(abc|de|fghij)(x|yz)"),
    "enum": json_schema({"enum": ["the first", "two", 30000]}, "compact"),
    "object": json_schema(
        {"properties": {"a": {"enum": ["x", "yyyyyyy"]}, "b": {"type": "boolean"}}, "required": ["b"], "type": "object", "additionalProperties": False},
        "compact",
    ),
    "unique": json_schema({"type": "array", "items": {"enum": [1, 22, 333]}, "uniqueItems": True, "minItems": 2, "maxItems": 3}, "compact"),
    "not": json_schema({"enum": ["a", "bcd", 5], "not": {"enum": ["a", 5]}}),
}  # fmt: skip


@cache
def compiled(name: str, vocabulary: str, *, finite: bool = False) -> Any:
    return (FINITE if finite else SPECS)[name].compile(VOCABULARIES[vocabulary])


def bounded(name: str, vocabulary: str, budget: int, *, finite: bool = False) -> Any:
    spec = (FINITE if finite else SPECS)[name]
    key = (spec.kind, spec.key())
    return within_budget(compiled(name, vocabulary, finite=finite), key, VOCABULARIES[vocabulary], budget)


def needed(name: str, vocabulary: str, *, finite: bool = False) -> int:
    with pytest.raises(BudgetTooSmall) as caught:
        bounded(name, vocabulary, 0, finite=finite)
    assert caught.value.needed is not None
    return caught.value.needed


def text_within(constraint: Any, vocabulary: Vocabulary, budget: int, chance: random.Random) -> str:
    """A random text, never ended before it must be."""
    state, ids = constraint.start(), []
    for _ in range(budget):
        if constraint.is_complete(state):
            break
        tokens = constraint.allowed(state).nonzero().flatten().tolist()
        chance.shuffle(tokens)
        steps = ((token, constraint.advance(state, token)) for token in tokens[:200] + list(constraint.surely(state)))
        token, after = next(((token, after) for token, after in steps if after is not None), (None, None))
        if token is None:
            break
        ids.append(token)
        state = after
    assert constraint.is_accepting(state), f"cut: {vocabulary.decode(ids)!r}"
    return vocabulary.decode(ids)


@pytest.mark.parametrize("vocabulary", VOCABULARIES)
@pytest.mark.parametrize("name", SPECS)
def test_any_budget_from_the_needed_one_on_is_kept_by_whatever_is_chosen(name: str, vocabulary: str) -> None:
    least, chance = needed(name, vocabulary), random.Random(name)
    for extra in (0, 1, 2, 5, 9, 30):
        constraint = bounded(name, vocabulary, least + extra)
        SPECS[name].value(text_within(constraint, VOCABULARIES[vocabulary], least + extra, chance))
    with pytest.raises(BudgetTooSmall):
        bounded(name, vocabulary, least - 1)


def fewest(constraint: Any, longest: int = 24) -> int:
    """Tokens of the shortest text, by trying every one."""
    level = {constraint.start()}
    for count in range(longest):
        if any(constraint.is_accepting(state) for state in level):
            return count
        level = {
            after
            for state in level
            for token in constraint.allowed(state).nonzero().flatten().tolist()
            if (after := constraint.advance(state, token)) is not None
        }
    raise AssertionError("no text")


@pytest.mark.parametrize("vocabulary", VOCABULARIES)
@pytest.mark.parametrize("name", FINITE)
def test_where_only_some_texts_can_be_written_the_needed_budget_is_that_of_the_shortest(
    name: str, vocabulary: str
) -> None:
    least = needed(name, vocabulary, finite=True)
    assert least == fewest(compiled(name, vocabulary, finite=True))
    FINITE[name].value(
        text_within(bounded(name, vocabulary, least, finite=True), VOCABULARIES[vocabulary], least, random.Random(1))
    )


@pytest.mark.parametrize("number", [{"type": "number"}, {"type": "integer", "minimum": 10}])
def test_a_number_at_the_end_of_a_line_ends(number: dict[str, Any]) -> None:
    before = {f"p{place}": {"type": "string"} for place in range(6)}
    properties = {**before, "size": number}
    spec = json_schema({"properties": properties, "required": list(properties), **CLOSED}, "indent=2")
    vocabulary = VOCABULARIES["merged"]
    held = within_budget(spec.compile(vocabulary), (spec.key(), "line"), vocabulary, 200)
    assert held is not None


@pytest.mark.parametrize("layout", ["spaced", "model", "indent=1"])
def test_the_promise_is_given_for_objects_of_hundreds_of_properties(layout: str) -> None:
    kinds = ({"type": "string"}, {"type": "number"}, {"enum": ["low", "high"]}, {"type": "array", "items": SMALL})
    properties = {f"p{place}": kinds[place % 4] for place in range(200)}
    spec = json_schema({"properties": properties, "required": list(properties), **CLOSED}, layout)
    vocabulary = VOCABULARIES["merged"]
    compiled = spec.compile(vocabulary)
    held = within_budget(compiled, (spec.key(), "wide"), vocabulary, 100_000)
    assert held is not None
    spec.value(vocabulary.decode(known_text(compiled, (spec.key(), "wide"), vocabulary) or ()))


@pytest.mark.parametrize("name", ["object, model", "unique, spaced", "regex", "balanced"])
def test_a_constraint_held_to_a_budget_keeps_the_laws(name: str) -> None:
    least = needed(name, "merged")
    for extra in (1, 20):
        check_constraint(bounded(name, "merged", least + extra), VOCABULARIES["merged"], states=10, canonical=True)


@pytest.fixture(scope="module")
def host() -> Host:
    return Host(tiny_model("llama", vocab_size=len(BYTES)), BYTES)


@pytest.mark.parametrize("name", SPECS)
def test_a_host_keeps_the_promise_greedily_and_by_chance(host: Host, name: str) -> None:
    least = needed(name, "bytes")
    if least > 1:  # a request for no token at all is refused as such
        with pytest.raises(BudgetTooSmall) as caught:
            host.generate("Now: ", constraint=SPECS[name], max_new_tokens=least - 1)
        assert (caught.value.budget, caught.value.needed) == (least - 1, least)
    for extra in (0, 3, 25):
        for options in ({}, {"strategy": "sample", "processors": ["temperature=3"], "seed": extra}):
            result = host.generate("Now: ", constraint=SPECS[name], max_new_tokens=least + extra, **options)
            assert len(result.token_ids) <= least + extra
            SPECS[name].value(result.text)
            assert result.finish_reason in ("stop", "length")


def test_where_no_text_is_found_the_trace_says_that_nothing_is_promised(host: Host) -> None:
    @dataclass(frozen=True)
    class Sum(CharacterConstraint):
        """Digits whose sum is far away, so that no walk gets there soon."""

        characters = "01"

        def start(self) -> int:
            return 0

        def step(self, state: int, char: str) -> int | None:
            return state + int(char)

        def is_accepting(self, state: int) -> bool:
            return state >= 5000

    result = host.generate("Now: ", constraint=Sum(), max_new_tokens=6)
    assert (result.finish_reason, result.value) == ("length", None)
    assert any("budget" in note for note in result.trace.notes)


def followed(schema: Any, text: str, budget: int, layout: str = "compact") -> Any:
    """The constraint and its state after the bytes of ``text``; None for one that is refused."""
    spec, vocabulary = json_schema(schema, layout), VOCABULARIES["bytes"]
    constraint: Any = within_budget(spec.compile(vocabulary), spec.key(), vocabulary, budget)
    state = constraint.start()
    for byte in text.encode():
        assert state is not None
        state = constraint.advance(state, byte)
    return constraint, state


def test_a_witness_is_kept_behind_any_character_and_any_beginning() -> None:
    constraint, state = followed({"type": "string", "pattern": "b$"}, '"\u03e8', 64)
    assert constraint.surely(state), "\u03e8 does not end in 0x80, as the nearest character does"
    spec, vocabulary = json_schema({"type": "string", "pattern": "b$"}, "compact"), VOCABULARIES["merged"]
    merged: Any = within_budget(spec.compile(vocabulary), spec.key(), vocabulary, 64)
    begun = next(token for token in range(vocabulary.size) if vocabulary.token_bytes(token) == b'",')
    assert merged.surely(merged.advance(merged.start(), begun)), "one token with the quote and what follows it"


def test_a_beginning_whose_only_end_is_too_long_is_refused_while_there_is_much_room() -> None:
    schema = {"type": "array", "items": {"const": {"b": None, "größe": True}}}
    _, state = followed(schema, "[\n     ", 64, "model")
    assert state is not None, "with a step of five spaces it has 64 bytes"
    _, state = followed(schema, "[\n      ", 64, "model")
    assert state is None, "and with six it has 70"
