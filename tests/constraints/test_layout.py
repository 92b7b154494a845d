"""Where whitespace stands in JSON: the model's own choice, or one layout."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from decodeplug.constraints import accepts, json_schema
from decodeplug.constraints.layout import Indented
from decodeplug.errors import BadOption
from decodeplug.testing import bpe_tokenizer, byte_tokenizer, check_constraint
from decodeplug.vocabulary import Vocabulary

BYTES, PIECES = byte_tokenizer(), bpe_tokenizer()
VOCABULARY = Vocabulary(BYTES, len(BYTES), {BYTES.eos_token_id})
MERGED = Vocabulary(PIECES, len(PIECES), {PIECES.eos_token_id})
BEAR = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 9},
        "age": {"type": "integer", "minimum": 0, "maximum": 99},
        "books": {
            "type": "array",
            "items": {"type": "object", "additionalProperties": {"type": "null"}},
            "maxItems": 3,
        },
    },
    "required": ["name", "age"],
    "additionalProperties": False,
}
BEARS = [
    {"name": "A\n{,:", "age": 3},
    {"name": "", "age": 0, "books": []},
    {"name": "x", "age": 12, "books": [{}, {"a": None, "b": None}]},
]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


def written(automaton: Indented, text: str) -> bool:
    place: Any = automaton.start()
    for byte in text.encode():
        place = None if place is None else automaton.step(place, byte)
    return place is not None and automaton.is_accepting(place)


@given(JSON, st.integers(1, 8))
def test_the_automaton_takes_what_json_dumps_writes_and_no_other_width(value: Any, width: int) -> None:
    text = json.dumps(value, indent=width, ensure_ascii=False)
    assert written(Indented(width), text)
    assert written(Indented(), text)
    assert written(Indented(width % 8 + 1), text) == ("\n" not in text)


@given(JSON, st.integers(1, 8), st.data())
def test_one_space_more_or_less_outside_strings_is_refused(value: Any, width: int, data: Any) -> None:
    text = json.dumps(value, indent=width)
    places = [index for index, char in enumerate(text) if char == "\n"]
    if places:
        at = data.draw(st.sampled_from(places))
        assert not written(Indented(width), text[: at + 1] + " " + text[at + 1 :])
        assert not written(Indented(width), text[:at] + text[at + 1 :])


@pytest.mark.parametrize("vocabulary", [VOCABULARY, MERGED], ids=["bytes", "merged"])
@pytest.mark.parametrize("value", BEARS)
def test_the_model_may_choose_each_layout_and_keeps_to_it(value: Any, vocabulary: Vocabulary) -> None:
    constraint = json_schema(BEAR).compile(vocabulary)
    texts = [
        json.dumps(value, ensure_ascii=False),
        json.dumps(value, ensure_ascii=False, separators=(",", ":")),
        *(json.dumps(value, ensure_ascii=False, indent=width) for width in (1, 2, 4, 8)),
    ]
    for text in texts:
        assert accepts(constraint, vocabulary, text), text
    spaced, compact, *indented = texts
    mixed = [spaced.replace(", ", ","), compact.replace(",", ", "), *(text.replace(": ", ":") for text in indented)]
    for text in mixed:
        assert not accepts(constraint, vocabulary, text), text


@pytest.mark.parametrize("width", [1, 2, 3, 4, 8])
def test_an_indent_is_what_json_dumps_writes(width: int) -> None:
    constraint = json_schema(BEAR, f"indent={width}").compile(MERGED)
    for value in BEARS:
        for other in (None, 1, 2, 3, 4, 8):
            text = json.dumps(value, indent=other, ensure_ascii=False)
            assert accepts(constraint, MERGED, text) == (other == width), text


def test_all_of_a_text_but_the_choices_is_forced_once_the_layout_is_clear() -> None:
    constraint = json_schema(BEAR).compile(VOCABULARY)
    state: Any = constraint.start()
    for byte in b'{\n  "name": "x"':
        state = constraint.advance(state, byte)
    assert bytes(constraint.forced(state)) == b',\n  "age": '
    for byte in b',\n  "age": 12':
        state = constraint.advance(state, byte)
    assert not constraint.forced(state)


def test_a_line_begins_only_where_the_schema_has_something_for_it() -> None:
    constraint = json_schema({"type": "array", "maxItems": 0}, "indent=2").compile(VOCABULARY)
    assert accepts(constraint, VOCABULARY, "[]")
    state = constraint.advance(constraint.start(), ord("["))
    assert constraint.advance(state, ord("\n")) is None, "nothing could stand in that line"
    bear: Any = json_schema(BEAR, "indent=2").compile(VOCABULARY)
    state = bear.start()
    for byte in b'{\n  "name": "x"':
        state = bear.advance(state, byte)
    assert bear.advance(state, ord("\n")) is None, "age is missing, so the object cannot be closed"


@pytest.mark.parametrize("layout", ["model", "indent=2"])
@pytest.mark.parametrize("vocabulary", [VOCABULARY, MERGED], ids=["bytes", "merged"])
def test_a_laid_out_schema_keeps_the_laws(layout: str, vocabulary: Vocabulary) -> None:
    check_constraint(json_schema(BEAR, layout).compile(vocabulary), vocabulary, states=40, canonical=True)


@pytest.mark.parametrize("layout", ["indent=0", "indent=9", "indent=", "indent= 2", "free", 2, None])
def test_a_layout_that_does_not_exist_is_refused(layout: Any) -> None:
    with pytest.raises(BadOption, match="indent=2"):
        json_schema(BEAR, layout)


def test_whitespace_around_a_scalar_is_no_question() -> None:
    constraint = json_schema({"enum": ["a", 1]}).compile(VOCABULARY)
    assert [accepts(constraint, VOCABULARY, text) for text in ('"a"', "1", ' "a"', "1\n")] == [True, True, False, False]


def test_a_line_that_nothing_may_stand_in_is_not_begun_by_a_token_with_its_spaces_either() -> None:
    constraint = json_schema({"type": "array", "items": {"const": {"b": 1}}, "maxItems": 0}, "model").compile(MERGED)
    inside = constraint.advance(constraint.start(), ord("["))
    indents = [token for token in range(MERGED.size) if MERGED.token_bytes(token).startswith(b"\n")]
    assert any(MERGED.token_bytes(token).endswith(b" ") for token in indents), "else this tests nothing"
    assert all(constraint.advance(inside, token) is None for token in indents)
