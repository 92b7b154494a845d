"""Measures of routing against transformers' own, against worked examples, and against chance."""

from __future__ import annotations

import importlib
import math
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import transformers
from families.precision import StaysInFloat64
from routing.made import random_logits, routing_of

from decodeplug.errors import BadOption
from decodeplug.routing import (
    Thresholds,
    auxiliary_loss,
    balance,
    character_classes,
    collapse,
    drift,
    fractions,
    mean_probs,
    overlap,
    positions,
    repetition,
    repetition_by_chance,
    specialisation,
)
from decodeplug.routing.layers import Choice, read_doge


def losses_of_transformers() -> list[str]:
    """Modules of transformers that define the loss of a router's logits; that of NLLB takes other things."""
    root = Path(transformers.__file__).parent
    return sorted(
        ".".join(("transformers", *path.relative_to(root).with_suffix("").parts))
        for path in root.glob("models/*/modeling_*.py")
        if "def load_balancing_loss_func(\n    gate_logits" in path.read_text(encoding="utf-8")
        and path.parent.name != "doge"
    )


@pytest.mark.parametrize("k", [1, 2, 3])
@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("module", losses_of_transformers())
def test_the_loss_is_that_of_transformers(module: str, k: int, padded: bool) -> None:
    loss_of = importlib.import_module(module).load_balancing_loss_func
    logits = random_logits(24)
    routing = routing_of(logits, k)
    by_layer = tuple(logits[:, layer] for layer in range(3))
    # Two lanes of twelve tokens, of which the second is padded.
    mask = torch.ones((2, 12), dtype=torch.int64)
    mask[1, 5:] = 0 if padded else 1
    kept = mask.flatten().bool()
    found = auxiliary_loss(routing.experts, routing.probs, mask=kept, by_layer=False)
    each = auxiliary_loss(routing.experts, routing.probs, alpha=0.5, mask=kept)
    with StaysInFloat64():
        wanted = loss_of(by_layer, 8, k, mask if padded else None)
        alone = [loss_of((logits,), 8, k, mask if padded else None) for logits in by_layer]
    assert float(found) == pytest.approx(float(wanted), abs=1e-10, rel=0)
    assert each.tolist() == pytest.approx([0.5 * float(one) for one in alone], abs=1e-10, rel=0)


def test_the_loss_of_doge_is_that_of_experts_whose_fractions_sum_to_one() -> None:
    doge = importlib.import_module("transformers.models.doge.modeling_doge")
    halves = tuple(random_logits(24, layers=2, experts=3, seed=seed).transpose(0, 1) for seed in range(3))
    block = SimpleNamespace(num_keys=3, top_k=2, norm_topk_prob=False)
    choices = [Choice() for _ in halves]
    for one, choice in zip(halves, choices, strict=True):
        read_doge(block, (None, one), choice)
    experts = torch.stack([choice.experts for choice in choices], 1)
    probs = torch.stack([choice.scores.softmax(-1) for choice in choices], 1)
    wanted = doge.load_balancing_loss_func(halves, 9, 3, 2)
    found = auxiliary_loss(experts, probs, by_layer=False) / 2
    assert float(found) == pytest.approx(float(wanted), abs=1e-10, rel=0)


def test_fractions_and_mean_probabilities() -> None:
    routing = routing_of(random_logits(50), k=2)
    f, p = fractions(routing.experts, 8), mean_probs(routing.probs)
    assert f.sum(-1).tolist() == pytest.approx([2.0] * 3)
    assert p.sum(-1).tolist() == pytest.approx([1.0] * 3)
    for layer in range(3):
        for expert in range(8):
            wanted = sum(expert in chosen for chosen in routing.experts[:, layer].tolist()) / 50
            assert float(f[layer, expert]) == pytest.approx(wanted)
    assert torch.equal(routing.load, (f * 50).round().long())


