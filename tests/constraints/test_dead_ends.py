"""Dead ends of combined constraints: what is foreseen, and what becomes of the rest."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar

import pytest
import torch
from constraints.opaque import Opaque

from decodeplug import Host, Request
from decodeplug.constraints import json_schema, product, regex
from decodeplug.errors import Unsatisfiable
from decodeplug.testing import bpe_tokenizer, byte_tokenizer, tiny_model
from decodeplug.values import Draft, LaneView, Seen, Stage
from decodeplug.vocabulary import Vocabulary

BYTES = Vocabulary(byte_tokenizer(), 300, {258})
BPE = Vocabulary(bpe_tokenizer(), 600, {514})
BEAR = {
    "type": "object",
    "properties": {"name": {"enum": ["Bruno", "Ada", "the bear"]}, "age": {"type": "integer", "minimum": 0}},
    "required": ["name", "age"],
    "additionalProperties": False,
}
SHORT = regex(r"(?s).{0,28}")


@cache
def host() -> Host:
    tokenizer = bpe_tokenizer()
    return Host(tiny_model(vocab=len(tokenizer)), tokenizer, plugins=[])


# Both go on for ever with any letters; only later do they turn out to have no text in common.
DOOMED = product(Opaque(regex("[a-z ]{8}1")), Opaque(regex("[a-z ]{8}2")))


@pytest.mark.parametrize("drafters", [[], ["forced", "lookup=min_ngram=1"]])
def test_a_dead_end_that_could_not_be_foreseen_ends_the_request_and_no_other(drafters: list[str]) -> None:
    requests = [
        Request("The bear ", constraint=DOOMED, drafters=drafters, max_new_tokens=30),
        Request("The bear ", constraint=regex("[ab]{6}"), max_new_tokens=30),
    ]
    doomed, fine = host().generate_batch(requests, return_errors=True)
    assert doomed.finish_reason == "error"
    assert isinstance(doomed.error, Unsatisfiable)
    assert re.fullmatch("[ab]{6}", fine.text)


def test_a_dead_end_is_named() -> None:
    with pytest.raises(
        Unsatisfiable,
        match=r"nothing can satisfy the product of opaque, opaque: after .+ tokens no id may follow, and the text may not end",
    ):
        host().generate("The bear ", constraint=DOOMED, max_new_tokens=30)


@dataclass(frozen=True)
class OffTheTrack:
    """Proposes a text that the constraint allows for a while, and after which nothing may follow."""

    name: ClassVar[str] = "off-the-track"
    prior: ClassVar[float] = 0.9

    def draft(self, lane: LaneView, room: int) -> Draft:
        tokens = tuple(BPE.encode("abcdefgh")[:room])
        return Draft(tokens, (self.name,) * len(tokens))


def test_a_draft_that_runs_into_a_dead_end_changes_nothing() -> None:
    spec = product(Opaque(regex("x+|[a-h]{8}1")), Opaque(regex("x+|[a-h]{8}2")))
    state: Any = (constraint := spec.compile(BPE)).start()
    for token in BPE.encode("abcdefgh"):
        state = constraint.advance(state, token)
    assert not constraint.allowed(state).any()
    options: dict[str, Any] = {"constraint": spec, "max_new_tokens": 6, "processors": [FavourX()]}
    plain = host().generate("The bear ", drafters=[], **options)
    drafted = host().generate("The bear ", drafters=[OffTheTrack()], **options)
    assert drafted.token_ids == plain.token_ids
    assert set(plain.text) == {"x"}


@dataclass(frozen=True)
class FavourX:
    stage: ClassVar[Stage] = Stage.PENALTY
    keeps_argmax: ClassVar[bool] = False

    def __call__(self, scores: torch.Tensor, seen: Seen) -> torch.Tensor:
        favoured = scores.clone()
        favoured[:, ord("x")] += 1000.0
        return favoured


def test_a_host_writes_what_a_combination_says() -> None:
    bear = host().generate("A bear: ", constraint=product(json_schema(BEAR), SHORT), max_new_tokens=40)
    assert bear.value is not None
    assert bear.value[0]["name"] in ("Bruno", "Ada", "the bear")
    assert len(bear.value[1]) <= 28
    recipe = {"name": "union", "parts": [{"name": "choice", "options": ["yes"]}, {"name": "regex", "pattern": "no+"}]}
    assert host().generate("Well? ", constraint=recipe, max_new_tokens=8).text[:2] in ("ye", "no")
