"""The inspector of routing, under every strategy: what it reports is what the model does for these ids alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import pytest
import torch
from routing.recomputed import mixtral_routing

from decodeplug import Host, Request
from decodeplug.errors import IncompatibleParts
from decodeplug.plugin import Draft
from decodeplug.routing import MoERouting, Routing
from decodeplug.testing import byte_tokenizer, check_inspector, tiny_model

PROMPTS = ("The bear ", "Once upon a time there was a small", "{", "def f(x):\n    ")
STRATEGIES: dict[str, dict[str, Any]] = {
    "greedy": {},
    "sample": {"strategy": "sample", "seed": 3},
    "beam": {"num_beams": 3, "num_return_sequences": 2},
    "lookup": {"drafters": ["lookup"]},
    "self-consistency": {"strategy": "self-consistency", "n": 3, "answer": r"(.)$", "seed": 1},
}


def assert_is_right(model: Any, result: Any, routing: Routing) -> None:
    ids = [*result.prompt_ids, *result.token_ids][:-1]
    experts, weights, probs = mixtral_routing(model, ids)
    assert routing.token_ids.tolist() == ids
    assert routing.prompt_length == min(len(result.prompt_ids), len(ids))
    assert torch.equal(routing.experts, experts)
    torch.testing.assert_close(routing.weights.to(torch.float64), weights, rtol=0, atol=1e-6)  # the model rounds them
    torch.testing.assert_close(routing.probs.to(torch.float64), probs, rtol=0, atol=1e-10)


def watched(host: Host, prompt: str, **options: Any) -> Any:
    return host.generate(prompt, inspectors=["moe-routing"], max_new_tokens=12, **options)


@pytest.mark.parametrize("name", STRATEGIES)
@pytest.mark.parametrize("cache", ["dense", "none", "paged=block_size=4"])
def test_every_token_of_every_text_is_reported(host: Host, model: Any, name: str, cache: str) -> None:
    for prompt in PROMPTS[:2]:
        result = watched(host, prompt, cache=cache, **STRATEGIES[name])
        routing = result.reports["moe-routing"]
        assert_is_right(model, result, routing)
        assert len(routing.alternatives) == len(result.alternatives)
        for other, its_routing in zip(result.alternatives, routing.alternatives, strict=True):
            assert_is_right(model, other, its_routing)
        plain = host.generate(prompt, max_new_tokens=12, cache=cache, **STRATEGIES[name])
        assert plain.token_ids == result.token_ids


class OftenRight:
    """Knows the text, but for every fifth token."""

    name, prior, insists = "often-right", 0.8, True

    def __init__(self, ids: Sequence[int]) -> None:
        self.ids = [(token + 1) % 250 if place % 5 == 4 else token for place, token in enumerate(ids)]

    def draft(self, lane: Any, room: int) -> Draft:
        tokens = tuple(self.ids[len(lane.ids) :][: min(3, room)])
        return Draft(tokens, (self.name,) * len(tokens))


def test_drafts_that_are_refused_are_apart(host: Host, model: Any) -> None:
    plain = host.generate(PROMPTS[0], max_new_tokens=12)
    result = watched(host, PROMPTS[0], drafters=[OftenRight([*plain.prompt_ids, *plain.token_ids])])
    routing, trace = result.reports["moe-routing"], result.trace
    assert_is_right(model, result, routing)
    drafted = sum(a.drafted for a in trace.acceptance.values())
    kept = sum(a.kept for a in trace.acceptance.values())
    assert drafted > kept > 0, "nothing was refused, or nothing kept: this shows nothing"
    assert routing.rejected.sum(-1).tolist() == [2 * sum(step.rejected for step in trace.steps)] * 3
    assert routing.dropped.sum() == 0
    assert routing.load.sum(-1).tolist() == [2 * len(routing.token_ids)] * 3


def test_beams_that_are_given_up_are_apart(host: Host, model: Any) -> None:
    result = watched(host, PROMPTS[0], num_beams=4)
    routing = result.reports["moe-routing"]
    assert_is_right(model, result, routing)
    fed = sum(step.width for step in result.trace.steps)
    assert routing.dropped.sum() > 0
    # Each row of a beam counts once, whichever of its children go on: less than once for each step.
    assert int(routing.load[0].sum() + routing.dropped[0].sum()) <= 2 * fed


@pytest.mark.parametrize("options", [{}, {"max_batch_tokens": 8}], ids=["at once", "in pieces"])
def test_in_a_ragged_batch(model: Any, options: dict[str, Any]) -> None:
    with Host(model, byte_tokenizer(), plugins=[], **options) as host:
        mixed = [
            Request(prompt, inspectors=["moe-routing"], max_new_tokens=10, **chosen)
            for prompt, chosen in zip(PROMPTS, [*STRATEGIES.values()][:4], strict=True)
        ]
        unwatched = Request(PROMPTS[1], max_new_tokens=7)
        results = host.generate_batch([*mixed, unwatched])
    for result in results[:-1]:
        assert_is_right(model, result, result.reports["moe-routing"])
    assert results[-1].reports == {}


def test_beside_heads_that_read_hidden_states(host: Host, model: Any) -> None:
    class Reads:
        name, prior, needs_hidden = "reads", 0.5, True
        shapes: ClassVar[set[int]] = set()

        def draft(self, lane: Any, room: int) -> Any:
            if lane.hidden is not None:
                self.shapes.add(lane.hidden.shape[-1])
            return Draft((5,), ("reads",)) if room else Draft()

    result = watched(host, PROMPTS[0], drafters=[Reads()])
    assert Reads.shapes == {model.config.hidden_size}
    assert_is_right(model, result, result.reports["moe-routing"])


def test_hidden_states_keep_their_dtype_beside_it() -> None:
    class Reads:
        name, prior, needs_hidden = "reads", 0.5, True
        dtypes: ClassVar[set[torch.dtype]] = set()

        def draft(self, lane: Any, room: int) -> Any:
            if lane.hidden is not None:
                self.dtypes.add(lane.hidden.dtype)
            return Draft()

    with Host(tiny_model("mixtral", dtype=torch.bfloat16), byte_tokenizer(), plugins=[]) as host:
        host.generate(PROMPTS[0], drafters=[Reads()], inspectors=["moe-routing"], max_new_tokens=4)
    assert Reads.dtypes == {torch.bfloat16}


def test_a_prompt_that_the_cache_knows_is_computed_again(host: Host, model: Any) -> None:
    cache = "paged=block_size=4"
    host.generate(PROMPTS[1], cache=cache, max_new_tokens=3)
    result = watched(host, PROMPTS[1], cache=cache)
    assert_is_right(model, result, result.reports["moe-routing"])


def test_it_keeps_the_laws_of_inspectors(host: Host) -> None:
    check_inspector(MoERouting, host)


def test_a_dense_model_is_refused_before_the_first_token() -> None:
    with Host(tiny_model(), byte_tokenizer(), plugins=[]) as host, pytest.raises(IncompatibleParts, match="Mixtral"):
        host.generate("a", inspectors=["moe-routing"], max_new_tokens=2)


def test_one_token_only(host: Host, model: Any) -> None:
    result = host.generate("ab", inspectors=["moe-routing"], max_new_tokens=1)
    assert_is_right(model, result, result.reports["moe-routing"])


def test_a_report_can_be_written_and_read(host: Host, tmp_path: Any) -> None:
    routing = watched(host, PROMPTS[0]).reports["moe-routing"]
    routing.to_safetensors(tmp_path / "routing.safetensors")
    again = Routing.from_safetensors(tmp_path / "routing.safetensors")
    assert again.to_dict() == routing.to_dict()
    assert again.layers == [0, 1, 2]
    prompt, written = routing.prompt, routing.generated
    assert torch.equal(prompt.load + written.load, routing.load)
    assert prompt.prompt_length == len(prompt.token_ids)
    assert written.prompt_length == 0
