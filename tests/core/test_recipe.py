"""Recipes: what is written down reads back, and what is no recipe says so."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from decodeplug.errors import BadOption
from decodeplug.recipe import Recipe

SCALARS = st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4), max_leaves=12
)


@given(arguments=st.dictionaries(st.text(), VALUES, max_size=4))
def test_toml_reads_back_as_it_was(arguments: dict[str, Any]) -> None:
    recipe = Recipe({"chat_template_kwargs": arguments})
    back = Recipe.from_toml(recipe.to_toml()).to_dict()
    assert back == recipe.to_dict()
    assert json.dumps(back, sort_keys=True) == json.dumps(recipe.to_dict(), sort_keys=True)  # 1, 1.0 and true differ


def test_del_in_a_string_or_a_key_reads_back() -> None:
    recipe = Recipe({"stop": ["a\x7fb"], "chat_template_kwargs": {"\x7f": "\\\x7f"}})
    assert "\x7f" not in recipe.to_toml()
    assert Recipe.from_toml(recipe.to_toml()) == recipe


@pytest.mark.parametrize("value", [None, [None], {"a": None}, "\ud800"])
def test_what_toml_cannot_hold_is_refused(value: Any) -> None:
    with pytest.raises(BadOption, match="use JSON"):
        Recipe({"chat_template_kwargs": {"x": value}}).to_toml()


@pytest.mark.parametrize("data", [{"prompt": "x"}, {"wanted": 1}, {1: 2}, {"nosuch": 1}, [1], ["ab"], "text", None])
def test_what_is_no_mapping_of_options_is_a_bad_option(data: Any) -> None:
    with pytest.raises(BadOption, match="wanted"):
        Recipe.from_dict(data)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("r.json", b"[1, 2]", "a mapping"),
        ("r.json", b"{", "JSON"),
        ("r.json", b'{"stop": "\xff"}', "UTF-8"),
        ("r.toml", b"stop = '\xff'", "UTF-8"),
        ("r.toml", b"stop = ", "TOML"),
        ("r.toml", b"seed = 2024-01-01", "plain data"),
    ],
)
def test_a_file_that_is_no_recipe_is_a_bad_option(tmp_path: Path, name: str, content: bytes, says: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(BadOption, match=says):
        Recipe.load(tmp_path / name)
