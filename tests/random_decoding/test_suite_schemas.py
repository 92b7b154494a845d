"""Random texts by the schemas of the JSON Schema Test Suite are valid."""

from __future__ import annotations

import random
from functools import cache
from typing import Any

import pytest
from conformance.suite import Group, groups, located, registry
from random_decoding.checks import JsonCheck, check_texts
from random_decoding.chooser import VOCABULARIES

from decodeplug.constraints import json_schema

LAYOUTS = ("model", "spaced", "compact", "indent=2", "any")
SHARE = 16  # of how many schemas the fast tests take one
FOLDERS = [(draft, part) for draft in ("2020-12", "7") for part in ("required", "format")]
SLOW = {"dynamicRef"}
"""Looking for a first text takes half a minute where hardly any text is valid."""


@cache
def suite(draft: str, part: str) -> tuple[list[Group], Any]:
    folder = located()
    return list(groups(folder, draft, part)), registry(folder, draft)


def whole_texts(group: Group, remotes: Any, seed: int, count: int) -> int | None:
    """How many texts of a schema were whole, all of them valid; None if it is refused."""
    chance = random.Random(f"{group.name} {seed}")
    options: dict[str, Any] = {
        "layout": chance.choice(LAYOUTS),
        "key_order": chance.choice(["schema", "any"]),
        "formats": group.formats,
    }
    vocabulary = chance.choice(list(VOCABULARIES))
    check = JsonCheck(group.schema, group.draft, asserts=group.formats == "assert", registry=remotes)

    def make() -> Any:
        return json_schema(group.schema, draft=group.draft, registry=remotes, **options)

    try:
        return check_texts(make, check, VOCABULARIES[vocabulary], chance, count)
    except Exception as error:
        error.add_note(f"{group.name}: {group.schema}, {options}, {vocabulary}")
        raise


def check_all(chosen: list[Group], remotes: Any, seeds: range, count: int) -> None:
    found = [whole_texts(group, remotes, seed, count) for group in chosen for seed in seeds]
    taken = [whole for whole in found if whole is not None]
    assert len(taken) >= len(found) // 3, "else this tests little"
    assert sum(taken) > count * len(taken) * 0.9, "most texts are finished"


@pytest.mark.parametrize(("draft", "part"), FOLDERS)
def test_random_texts_of_some_schemas_of_the_suite_are_valid(draft: str, part: str) -> None:
    known, remotes = suite(draft, part)
    share = SHARE if part == "required" else SHARE // 4
    asked = [group for group in known if group.keyword not in SLOW]
    check_all(asked[3::share], remotes, range(1), 3)


@pytest.mark.slow
@pytest.mark.parametrize("eighth", range(8))
@pytest.mark.parametrize(("draft", "part"), FOLDERS)
def test_random_texts_of_every_schema_of_the_suite_are_valid(draft: str, part: str, eighth: int) -> None:
    known, remotes = suite(draft, part)
    check_all(known[eighth::8], remotes, range(1, 3), 4)
