"""What if the routing were another one? Each intervention against a model that is built so."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch

from decodeplug import Host, Request
from decodeplug.errors import BadOption, IncompatibleParts, PluginError
from decodeplug.routing import (
    Ablate,
    ForceExperts,
    ReplayRouting,
    RouterNoise,
    RouterTemperature,
    Routing,
    TopExperts,
    compare,
)
from decodeplug.testing import byte_tokenizer, check_intervention, tiny_model

PROMPT = "Once upon a time there was"


def rerouted(model: Any, choose: Callable[[torch.Tensor, int], tuple[torch.Tensor, torch.Tensor]]) -> Host:
    """A host around a copy whose routers are another function of their logits and of the place of their layer."""
    other = copy.deepcopy(model)
    for place, layer in enumerate(other.model.layers):

        def forward(hidden: torch.Tensor, gate: Any = layer.mlp.gate, place: int = place) -> Any:
            logits = hidden.reshape(-1, hidden.shape[-1]) @ gate.weight.T
            weights, experts = choose(logits, place)
            return logits, weights, experts

        layer.mlp.gate.forward = forward
    return Host(other, byte_tokenizer(), plugins=[])


def normalised(probs: torch.Tensor, experts: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    weights = probs.gather(-1, experts)
    return weights / weights.sum(-1, keepdim=True), experts


def best(logits: torch.Tensor, k: int = 2) -> tuple[torch.Tensor, torch.Tensor]:
    probs = logits.float().softmax(-1)
    return normalised(probs, probs.topk(k).indices)


def assert_equal(changed: Host, model: Any, intervention: Any, **options: Any) -> Routing:
    """The intervention gives the text and the log-probabilities of a host that is built so."""
    given = {"max_new_tokens": 16, "logprobs": True, **options}
    with Host(model, byte_tokenizer(), plugins=[]) as host, changed:
        found = host.generate(PROMPT, interventions=[intervention], inspectors=["moe-routing"], **given)
        wanted = changed.generate(PROMPT, **given)
        plain = host.generate(PROMPT, **given)
        assert found.token_ids == wanted.token_ids
        assert found.logprobs == pytest.approx(wanted.logprobs, abs=1e-6)
        assert found.logprobs != pytest.approx(plain.logprobs, abs=1e-6), "it changes nothing, so this shows nothing"
        ids = [*wanted.prompt_ids, *wanted.token_ids]
        score = host.score(ids[:2], ids[2:], interventions=[intervention])
        assert score == pytest.approx(changed.score(ids[:2], ids[2:]), abs=1e-6)
    return found.reports["moe-routing"]


@pytest.mark.parametrize("k", [1, 3, 6])
def test_another_number_of_experts(model: Any, k: int) -> None:
    routing = assert_equal(rerouted(model, lambda logits, _: best(logits, k)), model, f"moe-top-k={k}")
    assert routing.experts.shape[-1] == k


def test_all_experts_of_one_layer(model: Any) -> None:
    changed = rerouted(model, lambda logits, place: best(logits, 6 if place == 1 else 2))
    routing = assert_equal(changed, model, TopExperts("all", layers=1))
    assert (routing.experts >= 0).sum(-1)[0].tolist() == [2, 6, 2]


def test_ablated_experts_are_never_chosen(model: Any) -> None:
    def choose(logits: torch.Tensor, _: int) -> tuple[torch.Tensor, torch.Tensor]:
        probs = logits.float().softmax(-1)
        left = probs.clone()
        left[:, [0, 3]] = -1
        return normalised(probs, left.topk(2).indices)

    routing = assert_equal(rerouted(model, choose), model, Ablate([0, 3]))
    assert routing.load[:, [0, 3]].sum() == 0


def test_forced_experts_are_always_chosen(model: Any) -> None:
    def choose(logits: torch.Tensor, place: int) -> tuple[torch.Tensor, torch.Tensor]:
        probs = logits.float().softmax(-1)
        first = probs.clone()
        if place == 2:
            first[:, 4] = 2
        return normalised(probs, first.topk(2).indices)

    routing = assert_equal(rerouted(model, choose), model, ForceExperts(4, layers=[2]))
    assert int(routing.load[2, 4]) == len(routing.token_ids)


def test_router_temperature(model: Any) -> None:
    assert_equal(rerouted(model, lambda logits, _: best(logits / 3.0)), model, "moe-temperature=3.0")


def test_noise_is_a_function_of_seed_layer_and_position(host: Host) -> None:
    given = {"max_new_tokens": 16, "inspectors": ["moe-routing"]}
    plain = host.generate(PROMPT, **given)
    none = host.generate(PROMPT, interventions=["moe-noise=0"], **given)
    assert none.token_ids == plain.token_ids
    one = host.generate(PROMPT, interventions=[RouterNoise(2.0, seed=1)], **given)
    other = host.generate(PROMPT, interventions=[RouterNoise(2.0, seed=2)], **given)
    again = host.generate(PROMPT, interventions=[RouterNoise(2.0, seed=1)], cache="none", **given)
    assert again.token_ids == one.token_ids
    assert torch.equal(again.reports["moe-routing"].experts, one.reports["moe-routing"].experts)
    experts = [result.reports["moe-routing"].prompt.experts for result in (plain, one, other)]
    assert not torch.equal(experts[0], experts[1])
    assert not torch.equal(experts[1], experts[2])


def test_a_recorded_routing_is_replayed(host: Host) -> None:
    given = {"max_new_tokens": 12, "inspectors": ["moe-routing"]}
    recorded = host.generate(PROMPT, interventions=[RouterNoise(3.0, seed=1)], **given)
    routing = recorded.reports["moe-routing"]
    again = host.generate(PROMPT, interventions=[ReplayRouting(routing)], **given)
    assert again.token_ids == recorded.token_ids
    assert torch.equal(again.reports["moe-routing"].experts, routing.experts)
    plain = host.generate(PROMPT, **given)
    assert not torch.equal(plain.reports["moe-routing"].experts, routing.experts)
    # Behind its end the router chooses again.
    longer = host.generate(PROMPT, interventions=[ReplayRouting(routing.prompt)], **given).reports["moe-routing"]
    assert torch.equal(longer.prompt.experts, routing.prompt.experts)


def test_they_compose(host: Host, model: Any) -> None:
    def choose(logits: torch.Tensor, _: int) -> tuple[torch.Tensor, torch.Tensor]:
        probs = (logits / 2.0).float().softmax(-1)
        left = probs.clone()
        left[:, 1] = -1
        return normalised(probs, left.topk(3).indices)

    changed = rerouted(model, choose)
    parts = ["moe-temperature=2.0", {"name": "moe-ablate", "experts": [1]}, "moe-top-k=3"]
    with changed:
        wanted = changed.generate(PROMPT, max_new_tokens=16)
    assert host.generate(PROMPT, max_new_tokens=16, interventions=parts).token_ids == wanted.token_ids


def test_the_last_one_has_the_last_word(host: Host) -> None:
    given = {"max_new_tokens": 4, "inspectors": ["moe-routing"]}
    forced = host.generate(PROMPT, interventions=[Ablate(3), ForceExperts(3)], **given).reports["moe-routing"]
    assert forced.load[:, 3].tolist() == [len(forced.token_ids)] * 3
    ablated = host.generate(PROMPT, interventions=[ForceExperts(3), Ablate(3)], **given).reports["moe-routing"]
    assert ablated.load[:, 3].tolist() == [0] * 3


def test_what_leaves_too_few_experts_or_another_number_is_said(host: Host) -> None:
    with pytest.raises(BadOption, match="as many as it chooses"):
        host.generate(PROMPT, interventions=[Ablate(3), TopExperts("all")], max_new_tokens=1)
    given = {"max_new_tokens": 4, "inspectors": ["moe-routing"]}
    single = host.generate(PROMPT, interventions=[TopExperts(1)], **given).reports["moe-routing"]
    with pytest.raises(BadOption, match="one with 2, as here"):
        host.generate(PROMPT, interventions=[ReplayRouting(single)], max_new_tokens=1)
    assert host.generate(PROMPT, **given).reports["moe-routing"].experts.shape[-1] == 2
    with pytest.raises(IncompatibleParts, match="sinks"):
        host.generate(
            PROMPT * 3, interventions=[ReplayRouting(single)], window_policy="sinks=window=32", max_new_tokens=1
        )


@pytest.mark.parametrize(
    "intervention",
    [TopExperts(1), TopExperts("all"), Ablate([0, 1]), ForceExperts([5]), RouterTemperature(5.0), RouterNoise(2.0)],
    ids=lambda one: f"{one.name}",
)
@pytest.mark.parametrize("options", [{}, {"cache": "paged=block_size=4"}], ids=["dense", "paged"])
def test_the_laws_of_interventions(host: Host, intervention: Any, options: dict[str, Any]) -> None:
    check_intervention(intervention, host, **options)


@pytest.mark.parametrize("options", [{"num_beams": 3}, {"strategy": "sample", "seed": 5}], ids=["beam", "sample"])
def test_every_strategy_runs_in_a_changed_model(host: Host, model: Any, options: dict[str, Any]) -> None:
    with rerouted(model, lambda logits, _: best(logits, 1)) as changed:
        wanted = changed.generate(PROMPT, max_new_tokens=10, **options)
    found, other = host.generate_batch(
        [Request(PROMPT, max_new_tokens=10, interventions=parts, **options) for parts in (["moe-top-k=1"], [])]
    )
    assert found.token_ids == wanted.token_ids != other.token_ids


def test_a_cache_does_not_learn_from_a_changed_model(model: Any) -> None:
    cache = "paged=block_size=4"
    with Host(model, byte_tokenizer(), plugins=[]) as host:
        plain = host.generate(PROMPT, max_new_tokens=12)
        changed = host.generate(PROMPT, max_new_tokens=12, cache=cache, interventions=["moe-top-k=1"])
        assert host.generate(PROMPT, max_new_tokens=12, cache=cache).token_ids == plain.token_ids
        again = host.generate(PROMPT, max_new_tokens=12, cache=cache, interventions=["moe-top-k=1"])
        assert again.token_ids == changed.token_ids != plain.token_ids


@pytest.mark.parametrize(
    ("part", "says"),
    [
        ("moe-top-k=7", "at most the 6 experts"),
        ("moe-top-k=0", "at least 1"),
        ({"name": "moe-ablate", "experts": [6]}, "numbers from 0 to 5"),
        ({"name": "moe-ablate", "experts": [0, 1, 2, 3, 4, 5]}, "at least 2 of the 6 experts"),
        ("moe-force", "at least one"),
        ("moe-temperature=0", "above 0"),
        ("moe-noise=-1", "at least 0"),
        ({"name": "moe-top-k", "k": 1, "layers": [3]}, "places from 0 to 2"),
    ],
)
def test_what_cannot_be_is_refused_before_the_first_token(host: Host, part: Any, says: str) -> None:
    with pytest.raises(BadOption, match=says):
        host.generate(PROMPT, interventions=[part], max_new_tokens=1)


def test_a_dense_model_has_no_routing_to_change() -> None:
    with (
        Host(tiny_model(), byte_tokenizer(), plugins=[]) as host,
        pytest.raises(IncompatibleParts, match="Mixtral"),
    ):
        host.generate("a", interventions=["moe-top-k=1"], max_new_tokens=1)


class Fails:
    name = "fails"

    def attach(self, model: Any) -> Any:
        raise RuntimeError("no")


def test_one_that_fails_is_named_and_takes_nobody_down(host: Host) -> None:
    plain = host.generate(PROMPT, max_new_tokens=4)
    failed, fine = host.generate_batch(
        [Request(PROMPT, max_new_tokens=4, interventions=[Fails()]), Request(PROMPT, max_new_tokens=4)],
        return_errors=True,
    )
    assert isinstance(failed.error, PluginError)
    assert "fails" in str(failed.error)
    assert fine.token_ids == plain.token_ids


def test_a_comparison_says_what_changes(host: Host) -> None:
    same = compare(host, PROMPT, ["moe-noise=0"], max_new_tokens=8)
    assert same.perplexity == pytest.approx(same.changed_perplexity)
    assert (same.same_experts, same.same_tokens, same.text) == (1.0, 8, same.changed_text)
    other = compare(host, PROMPT, ["moe-top-k=1"], max_new_tokens=8)
    assert other.perplexity == pytest.approx(same.perplexity)
    assert other.changed_perplexity != pytest.approx(other.perplexity)
    assert 0 < other.same_experts <= 0.5  # one of two at most
    assert other.to_dict()["text"] == same.text
