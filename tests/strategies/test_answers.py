"""The forms of ``answer=``, and when two answers are the same."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import pytest
from pydantic import BaseModel
from strategies.written_paths import path

from decodeplug.errors import BadOption
from decodeplug.strategies.answers import key_of, reader_of


class Bill(BaseModel):
    total: int
    items: list[str] = []


@dataclasses.dataclass
class Point:
    x: int


@pytest.mark.parametrize(
    ("pattern", "text", "answer"),
    [
        (r"\d+", "first 3, then 14", "14"),
        (r"is (\d+)", "it is 3, no, it is 14, not 15", "14"),
        (r"is (?P<n>.*)", "it is  seven  ", "seven"),
        (r"(a)|b", "a b", None),
        (r"\d+", "none at all", None),
        (r" *$", "text", None),
        (re.compile("THE (..)", re.IGNORECASE), "the ab", "ab"),
    ],
)
def test_a_pattern_gives_its_last_match_or_group_1_of_it(pattern: Any, text: str, answer: str | None) -> None:
    assert reader_of(pattern)(path(text)) == answer


@pytest.mark.parametrize(
    ("pointer", "text", "value", "answer"),
    [
        ("/a", '{"a": 3}', None, 3),
        ("/a/1/b", '{"a": [0, {"b": "x"}]}', None, "x"),
        ("/a~1b/~0", '{"a/b": {"~": true}}', None, True),
        ("/0", "[5]", None, 5),
        ("/", '{"": 4}', None, 4),
        ("/total", "anything", Bill(total=7), 7),
        ("/x", "anything", Point(2), 2),
        ("/a", "prose", None, None),
        ("/b", '{"a": 3}', None, None),
        ("/-1", "[5]", None, None),
        ("/2", "[5]", None, None),
        ("/a/b", '{"a": 3}', None, None),
        ("/a", '{"a": 3}', '{"a": 3}', 3),
    ],
)
def test_a_pointer_finds_its_place_in_the_value_or_in_the_text(
    pointer: str, text: str, value: Any, answer: Any
) -> None:
    assert reader_of(pointer)(path(text, value=value)) == answer


def test_a_function_is_asked_and_without_anything_the_value_counts() -> None:
    assert reader_of(lambda result: len(result.text))(path("four")) == 4
    assert reader_of(None)(path("7", value={"a": 7})) == {"a": 7}


@pytest.mark.parametrize(("answer", "says"), [("(", "a regular expression: "), (7, "a function of a Result")])
def test_what_is_no_form_of_an_answer_is_refused(answer: Any, says: str) -> None:
    with pytest.raises(BadOption, match=says):
        reader_of(answer)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"a": 1, "b": [2]}, {"b": [2.0], "a": 1}),
        ([1, {"x": None}], [1.0, {"x": None}]),
        (Bill(total=1), Bill(total=1)),
        (Point(3), Point(3)),
        ({"b", "a"}, {"a", "b"}),
        (4, 4.0),
        ("x", "x"),
    ],
)
def test_the_same_answer_is_the_same_however_it_is_written(one: Any, other: Any) -> None:
    assert key_of(one) == key_of(other)


@pytest.mark.parametrize(("one", "other"), [(True, 1), ({"a": 1}, {"a": 2}), ([1, 2], [2, 1]), ("1", 1), ([], {})])
def test_other_answers_are_others(one: Any, other: Any) -> None:
    assert key_of(one) != key_of(other)


def test_what_is_neither_hashable_nor_plain_data_cannot_be_compared() -> None:
    with pytest.raises(TypeError, match="an answer of type list is neither hashable nor JSON"):
        key_of([object()])