def test_balance_of_even_and_of_collapsed_routing() -> None:
    even = torch.full((16, 1, 4), -5.0, dtype=torch.float64)
    for token in range(16):
        even[token, 0, token % 4] = even[token, 0, (token + 1) % 4] = 5.0
    seen = balance(routing_of(even))
    assert float(seen.entropy[0]) == pytest.approx(1.0)
    assert (float(seen.peak[0]), float(seen.variation[0]), int(seen.dead[0])) == (1.0, 0.0, 0)
    assert float(seen.loss[0]) == pytest.approx(2.0, abs=1e-3)
    one_pair = torch.zeros((16, 1, 4), dtype=torch.float64)
    one_pair[..., :2] = 9.0
    seen = balance(routing_of(one_pair))
    assert float(seen.entropy[0]) == pytest.approx(math.log(2) / math.log(4))
    assert (float(seen.peak[0]), int(seen.dead[0])) == (2.0, 2)
    assert float(seen.variation[0]) == pytest.approx(1.0)
    assert float(seen.loss[0]) == pytest.approx(4.0, abs=1e-3)  # N k / k, all on k experts


def test_repetition_of_independent_draws_is_that_of_chance() -> None:
    experts = routing_of(random_logits(20_000, layers=1, seed=5)).experts
    same, shared = repetition(experts)
    by_chance = repetition_by_chance(8, 2)
    assert by_chance == pytest.approx((0.125, 1 - 15 / 28))
    assert float(same[0]) == pytest.approx(by_chance[0], abs=0.01)
    assert float(shared[0]) == pytest.approx(by_chance[1], abs=0.015)
    fixed = experts[:1].expand(50, -1, -1)
    assert [float(one[0]) for one in repetition(fixed)] == [1.0, 1.0]
    assert all(math.isnan(float(one[0])) for one in repetition(experts[:1]))


def test_overlap_of_layers() -> None:
    experts = routing_of(random_logits(10_000, layers=2, seed=6)).experts
    assert float(overlap(experts)[0, 1]) == pytest.approx(2 / 8, abs=0.01)
    fewer = torch.tensor([[[0, 1], [0, -1]]])
    assert overlap(fewer).tolist() == [[1.0, 0.5], [1.0, 1.0]]
    twice = torch.cat([experts[:, :1], experts[:, :1].flip(-1)], 1)
    assert torch.equal(overlap(twice), torch.ones((2, 2), dtype=torch.float64))


def test_drift() -> None:
    experts = routing_of(random_logits(40_000, layers=1, seed=7)).experts
    assert float(drift(experts, 8).max()) < 0.001
    halves = torch.cat([torch.zeros((50, 1, 1)), torch.ones((50, 1, 1))]).long()
    assert drift(halves, 4, windows=2).tolist() == [[1.0]]
    with pytest.raises(BadOption, match="windows"):
        drift(halves, 4, windows=101)


def test_the_alarm_rings_for_collapse_and_not_for_chance() -> None:
    for seed in range(20):
        for tokens in (1, 5, 40, 2000):
            assert collapse(routing_of(random_logits(tokens, seed=seed))) == [], (seed, tokens)
    collapsed = random_logits(400)
    collapsed[:, 1, :2] += 8
    alarms = collapse(routing_of(collapsed))
    assert {alarm.layer for alarm in alarms} == {1}
    assert {alarm.sign for alarm in alarms} == {"entropy", "dead", "peak"}
    assert "layer 1" in str(alarms[0])
    lenient = Thresholds(entropy=0.0, dead=1.0, peak=1.0)
    assert collapse(routing_of(collapsed), lenient) == []


@pytest.mark.parametrize(
    ("experts", "k", "tokens"), [(4, 1, 14), (4, 2, 6), (8, 2, 5), (8, 2, 10), (16, 4, 12), (64, 6, 40)]
)
def test_even_routing_rings_as_seldom_as_it_says(experts: int, k: int, tokens: int) -> None:
    layers = 4000
    rings = {alarm.layer for alarm in collapse(routing_of(random_logits(tokens, layers, experts), k))}
    assert len(rings) <= 14  # three signs of at most 0.001 each: 12 of 4,000 at most are expected, and far fewer come


