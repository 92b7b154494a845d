"""The meter lets stacks pass whose drafter has a model: an assistant, heads, modules; by matching and by rejection."""

from __future__ import annotations

from typing import Any

import pytest
from drafters.native_families import native_modules
from heads.guessing import random_heads

from decodeplug import Host
from decodeplug.drafters import HeadDrafts, NativeDrafts
from decodeplug.testing import bpe_tokenizer, like, tiny_model, verify_lossless

GRAMMAR = {"name": "lark", "source": 'start: /[a-f]/ " " /[a-f]/ "."'}


def stack(name: str) -> tuple[Host, dict[str, Any]]:
    """A host, and the options that name the drafter."""
    tokenizer = bpe_tokenizer()
    kind = "deepseek" if name == "modules" else "llama"
    model: Any = tiny_model(kind, vocab=len(tokenizer), layers=1, num_mtp_layers=2)
    parts: dict[str, Any] = {
        "assistant": lambda: {"drafters": ["assistant=num_tokens=2"], "assistant": like(model, strength=0.8)},
        "heads": lambda: {"drafters": [HeadDrafts(heads=random_heads(model, "recurrent"), num_tokens=3)]},
        "modules": lambda: {"drafters": [NativeDrafts(native_modules(model), num_tokens=2)]},
        "chain": lambda: {
            "drafters": ["forced", "lookup=min_ngram=1", "assistant=num_tokens=2"],
            "assistant": like(model, strength=0.8),
        },
    }
    return Host(model, tokenizer, plugins=[]), parts[name]()


@pytest.mark.parametrize("acceptance", ["match", "rejection"])
@pytest.mark.parametrize("name", ["assistant", "heads", "modules", "chain"])
def test_a_stack_with_a_drafter_that_has_a_model_passes(name: str, acceptance: str) -> None:
    host, drafting = stack(name)
    recipe = {
        "do_sample": True,
        "processors": ["top-k=3"],
        "constraint": GRAMMAR,
        "acceptance": acceptance,
        **drafting,
    }
    verdict = verify_lossless(host, recipe, samples=120, tokens=6, bound=0.3, batch=120)
    assert verdict.outcome == "pass", verdict
    assert 0 < verdict.kept < verdict.drafted
    assert (verdict.findings[-1].name == "same ids") == (acceptance == "match")
