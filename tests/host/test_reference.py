"""``reference=``: texts that the output may repeat. They change the speed alone, and are never ignored in silence."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import pytest
import torch

from decodeplug import Host, Recipe, Request, regex
from decodeplug.drafters import Chain, Lookup, NoDrafts
from decodeplug.errors import BadOption, PluginError, VocabularyMismatch
from decodeplug.plugin import Draft, LaneView, Opening
from decodeplug.testing import tiny_model

PROMPT = "The bear "
NO_DRAFTER = NoDrafts()
UNUSED = "the reference is not used: none of the drafters looks at it"


@dataclass(frozen=True)
class Opens:
    """A drafter that notes what it is told of a request, and gives it what it was made with."""

    gives: Any = NO_DRAFTER
    told: list[Opening] = field(default_factory=list)
    name: ClassVar[str] = "opens"
    prior: ClassVar[float] = 0.5

    def open(self, request: Opening) -> Any:
        self.told.append(request)
        if isinstance(self.gives, Exception):
            raise self.gives
        return self.gives

    def draft(self, lane: LaneView, room: int) -> Draft:
        raise AssertionError("the one that it gave is asked instead")


@pytest.mark.parametrize("form", ["ids", "list of ids", "tensor"])
def test_a_reference_that_the_output_repeats_saves_forwards(model: Any, tokenizer: Any, form: str) -> None:
    with Host(model, tokenizer, plugins=[]) as host:  # one that has not measured yet what drafts cost
        plain = host.generate(PROMPT, max_new_tokens=60, drafters=[])
        ids = plain.token_ids
        forms = {"ids": ids, "list of ids": [[1, 2], ids], "tensor": torch.tensor([ids])}
        helped = host.generate(PROMPT, max_new_tokens=60, reference=forms[form])
    assert helped.token_ids == plain.token_ids
    assert helped.trace.forwards < plain.trace.forwards == len(plain.token_ids)


def test_a_drafter_is_told_of_a_request_before_its_first_token(host: Host) -> None:
    text, drafter = "The red bear reads a book.", Opens()
    result = host.generate(PROMPT, reference=[text, [3, 4], ""], drafters=[drafter], max_new_tokens=2)
    (told,) = drafter.told
    ids = host.tokenizer(text, add_special_tokens=False)["input_ids"]
    assert told.prompt == tuple(result.prompt_ids)
    assert told.references == (tuple(ids), (3, 4))
    assert told.encode is not None
    assert told.encode(text) == ids
    assert result.trace.drafters == ("opens",)


@pytest.mark.parametrize(
    ("options", "drafters"),
    [
        ({"reference": "a bear"}, ("lookup",)),
        ({"reference": "a bear", "constraint": regex("[a-z ]{1,20}")}, ("forced", "lookup")),
        ({"reference": ["", []]}, ()),
        ({"reference": None}, ()),
        ({}, ()),
    ],
)
def test_a_request_that_names_no_drafter_gets_one_that_uses_its_reference(
    host: Host, options: dict[str, Any], drafters: tuple[str, ...]
) -> None:
    trace = host.generate(PROMPT, max_new_tokens=24, **options).trace
    assert trace.drafters == drafters
    assert UNUSED not in trace.notes


@pytest.mark.parametrize(
    ("drafters", "is_used"),
    [
        ([], False),
        (["none"], False),
        (["forced"], False),
        ([Opens()], False),
        ([Chain([Chain([])])], False),
        (["lookup"], True),
        (["forced", "lookup"], True),
        ([Chain([Lookup()])], True),
    ],
    ids=str,
)
def test_the_trace_says_that_no_drafter_looks_at_the_reference(host: Host, drafters: list[Any], is_used: bool) -> None:
    trace = host.generate(PROMPT, reference="a bear", drafters=drafters, max_new_tokens=2).trace
    assert trace.notes == ([] if is_used else [UNUSED])


def test_where_the_model_cannot_take_drafts_back_the_trace_says_so(tokenizer: Any) -> None:
    with Host(tiny_model("mamba", vocab=len(tokenizer)), tokenizer, plugins=[]) as host:
        trace = host.generate(PROMPT, reference="a bear", max_new_tokens=2).trace
    assert trace.notes == ["no drafts: the state of this model cannot be rewound"]


@pytest.mark.parametrize("reference", [7, 1.5, b"text", {"a": 1}, [None], ["a", 1], [[1, "a"]], [True], [[1.0]], {"a"}])
def test_what_is_no_reference_is_refused(reference: Any) -> None:
    with pytest.raises(BadOption, match="a text, token ids, or a list of these") as caught:
        Request(PROMPT, reference=reference)
    assert set(caught.value.options) == {"reference"}


def test_ids_that_the_model_does_not_know_are_refused_also_where_no_drafter_looks(host: Host) -> None:
    with pytest.raises(BadOption, match="ids from 0 to"):
        host.generate(PROMPT, reference=[[1, 10**6]], drafters=[], max_new_tokens=2)


def test_a_host_without_tokenizer_takes_ids_alone(model: Any) -> None:
    with Host(model, plugins=[]) as host:
        assert host.generate([1, 2], reference=[5, 6, 7], max_new_tokens=2).trace.drafters == ("lookup",)
        with pytest.raises(BadOption, match="token ids, since this host has no tokenizer"):
            host.generate([1, 2], reference="a bear", max_new_tokens=2)


def test_a_text_that_the_tokenizer_refuses_is_a_bad_option(host: Host) -> None:
    with pytest.raises(BadOption, match="a text that the tokenizer takes"):
        host.generate(PROMPT, reference="\ud800", max_new_tokens=2)


def test_a_recipe_can_say_it(host: Host) -> None:
    recipe = Recipe.from_toml('reference = ["The bear reads.", "a book"]')
    assert Recipe.from_toml(recipe.to_toml()) == recipe
    request = Request(PROMPT, **recipe.options)
    assert request.reference == ("The bear reads.", "a book")
    assert Request(PROMPT, **request.options) == request
    assert host.generate(PROMPT, max_new_tokens=2, **recipe.options).trace.drafters == ("lookup",)


def test_every_row_of_a_batch_and_every_hypothesis_has_its_own_memory(host: Host) -> None:
    rows = [Request(f"{PROMPT}{row}", reference=f"{row} reads", max_new_tokens=30, seed=row) for row in range(3)]
    rows.append(Request(PROMPT, strategy="sample", num_return_sequences=3, reference=PROMPT, max_new_tokens=30, seed=5))
    plain = [Request(row.prompt, **{**row.options, "drafters": []}) for row in rows]
    texts = [[r.token_ids for r in (result, *result.alternatives)] for result in host.generate_batch(rows)]
    assert texts == [[r.token_ids for r in (result, *result.alternatives)] for result in host.generate_batch(plain)]


@pytest.mark.parametrize("nested", [False, True])
def test_a_drafter_that_fails_to_open_is_named(host: Host, nested: bool) -> None:
    for gives, says in ((KeyError("lost"), "KeyError: 'lost'"), (3, "returned int where a drafter was wanted")):
        drafter = Chain([Opens(gives)]) if nested else Opens(gives)
        with pytest.raises(PluginError, match=says) as caught:
            host.generate(PROMPT, drafters=[drafter], max_new_tokens=2)
        assert (caught.value.part, caught.value.call) == ("opens", "open")


def test_an_error_of_ours_that_a_drafter_raises_when_it_is_opened_stays_what_it_is(host: Host) -> None:
    with pytest.raises(VocabularyMismatch):
        host.generate(PROMPT, drafters=[Opens(VocabularyMismatch(5, 4, because="no"))], max_new_tokens=2)
