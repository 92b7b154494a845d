"""Fewer key and value heads on a loaded model: nothing is lost where nothing differs, and what is lost is said."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor

from decodeplug import Host
from decodeplug.calibration import share_heads
from decodeplug.errors import BadOption, UnsupportedModel
from decodeplug.fidelity import difference
from decodeplug.target import Target
from decodeplug.testing import tiny_model
from decodeplug.testing.families import family_model

IDS = torch.randint(40, (2, 30), generator=torch.Generator().manual_seed(0))


def logits(model: Any) -> Tensor:
    with torch.no_grad():
        return model(input_ids=IDS.to(model.device)).logits


@pytest.mark.parametrize("method", ["fit", "mean"])
@pytest.mark.parametrize("family", ["llama", "qwen2", "cohere", "stablelm", "starcoder2", "gemma"])
def test_as_many_heads_as_there_were_change_nothing(family: str, method: str) -> None:
    model = family_model(family)
    shared = share_heads(Target(model), model.config.num_key_value_heads, method)
    assert shared.kept == pytest.approx((1, 1))
    assert float((logits(shared.model) - logits(model)).abs().max()) < 1e-6


@pytest.mark.parametrize("family", ["llama", "qwen2", "cohere", "stablelm", "phi"])
def test_heads_that_differ_by_what_queries_and_outputs_can_make_up_for_are_joined_without_loss(family: str) -> None:
    model = copy.deepcopy(family_model(family))
    target = Target(model)
    heads = model.config.num_key_value_heads
    generator = torch.Generator().manual_seed(1)
    interleaved = family == "cohere"
    for layer in model.model.layers:
        attention = layer.self_attn
        for part, is_key in ((attention.k_proj, True), (attention.v_proj, False)):
            parameters = [part.weight] if part.bias is None else [part.weight, part.bias]
            dim = len(part.weight) // heads
            share = (model.config.rope_parameters or {}).get("partial_rotary_factor") or 1.0
            turned = int(dim * share) if is_key else 0
            for head in range(1, heads):
                mixed = _mixed(dim, turned, interleaved, generator)
                for rows in parameters:
                    rows.data[head * dim : (head + 1) * dim] = mixed @ rows.data[:dim]
    before = logits(model)
    fit, mean = share_heads(target, 1, "fit"), share_heads(target, 1, "mean")
    assert fit.kept == pytest.approx((1, 1))
    assert float((logits(fit.model) - before).abs().max()) < 1e-6
    assert float((logits(mean.model) - before).abs().max()) > 1e-3
    assert fit.model.config.num_key_value_heads == 1


def _mixed(dim: int, turned: int, interleaved: bool, generator: torch.Generator) -> Tensor:
    """A map that commutes with the rotation of the first ``turned`` numbers, and is any map of the others."""
    matrix = torch.zeros(dim, dim, dtype=torch.float64)
    matrix[turned:, turned:] = torch.randn(dim - turned, dim - turned, generator=generator, dtype=torch.float64)
    for pair in range(turned // 2):
        one, other = (2 * pair, 2 * pair + 1) if interleaved else (pair, pair + turned // 2)
        a, b = torch.randn(2, generator=generator, dtype=torch.float64).tolist()
        matrix[one, one] = matrix[other, other] = a
        matrix[one, other], matrix[other, one] = -b, b
    return matrix


def test_the_fit_is_nearer_than_the_mean_and_fewer_heads_are_further() -> None:
    host = Host(family_model("llama"), None, plugins=[])
    documents = [row.tolist() for row in IDS]
    away = {
        (groups, method): difference(host.target, Target(share_heads(host.target, groups, method).model), documents)
        for groups in (1, host.model.config.num_key_value_heads)
        for method in ("fit", "mean")
    }
    assert away[1, "fit"].kl < away[1, "mean"].kl
    assert all(found.kl < 1e-6 and found.top1 == 1 for (groups, _), found in away.items() if groups > 1)
    assert away[1, "fit"].perplexity_ratio != 1


@pytest.mark.parametrize("method", ["fit", "mean"])
def test_heads_are_joined_in_groups_of_neighbours(method: str) -> None:
    model = copy.deepcopy(family_model("llama", num_attention_heads=8, num_key_value_heads=4))
    for layer in model.model.layers:
        for part in (layer.self_attn.k_proj, layer.self_attn.v_proj):
            heads = part.weight.data.view(4, -1, part.in_features)
            heads[1], heads[3] = heads[0].clone(), heads[2].clone()
    two, one = (share_heads(Target(model), groups, method) for groups in (2, 1))
    assert (two.heads, two.groups, two.model.config.num_key_value_heads) == (4, 2, 2)
    assert two.kept == pytest.approx((1, 1))
    assert float((logits(two.model) - logits(model)).abs().max()) < 1e-6
    assert max(one.kept) < 0.99, "the two groups differ"


def test_the_model_that_is_made_is_one_like_any_other_and_the_other_is_as_it_was() -> None:
    model = tiny_model()
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    shared = share_heads(Target(model), 1)
    assert all(torch.equal(weight, before[name]) for name, weight in model.state_dict().items())
    made = Host(shared.model, None, plugins=[])
    texts = [made.generate([5, 6, 7], cache=cache, max_new_tokens=8).token_ids for cache in ("dense", "paged", "none")]
    assert texts[0] == texts[1] == texts[2]
    bytes_held = [
        host.generate([5] * 20, max_new_tokens=2).trace.cache["peak_bytes"] for host in (made, Host(model, None))
    ]
    assert bytes_held[0] * model.config.num_key_value_heads == bytes_held[1]


def test_what_cannot_be_shared_is_one_clear_error() -> None:
    with pytest.raises(BadOption, match="a divisor of the 2 key and value heads"):
        share_heads(Target(tiny_model()), 3)
    with pytest.raises(BadOption, match="one of fit, mean"):
        share_heads(Target(tiny_model()), 1, "best")
    for family in ("qwen3", "hunyuan_v1_dense"):
        with pytest.raises(UnsupportedModel, match=r"normalised head by head.*Use a cache that takes fewer bytes"):
            share_heads(Target(family_model(family)), 1)
    with pytest.raises(UnsupportedModel, match="k_proj and v_proj of their own"):
        share_heads(Target(tiny_model("gpt2")), 1)
