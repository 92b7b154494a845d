"""Interventions on every mixture-of-experts family: each does what it says, and refuses only what the docs name."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
import torch
from families.precision import StaysInFloat64
from routing.family_routing import PROMPTS, bias_choices
from routing.moe_families import CANNOT, CI, build, moe_families

from decodeplug import Host
from decodeplug.errors import IncompatibleParts
from decodeplug.routing import Ablate, ForceExperts, ReplayRouting, RouterNoise, RouterTemperature, Routing, TopExperts
from decodeplug.testing.laws_inspectors import traces

NOT_RANKED = {"doge", "deepseek_v4"}
FIXED_NUMBER = {"phimoe", "deepseek_v4", "longcat_flash"}
NOBODY_TOLD = {"doge", "jetmoe", "llama4", "zaya"}


def routing_with(host: Host, *interventions: Any) -> Routing:
    result = host.generate(PROMPTS[1], max_new_tokens=5, inspectors=["moe-routing"], interventions=interventions)
    return result.reports["moe-routing"]


def refuses(host: Host, intervention: Any) -> bool:
    try:
        host.generate(PROMPTS[1], max_new_tokens=1, interventions=[intervention])
    except IncompatibleParts:
        return True
    return False


def _holds(family: str) -> None:
    model = build(family)
    with contextlib.nullcontext() if model.dtype == torch.float32 else StaysInFloat64():
        bias_choices(model)
        with Host(model, None, plugins=[]) as host:
            plain = routing_with(host)
            before = traces(model)
            _check(family, host, plain)
            assert traces(model) == before
            assert torch.equal(routing_with(host).experts, plain.experts)


def _check(family: str, host: Host, plain: Routing) -> None:
    last = plain.experts.shape[1] - 1
    if refuses(host, TopExperts(1)):
        assert family in FIXED_NUMBER
    else:
        assert (routing_with(host, TopExperts(1)).experts >= 0).sum(-1).unique().tolist() == [1]
        dense = routing_with(host, TopExperts("all", layers=last))
        assert (dense.experts[:, last] >= 0).sum(-1).unique().tolist() == [plain.counts[last]]
    if refuses(host, Ablate([0])):
        assert family in NOT_RANKED
    else:
        assert int(routing_with(host, Ablate([0])).load[:, 0].sum()) == 0
        forced = routing_with(host, ForceExperts([1], layers=[last]))
        assert int(forced.load[last, 1]) == len(forced.token_ids)
    warm = routing_with(host, RouterTemperature(5.0))
    entropy = [torch.special.entr(one.prompt.probs).sum(-1).mean() for one in (plain, warm)]
    assert entropy[1] > entropy[0]
    noisy = routing_with(host, RouterNoise(2.0))
    assert not torch.equal(noisy.prompt.probs, plain.prompt.probs)
    if refuses(host, ReplayRouting(noisy)):
        assert family in NOBODY_TOLD
    else:
        again = routing_with(host, ReplayRouting(noisy))
        count = len(noisy.prompt.experts)
        assert torch.equal(again.experts[:count], noisy.experts[:count])
        torch.testing.assert_close(again.weights[:count], noisy.weights[:count], rtol=0, atol=1e-6)


@pytest.mark.parametrize("family", CI)
def test_interventions_do_what_they_say(family: str) -> None:
    _holds(family)


@pytest.mark.slow
@pytest.mark.parametrize("family", [family for family in moe_families() if family not in (*CI, *CANNOT)])
def test_so_they_do_in_every_other_family(family: str) -> None:
    _holds(family)
