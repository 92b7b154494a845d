"""Law 1: a draft changes the speed, never the text. One table, no cell left out."""

from __future__ import annotations

import itertools
import string
from collections import Counter
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, ClassVar

import pytest
import torch
from drafters.native_families import native_modules
from drafters.other_ids import with_other_ids
from heads.guessing import random_heads

from decodeplug import Host, IncompatibleParts, Request, choice, json_schema, lark, phases, product, regex, tools, union
from decodeplug.drafters import Assistant, HeadDrafts, NativeDrafts
from decodeplug.plugin import CharacterConstraint
from decodeplug.testing import bpe_tokenizer, like, tiny_model

SCHEMA = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 12},
        "age": {"type": "integer", "minimum": 0, "maximum": 99},
        "tags": {"type": "array", "items": {"enum": ["red", "green", "blue"]}, "maxItems": 3},
    },
    "required": ["name", "age", "tags"],
    "additionalProperties": False,
}
CHECKED = {
    "type": "array",
    "items": {"enum": ["red", "reed", "read", "blue", 1, 12, 2]},
    "uniqueItems": True,
    "minItems": 3,
    "maxItems": 6,
    "contains": {"const": 12},
}
TAGS = {"properties": {"tags": CHECKED}, "required": ["tags"]}


@dataclass(frozen=True)
class Nested(CharacterConstraint):
    """Lists of words in brackets, at most so many deep, and not more than so long."""

    deepest: int = 2
    longest: int = 40
    characters: ClassVar[str | None] = "[], " + string.ascii_lowercase

    def start(self) -> tuple[int, int]:
        return (0, 0)

    def step(self, state: tuple[int, int], char: str) -> tuple[int, int] | None:
        depth, length = state
        if length and not depth:
            return None
        depth += (char == "[") - (char == "]")
        fits = length + 1 + depth <= self.longest and 0 <= depth <= self.deepest and (length or char == "[")
        return (depth, length + 1) if fits else None

    def is_accepting(self, state: tuple[int, int]) -> bool:
        return state[0] == 0 < state[1]


CONSTRAINTS: dict[str, Any] = {
    "no constraint": None,
    "schema": json_schema(SCHEMA),
    "schema in one layout": json_schema(SCHEMA, "spaced"),
    "schema checked while writing": json_schema(CHECKED),
    "regex": regex(r"[0-9]{4}-[0-9]{2}-[0-9]{2}( [a-z]{2,8}){1,6}\."),
    "grammar": lark("tool_call"),
    "choice": choice(["the red bear", "the red bearing", "the other river", "a book about the moon and honey"]),
    "own": Nested(),
    "product": product(json_schema(SCHEMA), regex(r'(?s)\{"name": "[a-z]{0,8}", "age": [0-9], .{0,40}')),
    "phases": phases(json_schema(SCHEMA), marker=" so ", budget=14),
    "tools": tools([{"name": "read", "parameters": SCHEMA}, {"name": "sleep"}], choice="required", parallel=False),
    "tools, one special token": tools([{"name": "read", "parameters": SCHEMA}], choice="required", form="mistral"),
    "tools, judged, or free text": tools([{"name": "tag", "parameters": TAGS}], form="llama3"),
    "union": union(regex(r"the (red|blue) [a-z]{4,9}"), choice(["the red bear reads", "a book"]), json_schema(SCHEMA)),
}


@cache
def with_modules() -> Any:
    """A model that came with modules for multi-token prediction."""
    return tiny_model("deepseek", vocab=len(bpe_tokenizer()), padded_to=len(bpe_tokenizer()) + 1, num_mtp_layers=2)


def heads(kind: str) -> HeadDrafts:
    """Prediction heads of the model that nobody has trained."""
    model = tiny_model(vocab=len(bpe_tokenizer()), padded_to=len(bpe_tokenizer()) + 1)
    return HeadDrafts(heads=random_heads(model, kind, ids=torch.arange(len(bpe_tokenizer()))), num_tokens=3)


DRAFTERS: dict[str, list[Any]] = {
    "none": ["none"],
    "lookup": ["lookup=min_ngram=1"],
    "forced": ["forced"],
    "chain": ["forced", "lookup=min_ngram=1"],
    "assistant": ["assistant=num_tokens=3"],
    "chain with assistant": ["forced", "lookup=min_ngram=1", "assistant=num_tokens=2"],
    "assistant, length chosen": ["assistant"],
    "assistant of another tokenizer": ["forced", "assistant=num_tokens=3"],
    "heads": [heads("recurrent")],
    "chain with heads": ["forced", "lookup=min_ngram=1", heads("independent")],
    "mtp": [NativeDrafts(native_modules(with_modules()), num_tokens=2)],
}
SELECTIONS: dict[str, dict[str, Any]] = {
    "greedy": {"strategy": "greedy"},
    "sample": {"strategy": "sample", "processors": ["temperature=0.8", "top-p=0.95"]},
    "beam": {"strategy": "beam", "num_beams": 2, "num_return_sequences": 2},
}


