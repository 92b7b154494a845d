"""Ends of begun JSON, after the pattern of a whole value."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from decodeplug.constraints.completion import completions

LAYOUTS: dict[str, dict[str, Any]] = {
    "spaced": {},
    "compact": {"separators": (",", ":")},
    "lines of 2": {"indent": 2},
    "lines of 4": {"indent": 4},
}
SCALARS = st.none() | st.booleans() | st.integers(-1000, 1000) | st.floats(-5, 5, width=16) | st.text(max_size=4)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
)


@pytest.mark.parametrize("layout", LAYOUTS)
@given(value=VALUES, data=st.data())
def test_a_text_that_follows_its_pattern_ends_like_it(layout: str, value: Any, data: st.DataObject) -> None:
    text = json.dumps(value, ensure_ascii=False, **LAYOUTS[layout]).encode()
    # Before the first line says how wide a step is, nobody knows that there will be lines.
    decided = text.index(b"\n") + 1 + LAYOUTS[layout].get("indent", 0) if b"\n" in text else 0
    cut = data.draw(st.integers(min(decided, len(text) - 1), len(text) - 1))
    if text[cut] & 0xC0 == 0x80:  # within a character: the ends go on behind it
        return

    assert text[cut:] in list(completions(text[:cut], value))


@given(value=VALUES, other=VALUES, data=st.data())
def test_every_end_makes_json_whatever_the_pattern(value: Any, other: Any, data: st.DataObject) -> None:
    text = json.dumps(value).encode()
    begun = text[: data.draw(st.integers(0, len(text) - 1))]
    ends = list(completions(begun, other, (b'"hint"', b"12")))

    whole = [end for end in ends if _is_json(begun + end)]
    is_cut_in_escape = b"\\u" in begun[-5:]
    assert whole or is_cut_in_escape or _is_json(begun)


def _is_json(text: bytes) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


PERSON = {"name": "Ann", "age": 3, "tags": ["x", "y"]}
CASES: list[tuple[bytes, bytes]] = [
    (b'{"age": 4, "na', b'me": "Ann", "tags": ["x", "y"]}'),
    (b'{"tags": ["q', b'", "y"], "name": "Ann", "age": 3}'),
    (b'{"tags":["q","r"],', b'"name":"Ann","age":3}'),
    (b'{"hello": ', b'"", "name": "Ann", "age": 3, "tags": ["x", "y"]}'),
    (b'{\n   "age": 4', b',\n   "name": "Ann",\n   "tags": [\n      "x",\n      "y"\n   ]\n}'),
    (b'{"other', b'": 0, "name": "Ann", "age": 3, "tags": ["x", "y"]}'),
    (b'{"name": "A\\', b'n", "age": 3, "tags": ["x", "y"]}'),
]


@pytest.mark.parametrize(("text", "end"), CASES)
def test_what_the_pattern_has_besides_comes_behind(text: bytes, end: bytes) -> None:
    assert end in list(completions(text, PERSON))


def test_hints_are_keys_and_values() -> None:
    assert b'es": 0, "name": "Ann", "age": 3, "tags": []}' in list(
        completions(b'{"y', {**PERSON, "tags": []}, (b'"yes"',))
    )
    assert b"true]" in list(completions(b"[1, ", None))
    assert b'llow"]' in list(completions(b'["ye', None, (b'"yellow"',)))


@pytest.mark.parametrize("text", [b'{"a": 1}', b"}", b", 1", b"3 ,"])
def test_what_is_whole_or_no_json_has_no_end(text: bytes) -> None:
    assert list(completions(text, {"a": 1})) == []
