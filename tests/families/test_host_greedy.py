"""A host's greedy text is that of ``generate()``, family by family: alone, and in a ragged batch of three."""

from __future__ import annotations

import contextlib

import pytest
from families.outcome import CANNOT_BE_BUILT, CI, REFUSED
from families.precision import StaysInFloat64
from families.walk import generated, prompts

from decodeplug import Host, Request
from decodeplug.testing.families import families, family_model
from decodeplug.testing.recipes import FLOAT32_ONLY

NEW_TOKENS = 10
ABLE = [family for family in families() if family not in (*CANNOT_BE_BUILT, *REFUSED)]


@pytest.mark.parametrize(
    "family", [pytest.param(family, marks=[] if family in CI else [pytest.mark.slow]) for family in ABLE]
)
def test_greedy_is_generate_alone_and_in_a_ragged_batch(family: str) -> None:
    with contextlib.nullcontext() if family in FLOAT32_ONLY else StaysInFloat64():
        model = family_model(family)
        expected = [generated(model, prompt, NEW_TOKENS)[0][len(prompt) :] for prompt in prompts()]
        host = Host(model, plugins=[])
        # These models go on after an end id, as the truth does: they have none in their config.
        requests = [Request(prompt, max_new_tokens=NEW_TOKENS) for prompt in prompts()]
        assert [host.generate_batch([request])[0].token_ids for request in requests] == expected
        assert [result.token_ids for result in host.generate_batch(requests)] == expected