@pytest.fixture(autouse=True)
def cheap_assistants(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the length is chosen, at a price that is no matter of the clock, and at which drafts are made."""
    monkeypatch.setattr(Assistant, "price", lambda self, lane: 0.02)


CACHES = ["dense", "paged=block_size=4", "none"]
"""Blocks so small that texts share some: a host keeps them from one test to the next."""
CELLS = list(itertools.product(SELECTIONS, DRAFTERS, CONSTRAINTS, CACHES, ["alone", "ragged batch of 5"]))
BRIEFLY = ["no constraint", "schema in one layout", "grammar", "choice"]
SAMPLED = ["heads", "chain with heads", "mtp", "assistant, length chosen", "assistant of another tokenizer"]
SLOW = [
    cell
    for cell in CELLS
    if (cell[1] in SAMPLED and (cell[2] not in BRIEFLY or cell[3] == "none"))
    or (cell[2] not in BRIEFLY and (cell[4] == "alone" or cell[3] != "dense") and cell[0] != "greedy")
    or (cell[2] not in BRIEFLY and cell[4] == "alone" and cell[3] != "dense")
    or (cell[0] != "greedy" and (cell[3], cell[4]) == (CACHES[1], "alone"))  # in a batch they always are
]
"""Every constraint is met with each cache by greedy texts in ragged batches; elsewhere by those that are enough to see a difference."""
REFUSED = [cell for cell in CELLS if cell[0] == "beam" and cell[1] not in ("none", "forced")]
PROMPTS = [
    "The red bear reads a book about the moon: ",
    '{"name": "Ada", "age": 4, "tags": ["red"]} and once more: ',
    "2024-01-31",
    "a",
    "Once there was a small bear who lived in the forest. She said: where is the river? There, the others said.",
]
BUDGET = 64


@cache
def host(drafter: str = "") -> Host:
    """That of the drafter, if it needs a model of its own."""
    tokenizer = bpe_tokenizer()
    if drafter == "mtp":
        model = with_modules()
    elif drafter:
        return host()
    else:
        model = tiny_model(vocab=len(tokenizer), padded_to=len(tokenizer) + 1)
    tokenizer.add_tokens(["[TOOL_CALLS]"], special_tokens=True)
    return Host(model, tokenizer, plugins=[])


def request(prompt: str, selection: str, constraint: str, drafter: str, cache_name: str, seed: int) -> Request:
    return Request(
        prompt,
        constraint=CONSTRAINTS[constraint],
        drafters=DRAFTERS[drafter],
        assistant=assistant(drafter) if "assistant" in drafter else None,
        cache=cache_name,
        seed=seed,
        max_new_tokens=BUDGET,
        **SELECTIONS[selection],
    )


@cache
def assistant(drafter: str) -> Any:
    """It often says the same as the model."""
    like_it = like(host().model, strength=0.6)
    return with_other_ids(like_it, bpe_tokenizer()) if "another" in drafter else like_it


@cache
def alone(host: Host, prompt: str, selection: str, constraint: str, seed: int) -> list[int]:
    """What nobody can doubt: no draft, no cache, no batch."""
    return host.generate_batch([request(prompt, selection, constraint, "none", "none", seed)])[0].token_ids


@pytest.mark.parametrize(
    ("selection", "drafter", "constraint", "cache_name", "batch"),
    [pytest.param(*cell, marks=[pytest.mark.slow] if cell in SLOW else []) for cell in CELLS if cell not in REFUSED],
)
def test_the_text_is_that_of_no_draft_no_cache_and_no_batch(
    selection: str, drafter: str, constraint: str, cache_name: str, batch: str
) -> None:
    rows = list(enumerate(PROMPTS))
    if batch == "alone":
        results = [
            host(drafter).generate_batch([request(prompt, selection, constraint, drafter, cache_name, seed)])[0]
            for seed, prompt in rows
        ]
    else:
        # Every row has another constraint, so that lanes with and without masks stand side by side.
        others = list(CONSTRAINTS)
        mixed = [others[(others.index(constraint) + row) % len(others)] for row, _ in rows]
        requests = [request(p, selection, mixed[s], drafter, cache_name, s) for s, p in rows]
        results = host(drafter).generate_batch(requests)
        assert [result.token_ids for result in results] == [
            alone(host(drafter), prompt, selection, mixed[seed], seed) for seed, prompt in rows
        ]
        return
    assert [result.token_ids for result in results] == [
        alone(host(drafter), prompt, selection, constraint, seed) for seed, prompt in rows
    ]


EIGHT = [*PROMPTS, "moon ", '{"name": "Bo", "age"', "the red bear, the red bear, the red "]


@pytest.mark.parametrize("selection", ["greedy", "sample"])
@pytest.mark.parametrize("drafter", DRAFTERS)
def test_eight_ragged_prompts_that_draft_at_once_get_each_the_text_that_it_gets_alone(
    drafter: str, selection: str
) -> None:
    rows = [(prompt, ["no constraint", "schema", "grammar"][row % 3], row) for row, prompt in enumerate(EIGHT)]
    together = host(drafter).generate_batch(
        [request(prompt, selection, constraint, drafter, "dense", seed) for prompt, constraint, seed in rows]
    )
    assert [result.token_ids for result in together] == [
        alone(host(drafter), prompt, selection, constraint, seed) for prompt, constraint, seed in rows
    ]


def _is_further(drafter: str, constraint: str, cache_name: str, batch: str) -> bool:
    also = drafter not in SAMPLED and cache_name == "dense" and batch != "alone"
    return cache_name == "none" or (cache_name, batch) == (CACHES[1], "alone") or not (constraint in BRIEFLY or also)


REJECTING = list(itertools.product(DRAFTERS, CONSTRAINTS, CACHES, ["alone", "ragged batch of 5"]))


@pytest.mark.parametrize(
    ("drafter", "constraint", "cache_name", "batch"),
    [pytest.param(*cell, marks=[pytest.mark.slow] if _is_further(*cell) else []) for cell in REJECTING],
)
def test_by_rejection_every_text_is_one_of_its_constraint(
    drafter: str, constraint: str, cache_name: str, batch: str
) -> None:
    """What law they follow is tested by enumeration (``test_sampling_follows_the_law``)."""
    names = list(CONSTRAINTS)
    mixed = [names[(names.index(constraint) + row) % len(names)] for row in range(len(PROMPTS))]
    requests = [
        replace(request(prompt, "sample", name, drafter, cache_name, seed), acceptance="rejection")
        for seed, (prompt, name) in enumerate(zip(PROMPTS, mixed, strict=True))
    ]
    if batch == "alone":
        requests, mixed = requests[:1], mixed[:1]
    results = host(drafter).generate_batch(requests)
    for result, name in zip(results, mixed, strict=True):
        assert result.token_ids
        if name == "phases":  # what comes before the marker is any bytes, counted in tokens: a text does not tell them
            assert result.value.keys() == SCHEMA["properties"].keys()
        elif name != "no constraint":
            assert host(drafter).accepts(CONSTRAINTS[name], result.text)


@pytest.mark.parametrize(("selection", "drafter", "constraint", "cache_name", "batch"), REFUSED)
def test_what_cannot_work_is_refused_before_the_first_token(
    selection: str, drafter: str, constraint: str, cache_name: str, batch: str
) -> None:
    rows = PROMPTS if batch != "alone" else PROMPTS[:1]
    requests = [request(prompt, selection, constraint, drafter, cache_name, 0) for prompt in rows]
    with pytest.raises(IncompatibleParts) as caught:
        host(drafter).generate_batch(requests)
    first = next(part for part in DRAFTERS[drafter] if part != "forced")
    culprit = first.partition("=")[0] if isinstance(first, str) else first.name
    assert (caught.value.part, caught.value.other) == ("selector 'beam'", f"drafter '{culprit}'")


@pytest.mark.parametrize("selection", ["greedy", "sample"])
@pytest.mark.parametrize("drafter", [drafter for drafter in DRAFTERS if drafter != "none"])
def test_every_drafter_was_right_and_wrong_so_each_of_its_rows_compares_something(drafter: str, selection: str) -> None:
    wanted = {part.partition("=")[0] if isinstance(part, str) else part.name for part in DRAFTERS[drafter]}
    judged: dict[str, Counter[str]] = {"kept": Counter(), "refused": Counter()}
    for constraint in ("no constraint", "schema", "regex", "grammar"):
        requests = [request(prompt, selection, constraint, drafter, "dense", 0) for prompt in PROMPTS]
        steps = [step for result in host(drafter).generate_batch(requests) for step in result.trace.steps]
        assert any(step.drafted for step in steps) or (constraint, wanted) == ("no constraint", {"forced"})
        for step in steps:
            judged["kept"].update(step.sources[: step.kept])
            judged["refused"].update(step.sources[step.kept :][:1] if step.rejected else ())
    assert {*judged["kept"], *judged["refused"]} == wanted
    # Of several, lookup may never be right where it has the first word, and an assistant never wrong; what is forced is mostly right.
    assert wanted - {*judged["kept"]} <= ({"lookup"} if len(wanted) > 1 else set())
    assert wanted - {*judged["refused"]} <= {"forced", *(["assistant"] if len(wanted) > 1 else [])}, judged


def test_sampling_with_another_seed_gives_another_text() -> None:
    texts = {tuple(alone(host(), PROMPTS[0], "sample", "no constraint", seed)) for seed in range(4)}
    assert len(texts) == 4
