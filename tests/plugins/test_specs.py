"""How a part and its options are written in one line."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from decodeplug.errors import BadOption
from decodeplug.spec import FIRST, Spec


def parsed(line: str) -> dict[str, object]:
    return {name: value.parsed for name, value in Spec.of(line).options.items()}


@pytest.mark.parametrize(
    ("line", "options"),
    [
        ("min-p", {}),
        ("top-p=0.9", {FIRST: 0.9}),
        ("top-k=50,min_tokens_to_keep=2", {FIRST: 50, "min_tokens_to_keep": 2}),
        ("top-k=k=50, min-tokens-to-keep = 2 ", {"k": 50, "min_tokens_to_keep": 2}),
        ("x=true,b=null,c=-1e3", {FIRST: True, "b": None, "c": -1000.0}),
        ('x="a, b=c",d=[1, [2, 3]],e={"12": 1.5}', {FIRST: "a, b=c", "d": [1, [2, 3]], "e": {"12": 1.5}}),
        ("regex=[0-9]+ 3", {FIRST: "[0-9]+ 3"}),
        ("regex=[0]+", {FIRST: "[0]+"}),
        ("x=50abc,y=word", {FIRST: "50abc", "y": "word"}),
    ],
)
def test_a_line_is_read_as_the_options_it_says(line: str, options: dict[str, object]) -> None:
    assert parsed(line) == options


@given(
    st.dictionaries(
        st.from_regex(r"[a-z_]{1,8}", fullmatch=True),
        st.text() | st.floats(allow_nan=False) | st.lists(st.integers()),
        min_size=1,
    )
)
def test_options_written_as_json_come_back_as_they_were(options: dict[str, object]) -> None:
    line = "part=" + ",".join(f"{name}={json.dumps(value)}" for name, value in options.items())
    assert parsed(line) == options


@given(st.text() | st.from_regex(r"[a-z=,\[\]{}\"\\ 0-9.-]{0,20}", fullmatch=True))
def test_any_line_is_read_or_refused_and_nothing_else_happens(line: str) -> None:
    with contextlib.suppress(BadOption):
        assert isinstance(Spec.of(line), Spec)


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("", "a name"),
        ("=3", "a name"),
        ("top-p=", "a value after each equals sign"),
        ("top-k=50,", "a name for every option"),
        ("top-k=50,60", "a name for every option"),
        ("top-k=k=1,k=2", "k only once"),
        ('x="open', "a closing double quote"),
        ('x="a"b', "a closing double quote"),
    ],
)
def test_a_line_that_cannot_be_read_says_what_was_wanted(line: str, wanted: str) -> None:
    with pytest.raises(BadOption, match=wanted):
        Spec.of(line)


def test_a_mapping_says_the_same_as_a_line() -> None:
    assert Spec.of({"name": "top_k", "min-tokens-to-keep": 2}).name == Spec.of("top-k").name
    assert {k: v.parsed for k, v in Spec.of({"name": "top-k", "min-tokens": 2}).options.items()} == {"min_tokens": 2}


@pytest.mark.parametrize("mapping", [{}, {"k": 1}, {"name": 3}, {"name": " "}])
def test_a_mapping_without_a_name_is_refused(mapping: dict[str, object]) -> None:
    with pytest.raises(BadOption, match="'name'"):
        Spec.of(mapping)
