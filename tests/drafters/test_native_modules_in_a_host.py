"""A model's own modules draft in the loop: the same text, and a refusal where there are none."""

from __future__ import annotations

import shutil
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from drafters.native_families import CHECKPOINTS, FAMILIES, checkpoint, native_model, native_modules, read_again

from decodeplug import Host, IncompatibleParts, Request, json_schema, regex
from decodeplug.drafters import NativeDrafts
from decodeplug.errors import BadOption
from decodeplug.heads import Heads
from decodeplug.native_modules import modules_of
from decodeplug.testing import bpe_tokenizer, check_drafter_changes_nothing, tiny_model

PROMPTS = ["The red bear reads ", "a", "Once there was a small bear. Where is the river? "]
NAMES = [*FAMILIES, "inkling-windowed"]


@cache
def host(family: str) -> Host:
    return Host(native_model(family), bpe_tokenizer(), plugins=[])


@cache
def guessing(family: str) -> NativeDrafts:
    return NativeDrafts(native_modules(host(family).model))


@pytest.mark.parametrize("constraint", [None, json_schema({"type": "array", "items": {"type": "integer"}})])
@pytest.mark.parametrize("family", NAMES)
def test_the_text_is_that_of_no_draft(family: str, constraint: Any) -> None:
    options = {"max_new_tokens": 24, "seeds": [0], "constraint": constraint}
    check_drafter_changes_nothing(host(family), guessing(family), PROMPTS[:2], **options)


@pytest.mark.parametrize("acceptance", ["match", "rejection"])
@pytest.mark.parametrize("family", ["deepseek-3", "inkling", "mellum", "bailing"])
def test_ragged_lanes_get_what_each_gets_alone(family: str, acceptance: str) -> None:
    constraints = [None, regex("[a-z ]{5,30}"), None]
    requests = [
        Request(
            prompt, drafters=[guessing(family)], constraint=constraint, seed=row, max_new_tokens=14 + row, end_ids=[] if constraint is None else None,
            acceptance=acceptance, processors=["temperature=0.2", "top-p=0.95"], do_sample=True,
        )
        for row, (prompt, constraint) in enumerate(zip(PROMPTS, constraints, strict=True))
    ]  # fmt: skip
    together = host(family).generate_batch(requests)
    assert all(result.text for result in together)
    assert any(step.drafted for result in together for step in result.trace.steps)
    if acceptance == "match":
        alone = [host(family).generate_batch([request])[0].text for request in requests]
        assert [result.text for result in together] == alone


def test_drafts_are_kept_where_the_modules_are_right() -> None:
    """A module that gives every token the same scores as the model does: an output layer that knows one token."""
    model = native_model("deepseek-3")
    with torch.no_grad():
        model.lm_head.weight.zero_()
    result = Host(model, bpe_tokenizer(), plugins=[]).generate(
        "a", drafters=[NativeDrafts(native_modules(model))], max_new_tokens=20, end_ids=[]
    )
    assert (
        max(step.kept for step in result.trace.steps) >= 2
    )  # how often it is worth it on this machine is another matter
    assert not any(step.rejected for step in result.trace.steps)


@pytest.mark.parametrize("family", CHECKPOINTS)
def test_the_modules_of_a_checkpoint_are_found_and_the_strategy_takes_them(family: str, tmp_path: Path) -> None:
    checkpoint(family, tmp_path)
    if family == "step":  # it reads pictures as well, and is loaded by a class for that
        loaded = Host(read_again(tmp_path), bpe_tokenizer(), plugins=[])
    else:
        loaded = Host.from_pretrained(str(tmp_path), plugins=[], dtype=torch.float64)
    loaded.model.set_experts_implementation("eager")
    options: dict[str, Any] = {"max_new_tokens": 12, "end_ids": []}
    plain = loaded.generate("The bear ", drafters=[], **options)
    drafted = loaded.generate("The bear ", strategy="mtp", **options)
    assert drafted.trace.drafters == ("mtp",)
    assert drafted.token_ids == plain.token_ids
    assert any(step.drafted for step in drafted.trace.steps)
    written = native_modules(loaded.model)  # the weights depend on the seed alone
    for name, tensor in modules_of(loaded.model).layers.state_dict().items():
        torch.testing.assert_close(
            tensor.double(), written.layers.state_dict()[name], atol=1e-6, rtol=1e-6
        )  # some are kept in float32
    assert modules_of(loaded.model) is modules_of(loaded.model)


def test_the_modules_follow_a_model_that_is_moved(tmp_path: Path) -> None:
    checkpoint("mellum", tmp_path)
    loaded = Host.from_pretrained(str(tmp_path), plugins=[], dtype=torch.float64)
    modules = modules_of(loaded.model)
    loaded.model.to(torch.float32)
    assert modules_of(loaded.model) is modules
    assert {parameter.dtype for parameter in modules.layers.parameters()} == {torch.float32}
    assert modules.rotary_emb is not loaded.model.get_decoder().rotary_emb


def refusal(model: Any, **options: Any) -> str:
    with pytest.raises(IncompatibleParts, match="decodeplug train-heads") as caught:
        Host(model, bpe_tokenizer(), plugins=[]).generate("a", max_new_tokens=3, **options)
    return str(caught.value)


def test_a_model_without_modules_is_refused_before_the_first_token(tmp_path: Path) -> None:
    assert "LlamaForCausalLM (llama)" in refusal(tiny_model(vocab=len(bpe_tokenizer())), drafters=["mtp"])
    assert "not loaded from a checkpoint" in refusal(native_model("glm4"), strategy="mtp")
    model = native_model("glm4")  # of 2 layers: transformers looks for its modules behind layer 46 and 92
    model.save_pretrained(tmp_path / "saved")
    again = type(model).from_pretrained(tmp_path / "saved", dtype=torch.float64)
    assert "weights are missing" in refusal(again, drafters=["mtp"])
    shutil.rmtree(tmp_path / "saved")
    again.config.name_or_path = str(tmp_path / "saved")
    assert "cannot read the modules" in refusal(again, drafters=["mtp"])


def test_a_configuration_that_does_not_say_what_its_modules_are_is_refused() -> None:
    model = native_model("bailing")
    model.config.mtp_layer_types, model.config.name_or_path, model.config.dtype = None, "somewhere", torch.float64
    assert "mtp_layer_types" in refusal(model, drafters=["mtp"])


def test_heads_come_before_modules_and_without_either_heads_are_asked_for(tmp_path: Path) -> None:
    model = native_model("deepseek")
    Heads.new(model, "independent", 2, torch.arange(512)).save(tmp_path, {})
    with_modules = Host(model, bpe_tokenizer(), plugins=[])
    strategy = {"name": "mtp", "heads": str(tmp_path)}
    assert with_modules.generate("a", strategy=strategy, max_new_tokens=3).trace.drafters == ("heads",)
    named = with_modules.generate("a", strategy="mtp", drafters=[f"heads={tmp_path}"], max_new_tokens=3)
    assert named.trace.drafters == ("heads",)
    given = with_modules.generate("a", strategy="mtp", drafters=[NativeDrafts(native_modules(model))], max_new_tokens=3)
    assert given.trace.drafters == ("mtp",)
    with pytest.raises(BadOption, match="decodeplug train-heads"):
        Host(tiny_model(vocab=40), None, plugins=[]).generate([1], strategy="mtp", max_new_tokens=3)