def test_what_was_never_computed_does_not_count() -> None:
    routing = routing_of(random_logits(60, seed=3))
    gone = torch.arange(60) % 3 == 1
    part = replace(
        routing,
        experts=torch.where(gone[:, None, None], -1, routing.experts),
        probs=torch.where(gone[:, None, None], 0.0, routing.probs),
    )
    rest = replace(
        routing, experts=routing.experts[~gone], probs=routing.probs[~gone], weights=routing.weights[~gone],
        token_ids=routing.token_ids[~gone],
    )  # fmt: skip
    found, wanted = balance(part), balance(rest)
    for name in ("entropy", "confidence", "variation", "peak", "loss"):
        torch.testing.assert_close(getattr(found, name), getattr(wanted, name), msg=name)
    assert fractions(part.experts, 8).sum(-1).tolist() == pytest.approx([2.0] * 3)
    always = torch.where(torch.arange(10)[:, None, None] < 5, 0, -1)
    assert [float(one[0]) for one in repetition(always)] == [1.0, 1.0]


def test_a_few_tokens_are_no_reason_for_an_alarm() -> None:
    collapsed = random_logits(2)
    collapsed[..., :2] += 20
    assert collapse(routing_of(collapsed)) == []
    assert collapse(routing_of(collapsed[:0])) == []


def test_specialisation_is_found_where_it_is_and_only_there() -> None:
    labels = [["code", "prose"][(token // 7 + token // 31) % 2] for token in range(600)]
    logits = random_logits(600, seed=8)
    for token, label in enumerate(labels):
        logits[token, 2, 0 if label == "code" else 1] += 2.0
    found = specialisation(routing_of(logits), labels)
    assert found.classes == ["code", "prose"]
    assert found.entropy == pytest.approx(1.0, abs=0.05)
    assert found.p[2] < 0.01
    assert found.excess[2] > 0.1
    assert found.p[:2].min() > 0.05
    assert found.excess[:2].max() < 0.02
    assert found.shares[2, 0, 0] > found.shares[2, 1, 0]
    torch.testing.assert_close(found.shares.sum(-1), torch.ones((3, 2), dtype=torch.float64))


def test_noise_is_not_shown_as_insight() -> None:
    """Routing that drifts by itself and classes in runs have nothing to do with each other; independent permutation would say so."""
    small = []
    for seed in range(40):
        generator = torch.Generator().manual_seed(seed)
        walk = torch.randn((300, 1, 4), generator=generator, dtype=torch.float64).cumsum(0) * 0.3
        cuts = torch.rand(300, generator=generator).lt(0.05).cumsum(0) % 2
        found = specialisation(routing_of(walk, k=1), [str(int(one)) for one in cuts], rounds=100, seed=seed)
        small.append(float(found.p[0]) < 0.05)
    assert sum(small) <= 6  # 2 are expected, and more than 6 come once in 100


def test_labels_that_do_not_fit_are_refused() -> None:
    routing = routing_of(random_logits(5))
    with pytest.raises(BadOption, match="one for each of the 5 tokens"):
        specialisation(routing, ["a"] * 4)


def test_classes_of_tokens() -> None:
    texts = [" the", "ing", "42", " ", "\n  ", ",", " +", "", "é", "\t"]
    wanted = ["word", "letters", "digits", "space", "line", "punctuation", "symbol", "other", "letters", "space"]
    assert character_classes(texts) == wanted
    assert positions(8) == ["1/4", "1/4", "2/4", "2/4", "3/4", "3/4", "4/4", "4/4"]


def test_measures_leave_out_what_nobody_chose() -> None:
    experts: Any = torch.tensor([[[0, -1]], [[1, 0]]])
    assert fractions(experts, 2).tolist() == [[1.0, 0.5]]
    assert fractions(experts, 2, torch.tensor([False, True])).tolist() == [[1.0, 1.0]]
