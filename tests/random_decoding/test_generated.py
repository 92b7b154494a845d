"""Random texts by schemas and patterns that are made at random are valid."""

from __future__ import annotations

import json
import random
import re
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, Verbosity, given, seed, settings
from random_decoding.checks import JsonCheck, check_texts
from random_decoding.chooser import VOCABULARIES
from random_decoding.patterns import any_patterns
from random_decoding.schemas import any_schemas

from decodeplug.constraints import json_schema, regex

LAYOUTS = ("model", "spaced", "compact", "indent=2", "any")
TEXTS = 4  # of each schema or pattern


def examples(count: int) -> settings:
    """So many examples. What fails is not made smaller: that would take an hour."""
    return settings(
        max_examples=count,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        verbosity=Verbosity.normal,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.large_base_example],
    )


def whole_texts_of_schema(schema: Any, layout: str | None = None) -> int | None:
    """How many texts were whole, all of them valid; None if the schema is refused."""
    chance = random.Random(json.dumps(schema))
    options: dict[str, Any] = {
        "layout": layout or chance.choice(LAYOUTS),
        "key_order": chance.choice(["schema", "any"]),
        "formats": chance.choice(["assert", "annotate"]),
    }
    vocabulary = chance.choice(list(VOCABULARIES))
    check = JsonCheck(schema, asserts=options["formats"] == "assert")
    try:
        return check_texts(lambda: json_schema(schema, **options), check, VOCABULARIES[vocabulary], chance, TEXTS)
    except Exception as error:
        error.add_note(f"{options}, {vocabulary}")
        raise


def whole_texts_of_pattern(pattern: str) -> int | None:
    chance = random.Random(pattern)
    vocabulary = VOCABULARIES[chance.choice(list(VOCABULARIES))]

    def check(text: str) -> None:
        assert re.fullmatch(pattern, text), f"{text!r} does not match"

    return check_texts(lambda: regex(pattern), check, vocabulary, chance, TEXTS, may_be_cut=True)


def check_generated(strategy: Any, whole_texts: Any, count: int, least: float, part: int = 0) -> None:
    """Hold random texts of generated examples against what they were made by.

    :param whole_texts: Checks an example; how many of its texts were whole, or None if it is refused.
    :param least: Share of the examples that must not be refused. :param part: Other examples for each number.
    """
    found: list[int | None] = []

    @seed(part)
    @examples(count)
    @given(strategy)
    def tried(example: Any) -> None:
        found.append(whole_texts(example))

    tried()
    taken = [whole for whole in found if whole is not None]
    assert len(taken) > least * count, "few may be refused"
    assert sum(taken) > 0.95 * TEXTS * len(taken), "and next to none of the texts cut"


def test_random_texts_of_generated_schemas_are_valid() -> None:
    check_generated(any_schemas(depth=1), whole_texts_of_schema, 60, 0.8)


def test_random_texts_of_generated_patterns_match() -> None:
    check_generated(any_patterns(depth=1), whole_texts_of_pattern, 60, 0.7)


@pytest.mark.slow
@pytest.mark.parametrize("layout", LAYOUTS)
def test_random_texts_of_many_generated_schemas_are_valid(layout: str) -> None:
    check_generated(any_schemas(), lambda schema: whole_texts_of_schema(schema, layout), 250, 0.8)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(4))
def test_random_texts_of_many_generated_patterns_match(part: int) -> None:
    check_generated(any_patterns(), whole_texts_of_pattern, 125, 0.7, part)
