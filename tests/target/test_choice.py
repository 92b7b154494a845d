from __future__ import annotations

import copy
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import transformers
from families.walk import generated, prompts, walk
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from decodeplug import Host
from decodeplug.errors import IncompatibleParts, UnsupportedModel
from decodeplug.target import Target
from decodeplug.target.grouping import LaneTraits, alone
from decodeplug.target.lanes import LaneSession
from decodeplug.testing import tiny_model
from decodeplug.testing.families import family_config, family_model

SMALL = {"vocab_size": 64, "d_model": 32, "d_ff": 32, "num_layers": 1, "num_heads": 2, "d_kv": 16, "hidden_size": 32}


@pytest.mark.parametrize(
    ("family", "path", "rewinds"),
    [
        ("llama", "ragged", True),
        ("gemma3_text", "ragged", True),
        ("qwen3_next", "grouped", True),
        ("gpt_neo", "grouped", True),
        ("mamba", "grouped", False),
        ("xlstm", "steps", True),
        ("rwkv", "steps", False),
        ("openai-gpt", "recompute", True),
    ],
)
def test_the_path_is_chosen_before_the_model_is_run(family: str, path: str, rewinds: bool) -> None:
    target = Target(family_model(family))
    assert (target.path, target.can_rewind) == (path, rewinds)
    assert (target.session().max_draft is None) == rewinds
    assert target.path_reason


def test_facts_of_the_model_are_read_from_it() -> None:
    target = Target(family_model("gpt2", vocab_size=300, n_positions=99))
    assert (target.vocab_size, target.context_window, target.dtype) == (300, 99, torch.float64)
    assert target.device == target.module.device
    assert Target(family_model("mamba")).context_window is None
    assert Target(family_model("bloom")).context_window is None


def _t5() -> Any:
    return transformers.T5ForConditionalGeneration(transformers.T5Config(**SMALL))


def _masked() -> Any:
    return transformers.BertForMaskedLM(family_config("bert"))


def _encoder() -> Any:
    return transformers.BertModel(family_config("bert"))


class _Adapted(torch.nn.Module):
    """What PEFT wraps around a model, as far as it can be seen from outside."""

    def __init__(self, model: Any, *, is_prompt_learning: bool) -> None:
        super().__init__()
        self.base_model = model
        self.active_peft_config = SimpleNamespace(is_prompt_learning=is_prompt_learning)

    def get_base_model(self) -> Any:
        return self.base_model


def test_adapters_in_the_weights_are_looked_through() -> None:
    model = family_model("llama")
    target = Target(_Adapted(model, is_prompt_learning=False))
    assert (target.module, target.inputs.call) == (model, model)
    assert walk(model, target=target).worst < 1e-9


def test_adapters_that_add_virtual_tokens_are_refused() -> None:
    with pytest.raises(UnsupportedModel, match="virtual tokens"):
        Target(_Adapted(family_model("llama"), is_prompt_learning=True))


@pytest.mark.parametrize(
    ("build", "because"),
    [
        (_t5, "encoder-decoder"),
        (_masked, r"no generate\(\)"),
        (_encoder, r"no generate\(\)"),
        (lambda: torch.nn.Linear(2, 2), "not a transformers model"),
        (lambda: "gpt2", "not a transformers model"),
    ],
)
def test_what_does_not_write_from_left_to_right_is_refused_with_the_reason(build: Any, because: str) -> None:
    with pytest.raises(UnsupportedModel, match=because) as raised:
        Target(build())
    assert raised.value.because


def test_an_attention_without_masks_of_ours_gets_a_forward_for_each_lane() -> None:
    target = Target(family_model("gemma3_text"))
    target.choice = replace(target.choice, path="single", lanes=LaneTraits(alone, masked=False, own_masks=False))
    assert isinstance(target.session(), LaneSession)
    assert walk(target.model, target=target).worst < 1e-9


def test_an_attention_that_transformers_makes_no_mask_for_is_fed_as_generate_feeds_it() -> None:
    model = family_model("gemma3_text")
    ALL_ATTENTION_FUNCTIONS.register("no-mask-for-me", ALL_ATTENTION_FUNCTIONS["sdpa"])
    try:
        model.set_attn_implementation("no-mask-for-me")
        outcome = walk(model)
    finally:
        ALL_ATTENTION_FUNCTIONS._global_mapping.pop("no-mask-for-me")
    assert (outcome.path, outcome.wrong_rows) == ("steps", 0)


def test_eager_attention_is_ragged_too() -> None:
    model = family_model("gemma2")
    model.set_attn_implementation("eager")
    outcome = walk(model)
    assert (outcome.path, outcome.wrong_rows) == ("ragged", 0)
    assert outcome.worst < 1e-5


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_a_compiled_model_is_called_in_its_compiled_form() -> None:
    model = family_model("llama")
    compiled = torch.compile(model, backend="eager", dynamic=True)
    target = Target(compiled)
    text, rows = generated(model, prompts()[0], 2)
    session = target.session()
    session.keep([-1, -1], [0, 0])
    logits = session.forward([text[:5], text[:6]], [1, 1])
    torch.testing.assert_close(logits, rows, rtol=0, atol=1e-9)
    assert target.inputs.call is compiled


def test_a_model_in_training_mode_is_refused() -> None:
    model = family_model("gpt2")
    Target(model)
    with pytest.raises(UnsupportedModel, match=r"in training mode.*Call model\.eval\(\) first"):
        Target(model.train())
    with pytest.raises(UnsupportedModel, match="in training mode"):
        Target(SimpleNamespace(_orig_mod=model))  # as torch.compile wraps it
    Target(model.eval())


def test_a_part_that_drops_in_a_model_in_eval_mode_is_refused_too() -> None:
    model = family_model("gpt2", resid_pdrop=0.1, attn_pdrop=0.0)
    block = model.transformer.h[0]
    block.attn.attn_dropout.train()  # drops nothing
    Target(model)
    block.mlp.dropout.train()
    with pytest.raises(UnsupportedModel, match="in training mode"):
        Target(model)


def test_layers_of_an_unknown_kind_have_the_models_own_cache_and_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = Host(tiny_model(), None, plugins=[]).generate([5, 6, 7], max_new_tokens=6).token_ids
    monkeypatch.setattr("decodeplug.target.choice.KINDS", {})
    host = Host(tiny_model(), None, plugins=[])
    with pytest.raises(IncompatibleParts, match=r"no cache here knows \(full_attention\).*Use cache='dense'"):
        host.generate([5, 6, 7], cache="paged", max_new_tokens=6)
    assert host.generate([5, 6, 7], max_new_tokens=6).token_ids == expected, "and the host stays usable"


def test_layers_that_transformers_does_not_know_either_are_named() -> None:
    model = copy.deepcopy(tiny_model())
    expected = Host(tiny_model(), None, plugins=[]).generate([5, 6, 7], max_new_tokens=6).token_ids
    model.config.layer_types = ["astral_attention"] * model.config.num_hidden_layers
    host = Host(model, None, plugins=[])
    with pytest.raises(UnsupportedModel, match=r"no cache for layers of the kind 'astral_attention'.*Use cache='none'"):
        host.generate([5, 6, 7], max_new_tokens=6)
    assert host.generate([5, 6, 7], cache="none", max_new_tokens=6).token_ids == expected, "and the host stays usable"
