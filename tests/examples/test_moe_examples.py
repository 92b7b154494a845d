"""The examples about mixtures of experts: layers that equal Mixtral's, and a pair of models of which one collapses."""

from __future__ import annotations

import importlib
import json
import xml.etree.ElementTree as Xml
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import MixtralConfig
from transformers.models.mixtral.modeling_mixtral import MixtralSparseMoeBlock, load_balancing_loss_func

from decodeplug import Host

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture(autouse=True)
def beside_the_examples(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.syspath_prepend(EXAMPLES)
    monkeypatch.chdir(tmp_path)


def mixtral_block(k: int) -> Any:
    torch.manual_seed(3)
    config = MixtralConfig(hidden_size=16, intermediate_size=24, num_local_experts=6, num_experts_per_tok=k)
    config._experts_implementation = "eager"
    block = MixtralSparseMoeBlock(config).double().eval()
    with torch.no_grad():
        for weights in block.parameters():
            weights.normal_(std=0.3)
    return block


def same_weights(layer: Any, block: Any) -> Any:
    """A layer of the example with the weights of Mixtral's block."""
    layer = layer.double()
    with torch.no_grad():
        layer.router.weight.copy_(block.gate.weight)
        for number, expert in enumerate(layer.experts):
            gate, up = block.experts.gate_up_proj[number].chunk(2)
            expert.gate.weight.copy_(gate)
            expert.up.weight.copy_(up)
            expert.down.weight.copy_(block.experts.down_proj[number])
    return layer


@pytest.mark.parametrize("k", [1, 2, 6])
def test_the_sparse_layer_is_that_of_mixtral_and_with_all_experts_the_dense_one(k: int) -> None:
    layers, block = importlib.import_module("moe_layers"), mixtral_block(k)
    x = torch.randn(40, 16, dtype=torch.float64)
    with torch.no_grad():
        wanted = block(x[None])[0]
        sparse = same_weights(layers.SparseMoE(16, 24, 6, k), block)
        # The block makes its weights in float32.
        torch.testing.assert_close(sparse(x), wanted, rtol=0, atol=1e-5)
        if k == 6:
            dense = same_weights(layers.DenseMoE(16, 24, 6), block)
            torch.testing.assert_close(dense(x), sparse(x), rtol=0, atol=1e-12)


def test_its_loss_is_that_of_transformers() -> None:
    layers = importlib.import_module("moe_layers")
    logits = torch.randn(200, 8)
    shares = logits.softmax(-1)
    found = layers.balancing_loss(shares, shares.topk(2).indices)
    assert float(found) == pytest.approx(float(load_balancing_loss_func((logits,), 8, 2)), rel=1e-5)


def test_the_layers_say_what_they_cost(capsys: pytest.CaptureFixture[str]) -> None:
    importlib.import_module("moe_layers").main([])
    printed = capsys.readouterr().out
    assert "8 of 8 experts: 100.0% of the multiplications, 0.0% off the dense layer" in printed
    assert "even routing gives 2" in printed


def trained(folder: Path, *arguments: str) -> dict[str, Any]:
    importlib.import_module("moe_toy").main(["--out", str(folder), *arguments])
    return json.loads((folder / "facts.json").read_text(encoding="utf-8"))


def test_the_toy_is_trained_measured_saved_and_drawn(tmp_path: Path) -> None:
    facts = trained(tmp_path / "toy", "--steps", "2")
    assert facts["steps"] == 2
    assert len(facts["entropy"]) == len(facts["bits_of_kind"]) == 4
    for picture in ("load.svg", "kinds.svg"):
        assert Xml.parse(tmp_path / "toy" / picture).getroot().tag.endswith("svg")
    with Host.from_pretrained(str(tmp_path / "toy"), plugins=[]) as host:
        routing = host.generate("12 + 7 = ", inspectors=["moe-routing"], max_new_tokens=3).reports["moe-routing"]
    assert routing.experts.shape == (11, 4, 2)


@pytest.mark.slow
@pytest.mark.parametrize("seed", ["0", "1", "2"])
def test_without_the_loss_routing_collapses_and_with_it_it_does_not(tmp_path: Path, seed: str) -> None:
    given = ("--steps", "800", "--minutes", "15", "--seed", seed)
    balanced = trained(tmp_path / "with", *given)
    collapsed = trained(tmp_path / "without", "--aux-loss", "0", *given)
    assert balanced["alarms"] == []
    assert collapsed["alarms"]
    # The margins that docs/moe.md states.
    assert balanced["mean_entropy"] - collapsed["mean_entropy"] > 0.1
    assert collapsed["mean_peak"] > 1.8 * balanced["mean_peak"]
    for facts in (balanced, collapsed):
        assert max(facts["bits_of_kind"]) > 5 * max(facts["bits_by_chance"])
