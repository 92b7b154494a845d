"""Whatever the masks let somebody write, the last judge accepts."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from decodeplug.plugin import Constraint, ConstraintSpec, InvalidResult
from vocabularies import PIECES

from decodeplug_xgrammar import json_schema

ENFORCED: dict[str, list[Any]] = json.loads(Path(__file__).with_name("enforced.json").read_text(encoding="utf-8"))


def written(constraint: Constraint, chance: random.Random) -> bytes | None:
    """A text by a walk over the masks; None if it got too long, or to a place where no token goes on."""
    text, state = b"", constraint.start()
    for _ in range(120):
        if constraint.is_accepting(state) and (chance.random() < 0.3 or constraint.is_complete(state)):
            return text
        choices = constraint.allowed(state).nonzero()[:, 0].tolist()
        chance.shuffle(choices)
        if chance.random() < 0.3:
            choices.sort(key=lambda token: PIECES.token_bytes(token)[:1] not in (b'"', b"}", b"]"))
        steps = ((token, constraint.advance(state, token)) for token in choices)
        token, following = next((step for step in steps if step[1] is not None), (0, None))
        if following is None:
            return text if constraint.is_accepting(state) else None
        state = following
        text += PIECES.token_bytes(token)
    return None


def refusal(spec: ConstraintSpec, text: str) -> str:
    """What the last judge says against a text; empty if nothing."""
    try:
        spec.value(text)
    except InvalidResult as error:
        return error.because
    return ""


@pytest.mark.parametrize("keyword", ENFORCED)
@pytest.mark.parametrize("layout", ["model", "spaced", "compact", "any"])
def test_what_is_written_is_valid(keyword: str, layout: str) -> None:
    finished = 0
    for schema in ENFORCED[keyword]:
        spec = json_schema(schema, layout)
        constraint = spec.compile(PIECES)
        for seed in range(8):
            text = written(constraint, random.Random(seed))
            if text is None:
                continue
            finished += 1
            assert refusal(spec, text.decode()) == "", (schema, text)
    assert finished > len(ENFORCED[keyword])
